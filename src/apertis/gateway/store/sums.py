"""Each single record's part in the sums and histograms, where these are added up from records."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, literal

from apertis.gateway.store.booking import FIRST_FAILURE, TIMED
from apertis.gateway.store.histogram import BOUNDS_MS
from apertis.gateway.store.schema import SUMS, usage

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement


def sums_of_records() -> list[ColumnElement[Any]]:
    """Return what each record adds to `SUMS`."""
    counted: dict[str, ColumnElement[Any]] = {
        "requests": literal(1),
        "failed": case((usage.c.status >= FIRST_FAILURE, 1), else_=0),
        **{
            name: case((usage.c[name], 1), else_=0)
            for name in ("cached", "estimated", "interrupted")
        },
    }
    return [counted[name] if name in counted else usage.c[name] for name in SUMS]


def counts_of_records(ms: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """Return what each record adds to a histogram."""
    is_timed = and_(usage.c.kind == TIMED, usage.c.status < FIRST_FAILURE)
    counts: list[ColumnElement[Any]] = []
    for low, high in pairwise((None, *BOUNDS_MS, None)):
        within = [is_timed, ms.is_not(None)]
        if low is not None:
            within.append(ms >= low)
        if high is not None:
            within.append(ms < high)
        counts.append(case((and_(*within), 1), else_=0))
    return counts
