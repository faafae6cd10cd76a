"""The page of the architecture shows the rooms that there are."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "apertis"


def rooms(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob("*/__init__.py")}


def test_the_tree_has_every_room() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    tree = text.split("```text\n", 1)[1].split("```", 1)[0]
    assert set(re.findall(r"^  (\w+)/", tree, re.MULTILINE)) == rooms(SOURCE)
    assert set(re.findall(r"^    (\w+)/", tree, re.MULTILINE)) == rooms(SOURCE / "gateway")
    assert len(text.splitlines()) < 130, "it is one page"


def test_the_modules_that_it_names_are_there() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z]+/[a-z_]+)(?:\.py)?`", text))
    found = {
        str(path.relative_to(base).with_suffix(""))
        for base in (SOURCE, SOURCE / "gateway", ROOT)
        for path in base.rglob("*.py")
    }
    assert named
    assert named - found - {"tests/docs", "tests/typing"} == set()
