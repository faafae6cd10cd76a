from __future__ import annotations

import pytest

from apertis.gateway.keys.models import compile_models


@pytest.mark.parametrize(
    ("entry", "model", "allowed"),
    [
        ("claude-sonnet-4-5", "claude-sonnet-4-5", True),
        ("claude-sonnet-4.5", "claude-sonnet-4-5", True),
        ("claude-sonnet-4-5", "claude-sonnet-4.5", True),
        ("claude-sonnet-4.5", "claude-sonnet-4-5-20250929", True),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4.5", True),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4.5-20250929", True),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5-20260101", False),
        ("claude-sonnet-4", "claude-sonnet-4-5", False),
        ("claude-sonnet-4", "claude-sonnet-4-5-20250929", False),
        ("claude-sonnet-4", "claude-sonnet-4-20250514", True),
        ("claude-sonnet-4-5", "Claude-Sonnet-4-5", False),
        ("claude-sonnet-4-5", "claude-sonnet-4-5:web", False),
        ("claude-haiku-*", "claude-haiku-4-5-20251001", True),
        ("claude-haiku-4.*", "claude-haiku-4-5", True),
        ("claude-haiku-*", "claude-haiku", False),
        ("claude-haiku-*", "claude-opus-4-6", False),
        ("*", "anything", True),
        ("claude-*-latest", "claude-x-latest", False),
        ("claude-sonnet-4-5", "claude-sonnet-4-5-12345678", False),
        ("claude-sonnet-4-5", "", False),
    ],
)
def test_spellings_of_one_model_are_one_model(entry: str, model: str, allowed: bool) -> None:
    assert compile_models((entry,)).allows(model) is allowed
    assert compile_models(("gpt-4.1", entry)).allows(model) is allowed


def test_an_undated_entry_beside_a_dated_one_admits_all_dates() -> None:
    models = compile_models(("claude-opus-4-5-20251101", "claude-opus-4-5"))
    assert models.allows("claude-opus-4-5-20260202")


def test_an_empty_list_admits_nothing() -> None:
    assert not compile_models(()).allows("claude-sonnet-4-5")
