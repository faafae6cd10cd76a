"""The commands of a checkout: what `make` needs, finds and installs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.environment import MACHINE

ROOT = Path(__file__).resolve().parents[1]
MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(MAKE is None, reason="make is not installed")
GOOD = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
# One that is too old, or a shim of a version that is not chosen.
BAD = "#!/bin/sh\nexit 1\n"


def make(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    assert MAKE is not None
    return subprocess.run(
        [MAKE, *arguments],
        cwd=ROOT,
        env=MACHINE if path is None else {"PATH": str(path)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def folder_with(folder: Path, **programs: str) -> Path:
    """A folder that has these programs, and the shell's own."""
    for name in ("sh", "sort", "printf"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    for name, text in programs.items():
        program = folder / name.replace("_", ".")
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("programs", "found"),
    [
        ({"python3": GOOD, "python3_13": GOOD}, "python3"),
        ({"python3": BAD, "python3_11": GOOD}, "python3.11"),
        ({"python3": BAD, "python3_15": GOOD, "python3_9": BAD}, "python3.15"),
        ({"python3": BAD, "python3_12": GOOD, "python3_14": BAD}, "python3.12"),
        ({"python3_12": GOOD, "python3_14": GOOD}, "python3.14"),
        ({"python3_27": GOOD}, "python3.27"),
        ({"python3": BAD, "python": GOOD}, "python"),
        ({"python3": BAD, "python3_10": BAD, "python": BAD}, ""),
        ({}, ""),
    ],
)
def test_a_python_that_is_new_enough_is_found(
    programs: dict[str, str], found: str, tmp_path: Path
) -> None:
    path = folder_with(tmp_path, **programs)
    done = make("--eval", "which: ; @printf '%s' '$(PYTHON)'", "which", path=path)
    assert (done.stdout, done.stderr) == (found, "")


def test_no_python_that_is_new_enough_is_told_with_what_to_do(tmp_path: Path) -> None:
    path = folder_with(tmp_path, python3=BAD)
    done = make(f"VENV={tmp_path / 'new'}", "demo", path=path)
    assert done.returncode != 0
    assert "No Python 3.11 or newer" in done.stderr
    assert "make PYTHON=" in done.stderr


def test_the_demo_needs_no_tools_of_developers(tmp_path: Path) -> None:
    venv = f"VENV={tmp_path / 'new'}"
    demo, test = (make("-n", venv, target).stdout for target in ("demo", "test"))
    assert "'.[gateway]'" in demo
    assert "--group" not in demo
    assert "--group dev" in test


def test_what_needs_the_corpus_is_marked() -> None:
    """Without it, it is skipped with the reason; `-m corpus` runs it alone."""
    readers = [
        path
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if '/ "shared"' in path.read_text(encoding="utf-8")
    ]
    assert readers
    unmarked = [p for p in readers if "pytest.mark.corpus" not in p.read_text(encoding="utf-8")]
    assert unmarked == []
