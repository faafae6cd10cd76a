"""A call as a value."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

from apertis.errors import APIResponseError
from apertis.models import Headers, Malformed
from apertis.sansio.call import NOT_GIVEN, Call
from apertis.sansio.outcome import Response

ANSWER = Response(200, Headers([("request-id", "req_1")]), b'{"a": 1}')


def test_nothing_given_is_false_and_not_none() -> None:
    assert not NOT_GIVEN
    assert NOT_GIVEN is not None
    call: Call[Any] = Call("GET", "/x", bytes)
    assert (call.timeout, call.max_retries, call.streamed) == (NOT_GIVEN, None, False)


def test_what_a_user_said_is_not_shown() -> None:
    call: Call[Any] = Call("POST", "/x", bytes, b"said", {"q": "said"}, {"x-a": "said"})
    assert repr(call) == "Call(POST /x)"


def test_the_result_is_what_the_call_reads() -> None:
    assert Call("GET", "/x", lambda response: response.body).result(ANSWER) == b'{"a": 1}'


def test_an_answer_that_is_not_the_apis_is_an_error_with_its_request_id() -> None:
    def read(_: Response) -> NoReturn:
        raise Malformed("it is no message")

    with pytest.raises(APIResponseError, match="it is no message") as caught:
        Call("GET", "/x", read).result(ANSWER)
    assert caught.value.request_id == "req_1"
