"""Errors become the exceptions that other clients have for them, with message and request id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apertis.testing import Close, Exchange, json_response

if TYPE_CHECKING:
    from tests.kit.driving import Ran

PARAMS: dict[str, Any] = {
    "model": "claude-scripted",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-scripted",
    "content": [{"type": "text", "text": "Hi."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 2},
}


def envelope(kind: str, status: int) -> dict[str, Any]:
    error = {"type": kind, "message": f"The upstream says {status}: “no”", "details": None}
    return {"type": "error", "error": error, "request_id": f"req_upstream_{status}"}


def refused(kind: str, status: int, **headers: str) -> bytes:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    own = {"request-id": f"req_upstream_{status}", "anthropic-ratelimit-requests-limit": "50"}
    return json_response(status, envelope(kind, status), own | fields)


UPSTREAM = {
    400: "invalid_request_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
OWN: dict[str, tuple[int, str, str, dict[str, Any]]] = {
    "a field": (
        400,
        "invalid_request_error",
        "invalid_parameter",
        {"extra": {"compression": {"enabled": True}}},
    ),
    "an unknown key": (401, "authentication_error", "invalid_api_key", {"key": "unknown"}),
    "a spent key": (402, "billing_error", "quota_exceeded", {"key": "poor"}),
    "a forbidden model": (403, "permission_error", "model_access_denied", {"key": "narrow"}),
    "an unknown model": (
        404,
        "not_found_error",
        "model_not_found",
        {"params": {**PARAMS, "model": "claude-none"}},
    ),
    "an unknown path": (
        404,
        "not_found_error",
        "endpoint_not_found",
        {"do": "get", "path": "/v1/nothing"},
    ),
    "a wrong method": (
        405,
        "invalid_request_error",
        "method_not_allowed",
        {"do": "get", "path": "/v1/messages"},
    ),
    "a large body": (
        413,
        "request_too_large",
        "request_too_large",
        {"params": {**PARAMS, "system": "x" * 7 * 2**20}},
    ),
    "no answer": (502, "api_error", "upstream_error", {}),
}
# What each generation calls the errors; statuses that are not here have the same name in all.
NAMES: dict[int, dict[str, str]] = {
    400: {"": "BadRequestError"},
    401: {"": "AuthenticationError"},
    402: {
        "anthropic-2": "PaymentRequiredError",
        "anthropic-sdk-1": "PaymentRequiredError",
        "anthropic-0": "APIStatusError",
        "anthropic-sdk-0": "APIError",
    },
    403: {"": "PermissionDeniedError"},
    404: {"": "NotFoundError"},
    405: {"": "APIStatusError", "anthropic-sdk-1": "APIError", "anthropic-sdk-0": "APIError"},
    413: {
        "": "ContentTooLargeError",
        "anthropic-0": "RequestTooLargeError",
        "anthropic-sdk-0": "APIError",
    },
    429: {"": "RateLimitError"},
    500: {"": "InternalServerError"},
    502: {"": "InternalServerError"},
    503: {
        "": "ServiceUnavailableError",
        "anthropic-0": "InternalServerError",
        "anthropic-sdk-0": "InternalServerError",
    },
    504: {
        "": "GatewayTimeoutError",
        "anthropic-0": "InternalServerError",
        "anthropic-sdk-0": "InternalServerError",
    },
    529: {"": "OverloadedError", "anthropic-sdk-0": "InternalServerError"},
}

CASES: dict[str, Any] = {
    **{f"upstream {status}": {"do": "create", "params": PARAMS} for status in UPSTREAM},
    **{f"streamed {status}": {"do": "stream", "params": PARAMS} for status in UPSTREAM},
    **{name: {"do": "create", "params": PARAMS, **case} for name, (*_, case) in OWN.items()},
    "retry after": {"do": "create", "params": PARAMS, "retries": 1, "waits": True},
    "retry of a stream": {"do": "stream", "params": PARAMS, "retries": 1, "waits": True},
    "should not retry": {"do": "create", "params": PARAMS, "retries": 2},
    "own limit": {
        "do": "twice",
        "params": PARAMS,
        "retries": 2,
        "key": "slow",
        "waits": True,
    },
}
SCRIPTS: dict[str, Any] = {
    **{f"upstream {status}": refused(kind, status) for status, kind in UPSTREAM.items()},
    **{f"streamed {status}": refused(kind, status) for status, kind in UPSTREAM.items()},
    "no answer": Exchange(Close),
    "retry after": [
        refused("rate_limit_error", 429, retry_after="1"),
        json_response(200, MESSAGE),
    ],
    "retry of a stream": [
        refused("overloaded_error", 529, retry_after="1"),
        refused("overloaded_error", 529, x_should_retry="false"),
    ],
    "should not retry": refused("overloaded_error", 529, x_should_retry="false"),
    "own limit": json_response(200, MESSAGE),
}


def name_of(ran: Ran, status: int) -> str:
    names = NAMES[status]
    return names.get(ran.client.name) or names[""]


@pytest.mark.parametrize("way", ["upstream", "streamed"])
@pytest.mark.parametrize("status", UPSTREAM)
def test_an_upstreams_error_passes_as_it_is(ran: Ran, status: int, way: str) -> None:
    error = ran.error(f"{way} {status}")
    assert (error["status"], error["class"]) == (status, name_of(ran, status))
    assert error["body"] == envelope(UPSTREAM[status], status)
    assert error["request_id"] == f"req_upstream_{status}"
    assert error["headers"]["anthropic-ratelimit-requests-limit"] == "50"
    assert f"The upstream says {status}" in error["message"]


@pytest.mark.parametrize("case", OWN)
def test_the_gateways_own_errors_are_of_the_same_form(ran: Ran, case: str) -> None:
    status, kind, code, _ = OWN[case]
    error = ran.error(case)
    assert (error["status"], error["class"]) == (status, name_of(ran, status))
    said = error["body"]["error"]
    assert (error["body"]["type"], said["type"], said["code"]) == ("error", kind, code)
    # What follows the first quotation mark is escaped in ways that differ.
    assert said["message"].partition("'")[0] in error["message"]
    assert error["request_id"] == error["body"]["request_id"] == error["headers"]["request-id"]
    if case != "no answer":
        assert ran.requests(case) == []


def test_clients_wait_as_long_as_the_upstream_says(ran: Ran) -> None:
    assert ran["retry after"]["message"]["id"] == "msg_1"
    # Left alone they would wait half a second.
    assert ran["retry after"]["seconds"] >= 1
    assert len(ran.requests("retry after")) == 2


def test_a_stream_that_does_not_begin_is_tried_again(ran: Ran) -> None:
    assert ran.error("retry of a stream")["status"] == 529
    assert ran.results["retry of a stream"]["seconds"] >= 1
    assert len(ran.requests("retry of a stream")) == 2


def test_clients_do_not_repeat_what_the_upstream_forbids(ran: Ran) -> None:
    assert ran.error("should not retry")["status"] == 529
    assert len(ran.requests("should not retry")) == 1


def test_clients_wait_for_the_gateways_own_limit(ran: Ran) -> None:
    first, second = ran["own limit"]["both"]
    assert ran["own limit"]["seconds"] >= 1
    for answer in (first, second):
        assert answer["headers"]["x-ratelimit-limit"] == "1"
        assert answer["headers"]["x-ratelimit-remaining"] == "0"
        assert int(answer["headers"]["x-ratelimit-reset"]) > 0
    assert len(ran.requests("own limit")) == 2
