"""The tests of the project's own SDK hold with a gateway between the SDK and their servers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PLUGIN = HERE / "plugins" / "through_gateway.py"


def through_gateway(*arguments: str) -> tuple[int, str]:
    """Run suites with every server of theirs behind a gateway; how many passed, and the output."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", PLUGIN.stem, "-p", "no:cacheprovider"),
            *("-q", "--tb=short", *arguments),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(PLUGIN.parent)},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    counted = re.search(r"(\d+) passed,.* (\d+) deselected", done.stdout)
    assert counted is not None, done.stdout[-5000:] + done.stderr
    assert done.returncode == 0, done.stdout[-5000:]
    return int(counted[1]), done.stdout


SUITES = ("tests/clients", "tests/conformance")


def test_the_suites_of_the_sdk_pass_through_a_gateway() -> None:
    passed, output = through_gateway("-m", "not corpus", *SUITES)
    assert passed > 700, output


@pytest.mark.corpus
def test_the_recorded_exchanges_pass_through_a_gateway() -> None:
    passed, output = through_gateway("-m", "corpus", *SUITES)
    assert passed > 180, output
