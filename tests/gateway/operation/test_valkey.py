"""Gateways that have a Valkey, from outside: what they share by it, and what its loss changes."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest

from tests.kit.databases import new_database
from tests.kit.http import question
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.postgresql import PostgreSQL
    from tests.kit.processes import Served
    from tests.kit.valkey import ValkeyServer

_numbers = itertools.count(1)


@pytest.fixture
def two(
    launch: Callable[..., Served],
    own_postgres: PostgreSQL,
    valkey: ValkeyServer,
) -> tuple[Served, Served]:
    url = new_database(own_postgres, f"valkey {next(_numbers)}")
    named = {
        "APERTIS_STORE_URL": url,
        "APERTIS_VALKEY_URL": valkey.url,
        "APERTIS_CACHE_SHARED": "true",
    }
    one, other = (
        launch("--json", "--data", name, APERTIS_SERVER_REPLICA=name, **named)
        for name in ("one", "two")
    )
    for served in (one, other):
        served.wait_until_it_serves()
    (key,) = [served.told_key for served in (one, other) if served.told_key is not None]
    for served in (one, other):
        served.api_key = key
        until(lambda served=served: served.call("GET", "/readyz").json["replicas"] == 2)  # type: ignore[misc]
    return one, other


@pytest.mark.parametrize("event", ["killed", "emptied", "restored"])
def test_requests_go_on_and_money_is_exact_whatever_happens_to_valkey(
    two: tuple[Served, Served], valkey: ValkeyServer, event: str
) -> None:
    one, other = two
    until(lambda: valkey.ask("KEYS", "apertis:*:shares"))
    made = one.call(
        "POST",
        "/admin/v1/keys",
        b'{"name": "ci", "quota_units": 500000, "requests_limit": "1000/1h"}',
    ).json
    headers = {"x-api-key": made["secret"]}

    def ask() -> None:
        for served in two:
            assert served.call("POST", "/v1/messages", question(), headers).status == 200

    ask()
    old = valkey.dump()
    ask()
    if event == "killed":
        valkey.kill()
    elif event == "emptied":
        valkey.ask("FLUSHALL")
    else:
        valkey.restore(old)
    for _ in range(5):
        ask()
    if event == "killed":
        assert one.event("Valkey does not answer")["reason"]
        valkey.start()
        assert one.event("Valkey answers again")
    ask()

    def booked() -> tuple[int, int]:
        report = other.call("GET", "/admin/v1/usage").json
        return report["totals"]["requests"], report["totals"]["cost_units"]

    until(lambda: booked()[0] == 16)
    key = one.call("GET", f"/admin/v1/keys/{made['id']}").json
    assert key["used_units"] == booked()[1] > 0
    for served in two:
        assert served.stop() == 0


def test_a_cached_response_is_one_over_all_gateways(
    two: tuple[Served, Served], valkey: ValkeyServer
) -> None:
    one, other = two
    made = one.call(
        "POST", "/admin/v1/keys", b'{"name": "ci", "quota_units": 500000, "response_cache": true}'
    ).json
    headers = {"x-api-key": made["secret"]}

    def ask(served: Served) -> tuple[str, bytes]:
        answer = served.call("POST", "/v1/messages", question(), headers)
        assert answer.status == 200
        return answer.headers["x-response-cache"], answer.body

    said, body = ask(one)
    assert said == "miss"
    until(lambda: valkey.ask("KEYS", "*response*"))
    assert ask(other) == ("hit", body)
    text = json.loads(body)["content"][0]["text"].encode()
    dump = valkey.dump()
    for readable in (text[:12], made["id"].encode(), made["secret"].encode(), b"content"):
        assert readable not in dump
    # It stays in the memory of each, also while the server is away.
    valkey.kill()
    assert [ask(served) for served in two] == [("hit", body)] * 2
    valkey.start()
    assert one.call("DELETE", f"/admin/v1/cache?key={made['id']}").status == 200
    until(lambda: ask(other)[0] == "miss")
    used = one.call("GET", f"/admin/v1/keys/{made['id']}").json["used_units"]
    assert used > 0
    for served in two:
        assert served.stop() == 0
