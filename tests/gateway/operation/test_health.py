"""Whether it lives, and whether it can serve."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.gateway.conftest import Client, RunningGateway

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


def fail(client: Client, model: str) -> None:
    body = {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    assert client.call("POST", "/v1/messages", json.dumps(body).encode()).status >= 500


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
