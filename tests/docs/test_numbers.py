"""The README's tables of speed are extracts of the measurements that they point to."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
SUITES = re.split(r"^## ", RESULTS, flags=re.MULTILINE)[1:]


def rows(text: str) -> dict[str, list[str]]:
    found = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if re.match(r"\| [a-z\d]", line)
    )
    return {cells[0]: cells[1:4] for cells in found}


def shown_rows() -> dict[str, list[str]]:
    """The rows of the README's tables of speed, which have a column "ours"."""
    tables = re.findall(r"^\|[^\n]*\| ours \|.*?(?=^[^|])", README, flags=re.MULTILINE | re.DOTALL)
    return rows("\n".join(tables))


def test_each_row_of_the_readme_stands_in_the_results() -> None:
    """`make bench` writes both."""
    shown, measured = shown_rows(), rows(RESULTS)
    assert len(shown) >= 5
    assert {label: measured.get(label) for label in shown} == shown


def test_no_two_rows_of_the_results_have_one_name() -> None:
    """The README takes them by their names."""
    labels = re.findall(r"^\| ([a-z\d][^|]*?) *\|", RESULTS, flags=re.MULTILINE)
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.partition("\n")[0])
def test_the_readme_dates_what_it_shows_of_a_suite(suite: str) -> None:
    date = re.search(r"by `make bench` on\s([\d-]+)", suite)
    assert date is not None
    if rows(suite).keys() & shown_rows().keys():
        assert f"on {date[1]}" in README


def test_the_peer_is_one_version_everywhere() -> None:
    """What the tests drive, what the benchmark installs, and what its page names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (pinned,) = [each for each in project["dependency-groups"]["dev"] if "anthropic" in each]
    version = ".".join(pinned.removeprefix("anthropic==").split(".")[:2])
    benchmarks = ROOT / "benchmarks"
    sides = (benchmarks / "sdk" / "sides.py").read_text(encoding="utf-8")
    assert f'"anthropic=={version}.*"' in sides
    for page in (benchmarks / "README.md", ROOT / "docs" / "why.md"):
        text = " ".join(page.read_text(encoding="utf-8").split())
        assert re.search(rf"`make bench` measures [^|]*beside `anthropic` {version}\b", text), page


def test_the_readme_names_the_version_that_was_measured() -> None:
    measured = re.search(r"\banthropic (\d+\.\d+)", RESULTS)
    assert measured is not None
    assert f"Beside `anthropic` {measured[1]} " in README


def test_the_readme_tells_how_many_tests_an_outsider_sees(request: pytest.FixtureRequest) -> None:
    """Where the corpus is not, each of its tests is one that is skipped."""
    config = request.config
    chosen = config.option.keyword or config.option.markexpr
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS or chosen:
        pytest.skip("only a part of the tests was chosen")
    marked = [item for item in request.session.items if item.get_closest_marker("corpus")]
    once = {item.nodeid.partition("[")[0] for item in marked}
    seen = len(request.session.items) - len(marked) + len(once)
    told = re.search(r"^collected (\d+) items$", README, re.MULTILINE)
    counted = re.search(r"= (\d+) passed, (\d+) skipped", README)
    assert told is not None
    assert counted is not None
    assert int(told[1]) == int(counted[1]) + int(counted[2])
    assert abs(seen - int(told[1])) <= 0.05 * seen
