"""What is shipped, and under which version."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import apertis

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_version_is_said_once_and_the_same() -> None:
    assert apertis.__version__ == PROJECT["version"]
    assert f"{apertis.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_package_is_typed() -> None:
    assert (Path(apertis.__file__).parent / "py.typed").is_file()


def test_the_sdk_needs_four_packages() -> None:
    names = sorted(requirement.partition(">=")[0] for requirement in PROJECT["dependencies"])
    assert names == ["httptools", "jiter", "msgspec", "truststore"]


@pytest.mark.parametrize("name", ["apertis", "apertis.cli"])
def test_the_command_runs_as_a_module(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", name, "--version"],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert apertis.__version__ in done.stdout


def test_the_installed_metadata_agrees() -> None:
    metadata = importlib.metadata.metadata("apertis")
    assert metadata["Requires-Python"] == PROJECT["requires-python"]
    assert metadata["Name"] == "apertis"


def test_the_wheel_has_the_package_the_marker_and_the_examples(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="the build backend is not installed here")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {path.relative_to(ROOT / "src") for path in (ROOT / "src/apertis").rglob("*.py")}
    examples = {path.name for path in (ROOT / "examples").glob("*.py")}
    assert {str(path) for path in sources} <= names
    assert {f"apertis/examples/{name}" for name in examples} <= names
    assert "apertis/py.typed" in names
    assert not any(name.startswith("tests/") or "__pycache__" in name for name in names)
