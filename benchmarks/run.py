"""Measure the SDK beside anthropic's, print the table, write RESULTS.md and the README's rows.

Needs nothing but Python 3.11; it makes the environments that it measures under `.environments/`.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from harness.environments import BENCHMARKS, InstallError
from harness.processes import ProcessFailedError
from harness.report import table
from sdk.measuring import Bench, WrongAnswerError, running_stub, stub_limits
from sdk.readme import refreshed
from sdk.results import floor, page, stub_table
from sdk.sides import Sides
from sdk.suite import PARTS, Part

if TYPE_CHECKING:
    from harness.comparison import Row

RESULTS = BENCHMARKS / "RESULTS.md"
README = BENCHMARKS.parent / "README.md"
SMOKE_ROUNDS_DIVISOR = 6


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds; writes no RESULTS.md")
    parser.add_argument(
        "--only",
        choices=[part.name for part in PARTS],
        action="append",
        help="measure this part (may be repeated); writes no RESULTS.md",
    )
    return parser.parse_args()


def measure(bench: Bench, parts: list[Part]) -> list[Row]:
    rows: list[Row] = []
    for part in parts:
        started = time.perf_counter()
        print(f"Measuring {part.name} ...", end=" ", file=sys.stderr, flush=True)
        rows += part.rows(bench)
        print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    return rows


def run(quick: bool, only: list[str] | None) -> None:
    sides = Sides()
    sides.prepare()
    parts = [part for part in PARTS if only is None or part.name in only]
    with running_stub() as (port, loop):
        limits = stub_limits(port)
        bench = Bench(sides, port, SMOKE_ROUNDS_DIVISOR if quick else 1)
        rows = measure(bench, parts)
    print(table(rows), stub_table(limits, loop), floor(limits), sep="\n\n")
    if not quick and only is None:
        results = page(rows, sides, limits, loop)
        RESULTS.write_text(results, encoding="utf-8")
        README.write_text(refreshed(README.read_text(encoding="utf-8"), results), encoding="utf-8")
        print(f"\nWritten to {RESULTS.name}, and the README's table from it.")


def main() -> int:
    chosen = arguments()
    try:
        run(chosen.quick, chosen.only)
    except (InstallError, ProcessFailedError, WrongAnswerError) as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
