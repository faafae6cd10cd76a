"""What the gateway does not know passes, in both directions, as other clients send and read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apertis.testing import json_response

if TYPE_CHECKING:
    from apertis.testing import RecordedRequest
    from tests.kit.driving import Ran

PARAMS: dict[str, Any] = {
    "model": "claude-scripted",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}
HOLOGRAM = {"type": "hologram_of_next_year", "light": {"hue": 3}}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-scripted",
    "content": [{"type": "text", "text": "Hi.", "mood": "good"}, HOLOGRAM],
    "stop_reason": "stopped_next_year",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 2, "flops": 10**15},
    "field_of_next_year": {"a": [1, 2.5, None, "\u2028"]},
}
UNKNOWN_FIELDS = {"field_of_next_year": {"a": [1, 2.5, None, "\u2028 \U0001f98a"]}, "speed": "fast"}
UNKNOWN_HEADERS = {
    "anthropic-header-of-next-year": "yes; q=0.5",
    "anthropic-beta": "one-2026-01-01,two-2027-02-02",
    "x-anything": "a  b",
}
LARGE = {**PARAMS, "system": "Much to read: é\u2028\U0001f98a" + "x" * 5_000_000}
FALLBACK = {"fallback_models": ["claude-scripted-other"], "fallback_enabled": True}
OLD_PARAMETERS = {"stop": ["END"], "user": "user-7"}
DOWN = {
    "request-id": "req_upstream",
    "anthropic-ratelimit-unified-status": "allowed",
    "header-of-next-year": "yes",
}


def other_model_only(request: RecordedRequest) -> bytes:
    sent = request.json()
    assert isinstance(sent, dict)
    if sent["model"] == "claude-scripted-other":
        return json_response(200, {**MESSAGE, "model": "claude-scripted-other"})
    error = {"type": "overloaded_error", "message": "Overloaded"}
    return json_response(529, {"type": "error", "error": error})


CASES: dict[str, Any] = {
    "unknown": {
        "do": "create",
        "params": {**PARAMS, "messages": [{"role": "user", "content": [HOLOGRAM]}]},
        "extra": UNKNOWN_FIELDS,
        "headers": UNKNOWN_HEADERS,
    },
    "large body": {"do": "create", "params": LARGE},
    "fallback": {"do": "create", "params": PARAMS, "extra": FALLBACK},
    "mapped parameters": {"do": "create", "params": PARAMS, "extra": OLD_PARAMETERS},
}
SCRIPTS: dict[str, Any] = {
    "unknown": json_response(200, MESSAGE, DOWN),
    "large body": json_response(200, MESSAGE),
    "fallback": other_model_only,
    "mapped parameters": json_response(200, MESSAGE),
}


def test_unknown_fields_blocks_and_headers_reach_the_upstream(ran: Ran) -> None:
    request = ran.request("unknown")
    messages = [{"role": "user", "content": [HOLOGRAM]}]
    assert request.json() == {**PARAMS, "messages": messages, **UNKNOWN_FIELDS}
    for name, value in UNKNOWN_HEADERS.items():
        assert request.headers[name] == value
    assert request.headers["x-case"] == "unknown"


def test_unknown_fields_blocks_and_headers_reach_the_client(ran: Ran) -> None:
    result = ran["unknown"]
    assert result["message"] == MESSAGE
    assert result["id"] == "req_upstream"
    assert DOWN.items() <= result["headers"].items()


def test_a_body_of_some_megabytes_arrives_whole(ran: Ran) -> None:
    request = ran.request("large body")
    assert len(request.body) > 5_000_000
    assert request.json() == LARGE


def test_the_fallback_headers_can_be_read(ran: Ran) -> None:
    result = ran["fallback"]
    names = ("x-fallback-used", "x-fallback-from", "x-actual-model", "x-fallback-reason")
    read = [result["headers"][name] for name in names]
    assert read[:3] == ["true", "claude-scripted", "claude-scripted-other"]
    assert read[3]
    assert result["message"]["model"] == "claude-scripted-other"
    assert [request.json() for request in ran.requests("fallback")] == [
        PARAMS,
        {**PARAMS, "model": "claude-scripted-other"},
    ]


def test_without_a_fallback_the_headers_say_so(ran: Ran) -> None:
    headers = ran["unknown"]["headers"]
    assert headers["x-fallback-used"] == "false"
    assert headers["x-actual-model"] == "claude-scripted"


def test_parameters_of_the_old_form_are_mapped(ran: Ran) -> None:
    assert ran.request("mapped parameters").json() == {
        **PARAMS,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "user-7"},
    }
