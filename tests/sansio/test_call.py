"""A call as a value."""

from __future__ import annotations

from typing import Any

from apertis.sansio.call import Call
from apertis.sansio.marks import NOT_GIVEN


def test_nothing_given_is_false_and_not_none() -> None:
    assert not NOT_GIVEN
    assert NOT_GIVEN is not None
    call: Call[Any] = Call("GET", "/x", repr)
    assert (call.timeout, call.max_retries, call.streamed) == (NOT_GIVEN, None, False)


def test_what_a_user_said_is_not_shown() -> None:
    call: Call[Any] = Call("POST", "/x", repr, b"said", {"q": "said"}, {"x-a": "said"})
    assert repr(call) == "Call(POST /x)"
