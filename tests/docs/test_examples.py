"""Every example of the README and of the documentation runs, and prints what stands under it.

A `python` fence runs as a program of its own, in a namespace and a directory of its own, against
the sandbox. A `console` fence is a session: its `$ apertis ...` lines run, with the same service.
What is printed has to fit the text that is shown: the rest of a console fence, or the next fence
after a program, if its title is "Output". `...` stands for anything, within a line and over lines.
A fence that cannot run says why, in a title that begins with "Not run".
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from apertis import Apertis
from apertis.testing import RunningServer, sandbox_server

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if not path.is_relative_to(ROOT / "docs" / "reference")
)
FENCE = re.compile(r"^```(\w*)[ ]?(.*)\n((?:.*\n)*?)^```$", re.MULTILINE)
OUTPUT = 'title="Output"'
# `make demo` is `apertis demo` in an environment that make sets up first.
SHELL = f"""
apertis() {{ {shlex.quote(sys.executable)} -m apertis.cli "$@"; }}
make() {{ [ "$*" = demo ] && apertis demo; }}
"""
# What the shell does beside the examples: nothing that a test should do, or could see the end of.
SHELL_ONLY = re.compile(r"(pip|make|git|export|source|python3?|docker|uv|curl|apertis serve)\b")


@dataclass(frozen=True)
class Fence:
    page: Path
    line: int
    language: str
    info: str
    text: str
    expected: str | None = None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def fences(page: Path) -> Iterator[Fence]:
    source = page.read_text(encoding="utf-8")
    found = list(FENCE.finditer(source))
    for number, match in enumerate(found):
        expected = None
        after = found[number + 1] if number + 1 < len(found) else None
        if after and after[2] == OUTPUT:
            expected = after[3]
        line = source.count("\n", 0, match.start()) + 1
        yield Fence(page, line, match[1], match[2], match[3], expected)


ALL = [fence for page in PAGES for fence in fences(page)]
RUN = [fence for fence in ALL if not fence.info.startswith('title="Not run: ')]
PROGRAMS = [fence for fence in RUN if fence.language == "python"]
SESSIONS = [fence for fence in RUN if fence.language == "console"]


@pytest.fixture(scope="module")
def service() -> Iterator[RunningServer]:
    with sandbox_server() as server:
        yield server


@pytest.fixture
def desk(service: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory that a reader works in: set up for the service, with a few files."""
    monkeypatch.setenv("APERTIS_BASE_URL", service.base_url)
    monkeypatch.setenv("APERTIS_API_KEY", service.api_key)
    for name in ("APERTIS_LOG", "APERTIS_MODEL", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "examples" / "stripes.png", "chart.png")
    Path("notes.txt").write_text("The bridge was opened in 1932.\n", encoding="utf-8")
    Path("report.pdf").write_bytes(_pdf())
    logger = logging.getLogger("apertis")
    level, handlers = logger.level, logger.handlers[:]
    yield tmp_path
    logger.setLevel(level)
    logger.handlers[:] = handlers


def _pdf() -> bytes:
    import pypdf

    writer = pypdf.PdfWriter()
    writer.add_blank_page(width=200, height=200)
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_a_program_runs_and_prints_what_is_shown(program: Fence, desk: Path) -> None:
    if "\ndef test_" in program.text:
        run_as_tests(program.text, desk)
        return
    # The empty lines give a traceback the numbers that the lines have on the page.
    code = compile("\n" * program.line + program.text, str(program.page), "exec")
    namespace: dict[str, Any] = {"__name__": "__main__", "__file__": str(desk / "program.py")}
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(code, namespace)
    finally:
        for value in namespace.values():
            if isinstance(value, Apertis):
                value.close()
    if program.expected is not None:
        assert_fits(printed.getvalue(), program.expected)


def run_as_tests(text: str, desk: Path) -> None:
    (desk / "test_shown.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(desk)],
        cwd=desk,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("session", SESSIONS, ids=str)
def test_a_session_goes_as_it_is_shown(session: Fence, desk: Path) -> None:
    for command, expected in _commands(session.text):
        done = subprocess.run(
            ["bash", "-c", SHELL + command],
            cwd=desk,
            env=os.environ | {"PYTHONWARNINGS": "error"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        output = done.stdout
        if expected:
            assert_fits(output, expected)
        else:
            assert done.returncode == 0, output


def _commands(text: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def assert_fits(printed: str, shown: str) -> None:
    lines = [line.rstrip() for line in shown.strip().splitlines()]
    pattern = ".*?".join(re.escape(part) for part in "\n".join(lines).split("..."))
    actual = "\n".join(line.rstrip() for line in printed.strip().splitlines())
    assert re.fullmatch(pattern, actual, re.DOTALL), actual


def test_what_is_shown_fits_only_what_was_printed() -> None:
    assert_fits("one\ntwo  \nthree\n", "one\n...\nthree")
    assert_fits("a 12 b", "a ... b\n")
    for shown in ("one\nthree", "one", "one\n...\ntwo", "three\n..."):
        with pytest.raises(AssertionError):
            assert_fits("one\ntwo\nthree\n", shown)


def test_there_are_programs_and_sessions() -> None:
    """A pattern that finds nothing would let everything pass."""
    assert len(PROGRAMS) > 60
    assert len(SESSIONS) > 5
    assert {fence.page.name for fence in PROGRAMS} >= {"README.md", "start.md", "tools.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_fence_is_of_a_kind_that_is_looked_after(page: Path) -> None:
    source = page.read_text(encoding="utf-8")
    found = list(fences(page))
    assert len(re.findall("^ *```", source, re.MULTILINE)) == 2 * len(found)
    for fence in found:
        assert fence.language in {"python", "console", "sh", "text", "json", "toml", "ini"}, fence
        allowed = r'|title="Not run: .+"|title="Output"' if fence.language != "sh" else ""
        assert re.fullmatch(allowed, fence.info), fence
        if fence.language == "sh":
            lines = [line for line in fence.text.splitlines() if line and line[0] not in "# "]
            assert all(SHELL_ONLY.match(line) for line in lines), fence
        if fence.language == "console":
            assert fence.text.startswith("$ "), fence


def test_few_fences_are_left_out() -> None:
    assert len(ALL) - len(RUN) <= 12
