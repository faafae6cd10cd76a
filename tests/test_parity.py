"""The two clients are one text: the blocking half follows from the other."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from pathlib import Path
from typing import Any

import pytest

import apertis.aio
import apertis.sync

MAX_LINES_BY_HAND = 850
ROOT = Path(__file__).resolve().parents[1]


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("gen", ROOT / "tools" / "generate_sync.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_blocking_modules_are_what_the_generator_writes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert generator().main(["--check"]) == 0, capsys.readouterr().err


def test_a_substitution_that_changes_nothing_is_an_error() -> None:
    gen = generator()
    with pytest.raises(gen.UnusedSubstitutionError):
        gen.generated({"client": "x = 1\n"})


def test_few_lines_of_the_blocking_half_are_written_by_hand() -> None:
    texts = [path.read_text("utf-8") for path in Path(apertis.sync.__path__[0]).glob("*.py")]
    by_hand = [text for text in texts if not text.startswith("# Generated")]
    assert sum(text.count("\n") for text in by_hand) <= MAX_LINES_BY_HAND


@pytest.mark.parametrize("name", ["Wire", "WireAnswer"])
def test_what_is_written_by_hand_has_the_same_members(name: str) -> None:
    sync, aio = (
        {
            member
            for member in vars(getattr(importlib.import_module(f"apertis.{half}.wire"), name))
            if not member.startswith("_")
        }
        for half in ("sync", "aio")
    )
    # Threads alone fork; to close is never a wait in them, and they take what they ask for.
    assert sync - {"after_fork"} == aio - {"hang_up", "pour"}


def test_what_waits_is_awaited() -> None:
    client = dict(inspect.getmembers(apertis.AsyncApertis))
    for name in ("close", "request"):
        assert inspect.iscoroutinefunction(client[name])
    resources = importlib.import_module("apertis.aio.resources")
    for kind, names in {
        "AsyncMessages": ["create", "count_tokens"],
        "AsyncBatches": ["create", "retrieve", "cancel", "delete", "results", "wait"],
        "AsyncModels": ["retrieve"],
    }.items():
        for name in names:
            assert inspect.iscoroutinefunction(getattr(getattr(resources, kind), name)), name


def test_both_have_the_same_modules() -> None:
    files = [
        {m.name for m in pkgutil.iter_modules(p.__path__)} for p in (apertis.sync, apertis.aio)
    ]
    assert files[0] == files[1]
