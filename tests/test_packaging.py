"""What is shipped, and under which version."""

from __future__ import annotations

import email
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import apertis
from apertis.installation import install_command

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_version_classifier_and_changelog_tell_one_status() -> None:
    """A version with a letter is a beta, and is not in the changelog as released."""
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    newest = re.search(r"^## \[(.+?)\](.*?)^#", changelog, re.MULTILINE | re.DOTALL)
    assert newest is not None
    version = apertis.__version__
    released = re.fullmatch(r"[\d.]+", version) is not None
    (status,) = [each for each in PROJECT["classifiers"] if each.startswith("Development Status")]
    assert status.endswith("5 - Production/Stable" if released else "4 - Beta")
    assert newest[1] == (version if released else "Unreleased")
    assert version in newest[0]


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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    pytest.importorskip("hatchling", reason="the build backend is not installed here")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_has_the_package_the_marker_and_the_examples(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    sources = {path.relative_to(ROOT / "src") for path in (ROOT / "src/apertis").rglob("*.py")}
    examples = {path.name for path in (ROOT / "examples").glob("*.py")}
    assert {str(path) for path in sources} <= names
    assert {f"apertis/examples/{name}" for name in examples} <= names
    assert "apertis/py.typed" in names
    assert not any(name.startswith("tests/") or "__pycache__" in name for name in names)


def test_what_an_index_shows_of_it_leads_nowhere_wrong(wheel: zipfile.ZipFile) -> None:
    (name,) = [each for each in wheel.namelist() if each.endswith(".dist-info/METADATA")]
    metadata = email.message_from_bytes(wheel.read(name))
    text = metadata.get_payload()
    assert isinstance(text, str)
    assert "# Apertis" in text
    assert "## The gateway" in text
    assert "terminal.svg" not in text
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert "<https://apertis.ai/token>" in text
    assert [target for target in targets if not target.startswith("https://")] == []
    assert "why (`docs/why.md`)" in text
    assert metadata.get_all("Project-URL")
    assert metadata["Author-Email"]
    classifiers = metadata.get_all("Classifier") or []
    for minor in range(11, 16):
        assert f"Programming Language :: Python :: 3.{minor}" in classifiers


CLONE = {"url": "file:///home/ann/a%20clone", "dir_info": {}}


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (CLONE, "pip install '/home/ann/a clone[cli]'"),
        ({**CLONE, "dir_info": {"editable": True}}, "pip install -e '/home/ann/a clone[cli]'"),
        (
            {"url": "https://example.com/apertis.git", "vcs_info": {"vcs": "git"}},
            "pip install 'apertis[cli] @ git+https://example.com/apertis.git'",
        ),
        (
            {"url": "file:///tmp/apertis-1.whl", "archive_info": {}},
            "pip install 'apertis[cli] @ file:///tmp/apertis-1.whl'",
        ),
        (None, f"pip install 'apertis[cli]=={apertis.__version__}'"),
    ],
)
def test_an_extra_is_added_from_where_the_package_came(
    origin: dict[str, Any] | None, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = None if origin is None else json.dumps(origin)
    found = SimpleNamespace(read_text=lambda _: recorded)
    monkeypatch.setattr("apertis.installation.distribution", lambda _: found)
    assert install_command("cli") == command


def test_an_extra_of_what_is_not_installed_comes_from_a_clone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("apertis.installation.distribution", missing)
    assert install_command("cli") == "pip install '.[cli]' (in a clone of Apertis)"


def test_every_dependency_has_its_sentence() -> None:
    why = (ROOT / "docs" / "why.md").read_text("utf-8")
    extras: list[list[str]] = list(PROJECT["optional-dependencies"].values())
    requirements = [*PROJECT["dependencies"], *(each for extra in extras for each in extra)]
    names = {re.split(r"[<>=!~;\[ ]", requirement)[0] for requirement in requirements} - {"apertis"}
    assert len(names) > 10
    assert {name for name in names if f"| `{name}` |" not in why} == set()
