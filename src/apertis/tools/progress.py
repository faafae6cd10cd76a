"""The progress of a run, as a callback or a bar is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from apertis.progress import reporter
from apertis.tools.loop import total_tokens

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from apertis.tools.loop import Run


class RunProgress(msgspec.Struct, frozen=True, kw_only=True):
    """A run after one of its steps: a response, or a call that has finished."""

    turns: int
    calls: int
    calls_finished: int
    total_tokens: int
    cost: Decimal | None
    seconds: float


def progress_of(run: Run, seconds: float) -> RunProgress:
    """Return how far a run is."""
    over = sum(call.status == "finished" for call in run.calls)
    return RunProgress(
        turns=run.turns,
        calls=len(run.records) + len(run.calls),
        calls_finished=len(run.records) + over,
        total_tokens=total_tokens(run.usage),
        cost=run.cost,
        seconds=seconds,
    )


def progress_reporter(wish: Any) -> Callable[[RunProgress], Any] | None:
    """Return the function that is told; for True one that draws a bar by `tqdm`."""
    return reporter(wish, "RunProgress", "calls", _draw)


def _draw(bar: Any, progress: RunProgress) -> None:
    bar.total, bar.n = progress.calls, progress.calls_finished
    cost = "?" if progress.cost is None else f"${progress.cost:.4f}"
    bar.set_postfix(turns=progress.turns, tokens=progress.total_tokens, cost=cost)
