"""Own examples, pages, help texts and defaults name models that are current."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from apertis.accounting.prices import PriceTable
from apertis.cli.ask import _DEFAULT_MODEL  # pyright: ignore[reportPrivateUsage]
from apertis.sandbox.catalogue import ALIASES, MODELS, find_model

ROOT = Path(__file__).parents[2]
PAGE_MODELS = ("claude-opus-4-5-20251101", "claude-sonnet-4.5", "claude-haiku-4-5-20250501")
# What is about models of all ages, and about the spellings of their names.
ABOUT_NAMES = {
    "src/apertis/sandbox/catalogue.py",
    "src/apertis/accounting/prices.py",
    "src/apertis/compat/values.py",
    "src/apertis/gateway/keys/matching.py",
    "src/apertis/gateway/routing/targets.py",
}
FILES = sorted(
    path
    for folder, ending in (("docs", "md"), ("docs", "py"), ("examples", "py"), ("src", "py"))
    for path in (ROOT / folder).rglob(f"*.{ending}")
    if path.relative_to(ROOT).as_posix() not in ABOUT_NAMES
)
NAME = re.compile(r"claude-(?:opus|sonnet|haiku|fable|mythos|\d)[\w.-]*\w")


def test_there_is_something_to_look_at() -> None:
    assert len(FILES) > 100
    assert NAME.findall("`claude-sonnet-4.5`, claude-3-opus-20240229.") == [
        "claude-sonnet-4.5",
        "claude-3-opus-20240229",
    ]


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *FILES], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_a_file_names_no_model_that_is_deprecated_or_retired(path: Path) -> None:
    gone = {model.id for model in MODELS if model.lifecycle != "active"}
    gone |= {name for name, model in ALIASES.items() if model in gone}
    gone |= {re.sub(r"-20\d{6}$", "", name) for name in gone}
    gone |= {"claude-haiku-4-5-20250501"}
    found = set(NAME.findall(path.read_text("utf-8")))
    assert not found & gone


def test_the_default_of_the_command_line_is_current() -> None:
    model = find_model(_DEFAULT_MODEL)
    assert model is not None
    assert model.lifecycle == "active"


@pytest.mark.parametrize("name", PAGE_MODELS)
def test_the_names_of_the_documentation_page_keep_working(name: str) -> None:
    model = find_model(name)
    assert model is not None
    assert (model.id, model.answers) == (name, True)
    assert (model.max_input_tokens, model.max_tokens) == (200_000, 64_000)
    assert PriceTable().find(name) is not None
