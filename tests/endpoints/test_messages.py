"""Calls of the Messages API, and what cannot be one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apertis.endpoints import messages
from apertis.errors import ParameterError
from apertis.models import Headers
from apertis.sansio.outcome import Response

LEAST: dict[str, Any] = {"model": "m", "max_tokens": 5, "messages": []}


@pytest.mark.parametrize(
    ("params", "streamed"),
    [
        ({"max_tokens": 21_333}, False),
        ({"max_tokens": 21_334}, True),
        ({"max_tokens": 99_999, "stream": None}, True),
        ({"max_tokens": 99_999, "stream": False}, False),
    ],
)
def test_only_what_is_long_is_streamed_underneath(params: dict[str, Any], streamed: bool) -> None:
    call = messages.create({**LEAST, **params})
    assert call.streamed is streamed
    assert (json.loads(call.body or b"").get("stream") is True) is streamed


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"messages": None}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": {"role": "user"}}, "messages"),
        ({"messages": [{"role": "user", "content": "Hi"}, "Hi"]}, "messages[1]"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_what_cannot_be_a_request_is_named(params: dict[str, Any], param: str) -> None:
    for call in (messages.create, messages.stream):
        with pytest.raises(ParameterError) as caught:
            call({**LEAST, **params})
        assert caught.value.param == param
        assert str(caught.value).startswith(param)


@pytest.mark.parametrize("missing", ["model", "max_tokens", "messages"])
def test_what_a_request_needs_is_asked_for_with_an_example(missing: str) -> None:
    given = {name: value for name, value in LEAST.items() if name != missing}
    with pytest.raises(ParameterError, match=f"^{missing}: .*for example"):
        messages.create(given)


def test_any_iterable_may_be_a_conversation() -> None:
    said = [{"role": "user", "content": "Hi"}]
    call = messages.create({**LEAST, "messages": iter(said)})
    assert json.loads(call.body or b"")["messages"] == said


def test_counting_needs_no_limit_of_tokens() -> None:
    call = messages.count_tokens({"model": "m", "messages": []})
    assert json.loads(call.body or b"") == {"model": "m", "messages": []}
    assert call.read(Response(200, Headers({}), b'{"input_tokens": 3}')).input_tokens == 3
