"""The gateway's part of RESULTS.md: the comparison, how ours grows, what was on, the machine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.measuring import LOAD
from gateway.rows import comparison_table
from gateway.suite import IN_FLIGHT
from harness.machine import describe
from harness.report import aligned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.growth import Table
    from gateway.launching import Side
    from gateway.measuring import Load
    from gateway.rows import GatewayRow

_INTRODUCTION = """\
`apertis serve` beside LiteLLM's proxy and Portkey's gateway, measured in one run by `make bench` on
{date}, in turns, on the same stub. Each gateway has one core; load generator and stub share the
other. A value is the median of the rounds, "our rounds" their lowest and highest; "times better" is
the median of the rounds' own quotients, with its spread. "Added" is the difference to direct calls
of the stub, taken in turns with them. A dash: it failed in a round, or is not there; a note says
why. [README.md](README.md) says what each row does."""

# How the note of a gateway begins that is not among the measured ones.
NOT_INSTALLED = "not measured, since it could not be installed"

_CEILING = """\
Load generator and stub together, on their one core and with no gateway between them, reach
{rate:,.0f} requests a second with {in_flight} in flight and 1 KB bodies. A row says so where they
were the limit."""


def page(
    rows: Sequence[GatewayRow],
    tables: Sequence[Table],
    sides: Sequence[Side],
    notes: Mapping[str, str],
    ceiling: Load,
) -> str:
    date = datetime.now(UTC).date().isoformat()
    return "\n\n".join(
        (
            _INTRODUCTION.format(date=date),
            printed(rows, tables, sides, notes),
            "### What was on",
            "\n".join(f"- {side.name}: {side.conditions}." for side in sides),
            "### Machine and versions of the gateways' measurements",
            "\n".join(f"- {name}: {value}" for name, value in _machine(sides, notes).items()),
            _CEILING.format(rate=ceiling.calls_a_second, in_flight=IN_FLIGHT),
        )
    )


def printed(
    rows: Sequence[GatewayRow],
    tables: Sequence[Table],
    sides: Sequence[Side],
    notes: Mapping[str, str],
) -> str:
    """The tables alone, for a terminal as well."""
    parts: list[str] = []
    if rows:
        parts.append(comparison_table(rows, [side.name for side in sides]))
    if notes:
        parts.append("\n".join(f"- {name}: {note}" for name, note in notes.items()))
    if tables:
        parts.append("### How the cost of ours grows")
    for table in tables:
        parts += [f"{table.title}:", aligned(table.lines)]
        parts += [table.note] if table.note else []
    return "\n\n".join(parts)


def _machine(sides: Sequence[Side], notes: Mapping[str, str]) -> dict[str, str]:
    described = describe() | {"pinned": "a gateway on one core, load and stub on another"}
    there = [side for side in sides if not notes.get(side.name, "").startswith(NOT_INSTALLED)]
    versions = {side.name: side.version for side in there}
    generator = ", ".join(f"{name} {version}" for name, version in LOAD.versions.items())
    return described | versions | {"load generator and stub": generator}
