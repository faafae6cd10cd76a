"""Python environments of the benchmarks' own, kept while what they hold is unchanged."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[1]
PROJECT = BENCHMARKS.parent
ENVIRONMENTS = BENCHMARKS / ".environments"
INSTALL_SECONDS = 600

# What a wheel of this project is built from.
_SOURCES = ("src", "examples", "pyproject.toml", "README.md", "LICENSE")
_NOT_THE_PRODUCT = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence")


class InstallError(Exception):
    """An environment could not be made; the message holds the installer's own words."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment under `.environments`, with these requirements and no others."""

    name: str
    requirements: tuple[str, ...]

    @property
    def directory(self) -> Path:
        return ENVIRONMENTS / self.name

    @property
    def python(self) -> Path:
        folder, program = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
        return self.directory / folder / program

    def prepare(self) -> None:
        """Make the environment, unless one with the same requirements and sources is there."""
        wanted = json.dumps(self._description())
        record = self.directory / "requirements.json"
        if record.is_file() and record.read_text(encoding="utf-8") == wanted:
            return
        print(f"Making the environment for {self.name}", file=sys.stderr)
        shutil.rmtree(self.directory, ignore_errors=True)
        run_tool([sys.executable, "-m", "venv", str(self.directory)])
        install = [
            str(self.python),
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--quiet",
        ]
        # From the project's root, so that "." among the requirements means the checkout.
        self._install(install)
        record.write_text(wanted, encoding="utf-8")

    def _install(self, command: list[str]) -> None:
        run_tool([*command, *self.requirements])

    @cached_property
    def versions(self) -> dict[str, str]:
        """The installed distributions and their versions."""
        listing = run_tool([str(self.python), "-m", "pip", "list", "--format=json"])
        return {
            entry["name"]: entry["version"]
            for entry in json.loads(listing)
            if entry["name"] not in {"pip", "setuptools"}
        }

    def installed_bytes(self, *, compiled: bool) -> int:
        """Bytes of all files in site-packages but pip's; with or without `__pycache__`."""
        (site_packages,) = self.directory.glob("[Ll]ib/**/site-packages")
        entries = (e for e in site_packages.iterdir() if not e.name.startswith(_NOT_THE_PRODUCT))
        skipped = "" if compiled else "__pycache__"
        return sum(tree_bytes(entry, skipped) for entry in entries)

    def _description(self) -> dict[str, object]:
        from_checkout = any(wanted.startswith(".") for wanted in self.requirements)
        sources = _fingerprint() if from_checkout else None
        return {"requirements": self.requirements, "sources": sources, "python": sys.version}


@dataclass(frozen=True)
class NodeEnvironment:
    """Packages of npm under `.environments`; without `scripts`, none of theirs runs."""

    name: str
    dependencies: dict[str, str]
    overrides: dict[str, str] = field(default_factory=dict)
    scripts: bool = True

    @property
    def directory(self) -> Path:
        return ENVIRONMENTS / self.name

    @property
    def modules(self) -> Path:
        return self.directory / "node_modules"

    def prepare(self) -> None:
        """Make the environment, unless one with the same dependencies is there."""
        wanted = json.dumps({"dependencies": self.dependencies, "overrides": self.overrides})
        record = self.directory / "requirements.json"
        if record.is_file() and record.read_text(encoding="utf-8") == wanted:
            return
        npm, node = shutil.which("npm"), shutil.which("node")
        if npm is None or node is None:
            raise InstallError("it needs Node.js and npm, and they are not installed")
        print(f"Making the environment for {self.name}", file=sys.stderr)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        (self.directory / "package.json").write_text(wanted, encoding="utf-8")
        options = ["--no-audit", "--no-fund", "--loglevel", "error"]
        options += [] if self.scripts else ["--ignore-scripts"]
        run_tool([npm, "install", "--prefix", str(self.directory), *options])
        record.write_text(wanted, encoding="utf-8")

    def version(self, package: str) -> str:
        """The version of a package that is installed."""
        text = (self.modules / package / "package.json").read_text(encoding="utf-8")
        version: str = json.loads(text)["version"]
        return version


def clean_environ() -> dict[str, str]:
    """The process environment without what would change how Python or an SDK behaves."""
    dropped = ("PYTHON", "ANTHROPIC_", "APERTIS_", "VIRTUAL_ENV")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(dropped) and not name.upper().endswith("_PROXY")
    }


def run_tool(command: list[str]) -> str:
    """What an installer prints, run from the project's root; `InstallError` when it fails."""
    environ = {n: v for n, v in os.environ.items() if not n.startswith(("PYTHON", "VIRTUAL_ENV"))}
    said = " ".join(command[1:])
    try:
        done = subprocess.run(
            command,
            cwd=PROJECT,
            env=environ,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InstallError(f"{said} took more than {INSTALL_SECONDS} seconds") from None
    if done.returncode:
        # venv explains itself on standard output, pip on standard error.
        raise InstallError(f"{said} failed:\n{done.stdout.strip()}\n{done.stderr.strip()}")
    return done.stdout


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for source in _SOURCES:
        root = PROJECT / source
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(PROJECT)).encode() + b"\0")
                digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def tree_bytes(root: Path, skipped: str = "") -> int:
    """Bytes of all files below a folder, but for those in folders of one name."""
    if root.is_file():
        return root.stat().st_size
    files = (path for path in root.rglob("*") if skipped not in path.parts)
    return sum(path.stat().st_size for path in files if path.is_file())
