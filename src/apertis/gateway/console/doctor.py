"""The doctor: checks of everything that the settings name, made when somebody asks for them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apertis.gateway.console.pages import Done, Page, Place
from apertis.gateway.doctor import diagnose
from apertis.gateway.errors import access_denied
from apertis.gateway.finding import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.gateway.console.pages import Asked, Parts, Response
    from apertis.gateway.finding import Finding

WORDS: Mapping[State, tuple[str, str]] = {
    State.OK: ("ok", "good"),
    State.WARN: ("look at it", "warn"),
    State.FAIL: ("fails", "bad"),
}
_PAGE = "doctor"
_ADMINISTRATORS_ONLY = access_denied("Only an administrator lets the doctor look.")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings of one look, when it was (Unix seconds), and how long it took."""

    at: float
    seconds: float
    findings: tuple[Finding, ...]

    def count(self, state: State) -> int:
        """Count the findings that are so severe."""
        return sum(finding.state is state for finding in self.findings)


async def see(parts: Parts, asked: Asked) -> Page:
    """Show what was found the last time."""
    looking: asyncio.Task[Diagnosis] | None = parts.kept.get(_PAGE)
    last = None
    if looking is not None and looking.done():
        last = looking.result()
    return Page(
        "doctor.html",
        "Doctor",
        {
            "last": last,
            "is_looking": looking is not None and not looking.done(),
            "words": WORDS,
            "problems": 0 if last is None else last.count(State.FAIL),
            "warnings": 0 if last is None else last.count(State.WARN),
            "may_ask": asked.viewer.is_administrator,
        },
    )


async def look(parts: Parts, asked: Asked) -> Response:
    """Check everything now; whoever asks meanwhile waits for the same."""
    if not asked.viewer.is_administrator:
        return _ADMINISTRATORS_ONLY
    looking: asyncio.Task[Diagnosis] | None = parts.kept.get(_PAGE)
    if looking is None or looking.done():
        looking = parts.kept[_PAGE] = asyncio.get_running_loop().create_task(_diagnosis(parts))
    try:
        # Whoever leaves does not take it from those who wait.
        found = await asyncio.shield(looking)
    except Exception:
        if parts.kept.get(_PAGE) is looking:
            del parts.kept[_PAGE]
        raise
    return Done("/console/doctor", f"Checked {len(found.findings)} things.")


async def _diagnosis(parts: Parts) -> Diagnosis:
    at, began = parts.now(), time.perf_counter()
    findings = await diagnose(parts.settings())
    return Diagnosis(at, time.perf_counter() - began, findings)


PLACES = (Place("/doctor", "doctor", see, look),)
