"""What each command says where only some of the extras are installed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from apertis.cli.exit_codes import ExitCode

PROJECT = Path(__file__).parents[2] / "pyproject.toml"

RUN = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Without())
from apertis.cli.group import run
sys.exit(run({arguments!r}))
"""


def extra(name: str) -> set[str]:
    """The modules that an extra brings itself."""
    extras = tomllib.loads(PROJECT.read_text("utf-8"))["project"]["optional-dependencies"]
    names = {re.split(r"[^\w-]", requirement)[0].replace("-", "_") for requirement in extras[name]}
    return names - {"apertis"}


def test_the_gateways_libraries_are_known() -> None:
    assert {"sqlalchemy", "uvloop", "starlette"} <= extra("gateway")


@pytest.mark.parametrize(
    "arguments",
    [
        *("usage", "usage --csv", "config show", "config check", "keys list", "serve", "doctor"),
        *("keys create --name ci", "keys rotate ci", "keys delete ci --yes"),
    ],
)
def test_without_the_gateways_libraries_a_command_says_what_is_missing(
    arguments: str, environment: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(missing=extra("gateway"), arguments=arguments.split())],
        env={k: v for k, v in environment.items() if not k.startswith("APERTIS_")}
        | {"APERTIS_DATA": str(tmp_path / "data")},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (ExitCode.CONFIGURATION, ""), done.stderr
    [line] = done.stderr.splitlines()
    assert re.match(r"apertis: this command needs \w+: .*\[gateway\]", line)


@pytest.mark.parametrize("arguments", ["ask Hello", "models"])
def test_asking_needs_none_of_them(arguments: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(missing=extra("gateway"), arguments=arguments.split())],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
