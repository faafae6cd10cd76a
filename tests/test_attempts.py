"""What a call's tries come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from apertis.attempts import RetryState
from apertis.errors import APIResponseError
from apertis.models import Headers, Malformed
from apertis.sansio.call import Call
from apertis.sansio.outcome import Failure, Response
from apertis.sansio.settings import settings_from

if TYPE_CHECKING:
    from collections.abc import Callable

RESPONSE = Response(200, Headers([("request-id", "req_1")]), b'{"a": 1}')


def attempts(read: Callable[[Response], Any], **call: Any) -> RetryState[Any]:
    given = {"api_key": "sk-secret-key", "base_url": "http://here.example"}
    return RetryState(Call("POST", "/v1/x", read, **call), settings_from({}, given, "1"))


def test_every_try_sends_the_same_bytes() -> None:
    origin, method, head, body = attempts(lambda response: response.body, body=b"{}").request
    assert (origin.host, method, body) == ("here.example", "POST", b"{}")
    assert head.startswith(b"POST /v1/x HTTP/1.1\r\nhost: here.example\r\n")
    assert head.endswith(b"content-length: 2\r\n\r\n")


def test_the_result_is_what_the_call_reads() -> None:
    assert attempts(lambda response: response.body).result(RESPONSE) == b'{"a": 1}'


def test_a_response_that_is_not_the_apis_is_an_error_with_its_request_id() -> None:
    def read(_: Response) -> NoReturn:
        raise Malformed("it is no message of sk-secret-key")

    with pytest.raises(APIResponseError, match="it is no message") as caught:
        attempts(read).result(RESPONSE)
    assert caught.value.request_id == "req_1"
    assert caught.value.retries == 0
    assert "sk-secret-key" not in str(caught.value)


def test_retries_are_counted_until_there_are_no_more() -> None:
    state = attempts(repr, max_retries=1)
    broken = Failure("it broke")
    assert state.delay(broken) is not None
    assert state.retries == 1
    assert state.delay(broken) is None
    assert state.error(broken).retries == 1
