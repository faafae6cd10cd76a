"""Every example of the README and of the documentation runs, and prints what stands under it.

A `python` fence runs as a program of its own, in a namespace and a directory of its own, against
`apertis serve`. A `console` fence is a session: its `$ apertis ...` lines run, with the same
service. What is printed has to fit the text that is shown: the rest of a console fence, or the next
fence after a program, if its title is "Output". `...` stands for anything, within a line and over
lines.
A fence that cannot run says why, in a title that begins with "Not run".

A session that begins with `$ apertis serve` begins a story, which ends with the page: what follows
runs in its order, in one directory, with one gateway, as a reader would do it. Its address stands
for `127.0.0.1:8000`, the secret that was shown last for `sk-...`. `toml` fences are the files that
their first line names; what a session exports is there afterwards.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from apertis import Apertis
from tests.kit.processes import Served, apertis_serve

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
PYTHON = shlex.quote(sys.executable)
SHELL = f"""
apertis() {{ {PYTHON} -m apertis.cli "$@"; }}
python() {{ {PYTHON} "$@"; }}
make() {{ [ "$*" = demo ] && apertis demo; }}
"""


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


def begins_a_story(fence: Fence) -> bool:
    return fence.language == "console" and fence.text.startswith("$ apertis serve")


def story_of(page: Path) -> list[Fence]:
    found = [fence for fence in fences(page) if not fence.info.startswith('title="Not run: ')]
    first = next((n for n, fence in enumerate(found) if begins_a_story(fence)), len(found))
    # The files that the gateway starts with stand before its start.
    while first and first < len(found) and found[first - 1].language == "toml":
        first -= 1
    return found[first:]


ALL = [fence for page in PAGES for fence in fences(page)]
STORIES = {page: story for page in PAGES if (story := story_of(page))}
TOLD = {fence for story in STORIES.values() for fence in story}
RUN = [fence for fence in ALL if not fence.info.startswith('title="Not run: ')]
PROGRAMS = [fence for fence in RUN if fence.language == "python" and fence not in TOLD]
SESSIONS = [fence for fence in RUN if fence.language == "console" and fence not in TOLD]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with apertis_serve(tmp_path_factory.mktemp("service")) as served:
        yield served


@pytest.fixture
def desk(service: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
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
    printed = run_program(program, program.text, desk)
    if program.expected is not None:
        assert_fits(printed, program.expected)


def run_program(program: Fence, text: str, desk: Path) -> str:
    """Run it in this process, which is faster than another one; what it prints."""
    # The empty lines give a traceback the numbers that the lines have on the page.
    code = compile("\n" * program.line + text, str(program.page), "exec", dont_inherit=True)
    namespace: dict[str, Any] = {"__name__": "__main__", "__file__": str(desk / "program.py")}
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(code, namespace)
    finally:
        for value in namespace.values():
            if isinstance(value, Apertis):
                value.close()
    return printed.getvalue()


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
        found = re.match(r"((?:.*\\\n)*.*)\n?", part)
        assert found is not None
        yield found[1], part[found.end() :]


class Story:
    """One gateway, and what a reader does with it one after the other."""

    def __init__(self, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._desk = desk
        self._monkeypatch = monkeypatch
        self._gateway: subprocess.Popen[str] | None = None
        self._address = self._administrator = self._secret = ""

    def tell(self, fence: Fence) -> None:
        if fence.language == "console":
            for command, expected in _commands(fence.text):
                self._do(command, expected)
        elif fence.language == "python":
            printed = self._program(fence)
            if fence.expected is not None:
                assert_fits(printed, fence.expected)
        elif fence.language == "toml":
            (self._desk / file_name(fence)).write_text(fence.text, encoding="utf-8")

    def _do(self, command: str, expected: str) -> None:
        if command.startswith("apertis serve"):
            assert_fits(self._serve(command), expected)
            return
        command = self._real(command)
        deadline = time.monotonic() + RECORDED_SECONDS
        while True:
            code, output = self._run(command)
            if not expected:
                assert code == 0, output
                return
            # What requests leave behind is written a moment after their answer.
            looks_back = command.startswith(("apertis usage", "tail"))
            if fits(output, expected) or not looks_back or time.monotonic() > deadline:
                assert_fits(output, expected)
                return

    def _run(self, command: str) -> tuple[int, str]:
        kept = self._desk / ".environment"
        done = subprocess.run(
            ["bash", "-c", f"{SHELL}{command}\ncode=$?; env -0 > {kept}; exit $code"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        for entry in kept.read_text(encoding="utf-8").split("\0"):
            name, _, value = entry.partition("=")
            if re.match("(APERTIS|ANTHROPIC|[A-Z]+_KEY)", name):
                self._monkeypatch.setenv(name, value)
        self._notice(done.stdout)
        if command.startswith("apertis keys"):
            # A running gateway looks every quarter of a second; this asks it to look now.
            self._ask("/admin/v1/keys")
        return done.returncode, done.stdout.replace(self._address, "127.0.0.1:8000")

    def _program(self, fence: Fence) -> str:
        text = self._real(fence.text)
        if not re.search("^(from|import) anthropic", text, re.MULTILINE):
            return run_program(fence, text, self._desk)
        done = subprocess.run(
            [sys.executable, "-c", text],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def _serve(self, command: str) -> str:
        self.end()
        log = "" if "2>" in command else " 2> gateway.log"
        self._gateway = subprocess.Popen(
            ["bash", "-c", command.replace("apertis", f"exec {PYTHON} -m apertis.cli", 1) + log],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        assert self._gateway.stdout is not None
        lines = [*iter(self._gateway.stdout.readline, "Ctrl-C stops it.\n")]
        output = "".join([*lines, "Ctrl-C stops it.\n"])
        found = re.search(r"https?://(127\.0\.0\.1:\d+)", output)
        assert found is not None, output
        self._address = found[1]
        self._notice(output)
        self._administrator = self._administrator or self._secret
        self._monkeypatch.setenv("APERTIS_BASE_URL", found[0])
        self._monkeypatch.setenv("APERTIS_API_KEY", self._administrator)
        return output.replace(self._address, "127.0.0.1:8000")

    def _ask(self, path: str) -> None:
        headers = {"x-api-key": self._administrator}
        request = urllib.request.Request(f"http://{self._address}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200

    def _notice(self, output: str) -> None:
        self._secret = (re.findall(r"sk-[A-Za-z0-9]{48}", output) or [self._secret])[-1]

    def _real(self, text: str) -> str:
        return text.replace("127.0.0.1:8000", self._address).replace("sk-...", self._secret)

    def end(self) -> None:
        """Stop the gateway as its operator would."""
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            gateway.send_signal(signal.SIGTERM)
            gateway.communicate(timeout=20)
            assert gateway.returncode == 0


RECORDED_SECONDS = 10.0


def file_name(fence: Fence) -> str:
    found = re.match(r"# (\w+\.toml)\n", fence.text)
    assert found is not None, f"{fence}: the first line names the file"
    return found[1]


@pytest.mark.parametrize("page", STORIES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_story_goes_as_it_is_told(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name.startswith(("APERTIS_", "ANTHROPIC_")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("APERTIS_PORT", "0")
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    for tool in ("curl", "jq", "openssl"):
        if any(f"{tool} " in fence.text for fence in STORIES[page]) and not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    story = Story(tmp_path, monkeypatch)
    try:
        for fence in STORIES[page]:
            story.tell(fence)
    finally:
        story.end()


def fits(printed: str, shown: str) -> bool:
    parts = _trimmed(shown).split("...")
    return re.fullmatch(".*?".join(map(re.escape, parts)), _trimmed(printed), re.DOTALL) is not None


def assert_fits(printed: str, shown: str) -> None:
    assert fits(printed, shown), _trimmed(printed)


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def test_what_is_shown_fits_only_what_was_printed() -> None:
    assert_fits("one\ntwo  \nthree\n", "one\n...\nthree")
    assert_fits("a 12 b", "a ... b\n")
    for shown in ("one\nthree", "one", "one\n...\ntwo", "three\n..."):
        with pytest.raises(AssertionError):
            assert_fits("one\ntwo\nthree\n", shown)


def test_there_are_programs_and_sessions() -> None:
    """A pattern that finds nothing would let everything pass."""
    assert len(PROGRAMS) > 55
    assert len(SESSIONS) > 5
    assert {fence.page.name for fence in PROGRAMS} >= {
        "README.md",
        "errors-and-retries.md",
        "tools.md",
    }
    assert {page.name for page in STORIES} >= {"README.md", "start.md", "team.md", "routing.md"}
