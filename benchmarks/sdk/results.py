"""The results as a page: the table, the machine, the stub's own numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.machine import describe
from harness.report import aligned, table
from sdk.sides import STUB, Sides

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.comparison import Row

_INTRODUCTION = """\
`apertis` beside `anthropic`, measured in one run by `make bench` on {date}, in turns.
Microseconds are CPU time of the client process (user and system, all its threads), divided by
the calls or by the deltas of the stream. A value is the median of the rounds; "ratio" is the
median of the rounds' own ratios, and the spread is their lowest and highest. Only the ratios carry
over to other machines. [README.md](README.md) says what each row does."""

_STUB = """\
No client can cost less than a plain socket that sends and reads the same bytes and understands none
of them: {call:.0f} µs a call, {packet:.1f} µs an event in packets of their own ({a_read:.2f}
events a read) and {burst:.2f} µs in bursts."""


def page(rows: Sequence[Row], sides: Sides, limits: Mapping[str, Any], loop: str) -> str:
    date = datetime.now(UTC).date().isoformat()
    return "\n\n".join(
        (
            _INTRODUCTION.format(date=date),
            table(rows),
            "### Machine and versions of the SDK's measurements",
            "\n".join(f"- {name}: {value}" for name, value in machine(sides).items()),
            "### The stub is no bottleneck",
            stub_table(limits, loop),
            floor(limits) + "\n",
        )
    )


def machine(sides: Sides) -> dict[str, str]:
    environments = (sides.ours.environment, sides.theirs.environment, STUB)
    return describe() | {
        f"{environment.name}'s environment": ", ".join(
            f"{name} {version}" for name, version in environment.versions.items()
        )
        for environment in environments
    }


def stub_table(limits: Mapping[str, Any], loop: str) -> str:
    saturated = limits["saturated"]
    return aligned(
        [
            (f"one process on one core, {loop}", ""),
            ("calls a second, 64 plain sockets", f"{saturated['calls_a_second']:,.0f}"),
            ("its CPU a call", f"{saturated['stub_cpu_a_call'] * 1e6:.1f} µs"),
            (
                "events a second in bursts, one socket",
                f"{limits['bursts']['events_a_second']:,.0f}",
            ),
            ("events a second in packets, paced", f"{limits['packets']['events_a_second']:,.0f}"),
        ]
    )


def floor(limits: Mapping[str, Any]) -> str:
    return _STUB.format(
        call=limits["call_cpu"] * 1e6,
        packet=limits["packets"]["cpu_an_event"] * 1e6,
        a_read=limits["packets"]["a_read"],
        burst=limits["bursts"]["cpu_an_event"] * 1e6,
    )
