"""Which models stand in: request before key before settings, each field on its own."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.config import RoutingSettings
from apertis.gateway.errors import Refusal
from apertis.gateway.routing import (
    BOUND_HEADER,
    NO_FALLBACK,
    FallbackDefaults,
    FallbackFields,
    FallbackPlan,
    FallbackReason,
    Outcome,
    fallback_headers,
    fallback_plan,
    is_bound,
)
from apertis.gateway.routing.fallback import reason_of

SYSTEM = RoutingSettings()
ON = FallbackDefaults(enabled=True)
SILENT = FallbackDefaults()


def fields(**values: Any) -> FallbackFields:
    bound = values.pop("bound", None)
    return FallbackFields(**{k: json.dumps(v).encode() for k, v in values.items()}, bound=bound)


def plan(
    asked: FallbackFields,
    key: FallbackDefaults = SILENT,
    system: RoutingSettings = SYSTEM,
) -> FallbackPlan:
    found = fallback_plan("m", asked, key, system)
    assert isinstance(found, FallbackPlan), found
    return found


def refused(asked: FallbackFields) -> Refusal:
    found = fallback_plan("m", asked, FallbackDefaults(), SYSTEM)
    assert isinstance(found, Refusal), found
    assert (found.status, found.code, found.type) == (
        400,
        "invalid_parameter",
        "invalid_request_error",
    )
    assert found.param is not None
    assert found.param in found.message
    return found


def test_without_a_word_there_is_no_fallback() -> None:
    assert plan(fields()) is NO_FALLBACK
    assert plan(fields(enabled=True)).models == ()


def test_models_without_the_flag_are_off() -> None:
    assert plan(fields(models=["a"])) is NO_FALLBACK
    assert plan(fields(), FallbackDefaults(models=("a",))) is NO_FALLBACK


def test_the_request_alone_switches_it_on() -> None:
    found = plan(fields(models=["a", "b"], timeout=5000, enabled=True))
    assert (found.models, found.timeout_seconds) == (("a", "b"), 5.0)


def test_each_level_fills_in_what_the_one_before_leaves_open() -> None:
    key = FallbackDefaults(models=("k",), timeout_ms=60_000, enabled=False)
    assert plan(fields(enabled=True), key) == FallbackPlan(("k",), 60.0, 30.0)
    assert plan(fields(models=["r"], enabled=True), key).models == ("r",)
    assert plan(fields(timeout=7000, enabled=True), key).timeout_seconds == 7.0
    system = RoutingSettings(fallback_enabled=True, fallback_timeout_ms=20_000)
    assert plan(fields(models=["r"]), system=system) == FallbackPlan(("r",), 20.0, 20.0)
    assert plan(fields(models=["r"]), key, system) is NO_FALLBACK


def test_an_empty_list_of_the_request_switches_the_keys_models_off() -> None:
    key = FallbackDefaults(models=("k",), enabled=True)
    assert plan(fields(models=[]), key).models == ()


def test_null_is_a_field_that_is_not_there() -> None:
    key = FallbackDefaults(models=("k",), timeout_ms=60_000, enabled=True)
    asked = fields(models=None, timeout=None, enabled=None)
    assert plan(asked, key) == FallbackPlan(("k",), 60.0, 30.0)


def test_doubles_and_the_model_itself_are_dropped() -> None:
    assert plan(fields(models=["a", "m", "b", "a"]), ON).models == ("a", "b")


def test_another_name_of_a_model_is_the_same_model() -> None:
    names = {"m-alias": "m", "a.1": "a-1"}
    asked = fields(models=["m-alias", "a-1", "a.1"], enabled=True)
    found = fallback_plan(
        "m", asked, FallbackDefaults(), SYSTEM, lambda name: names.get(name, name)
    )
    assert isinstance(found, FallbackPlan)
    assert found.models == ("a-1",)


def test_models_that_cannot_be_used_are_passed_over() -> None:
    found = plan(fields(models=["a", "b", "c"], enabled=True)).only(lambda model: model != "b")
    assert found.models == ("a", "c")


@pytest.mark.parametrize(
    "models", ["a", {"a": 1}, [1], [None], [["a"]], True, 5, [""], ["x" * 257], list("abcdef")]
)
def test_models_of_another_form_are_refused(models: object) -> None:
    assert refused(fields(models=models)).param == "fallback_models"


def test_five_models_are_possible_also_when_some_are_dropped() -> None:
    assert len(plan(fields(models=list("abcde"), enabled=True)).models) == 5
    assert refused(fields(models=list("aaaaaa"), enabled=True)).param == "fallback_models"


@pytest.mark.parametrize("timeout", [4999, 300_001, 0, -1, "30000", 5000.5, True, [], {}, 10**30])
def test_a_timeout_out_of_range_is_refused_also_when_fallback_is_off(timeout: object) -> None:
    assert refused(fields(timeout=timeout)).param == "fallback_timeout"


@pytest.mark.parametrize("timeout", [5000, 300_000])
def test_both_ends_of_the_range_are_possible(timeout: int) -> None:
    found = plan(fields(models=["a"], timeout=timeout, enabled=True))
    assert found.timeout_seconds == timeout / 1000


@pytest.mark.parametrize("enabled", [0, 1, "true", [], {}])
def test_a_flag_that_is_none_is_refused(enabled: object) -> None:
    assert refused(fields(enabled=enabled)).param == "fallback_enabled"


def test_only_the_requests_own_models_move_a_bound_conversation() -> None:
    assert plan(fields(models=["a"], enabled=True, bound="allow")).moves_bound
    assert not plan(fields(models=["a"], enabled=True)).moves_bound
    key = FallbackDefaults(models=("k",), enabled=True)
    assert not plan(fields(bound="allow"), key).moves_bound


def test_the_header_takes_one_word() -> None:
    assert refused(fields(bound="yes")).param == BOUND_HEADER


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda v: st.lists(v, max_size=7) | st.dictionaries(st.text(max_size=3), v, max_size=2),
    max_leaves=8,
)


@settings(max_examples=200)
@given(
    st.fixed_dictionaries(
        {}, optional={"models": json_values, "timeout": json_values, "enabled": json_values}
    ),
    st.builds(
        FallbackDefaults,
        st.lists(st.sampled_from("mabc"), max_size=5).map(tuple),
        st.none() | st.integers(5000, 300_000),
        st.none() | st.booleans(),
    ),
)
def test_whatever_is_sent_gives_a_sound_plan_or_names_the_field(
    values: dict[str, Any], key: FallbackDefaults
) -> None:
    found = fallback_plan("m", fields(**values), key, SYSTEM)
    if isinstance(found, Refusal):
        assert found.param in {f"fallback_{name}" for name in values}
        return
    assert len(found.models) == len(set(found.models)) <= 5
    assert "m" not in found.models
    assert 5.0 <= found.timeout_seconds <= 300.0
    if found.models:
        asked = values.get("enabled")
        assert key.enabled if asked is None else asked


def test_the_headers_are_there_also_when_nothing_fell_back() -> None:
    assert fallback_headers("claude-sonnet-4.5", "claude-sonnet-4-5", None) == (
        (b"x-fallback-used", b"false"),
        (b"x-fallback-from", b"claude-sonnet-4.5"),
        (b"x-actual-model", b"claude-sonnet-4-5"),
    )


def test_a_fallback_says_why() -> None:
    assert fallback_headers("m", "n", FallbackReason.OVERLOADED) == (
        (b"x-fallback-used", b"true"),
        (b"x-fallback-from", b"m"),
        (b"x-actual-model", b"n"),
        (b"x-fallback-reason", b"primary_model_overloaded"),
    )


@pytest.mark.parametrize("outcome", Outcome)
def test_each_outcome_has_a_word_of_the_vocabulary(outcome: Outcome) -> None:
    assert re.fullmatch("primary_model_[a-z_]+", reason_of(outcome).value)


def test_words_tell_the_outcomes_apart_that_a_caller_can_act_upon() -> None:
    told = {reason_of(outcome) for outcome in Outcome}
    # No upstream says that a budget is used up.
    assert told == set(FallbackReason) - {FallbackReason.OVER_BUDGET}
    assert reason_of(Outcome.LATE) is reason_of(Outcome.TIMEOUT) is FallbackReason.TIMEOUT
    assert reason_of(Outcome.BAD_KEY) is FallbackReason.FAILED


@settings(max_examples=200)
@given(st.text(max_size=300))
def test_no_name_breaks_out_of_its_header(name: str) -> None:
    value = dict(fallback_headers(name, "n", None))[b"x-fallback-from"]
    assert re.fullmatch(rb"[ -~]*", value)
    assert value == value.strip()
    shown = name[:256]
    if "%" not in shown:
        assert unquote(value.decode()) == shown.strip() or not shown.isascii()


EPHEMERAL = {"type": "ephemeral"}


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 1, **fields}).encode()


def turns(*blocks: dict[str, Any], role: str = "assistant") -> bytes:
    return body(messages=[{"role": "user", "content": "hi"}, {"role": role, "content": [*blocks]}])


BOUND = {
    "signed thinking": turns({"type": "thinking", "thinking": "…", "signature": "EqQB"}),
    "redacted thinking": turns({"type": "redacted_thinking", "data": "EqQB"}),
    "a cached prefix": body(messages=[], cache_control=EPHEMERAL),
    "a cached system prompt": body(
        system=[{"type": "text", "text": "s", "cache_control": EPHEMERAL}], messages=[]
    ),
    "cached tools": body(tools=[{"name": "t", "cache_control": EPHEMERAL}], messages=[]),
    "a cached turn": turns({"type": "text", "text": "t", "cache_control": EPHEMERAL}, role="user"),
    "a cached part of a tool's result": turns(
        {
            "type": "tool_result",
            "content": [{"type": "text", "text": "t", "cache_control": EPHEMERAL}],
        },
        role="user",
    ),
    "an escaped name": body(messages=[]).replace(b'"model"', b'"cache\\u005fcontrol": {}, "model"'),
    "what cannot be read": b'{"messages": "redacted_thinking',
    "what is no object": b'["cache_control"]',
}

FREE = {
    "plain turns": turns({"type": "text", "text": "t"}),
    "unsigned thinking": turns({"type": "thinking", "thinking": "…", "signature": ""}),
    "text that speaks of it": turns({"type": "text", "text": '"cache_control" "signature"'}),
    "a tool's own argument": turns(
        {"type": "tool_use", "input": {"cache_control": 1, "signature": "x"}}
    ),
    "a tool's own schema": body(
        tools=[{"name": "t", "input_schema": {"properties": {"cache_control": {}}}}], messages=[]
    ),
    "null": body(system=[{"type": "text", "text": "s", "cache_control": None}], messages=[]),
    "strange shapes": body(
        system="cache_control", tools={"cache_control": 1}, messages=[1, {"content": "x"}, None]
    ),
    "a signature elsewhere": turns({"type": "text", "text": "t", "signature": "x"}),
}


@pytest.mark.parametrize("data", BOUND.values(), ids=BOUND.keys())
def test_a_conversation_is_bound_by(data: bytes) -> None:
    assert is_bound(data)


@pytest.mark.parametrize("data", FREE.values(), ids=FREE.keys())
def test_a_conversation_is_not_bound_by(data: bytes) -> None:
    assert not is_bound(data)
