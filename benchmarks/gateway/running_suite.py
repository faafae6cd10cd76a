"""The whole gateway suite: installs what is missing, measures, gives its part of the results."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway import growth, suite
from gateway.limits import BareRelay, Nginx
from gateway.measuring import DIRECT, KILOBYTE, LOAD, bench
from gateway.ours import NAME as OURS
from gateway.ours import Ours
from gateway.peers import LiteLLM, Portkey
from gateway.results import NOT_INSTALLED, page, printed
from gateway.suite import IN_FLIGHT
from harness.environments import InstallError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.launching import Side

PARTS = (*suite.NAMES, *growth.TABLES)
_EVERYBODY: tuple[Side, ...] = (Ours(), LiteLLM(), Portkey(), BareRelay(), Nginx())
SIDES = tuple(side.name for side in _EVERYBODY)
# 1,000 streams are 2,000 connections of a gateway.
_OPEN_FILES = 8_192
_CEILING_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What is printed, and the part of RESULTS.md that holds the same."""

    printed: str
    page: str


def run(quick: bool, names: list[str], sides: list[str], tell: Callable[[str], None]) -> Measured:
    """Measure these parts of these sides, of ours in any case.

    A peer that cannot be installed is left out and named.
    """
    _allow_open_files()
    everybody: list[Side] = [side for side in _EVERYBODY if side.name in {OURS, *sides}]
    present, notes = _installed(everybody)
    with bench(quick) as running:
        ceiling = running.calls(DIRECT, KILOBYTE, _CEILING_SECONDS, IN_FLIGHT, counts_cpu=False)
        rows = suite.measure(running, present, names, tell)
        tables = list(growth.measure(running, names, tell))
        notes |= running.faults
    return Measured(
        printed(rows, tables, everybody, notes), page(rows, tables, everybody, notes, ceiling)
    )


def _installed(sides: list[Side]) -> tuple[list[Side], dict[str, str]]:
    LOAD.prepare()
    ours, *others = sides
    ours.prepare()
    present, notes = [ours], {}
    for side in others:
        try:
            side.prepare()
        except InstallError as error:
            notes[side.name] = f"{NOT_INSTALLED}: {' '.join(str(error).split())[-300:]}"
        else:
            present.append(side)
    return present, notes


def _allow_open_files() -> None:
    """Raise the limit for this process and the ones that it starts, as an operator would."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= _OPEN_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, hard))
