"""`apertis serve --workers`: what it shows and prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from apertis.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.processes import Served


@pytest.mark.skipif(sys.platform == "win32", reason="workers need POSIX")
def test_it_announces_once_with_the_key_that_was_made_once(launch: Callable[..., Served]) -> None:
    served = launch("--data", "data", "--workers", "3")
    first = served.out.next(lambda line: line.startswith("Serving"))
    served.out.next(lambda line: line == "Workers: 3 processes\n")
    key = served.out.next(lambda line: "APERTIS_API_KEY=" in line)
    served.base_url = first.split()[-1]
    served.api_key = key.rpartition("APERTIS_API_KEY=")[2].strip().strip("'")
    assert served.ask().status == 200
    assert served.stop() == ExitCode.OK
    assert sum("Serving" in line for line in served.out.all()) == 1


def test_one_process_is_as_it_was(launch: Callable[..., Served]) -> None:
    served = launch("--data", "data", "--workers", "1")
    served.out.next(lambda line: line.startswith("Ctrl-C"))
    assert served.stop() == ExitCode.OK
    assert not any("Workers:" in line for line in served.out.all())
    assert not any("worker" in line for line in served.log())


def test_none_at_all_are_wrong_arguments(launch: Callable[..., Served]) -> None:
    assert launch("--workers", "0").wait() == ExitCode.USAGE
