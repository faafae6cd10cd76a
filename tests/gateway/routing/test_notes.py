"""What the headers say, whatever the names are."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.routing import FallbackReason, Outcome, fallback_headers
from apertis.gateway.routing.notes import reason_of


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
    assert told == set(FallbackReason)
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
