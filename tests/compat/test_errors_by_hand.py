"""Errors as test suites make them, and what the errors of a call tell of request and response."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

import apertis
from apertis.errors import BY_STATUS, ErrorDetails
from apertis.models import RequestInfo, WholeResponse
from apertis.testing import ScriptedServer, json_response, sse_response
from tests.kit.exchanges import EVENTS, KEY, LEAST

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis import Apertis

    Connect = Callable[..., Apertis]

URL = "https://api.example/v1/messages"
REQUEST = httpx2.Request("POST", URL)
BODY = {
    "type": "error",
    "error": {
        "type": "rate_limit_error",
        "message": "Slow down",
        "details": {"error_code": "rpm", "limit": 5},
    },
}


def response(status: int, **headers: str) -> httpx2.Response:
    given = {"request-id": "req_1", "retry-after": "7", **headers}
    return httpx2.Response(status, request=REQUEST, headers=given, json=BODY)


def test_a_status_error_is_made_of_a_response() -> None:
    error: Any = apertis.RateLimitError("msg", response=response(429), body=BODY)
    assert str(error) == error.message == "msg"
    assert (error.status, error.status_code, error.type) == (429, 429, "rate_limit_error")
    assert (error.request_id, error.retry_after) == ("req_1", 7.0)
    assert error.body is BODY
    assert error.request is REQUEST
    assert error.response.status_code == 429
    assert error.api_message == "Slow down"
    assert error.error_code == "rpm"
    assert error.details == {"error_code": "rpm", "limit": 5}
    assert isinstance(error.details, ErrorDetails)
    assert error.details.limit == 5
    with pytest.raises(AttributeError, match="no 'more' in the details"):
        _ = error.details.more
    assert isinstance(error, apertis.APIStatusError | apertis.AnthropicError)


@pytest.mark.parametrize(("status", "kind"), BY_STATUS.items())
def test_every_status_error_can_be_made_with_little(status: int, kind: Any) -> None:
    assert kind("m", response=response(status), body=None).status_code == status
    error = kind("m")
    assert (error.status_code, error.body, error.details, error.error_code) == (
        status,
        None,
        None,
        None,
    )


@pytest.mark.parametrize("body", [None, "text", [], {"error": "text"}, {"error": {"details": 5}}])
def test_a_body_of_any_shape_makes_an_error(body: Any) -> None:
    error = apertis.BadRequestError("m", response=response(400), body=body)
    assert (error.type, error.details, error.error_code, error.api_message) == (None,) * 4


def test_the_other_errors_are_made_as_those_of_anthropic() -> None:
    error: Any = apertis.APIConnectionError(request=REQUEST)
    assert (error.request, str(error)) == (REQUEST, "no complete answer came")
    error = apertis.APIConnectionError(message="m", request=REQUEST)
    assert (error.request, error.message) == (REQUEST, "m")
    for error in (apertis.APITimeoutError(REQUEST), apertis.APITimeoutError(request=REQUEST)):
        assert error.request is REQUEST
        assert isinstance(error, apertis.APIConnectionError)
    error = apertis.APIError("m", REQUEST, body={"a": 1})
    assert (error.message, error.request, error.body) == ("m", REQUEST, {"a": 1})
    error = apertis.APIResponseValidationError(response(200), {"a": 1})
    assert (error.status_code, error.body, error.request) == (200, {"a": 1}, REQUEST)
    error = apertis.APIResponseValidationError(response(200), None, message="m")
    assert (error.message, error.request_id) == ("m", "req_1")


def test_the_kinds_of_pythons_own_errors_are_there() -> None:
    for kind in (apertis.ParameterError, apertis.ConfigurationError, apertis.MissingAPIKeyError):
        assert issubclass(kind, TypeError)
        assert issubclass(kind, ValueError)


def test_an_error_made_by_hand_survives_a_pickle() -> None:
    error = apertis.RateLimitError("msg", response=response(429), body=BODY)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.message, copy.status, copy.body, copy.error_code) == ("msg", 429, BODY, "rpm")
    assert (copy.response.status_code, copy.response.json()) == (429, BODY)


def failed(connect: Connect, *script: Any, **params: Any) -> Any:
    """The error of a call."""
    with ScriptedServer(list(script)) as server:
        client = connect(api_key=KEY, base_url=server.base_url, max_retries=0)
        headers = {"x-seen": "1", "x-secret-token": "qrstuvwxyz"}

        def call() -> None:
            message: Any = client.messages.create(**LEAST, extra_headers=headers, **params)
            list(message)

        with pytest.raises(apertis.APIError) as caught:
            call()
        assert caught.value.request.url == f"{server.base_url}/v1/messages"
        return caught.value


def check_request(error: Any) -> None:
    assert isinstance(error.request, RequestInfo)
    assert error.request.method == "POST"
    assert error.request.headers["X-Seen"] == "1"
    # What the user said stays with the user.
    assert error.request.content == error.request.read() == b""
    shown = f"{error!r} {error.request!r} {error.request.headers!r} {vars(error)!r}"
    pickled = pickle.dumps(error)
    for secret in (KEY, "qrstuvwxyz"):
        assert secret not in shown
        assert secret.encode() not in pickled
    copy = pickle.loads(pickled)
    assert copy.request.url == error.request.url
    assert copy.request.headers["authorization"] == "***"


def test_a_rejected_call_tells_of_its_request_and_response(connect: Connect) -> None:
    echo = {**BODY, "echo": f"the key {KEY} and qrstuvwxyz"}
    error = failed(connect, json_response(429, echo, headers={"request-id": "req_1"}))
    check_request(error)
    whole = error.response
    assert isinstance(whole, WholeResponse)
    assert (whole.status_code, whole.request_id, whole.is_error) == (429, "req_1", True)
    assert whole.headers["Content-Type"] == "application/json"
    assert whole.json() == {**BODY, "echo": "the key *** and ***"}
    assert json.loads(whole.text) == whole.json()
    assert whole.request is error.request
    assert whole.url == error.request.url
    assert whole.read() == whole.content
    assert not whole.is_success
    assert (error.error_code, error.details.limit) == ("rpm", 5)
    assert KEY not in repr(whole)


def test_a_response_that_is_none_of_the_api_is_there_as_it_came(connect: Connect) -> None:
    page = b"<html>Bad gateway</html>"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n"
    error = failed(connect, head % len(page) + page)
    assert isinstance(error, apertis.APIResponseValidationError)
    check_request(error)
    assert error.response.text == page.decode()
    assert error.status_code == 200


def test_an_error_inside_a_stream_tells_of_them_too(connect: Connect) -> None:
    fault = {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}
    error = failed(connect, sse_response([*EVENTS[:3], fault]), stream=True)
    assert isinstance(error, apertis.OverloadedError)
    check_request(error)
    assert error.response.json() == fault
    assert error.response.request is error.request


def test_a_truncated_stream_tells_of_its_request(connect: Connect) -> None:
    error = failed(connect, sse_response(EVENTS[:3]), stream=True)
    assert isinstance(error, apertis.StreamTruncatedError)
    check_request(error)


def test_a_failed_connection_tells_of_its_request(connect: Connect) -> None:
    client = connect(api_key=KEY, base_url="http://127.0.0.1:1", max_retries=0)
    with pytest.raises(apertis.APIConnectionError) as caught:
        client.messages.create(**LEAST)
    assert caught.value.request.url == "http://127.0.0.1:1/v1/messages"
    assert KEY not in repr(caught.value.request)


def test_an_error_without_a_request_says_so() -> None:
    with pytest.raises(AttributeError):
        _ = apertis.RateLimitError("m").request
