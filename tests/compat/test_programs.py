"""Programs written for `anthropic` run with their import alone changed, and print the same.

`anthropic` itself runs each of them as it stands, against the same server: so it is known that
they are programs for it, and what they are to print.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.kit.processes import Served, apertis_serve

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.py"))
PAGE = sorted((Path(__file__).parents[3] / "shared" / "page").glob("0*.py"))
IMPORT = re.compile(r"^( *)import anthropic$|^( *from )anthropic(?=[. ])", re.MULTILINE)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with apertis_serve(tmp_path_factory.mktemp("service")) as served:
        yield served


def with_our_import(text: str) -> str:
    """The program, with its import changed and nothing else."""
    return IMPORT.sub(
        lambda found: (
            f"{found[1]}import apertis as anthropic" if found[2] is None else f"{found[2]}apertis"
        ),
        text,
    )


def output(program: str, service: Served, folder: Path) -> str:
    path = folder / "program.py"
    path.write_text(program, "utf-8")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("APERTIS", "ANTHRO"))}
    for family in ("APERTIS", "ANTHROPIC"):
        environment[f"{family}_BASE_URL"] = service.base_url
        environment[f"{family}_API_KEY"] = service.api_key
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_for_anthropic_prints_the_same(
    program: Path, service: Served, tmp_path: Path
) -> None:
    text = program.read_text("utf-8")
    ours = with_our_import(text)
    assert "apertis" in ours
    assert output(ours, service, tmp_path) == output(text, service, tmp_path)


@pytest.mark.corpus
@pytest.mark.parametrize("program", PAGE, ids=lambda path: path.stem)
def test_a_program_of_the_page_runs_by_the_other_names(
    program: Path, service: Served, tmp_path: Path
) -> None:
    text = program.read_text("utf-8")
    renamed = re.sub(r"\b(Async)?Apertis\b", r"\1Anthropic", text)
    assert renamed != text
    assert output(renamed, service, tmp_path).strip()
