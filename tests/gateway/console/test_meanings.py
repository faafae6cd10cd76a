"""Every code and reason has its words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from apertis.gateway import errors
from apertis.gateway.console.meanings import BY_CODE, FALLBACK_REASONS, meaning_of
from apertis.gateway.routing.fallback import FallbackReason


def test_each_code_of_the_gateway_has_a_meaning_and_an_advice() -> None:
    source = Path(str(errors.__file__)).read_text("utf-8")
    codes = set(re.findall(r'Refusal\(\d+, "\w+", "(\w+)"', source))
    codes |= set(re.findall(r'code = "(\w+)"', source))
    assert len(codes) > 20
    assert codes <= BY_CODE.keys()


def test_each_reason_for_another_model_has_words() -> None:
    assert FALLBACK_REASONS.keys() == {reason.value for reason in FallbackReason}


@pytest.mark.parametrize(
    ("status", "code", "interrupted", "words"),
    [
        (529, "overloaded_error", False, "too much to do"),
        (429, "rate_limit_error", False, "upstream's limit"),
        (429, "rate_limit_exceeded", False, "limit of this gateway"),
        (499, None, True, "closed its connection"),
        (200, None, True, "broke off"),
        (200, "overloaded_error", True, "too much to do"),
        (418, "teapot", False, "rejected the request"),
        (599, None, False, "upstream failed"),
    ],
)
def test_a_failure_is_said_in_words(
    status: int, code: str | None, interrupted: bool, words: str
) -> None:
    meaning = meaning_of(status, code, interrupted=interrupted)
    assert words in meaning.words
    assert meaning.advice
