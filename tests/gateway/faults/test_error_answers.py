"""Errors that an upstream answers: which of them move, and that those handed on are untouched."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from apertis.testing import json_response, sse_event, sse_head

if TYPE_CHECKING:
    from tests.kit.faulty import Bench, Play

STATUSES = [400, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529]
# Whatever it says, and however it is spaced: nothing of it is the gateway's to change.
BODY = (
    b'{ "type": "error",\r\n"error":'
    b'{"type":"x_error", "message": "caf\xc3\xa9 \xe2\x80\xa8 \\u00e9"}}\n'
)
OK = json_response(200, {"type": "message", "usage": {"input_tokens": 1, "output_tokens": 1}})
FALLBACK: dict[str, Any] = {"fallback_models": ["other"], "fallback_enabled": True}


def error(status: int, **headers: str) -> bytes:
    lines = [
        f"HTTP/1.1 {status} Whatever",
        "Content-Type: application/json",
        f"Content-Length: {len(BODY)}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + BODY


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", STATUSES)
def test_an_error_passes_unmodified(patient: Bench, play: Play, status: int, stream: bool) -> None:
    told = {
        "request-id": "req_upstream",
        "retry-after": "17",
        "x-should-retry": "false",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-organization-id": "org",
    }
    play(patient, [error(status, **told)])
    answer = patient.ask("one", stream=stream)
    assert (answer.status, answer.body) == (status, BODY)
    assert {name: answer.headers[name] for name in told} == told
    assert answer.headers["content-type"] == "application/json"
    names = [name for name, _ in answer.raw_headers]
    assert len(names) == len(set(names))


def test_a_refused_key_of_the_gateway_is_not_the_callers_fault(patient: Bench, play: Play) -> None:
    play(patient, [error(401, www_authenticate="Bearer", request_id="req_upstream")])
    answer = patient.ask("one", **FALLBACK)
    assert (answer.status, answer.error["code"]) == (502, "upstream_error")
    assert answer.fallback == ("false", "one", "one", None)
    assert "www-authenticate" not in answer.headers
    assert answer.headers["request-id"] == answer.headers["x-apertis-request-id"]


@pytest.mark.parametrize("status", [401, 402, 403, 404, 408, 409, 429, 500, 502, 503, 504, 529])
def test_another_upstream_of_the_model_answers(patient: Bench, play: Play, status: int) -> None:
    play(patient, [error(status)], [OK])
    answer = patient.ask("pair")
    assert answer.status == 200
    assert answer.fallback == ("false", "pair", "pair", None)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_wrong_with_the_request_is_wrong_everywhere(
    patient: Bench, play: Play, status: int
) -> None:
    play(patient, [error(status)])
    answer = patient.ask("pair", **FALLBACK)
    assert (answer.status, answer.body) == (status, BODY)
    assert answer.fallback == ("false", "pair", "pair", None)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 413])
def test_no_violation_of_a_rule_moves_to_another_model(
    patient: Bench, play: Play, status: int
) -> None:
    play(patient, [error(status)])
    answer = patient.ask("one", **FALLBACK)
    assert answer.status == (502 if status == 401 else status)
    assert answer.fallback == ("false", "one", "one", None)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, "primary_model_not_found"),
        (408, "primary_model_failed"),
        (409, "primary_model_failed"),
        (429, "primary_model_rate_limited"),
        (500, "primary_model_failed"),
        (503, "primary_model_overloaded"),
        (529, "primary_model_overloaded"),
    ],
)
def test_other_failures_move_to_another_model(
    patient: Bench, play: Play, status: int, reason: str
) -> None:
    upstreams = play(patient, [error(status)], [OK])
    answer = patient.ask("one", **FALLBACK)
    assert answer.status == 200
    assert answer.fallback == ("true", "one", "other", reason)
    asked: dict[str, Any] = json.loads(upstreams.second.requests[0].body)
    assert asked["model"] == "other"
    assert not any(name.startswith("fallback_") for name in asked)


@pytest.mark.parametrize("status", [402, 403])
def test_the_last_upstreams_refusal_passes_when_none_takes_it(
    patient: Bench, play: Play, status: int
) -> None:
    play(patient, [error(401)], [error(status)])
    answer = patient.ask("pair", **FALLBACK)
    assert (answer.status, answer.body) == (status, BODY)


def test_the_last_error_is_the_answer_when_all_models_fail(patient: Bench, play: Play) -> None:
    play(patient, [error(529)], [error(500, retry_after="3")])
    answer = patient.ask("one", **FALLBACK)
    assert (answer.status, answer.body, answer.headers["retry-after"]) == (500, BODY, "3")
    assert answer.fallback == ("true", "one", "other", "primary_model_overloaded")


def test_an_error_in_another_form_passes_too(patient: Bench, play: Play) -> None:
    page = b"<html>502 Bad Gateway</html>"
    head = b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: 28\r\n\r\n"
    play(patient, [head + page, sse_head().replace(b"200 OK", b"503 No") + b"0\r\n\r\n"])
    answer = patient.ask("one", stream=True)
    assert (answer.status, answer.body, answer.headers["content-type"]) == (502, page, "text/html")
    answer = patient.ask("one", stream=True)
    assert (answer.status, answer.body) == (503, b"")


def test_a_conversation_bound_to_its_model_stays(patient: Bench, play: Play) -> None:
    block = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}
    messages = [{"role": "user", "content": [block]}]
    play(patient, [error(529)])
    answer = patient.ask("one", messages=messages, **FALLBACK)
    assert (answer.status, answer.body) == (529, BODY)
    assert answer.fallback == ("false", "one", "one", None)


def test_an_upstream_that_is_such_a_gateway_does_not_speak_for_this_one(
    patient: Bench, play: Play
) -> None:
    own = {
        "date": "Thu, 01 Jan 1970 00:00:00 GMT",
        "x-ratelimit-limit": "7",
        "x-ratelimit-remaining": "6",
        "x-ratelimit-reset": "5",
        "x-fallback-used": "true",
        "x-fallback-from": "x",
        "x-fallback-reason": "x",
        "x-actual-model": "x",
        "x-apertis-request-id": "x",
    }
    play(patient, [json_response(200, json.loads(OK.split(b"\r\n\r\n")[1]), own)])
    answer = patient.ask("one")
    assert answer.status == 200
    assert answer.fallback == ("false", "one", "one", None)
    assert own.items().isdisjoint(answer.headers.items())
    names = [name for name, _ in answer.raw_headers]
    assert len(names) == len(set(names))


def test_a_success_without_a_body_of_json_is_no_success(patient: Bench, play: Play) -> None:
    play(patient, [json_response(200, ["a list"])])
    answer = patient.ask("one")
    assert (answer.status, answer.error["code"]) == (502, "upstream_error")
    assert sse_event({"type": "error"}) not in answer.body
