"""Fields of the gateway's own never reach an upstream; what cannot be honoured is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apertis.gateway.edits import Edits, declared_edits
from apertis.gateway.errors import Refusal
from apertis.gateway.peek import Body, read_object


def edited(fields: dict[str, Any]) -> dict[str, Any] | Refusal:
    body = read_object(json.dumps({"model": "m", **fields}).encode())
    assert isinstance(body, Body)
    edits = declared_edits(body)
    if isinstance(edits, Refusal):
        return edits
    result = json.loads(body.edited(edits.replace, edits.remove, edits.add))
    assert result.pop("model") == "m"
    return result  # type: ignore[no-any-return]


def test_a_body_of_the_api_itself_is_not_edited() -> None:
    body = read_object(b'{"model":"m","top_k":5,"unknown_field":{"x":1}}')
    assert isinstance(body, Body)
    assert declared_edits(body) == Edits()


@pytest.mark.parametrize(
    "fields",
    [
        {"fallback_models": ["a"], "fallback_timeout": 9000, "fallback_enabled": True},
        {"compression": {"enabled": False}},
        {"compression": None},
        {"n": 1},
        {"presence_penalty": 0, "frequency_penalty": 0.0},
        {"logit_bias": {}},
        {"response_format": {"type": "text"}},
        {"seed": None, "user": None, "stop": None},
    ],
)
def test_what_changes_nothing_is_taken_out(fields: dict[str, Any]) -> None:
    assert edited(fields) == {}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"stop": "x"}, {"stop_sequences": ["x"]}),
        ({"stop": ["x", "y"]}, {"stop_sequences": ["x", "y"]}),
        ({"user": "u"}, {"metadata": {"user_id": "u"}}),
        ({"user": "u", "metadata": {}}, {"metadata": {"user_id": "u"}}),
        ({"user": "u", "metadata": {"user_id": "u"}}, {"metadata": {"user_id": "u"}}),
        ({"metadata": None, "user": "u"}, {"metadata": {"user_id": "u"}}),
    ],
)
def test_what_has_another_name_here_is_renamed(
    fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert edited(fields) == expected


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"compression": {"enabled": True}}, "compression"),
        ({"compression": "on"}, "compression"),
        ({"n": 2}, "n"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": -1}, "frequency_penalty"),
        ({"logit_bias": {"50": 1}}, "logit_bias"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"seed": 7}, "seed"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": 5}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"stop": "x", "stop_sequences": ["y"]}, "stop"),
        ({"user": 5}, "user"),
        ({"user": "u", "metadata": {"user_id": "v"}}, "user"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    refusal = edited(fields)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code, refusal.param) == (400, "invalid_parameter", param)
    assert param in refusal.message


@pytest.mark.parametrize("name", ["n", "seed", "stop", "user", "compression", "logit_bias"])
@pytest.mark.parametrize("number", [b"1" * 5000, b"1e999", b"-1e999"])
def test_a_number_that_nobody_can_read_is_refused(name: str, number: bytes) -> None:
    body = read_object(b'{"model":"m","%b":%b}' % (name.encode(), number))
    assert isinstance(body, Body)
    refusal = declared_edits(body)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.param) == (400, name)


def test_a_user_beside_metadata_that_nobody_can_read_is_refused() -> None:
    body = read_object(b'{"user":"ann","metadata":{"user_id":%b}}' % (b"1" * 5000))
    assert isinstance(body, Body)
    refusal = declared_edits(body)
    assert isinstance(refusal, Refusal)
    assert refusal.param == "user"
