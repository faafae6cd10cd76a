"""Responses that gateways share through a real Valkey: sealed, fresh, and of one request."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.errors import ConfigurationError
from apertis.gateway.cache import Entry
from apertis.gateway.config import CacheSettings
from apertis.gateway.config.settings import valkey_url
from apertis.gateway.replicas.responses import Sealing, SharedResponses
from apertis.gateway.replicas.valkey import Valkey

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from tests.kit.valkey import ValkeyServer

NOW = 1_798_761_600.0
SECRET = b"s" * 32
SETTINGS = CacheSettings(max_entry_bytes=1000, ttl_seconds=300)
NAME, OTHER = b"n" * 32, b"o" * 32
ENTRY = Entry(b"the readable answer", True, NOW)
pytest.importorskip("cryptography")


@given(body=st.binary(max_size=100), streamed=st.booleans(), place=st.integers(0, 1000))
def test_what_was_sealed_is_opened_again_and_nothing_else(
    body: bytes, streamed: bool, place: int
) -> None:
    sealing = Sealing(SECRET)
    sealed = sealing.seal(NAME, Entry(body, streamed, NOW))
    assert sealing.open(NAME, sealed) == Entry(body, streamed, NOW)
    assert sealing.open(OTHER, sealed) is None
    assert Sealing(b"t" * 32).open(NAME, sealed) is None
    at = place % len(sealed)
    assert sealing.open(NAME, sealed[:at]) is None
    changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
    assert sealing.open(NAME, changed) is None


class Ends:
    """Two gateways of one store."""

    def __init__(self, run: Callable[[Coroutine[Any, Any, Any]], Any], url: str) -> None:
        self.run = run
        self.clock = 0.0
        self.now = NOW
        self.valkeys = [Valkey(valkey_url(url), SECRET) for _ in range(2)]
        self.one, self.other = (
            SharedResponses(valkey, SECRET, SETTINGS, lambda: self.clock, lambda: self.now)
            for valkey in self.valkeys
        )

    def put(self, name: bytes = NAME, key_id: str = "key_k", entry: Entry = ENTRY) -> None:
        async def put() -> None:
            self.one.put(name, key_id, entry)
            await self.one.settle()

        self.run(put())

    def purge(self, key_id: str) -> None:
        async def purge() -> None:
            self.one.purge(key_id)
            await self.one.settle()

        self.run(purge())

    def get(self, name: bytes = NAME, key_id: str = "key_k") -> Entry | None:
        found: Entry | None = self.run(self.other.get(name, key_id, self.now))
        return found


@pytest.fixture
def ends(valkey: ValkeyServer) -> Iterator[Ends]:
    with asyncio.Runner() as runner:
        made = Ends(runner.run, valkey.url)
        yield made
        for client in made.valkeys:
            runner.run(client.close())


def test_what_one_keeps_all_have_for_a_while_and_nobody_else_can_read(
    ends: Ends, valkey: ValkeyServer
) -> None:
    assert ends.get() is None
    ends.put()
    assert ends.get() == ENTRY
    assert ends.get(OTHER) is None
    assert ends.get(key_id="key_other") is None
    dump = valkey.dump()
    for text in (ENTRY.body, b"readable", b"key_k", NAME, NAME.hex().encode(), SECRET):
        assert text not in dump
    (name,) = valkey.ask("KEYS", "*response*")
    assert 0 < valkey.ask("PTTL", name) <= 300_000
    ends.now += 299
    assert ends.get() == ENTRY
    # Also one that the server should have let go, as after the restore of a snapshot.
    ends.now += 1
    assert ends.get() is None


def test_what_is_of_another_form_or_too_large_is_a_miss(ends: Ends, valkey: ValkeyServer) -> None:
    ends.put(entry=Entry(b"x" * 1001, False, NOW))
    assert valkey.ask("KEYS", "*response*") == []
    ends.put()
    (name,) = valkey.ask("KEYS", "*response*")
    sealed = valkey.ask("GET", name)
    for text in (b"", b"x", sealed[:-1], sealed[:12], b"x" * 100):
        valkey.ask("SET", name, text)
        assert ends.get() is None
    # Another request's response is not this one's.
    ends.put(OTHER)
    (moved,) = set(valkey.ask("KEYS", "*response*")) - {name}
    valkey.ask("RENAME", moved, name)
    assert ends.get() is None
    valkey.ask("DEL", name)
    valkey.ask("LPUSH", name, "x")
    assert ends.get() is None


def test_a_purge_removes_the_responses_of_a_key_or_all(ends: Ends, valkey: ValkeyServer) -> None:
    for number in range(3):
        ends.put(bytes([number]) * 32)
    ends.put(OTHER, "key_other")
    ends.purge("key_k")
    assert len(valkey.ask("KEYS", "*response*")) == 1
    assert ends.get(OTHER, "key_other") == ENTRY
    ends.purge("")
    assert valkey.ask("KEYS", "*response*") == []


def test_what_was_purged_stays_away_though_an_old_snapshot_has_it(
    ends: Ends, valkey: ValkeyServer
) -> None:
    ends.put()
    old = valkey.dump()
    ends.purge("key_k")
    ends.other.forget("key_k")
    valkey.restore(old)
    assert len(valkey.ask("KEYS", "*response*")) == 1
    assert ends.get() is None
    ends.now += 1
    ends.clock += 10
    ends.put(entry=Entry(b"newer", False, ends.now))
    assert ends.get() == Entry(b"newer", False, ends.now)


def test_without_the_server_it_is_a_miss_and_requests_do_not_ask_again_at_once(
    ends: Ends, valkey: ValkeyServer
) -> None:
    ends.put()
    valkey.kill()
    assert ends.get() is None
    valkey.start()
    ends.put()
    assert ends.get() is None
    ends.clock += 1
    assert ends.get() == ENTRY


def test_a_server_that_says_nothing_keeps_a_request_for_a_moment_only(
    ends: Ends, valkey: ValkeyServer
) -> None:
    ends.put()
    assert ends.get() == ENTRY
    valkey.pause()
    started = time.monotonic()
    assert ends.get() is None
    assert time.monotonic() - started < 5
    valkey.go_on()
    # The late response to the last question is not taken for the response to the next one.
    ends.clock += 1
    assert ends.get(OTHER) is None
    assert ends.get() == ENTRY


def test_a_password_is_used_and_a_wrong_one_is_a_miss(ends: Ends, valkey: ValkeyServer) -> None:
    valkey.ask("CONFIG", "SET", "requirepass", "xyzzy")
    with asyncio.Runner() as runner:
        for password, expected in (("xyzzy", ENTRY), ("wrong", None)):
            told: list[str | None] = []
            url = valkey_url(valkey.url.replace("://", f"://:{password}@"))
            client = Valkey(url, SECRET, told.append)
            end = SharedResponses(client, SECRET, SETTINGS, lambda: 0.0, lambda: NOW)

            async def both(end: SharedResponses = end) -> Entry | None:
                end.put(NAME, "key_k", ENTRY)
                await end.settle()
                return await end.get(NAME, "key_k", NOW)

            assert runner.run(both()) == expected
            assert [bool(reason) for reason in told] == [True] * (expected is None)
            assert password not in str(told)
            runner.run(client.close())


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ConfigurationError, match=r"cache\.shared needs cryptography: "):
        Sealing(SECRET)
