"""Measure the SDK and the gateway beside others, print tables, write RESULTS.md and the README's.

Needs nothing but Python 3.11; it makes the environments that it measures under `.environments/`.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from harness.environments import BENCHMARKS, InstallError
from harness.processes import (
    ProcessFailedError,
    UnsupportedMachineError,
    WrongAnswerError,
    cores,
)
from harness.published import refreshed, replaced
from harness.report import table
from sdk.measuring import Bench, running_stub, stub_limits
from sdk.results import floor, page, stub_table
from sdk.sides import Sides
from sdk.suite import PARTS

if TYPE_CHECKING:
    from harness.comparison import Row

RESULTS = BENCHMARKS / "RESULTS.md"
README = BENCHMARKS.parent / "README.md"
SMOKE_ROUNDS_DIVISOR = 6


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    suites = ("sdk", "gateway", "budgets", "console", "all")
    parser.add_argument("suite", nargs="?", choices=suites, default="all", help="[default: all]")
    parser.add_argument("--quick", action="store_true", help="few rounds; writes no RESULTS.md")
    parser.add_argument(
        "--only",
        action="append",
        metavar="PART",
        help="measure this part of one suite (may be repeated); writes no RESULTS.md",
    )
    parser.add_argument(
        "--side",
        action="append",
        metavar="NAME",
        help="measure this side of the gateway's suite (may be repeated); writes no RESULTS.md",
    )
    return parser.parse_args()


def chosen_parts(only: list[str] | None, there: tuple[str, ...], what: str = "part") -> list[str]:
    wrong = [name for name in only or () if name not in there]
    if wrong:
        raise SystemExit(f"no {what} is named {wrong[0]!r}; there are {', '.join(there)}")
    return list(only or there)


def run_sdk(quick: bool, only: list[str] | None) -> str:
    names = chosen_parts(only, tuple(part.name for part in PARTS))
    sides = Sides()
    sides.prepare()
    tell = Progress()
    with running_stub() as (port, loop):
        limits = stub_limits(port)
        bench = Bench(sides, port, SMOKE_ROUNDS_DIVISOR if quick else 1)
        rows: list[Row] = []
        for part in PARTS:
            if part.name in names:
                tell(part.name)
                rows += part.rows(bench)
    tell("")
    print(table(rows), stub_table(limits, loop), floor(limits), sep="\n\n")
    return page(rows, sides, limits, loop)


def run_gateway(quick: bool, only: list[str] | None, sides: list[str] | None) -> str:
    check_machine()
    # It needs Linux down to its imports.
    from gateway.running_suite import PARTS as GATEWAY_PARTS
    from gateway.running_suite import SIDES, run

    names = chosen_parts(only, GATEWAY_PARTS)
    chosen = chosen_parts(sides, SIDES, "side")
    tell = Progress()
    measured = run(quick, names, chosen, tell)
    tell("")
    print(measured.printed)
    return measured.page


def run_budgets(quick: bool, only: list[str] | None) -> str:
    check_machine()
    from gateway.budgets import PARTS as BUDGET_PARTS
    from gateway.budgets import run

    names = chosen_parts(only, BUDGET_PARTS)
    tell = Progress()
    measured = run(quick, names, tell)
    tell("")
    print(measured.printed)
    return measured.page


def run_console(quick: bool, only: list[str] | None) -> str:
    check_machine()
    from gateway.console import PARTS as CONSOLE_PARTS
    from gateway.console import run

    names = chosen_parts(only, CONSOLE_PARTS)
    tell = Progress()
    measured = run(quick, names, tell)
    tell("")
    print(measured.printed)
    return measured.page


def check_machine() -> None:
    if sys.platform != "linux" or cores() is None:
        raise UnsupportedMachineError("the gateways' suites need Linux and two cores")


class Progress:
    """Says on standard error what is measured now, and how long the last part took."""

    def __init__(self) -> None:
        self._started: float | None = None

    def __call__(self, name: str) -> None:
        """Another part begins; an empty name ends the last one."""
        if self._started is not None:
            print(f"{time.perf_counter() - self._started:.0f} s", file=sys.stderr)
        if name:
            print(f"Measuring {name} ...", end=" ", file=sys.stderr, flush=True)
        self._started = time.perf_counter()


def publish(suite: str, part: str) -> None:
    results = RESULTS.read_text(encoding="utf-8") if RESULTS.is_file() else ""
    RESULTS.write_text(replaced(results, suite, part), encoding="utf-8")
    README.write_text(refreshed(README.read_text(encoding="utf-8"), part, suite), encoding="utf-8")
    print(f"\nWritten to {RESULTS.name}, and the README's table from it.\n")


def main() -> int:
    chosen = arguments()
    if chosen.only and chosen.suite == "all":
        raise SystemExit("--only needs a suite: sdk, gateway, budgets or console")
    if chosen.side and chosen.suite != "gateway":
        raise SystemExit("--side is for the suite gateway")
    try:
        for name in ("sdk", "gateway", "budgets", "console"):
            if chosen.suite not in {name, "all"}:
                continue
            if name == "sdk":
                part = run_sdk(chosen.quick, chosen.only)
            elif name == "budgets":
                part = run_budgets(chosen.quick, chosen.only)
            elif name == "console":
                part = run_console(chosen.quick, chosen.only)
            else:
                part = run_gateway(chosen.quick, chosen.only, chosen.side)
            if not (chosen.quick or chosen.only or chosen.side):
                publish(name, part)
    except (
        InstallError,
        ProcessFailedError,
        UnsupportedMachineError,
        WrongAnswerError,
    ) as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
