"""JSON values, what a request says, and ids that depend on nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.sandbox import values

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def test_true_is_no_number() -> None:
    assert values.is_integer(1)
    assert values.is_number(1.5)
    assert not values.is_integer(True)
    assert not values.is_number(True)
    assert not values.is_integer(1.0)


def test_content_is_blocks_or_one_text() -> None:
    block = {"type": "text", "text": "a"}
    assert values.blocks_of("a") == [block]
    assert values.blocks_of("") == []
    assert values.blocks_of([block, "x", 1]) == [block]
    assert values.blocks_of(None) == []
    image = {"type": "image", "text": "no"}
    assert values.text_of([block, image, {"type": "text", "text": 5}, block]) == "a\na"


@pytest.mark.parametrize(
    ("messages", "effort"),
    [
        ([{"role": "user"}], "low"),
        ([{"role": "user", "output_config": {"effort": "high"}}], "high"),
        ([{"role": "user", "output_config": {"effort": None}}], "low"),
        ([{"role": "user", "output_config": {"effort": "high"}}, {"role": "assistant"}], "low"),
        (
            [
                {"role": "assistant"},
                {"role": "user", "output_config": {"effort": "max"}},
                {"role": "system"},
            ],
            "max",
        ),
    ],
)
def test_the_effort_of_the_current_turn_wins(messages: list[Any], effort: str) -> None:
    assert values.effort({"output_config": {"effort": "low"}, "messages": messages}) == effort


def test_without_any_effort_there_is_none() -> None:
    assert values.effort({"messages": []}) is None


def test_the_schema_is_found_under_both_names() -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}
    assert values.output_schema({"output_config": {"format": form}}) == form["schema"]
    assert values.output_schema({"output_format": form}) == form["schema"]
    assert values.output_schema({"output_config": {"effort": "low"}}) is None


def test_a_choice_is_automatic_unless_the_request_says_otherwise() -> None:
    assert values.choice_type({}) == "auto"
    assert values.choice_type({"tool_choice": {"type": "any"}}) == "any"


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=5), st.booleans())
def test_requests_that_say_the_same_have_one_fingerprint(
    request: dict[str, Any], stream: bool
) -> None:
    turned = json.loads(json.dumps(dict(reversed(request.items()))))
    alike = values.fingerprint(turned | {"stream": stream})
    assert values.fingerprint(request) == alike
    assert values.fingerprint(request | {"more": 1}) != alike or "more" in request


@given(st.binary(max_size=4), st.binary(max_size=4))
def test_an_id_is_made_of_its_seed_and_purpose_alone(one: bytes, other: bytes) -> None:
    made = values.stable_id("msg_01", one)
    assert made == values.stable_id("msg_01", one)
    assert made.startswith("msg_01")
    assert len(made) == len("msg_01") + 22
    assert made[6:].isalnum()
    assert (values.stable_id("msg_01", other) == made) == (one == other)
    assert values.stable_id("msg_01", one, "other") != made
