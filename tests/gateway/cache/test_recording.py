"""Only a whole answer that came to its own end is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.cache import FINAL_STOP_REASONS, Entry, Recording, events_of

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
    recording = Recording(streamed=streamed, max_entry_bytes=limit)
    for start in range(0, len(data), 7):
        recording.add(data[start : start + 7])
    return recording.finish(50.0)


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
    recording = Recording(streamed=False, max_entry_bytes=10_000)
    recording.add(encoded())
    entry = recording.finish(0.0)
    assert entry is not None
    assert "secret" not in repr(entry) + repr(recording)
