"""A stream's bytes read to events, to its end or to its failure."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.errors import (
    APIConnectionError,
    APIResponseError,
    OverloadedError,
    StreamTimeoutError,
    StreamTruncatedError,
)
from apertis.models import Headers, Malformed
from apertis.sansio.outcome import Failure
from apertis.sansio.reading import (
    EventReading,
    begins_document,
    is_blank,
    no_text_error,
    says_events,
    stream_error,
)
from apertis.testing import sse_event
from tests.kit.responses import EVENTS

WHOLE = b"".join(map(sse_event, EVENTS))
KINDS = [event["type"] for event in EVENTS]


def reading(*pieces: bytes, ended: bool = False, **headers: str) -> tuple[EventReading, list[str]]:
    """A reading of these pieces, and the types of the events that it gave."""
    made = EventReading(Headers({"request-id": "req_1", **headers}))
    events = [event for piece in pieces for event in made.receive(piece)]
    if ended:
        events += made.finish()
    made.pending = list(events)
    return made, [event.type for event in events]


@given(st.lists(st.integers(0, len(WHOLE)), max_size=5))
def test_events_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(WHOLE)]
    pieces = [WHOLE[a:b] for a, b in itertools.pairwise(places)]
    read, kinds = reading(*pieces, ended=True)
    assert kinds == KINDS
    assert (read.complete, read.failure) == (True, None)
    assert [part.event for part in read.take_parts()] == KINDS
    assert read.take_parts() == []


def test_up_to_the_first_event_of_the_content_another_try_could_replace_it() -> None:
    read, _ = reading(sse_event(EVENTS[0]))
    assert (read.begun, read.decided) == (False, False)
    read.receive(sse_event({"type": "ping"}))
    assert not read.begun
    read.receive(sse_event(EVENTS[1]))
    assert (read.begun, read.decided) == (True, True)


def test_behind_the_end_nothing_more_is_read() -> None:
    read, _ = reading(WHOLE)
    assert read.receive(WHOLE) == []
    assert read.finish() == []
    assert read.failure is None


def test_a_stream_that_ends_early_keeps_what_came() -> None:
    read, _ = reading(*map(sse_event, EVENTS[:3]), ended=True)
    error = read.error(now=0.0, retries=2)
    assert isinstance(error, StreamTruncatedError)
    assert (error.request_id, error.retries) == ("req_1", 2)
    assert error.partial is not None
    assert error.partial.text == "hello"


def test_an_error_event_is_the_error_of_its_type() -> None:
    said = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    read, kinds = reading(sse_event(EVENTS[0]), sse_event(said), WHOLE)
    assert kinds == ["message_start"]
    assert isinstance(read.error(now=0.0, retries=0), OverloadedError)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"data: nothing\n\n", "it is 'nothing'"),
        (b"data: {}\n\n", "it is '{}'"),
        (b"<html>Bad gateway</html>", "<html>"),
    ],
)
def test_what_is_no_event_is_shown(data: bytes, said: str) -> None:
    error = reading(data, ended=True)[0].error(now=0.0, retries=0)
    assert isinstance(error, APIResponseError)
    assert said in str(error)


def test_json_where_events_belong_is_the_error_that_it_says() -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}'
    error = reading(body, ended=True)[0].error(now=0.0, retries=0)
    assert isinstance(error, OverloadedError)


def test_the_type_may_stand_in_the_events_name_alone() -> None:
    _, kinds = reading(b'event: content_block_stop\ndata: {"index": 0}\n\ndata: [DONE]\n\n')
    assert kinds == ["content_block_stop"]


def test_a_secret_does_not_stand_in_the_error() -> None:
    read = EventReading(Headers({}), ("sk-hidden",))
    read.receive(b"data: sk-hidden\n\n")
    assert "sk-hidden" not in str(read.error(now=0.0, retries=0))


def test_the_first_failure_counts() -> None:
    read, _ = reading()
    read.fail(Failure("one"))
    read.fail(Failure("other"))
    assert read.finish() == []
    assert str(read.error(now=0.0, retries=0)).startswith("one")
    assert "third" in str(read.unreadable(Malformed("third"), now=0.0, retries=0))


def test_parts_that_nobody_asks_for_are_not_kept() -> None:
    read, _ = reading()
    read.forget_parts()
    read.receive(WHOLE)
    assert read.take_parts() == []


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (Failure("cut"), StreamTruncatedError),
        (Failure("late", deadline="idle"), StreamTimeoutError),
        (Failure("odd", malformed=True), APIResponseError),
    ],
)
def test_a_stream_that_broke_has_its_own_errors(failure: Failure, kind: Any) -> None:
    error = stream_error(failure, now=0.0, retries=1)
    assert type(error) is kind
    assert error.retries == 1
    assert not isinstance(error, APIConnectionError) or error.__cause__ is failure.cause


def test_what_an_answer_is_shows_at_its_beginning() -> None:
    assert says_events(Headers({"content-type": "Text/Event-Stream; charset=utf-8"}))
    assert not says_events(Headers({"content-type": "application/json"}))
    assert not says_events(Headers({}))
    assert is_blank(b"\xef\xbb\xbf\r\n ")
    assert not is_blank(b" :")
    assert begins_document(b"\xef\xbb\xbf\n{")
    assert begins_document(b"<!doctype html>")
    assert not begins_document(b"event: ping")


def test_an_answer_without_text_says_what_it_has() -> None:
    read, _ = reading(sse_event(EVENTS[0]))
    message = read.partial()
    assert message is not None
    assert "it holds no blocks and ended with None" in str(no_text_error(message))
