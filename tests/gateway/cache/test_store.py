"""What is kept, for how long, and what makes room."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.accounting.readers import StreamReader
from apertis.gateway.cache import (
    FINAL_STOP_REASONS,
    Entry,
    Recording,
    ResponseCache,
    events_of,
    message_entry,
)
from apertis.gateway.config import CacheSettings


def cache(max_bytes: int = 10_000, ttl: float = 60.0, entry: int = 5000) -> ResponseCache:
    return ResponseCache(CacheSettings(max_bytes, ttl, entry))


def entry(size: int = 100, at: float = 0.0) -> Entry:
    return Entry(b"x" * size, False, at)


def test_an_entry_is_found_until_its_time_is_over() -> None:
    kept = cache()
    assert kept.put(b"a", "key_1", entry())
    assert kept.get(b"a", 59.9) == entry()
    assert kept.get(b"b", 0.0) is None
    assert kept.get(b"a", 60.0) is None
    assert (len(kept), kept.size_bytes) == (0, 0)


def test_what_is_old_is_forgotten_also_when_nobody_asks_for_it() -> None:
    kept = cache()
    kept.put(b"a", "key_1", entry(at=0.0))
    kept.put(b"b", "key_1", entry(at=30.0))
    kept.sweep(70.0)
    assert (len(kept), kept.get(b"b", 70.0)) == (1, entry(at=30.0))


def test_use_does_not_make_an_entry_younger() -> None:
    kept = cache()
    kept.put(b"a", "key_1", entry())
    for now in range(0, 60, 10):
        assert kept.get(b"a", float(now)) is not None
    assert kept.get(b"a", 60.0) is None


def test_the_least_recently_used_makes_room() -> None:
    kept = cache(max_bytes=3 * (100 + 512))
    for name in (b"a", b"b", b"c"):
        kept.put(name, "key_1", entry())
    kept.get(b"a", 1.0)
    kept.put(b"d", "key_1", entry())
    assert [kept.get(name, 2.0) is not None for name in (b"a", b"b", b"c", b"d")] == [
        True,
        False,
        True,
        True,
    ]


def test_a_newer_answer_takes_the_place_of_an_older_one() -> None:
    kept = cache()
    kept.put(b"a", "key_1", entry(100, 0.0))
    kept.put(b"a", "key_1", entry(200, 30.0))
    assert kept.get(b"a", 80.0) == entry(200, 30.0)
    assert (len(kept), kept.size_bytes) == (1, 712)


def test_what_is_too_large_is_not_kept_and_drives_nothing_out() -> None:
    kept = cache(max_bytes=4000, entry=5000)
    kept.put(b"a", "key_1", entry())
    assert not kept.put(b"b", "key_1", entry(3999))
    assert not cache(entry=50).put(b"b", "key_1", entry(51))
    assert kept.get(b"a", 0.0) is not None


def test_a_cache_without_room_is_off() -> None:
    off = cache(max_bytes=0)
    assert not off.enabled
    assert not off.put(b"a", "key_1", entry(0))
    assert cache().enabled


def test_a_purge_forgets_the_answers_to_one_key() -> None:
    kept = cache()
    for name, key_id in [(b"a", "key_1"), (b"b", "key_2"), (b"c", "key_1")]:
        kept.put(name, key_id, entry())
    assert kept.purge("key_1") == 2
    assert kept.purge("key_1") == 0
    assert [kept.get(name, 0.0) is not None for name in (b"a", b"b", b"c")] == [False, True, False]
    kept.clear()
    assert (len(kept), kept.size_bytes) == (0, 0)


def test_a_recording_keeps_to_the_largest_entry() -> None:
    recording = cache(entry=3).recording()
    recording.add(b"1234")
    assert repr(recording) == "Recording(4 bytes)"
    reader = StreamReader()
    reader.feed(stream())
    assert recording.finish(reader, 0.0) is None


def test_its_repr_shows_sizes_alone() -> None:
    kept = cache()
    kept.put(b"a", "key_1", entry(100))
    assert repr(kept) == "ResponseCache(1 entries, 612 bytes)"


actions = st.tuples(
    st.sampled_from(["put", "get", "purge", "sweep"]),
    st.integers(0, 6),
    st.integers(0, 1500),
    st.floats(0, 20),
)


@settings(max_examples=150)
@given(st.lists(actions, max_size=40))
def test_the_books_are_always_right(steps: list[tuple[str, int, int, float]]) -> None:
    kept, now, put = cache(max_bytes=4000, entry=1000), 0.0, dict[bytes, Entry]()
    for action, number, size, seconds in steps:
        now += seconds
        name, owner = b"%d" % number, f"key_{number % 2}"
        if action == "put":
            put.pop(name, None)
            if kept.put(name, owner, entry(size, now)):
                put[name] = entry(size, now)
        elif action == "get":
            found = kept.get(name, now)
            assert found is None or (found == put[name] and now - found.stored_at < 60.0)
        elif action == "purge":
            kept.purge(owner)
            put = {n: e for n, e in put.items() if int(n) % 2 != number % 2}
        else:
            kept.sweep(now)
    present = [found for name in put if (found := kept.get(name, now))]
    assert len(kept) == len(present)
    assert kept.size_bytes == sum(len(found.body) + 512 for found in present) <= 4000


TEXT = {"type": "text", "text": "secret words"}
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [TEXT],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 2},
}


def encoded(**changes: Any) -> bytes:
    return json.dumps(MESSAGE | changes).encode()


def stream(**changes: Any) -> bytes:
    events = events_of(encoded(**changes))
    assert events is not None
    return events


def recorded(data: bytes, *, streamed: bool, limit: int = 10_000) -> Entry | None:
    if not streamed:
        entry = message_entry(data, 50.0)
        kept = cache(max_bytes=10**6, entry=limit)
        return entry if entry is not None and kept.put(b"a", "key_1", entry) else None
    recording, reader = Recording(limit), StreamReader()
    for start in range(0, len(data), 7):
        recording.add(data[start : start + 7])
    # However it was cut: the reader's own tests show that this makes no difference to it.
    reader.feed(data.removesuffix(b"\n\n") + b"\n\n")
    return recording.finish(reader, 50.0)


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("reason", sorted(FINAL_STOP_REASONS))
def test_a_whole_answer_is_kept_byte_for_byte(reason: str, streamed: bool) -> None:
    data = stream(stop_reason=reason) if streamed else encoded(stop_reason=reason)
    entry = recorded(data, streamed=streamed)
    assert entry is not None
    assert entry == Entry(data, streamed, 50.0)
    assert entry.replay(streamed=streamed) == data


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("reason", ["pause_turn", "compaction", "a_reason_of_next_year", None])
def test_an_answer_that_is_to_go_on_is_not_kept(reason: str | None, streamed: bool) -> None:
    data = stream(stop_reason=reason) if streamed else encoded(stop_reason=reason)
    assert recorded(data, streamed=streamed) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        encoded()[:-1],
        encoded() + b"x",
        encoded(type="error"),
        encoded(content="text"),
        encoded(content=[1]),
        encoded(usage=None),
        b'{"type": "error", "error": {"type": "api_error", "message": "m"}}',
        b"\xff",
        stream(),
    ],
)
def test_what_is_no_message_is_not_kept(data: bytes) -> None:
    assert recorded(data, streamed=False) is None


ERROR = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        encoded(),
        stream() + stream(),
        stream().replace(b"event: message_stop", ERROR + b"event: message_stop"),
        stream() + ERROR,
        stream().partition(b"event: content_block_start")[0],
        stream().partition(b"event: message_stop")[0],
        stream()[stream().index(b"event: content_block_start") :],
        stream().replace(b'{"type":"message_delta"', b'{"type:"message_delta"'),
    ],
)
def test_a_stream_that_is_not_whole_is_not_kept(data: bytes) -> None:
    assert recorded(data, streamed=True) is None


@settings(max_examples=100)
@given(st.integers(0, len(stream()) - 3))
def test_a_stream_that_is_cut_anywhere_is_not_kept(place: int) -> None:
    """The last blank line alone is no part of an event."""
    assert recorded(stream()[:place], streamed=True) is None


def test_pings_and_missing_names_do_no_harm() -> None:
    nameless = b"".join(
        line + b"\n" for line in stream().split(b"\n") if not line.startswith(b"event:")
    )
    ping = b'event: ping\ndata: {"type":"ping"}\n\n'
    for data in (ping + stream() + ping, nameless, stream().replace(b"\n", b"\r\n")):
        assert recorded(data, streamed=True) == Entry(data, True, 50.0)


@pytest.mark.parametrize("streamed", [True, False])
def test_an_answer_above_the_limit_is_let_go(streamed: bool) -> None:
    data = stream() if streamed else encoded()
    assert recorded(data, streamed=streamed, limit=len(data)) is not None
    assert recorded(data, streamed=streamed, limit=len(data) - 1) is None


def test_its_age_is_in_whole_seconds_and_never_negative() -> None:
    entry = Entry(b"", False, 50.0)
    assert [entry.age_seconds(now) for now in (40.0, 50.0, 51.9)] == [0, 0, 1]


def test_no_repr_shows_what_was_said() -> None:
    recording = Recording(10_000)
    recording.add(stream())
    entry = recorded(stream(), streamed=True)
    assert entry is not None
    assert "secret" not in repr(entry) + repr(recording)


def test_a_response_that_came_late_is_not_handed_out_after_its_time() -> None:
    kept = ResponseCache(CacheSettings(ttl_seconds=100))
    kept.put(b"new", "k", Entry(b"x", False, 1000.0))
    # One of another gateway, older than what is here.
    kept.put(b"old", "k", Entry(b"y", False, 950.0))
    assert kept.get(b"old", 1049.0) is not None
    assert kept.get(b"old", 1050.0) is None
    assert kept.get(b"new", 1050.0) is not None
