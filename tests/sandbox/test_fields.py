"""The fields that the sandbox checks, held against the parameters that the SDK sends."""

from __future__ import annotations

from typing import Any

import pytest

from apertis.params import BatchMessageParams, CountTokensParams, CreateParams, MessageParam
from apertis.sandbox.fields import _FIELDS, COUNT_REQUEST, MESSAGE, REQUEST

LEAST: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 1,
    "messages": [{"role": "user", "content": "Hi"}],
}
# What goes into the query or the headers, or says how the client is to work.
OUTSIDE_THE_BODY = CreateParams.__annotations__.keys() - BatchMessageParams.__annotations__.keys()
# Names of other APIs, which the gateway translates or takes out; Claude itself refuses them.
OF_OTHER_APIS = {
    *("n", "stop", "seed", "user", "response_format"),
    *("presence_penalty", "frequency_penalty", "logit_bias"),
}
# `stream` is each method's own, and `output_format` the old name of `output_config.format`.
ONLY_IN_THE_SANDBOX = {"stream", "output_format"}


def accepts(name: str) -> bool:
    """Whether a field's name is one that the sandbox knows: a null stands for its absence."""
    complaints = [*REQUEST("", LEAST | {name: None})]
    return f"{name}: Extra inputs are not permitted" not in complaints


def body_fields(params: Any) -> set[str]:
    return set(params.__annotations__) - OUTSIDE_THE_BODY


def test_every_parameter_of_a_message_is_a_field_that_the_sandbox_knows() -> None:
    assert {name for name in body_fields(CreateParams) if not accepts(name)} == OF_OTHER_APIS
    assert not accepts("of_next_year")


def test_every_field_that_the_sandbox_knows_is_a_parameter() -> None:
    known = _FIELDS.keys() | LEAST.keys()
    assert known - body_fields(CreateParams) == ONLY_IN_THE_SANDBOX


def test_every_parameter_of_a_count_is_a_field_that_the_sandbox_knows() -> None:
    for name in body_fields(CountTokensParams):
        complaints = [*COUNT_REQUEST("", LEAST | {name: None})]
        assert f"{name}: Extra inputs are not permitted" not in complaints


def test_every_field_of_a_message_is_one_that_the_sandbox_knows() -> None:
    for role in ("user", "assistant", "system"):
        whole = dict.fromkeys(MessageParam.__annotations__) | {"role": role, "content": "x"}
        extra = [text for text in MESSAGE("m", whole) if "Extra inputs" in text]
        allowed = [] if role == "system" else ["m.clear_at: Extra inputs are not permitted"]
        assert [text for text in extra if text not in allowed] == []


@pytest.mark.parametrize("name", ["model", "max_tokens", "messages"])
def test_what_a_request_needs_is_asked_for(name: str) -> None:
    request = {field: value for field, value in LEAST.items() if field != name}
    assert [*REQUEST("", request)] == [f"{name}: Field required"]
