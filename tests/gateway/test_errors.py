from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from apertis.gateway import errors
from tests.kit.naming import own_names

if TYPE_CHECKING:
    from apertis.gateway.errors import Refusal

# Constructor's answer, status, Anthropic's type, the service's code, the parameter.
ROWS = [
    (errors.invalid_request("no"), 400, "invalid_request_error", "invalid_request", None),
    (errors.invalid_parameter("n", "no"), 400, "invalid_request_error", "invalid_parameter", "n"),
    (errors.invalid_value("p", "1"), 400, "invalid_request_error", "invalid_parameter", "p"),
    (errors.missing_parameter("n"), 400, "invalid_request_error", "missing_parameter", "n"),
    (errors.missing_api_key(), 401, "authentication_error", "missing_api_key", None),
    (errors.invalid_api_key(), 401, "authentication_error", "invalid_api_key", None),
    (errors.expired_api_key("then"), 401, "authentication_error", "expired_api_key", None),
    (errors.quota_exceeded(), 402, "billing_error", "quota_exceeded", None),
    (errors.access_denied(), 403, "permission_error", "access_denied", None),
    (errors.model_access_denied("m"), 403, "permission_error", "model_access_denied", "model"),
    (errors.unpriced_model("m"), 403, "permission_error", "model_access_denied", "model"),
    (errors.ip_not_allowed("::1"), 403, "permission_error", "ip_not_allowed", None),
    (errors.model_not_found("m"), 404, "not_found_error", "model_not_found", "model"),
    (errors.endpoint_not_found("GET", "/"), 404, "not_found_error", "endpoint_not_found", None),
    (errors.not_found("no"), 404, "not_found_error", "not_found", None),
    (
        errors.method_not_allowed("GET", "/x", ("POST",)),
        405,
        "invalid_request_error",
        "method_not_allowed",
        None,
    ),
    (
        errors.thread_unsupported_request("no"),
        400,
        "invalid_request_error",
        "thread_unsupported_request",
        "thread",
    ),
    (errors.request_timeout("body", 1.0), 408, "timeout_error", "request_timeout", None),
    (errors.conflict("no", "name"), 409, "conflict_error", "conflict", "name"),
    (
        errors.unsupported_encoding("br", ("gzip",)),
        415,
        "invalid_request_error",
        "invalid_request",
        None,
    ),
    (errors.request_too_large(2**25), 413, "request_too_large", "request_too_large", None),
    (errors.rate_limit_exceeded(7, "x"), 429, "rate_limit_error", "rate_limit_exceeded", None),
    (errors.head_too_large(9), 431, "invalid_request_error", "headers_too_large", None),
    (errors.trailers_too_large(9), 431, "invalid_request_error", "headers_too_large", None),
    (errors.not_implemented("x"), 501, "invalid_request_error", "invalid_request", None),
    (errors.internal_error(), 500, "api_error", "internal_error", None),
    (errors.upstream_error("no"), 502, "api_error", "upstream_error", None),
    (errors.credential_refused(), 502, "api_error", "upstream_error", None),
    (errors.upstream_redirect(307), 502, "api_error", "upstream_error", None),
    (errors.service_unavailable(), 503, "api_error", "service_unavailable", None),
    (errors.model_overloaded("m"), 503, "overloaded_error", "model_overloaded", None),
    (errors.upstream_timeout("no"), 504, "timeout_error", "upstream_timeout", None),
]


@pytest.mark.parametrize(("refusal", "status", "type", "code", "param"), ROWS)
def test_the_envelope_serves_both_kinds_of_client(
    refusal: Refusal, status: int, type: str, code: str, param: str | None
) -> None:
    assert refusal.status == status
    error: dict[str, object] = {"type": type, "code": code, "message": refusal.message}
    if param is not None:
        error["param"] = param
    if code == "thread_unsupported_request":
        # Anthropic's clients go by this word alone.
        error["details"] = {"error_code": code}
    envelope = {"type": "error", "error": error, "request_id": "req_1"}
    assert json.loads(refusal.body("req_1")) == envelope
    assert refusal.event("req_1") == b"event: error\ndata: " + refusal.body("req_1") + b"\n\n"


def test_every_constructor_is_in_the_table() -> None:
    constructors = [name for name in own_names(errors) if name.islower()]
    assert len(ROWS) == len(constructors)


RETRIED = {408, 429, 500, 502, 503, 504, 529}


@pytest.mark.parametrize("status", range(400, 600))
def test_only_what_may_pass_soon_is_to_be_tried_again(status: int) -> None:
    def said(retry_after: str | None) -> bytes:
        headers = () if retry_after is None else (("retry-after", retry_after),)
        lines = dict(errors.Refusal(status, "t", "c", "m", headers=headers).header_lines())
        return lines[b"x-should-retry"]

    now = b"true" if status in RETRIED else b"false"
    assert [said(wait) for wait in (None, "1", "60", "61", "3600")] == [now] * 3 + [b"false"] * 2


def test_a_wait_that_is_told_elsewhere_decides_and_is_told_once() -> None:
    refusal = errors.rate_limit_exceeded(7, "x")
    assert dict(refusal.header_lines(61)) == {
        b"content-type": b"application/json",
        b"x-should-retry": b"false",
    }
    assert dict(refusal.header_lines())[b"retry-after"] == b"7"


@pytest.mark.parametrize(
    ("refusal", "retry"),
    [
        (errors.credential_refused(), b"false"),
        (errors.upstream_redirect(307), b"true"),
        (errors.upstream_error("no"), b"true"),
    ],
)
def test_a_refused_credential_alone_makes_a_502_final(refusal: Refusal, retry: bytes) -> None:
    assert dict(refusal.header_lines())[b"x-should-retry"] == retry


def test_a_refusal_for_now_says_when_to_come_back() -> None:
    assert dict(errors.rate_limit_exceeded(7, "x").headers) == {"retry-after": "7"}
    for refusal in (errors.service_unavailable(), errors.model_overloaded("m")):
        assert dict(refusal.headers) == {"retry-after": "1"}


def test_an_event_has_no_line_separator_that_a_client_could_split_at() -> None:
    refusal = errors.model_not_found("a\n\nevent: message_stop\r\u2028\u0085b")
    lines = refusal.event("req_1").decode().split("\n")
    assert len(lines) == 4
    assert not {"\r", "\u2028", "\u0085"} & set(lines[1])
    assert json.loads(lines[1].removeprefix("data: "))["error"]["message"] == refusal.message


def test_a_long_path_is_not_sent_back_whole() -> None:
    assert len(errors.endpoint_not_found("GET", "/" + "x" * 5000).message) < 300
