from __future__ import annotations

import json

import pytest

from apertis.gateway import errors
from apertis.gateway.errors import Refusal

# Status, Anthropic's type, the service's code.
ROWS = [
    (errors.invalid_request("no"), 400, "invalid_request_error", "invalid_request"),
    (errors.missing_api_key(), 401, "authentication_error", "missing_api_key"),
    (errors.invalid_api_key(), 401, "authentication_error", "invalid_api_key"),
    (errors.endpoint_not_found("GET", "/x"), 404, "not_found_error", "endpoint_not_found"),
    (
        errors.method_not_allowed("GET", "/x", ("POST",)),
        405,
        "invalid_request_error",
        "method_not_allowed",
    ),
    (errors.request_too_large(2**25), 413, "request_too_large", "request_too_large"),
    (errors.internal_error(), 500, "api_error", "internal_error"),
]


@pytest.mark.parametrize(("refusal", "status", "type", "code"), ROWS)
def test_the_envelope_serves_both_kinds_of_client(
    refusal: Refusal, status: int, type: str, code: str
) -> None:
    answer = refusal.answer("req_1")
    assert answer.status == status
    assert isinstance(answer.body, bytes)
    document = json.loads(answer.body)
    assert document["type"] == "error"
    assert document["request_id"] == "req_1"
    assert document["error"] == {"type": type, "code": code, "message": refusal.message}


def test_a_parameter_is_named_where_there_is_one() -> None:
    refusal = Refusal(400, "invalid_request_error", "invalid_parameter", "no", param="top_p")
    assert json.loads(refusal.body("req_1"))["error"]["param"] == "top_p"


def test_a_long_path_is_not_sent_back_whole() -> None:
    assert len(errors.endpoint_not_found("GET", "/" + "x" * 5000).message) < 300
