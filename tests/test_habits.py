"""What the repository's own automation promises: pinned, and with the least rights."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def lines_with(path: Path, word: str) -> list[str]:
    return [line.strip() for line in path.read_text("utf-8").splitlines() if word in line]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_its_commit_and_says_its_version(path: Path) -> None:
    used = lines_with(path, "uses:")
    assert used
    for line in used:
        assert re.fullmatch(r"(- )?uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_and_keeps_no_credentials(path: Path) -> None:
    text = path.read_text("utf-8")
    assert re.search(r"^permissions:\n  contents: read\n$", text, re.MULTILINE)
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")
    assert "pull_request_target" not in text
    assert "secrets." not in text


def test_only_the_publication_may_prove_who_it_is() -> None:
    granted = {path.stem: lines_with(path, ": write") for path in WORKFLOWS}
    assert granted == {"publish": ["id-token: write"], "test": []}
    publish = (ROOT / ".github/workflows/publish.yml").read_text("utf-8").partition("  publish:")[2]
    assert "id-token: write" in publish
    assert "environment: release" in publish


def test_every_version_that_is_promised_is_tested() -> None:
    promised = {
        text.rpartition(" ")[2]
        for text in PROJECT["project"]["classifiers"]
        if re.search(r"Python :: 3\.\d+", text)
    }
    tested = set(
        re.findall(r'"(3\.\d+)"', (ROOT / ".github/workflows/test.yml").read_text("utf-8"))
    )
    # What is not released yet is no image of a workflow's machine.
    assert promised - tested <= {"3.15"}
    assert tested <= promised


def test_the_developers_tools_are_pinned() -> None:
    for group in PROJECT["dependency-groups"].values():
        assert [name for name in group if "==" not in name] == []


def test_a_fragment_of_the_news_has_a_kind_that_the_changelog_knows() -> None:
    kinds = {kind["directory"] for kind in PROJECT["tool"]["towncrier"]["type"]}
    for path in (ROOT / "news").iterdir():
        if path.name != "README.md":
            assert re.fullmatch(rf"[\w-]+\.({'|'.join(kinds)})\.md", path.name), path.name
            assert path.read_text("utf-8").strip()
