"""Whether it lives, and whether it can serve."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.kit.gateways import RunningGateway
    from tests.kit.http import Client

NOWHERE = """
[routing]
breaker_failures = 1
breaker_open_seconds = 600
[[upstreams]]
name = "a"
base_url = "http://127.0.0.1:9"
models = ["one"]
[[upstreams]]
name = "b"
base_url = "http://127.0.0.1:9"
models = ["two"]
"""


def ready(client: Client) -> tuple[int, dict[str, Any]]:
    answer = client.call("GET", "/readyz", headers={})
    return answer.status, json.loads(answer.body)


def ask(client: Client, model: str = "claude-haiku-4-5") -> int:
    body = {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    return client.call("POST", "/v1/messages", json.dumps(body).encode()).status


def fail(client: Client, model: str) -> None:
    assert ask(client, model) >= 500


def test_it_is_not_ready_when_all_upstreams_are_given_up(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    client = start_gateway(NOWHERE).client
    assert ready(client) == (200, {"status": "ok"})
    fail(client, "one")
    assert ready(client) == (200, {"status": "ok"})
    fail(client, "two")
    assert ready(client) == (503, {"status": "unavailable", "reason": "no upstream is usable"})
    alive = client.call("GET", "/healthz", headers={})
    assert (alive.status, alive.body) == (200, b'{"status":"ok"}')


def rename(store: Path, old: str, new: str) -> None:
    with contextlib.closing(sqlite3.connect(store)) as connection:
        connection.execute(f"ALTER TABLE {old} RENAME TO {new}")


def test_it_is_not_ready_while_its_store_fails_and_serves_on(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    running = start_gateway()
    client, store = running.client, running.data / "apertis.sqlite3"
    rename(store, "key_version", "gone")
    assert ready(client) == (503, {"status": "unavailable", "reason": "the store does not answer"})
    assert client.call("GET", "/healthz").status == 200
    # Keys are known, and usage waits in the journal.
    assert client.call("GET", "/v1/models").status == 200
    rename(store, "gone", "key_version")
    assert ready(client) == (200, {"status": "ok"})


def test_it_is_not_ready_while_its_data_directory_is_gone_and_books_when_it_is_back(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    running = start_gateway()
    client, data = running.client, running.data
    assert ask(client) == 200
    until(lambda: running.usage()["totals"]["requests"] == 1)
    elsewhere = data.with_name("elsewhere")
    data.rename(elsewhere)
    assert ready(client) == (
        503,
        {"status": "unavailable", "reason": "the data directory is gone"},
    )
    assert ask(client) == 200
    data.mkdir()
    reason = "the data directory was replaced by another"
    assert ready(client) == (503, {"status": "unavailable", "reason": reason})
    assert ask(client) == 200
    # What is there belongs to somebody else.
    assert list(data.iterdir()) == []
    data.rmdir()
    elsewhere.rename(data)
    until(lambda: ready(client)[0] == 200)
    until(lambda: running.usage()["totals"]["requests"] == 3)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_it_is_not_ready_while_its_data_directory_cannot_be_written(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    running = start_gateway()
    running.data.chmod(0o500)
    reason = "the data directory cannot be written"
    assert ready(running.client) == (503, {"status": "unavailable", "reason": reason})
    running.data.chmod(0o700)
    until(lambda: ready(running.client)[0] == 200)


def test_a_journal_that_is_deleted_in_use_is_begun_anew(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    running = start_gateway()
    shutil.rmtree(running.data / "usage-journal")
    assert [ask(running.client) for _ in range(5)] == [200] * 5
    until(lambda: running.usage()["totals"]["requests"] == 5)
    until(lambda: ready(running.client)[0] == 200)
    assert (running.data / "usage-journal").is_dir()


def test_it_is_not_ready_while_usage_cannot_be_booked(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    running = start_gateway()
    client, store = running.client, running.data / "apertis.sqlite3"
    rename(store, "usage", "gone")
    assert ask(client) == 200
    reason = "the store cannot be written: usage waits in the journal"
    until(lambda: ready(client) == (503, {"status": "unavailable", "reason": reason}))
    rename(store, "gone", "usage")
    until(lambda: ready(client)[0] == 200)
    until(lambda: running.usage()["totals"]["requests"] == 1)
    events = [line.get("event", "") for line in running.log_lines()]
    assert [text for text in events if "moved" in text] == [
        "usage cannot be moved to the store yet",
        "usage is moved to the store again",
    ]
