"""Every link of the README and the documentation leads somewhere: to a file, and to a heading."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "benchmarks" / "README.md"])
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    return LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The names of the headings, as both GitHub and the documentation's site make them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        assert name not in found, f"{page}: two headings give the anchor #{name}"
        found.add(name)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_pages_and_headings(page: Path) -> None:
    for link in links(page):
        if re.match(r"https://|mailto:", link):
            continue
        assert "://" not in link, f"{link}: say https"
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert target.suffix == ".md", link
            assert anchor in anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_pages_link_within_the_documentation(page: Path) -> None:
    """The site is built of `docs/` alone: what lies outside it is named by its address."""
    for link in links(page):
        if not re.match(r"https://|mailto:|#", link):
            target = (page.parent / link.partition("#")[0]).resolve()
            assert target.is_relative_to(DOCS), link


def _listed(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    values = entry.values() if isinstance(entry, dict) else entry
    return [path for value in values for path in _listed(value)]


def test_the_navigation_lists_every_page_once() -> None:
    configuration = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))
    listed = _listed(configuration["project"]["nav"])
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


def test_the_site_has_pages_and_their_pictures_only() -> None:
    """Everything else beside them makes them, and is excluded."""
    configuration = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))
    left_out = configuration["project"]["exclude_docs"].split()
    pages = list(DOCS.rglob("*.md"))
    pictures = {
        page.parent / target
        for page in pages
        for target in re.findall(
            # Pictures, and files to take along.
            r"(?:!\[[^\]]*\]\(|\]\((?=[^)]+\.yml\)))([^)]+)\)",
            page.read_text(encoding="utf-8"),
        )
    }
    others = set(DOCS.rglob("*.*")) - set(pages) - pictures
    shown = {path for path in others if not any(path.match(each) for each in left_out)}
    assert {path for path in shown if "__pycache__" not in path.parts} == set()


def test_links_are_found() -> None:
    assert len(links(ROOT / "README.md")) > 5
