"""Numbers for a JSON Schema."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING

from apertis.sandbox.values import JsonObject, is_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MORE = 64


def number_candidates(
    schema: JsonObject, kind: str, said: Iterable[int | float]
) -> Iterator[int | float]:
    """Yield numbers for the schema: those in the prompt, its own, then those in its bounds."""
    whole = kind == "integer"
    for number in (*said, *_suggested(schema)):
        if not whole or number % 1 == 0:
            yield int(number) if whole else number
    step = schema.get("multipleOf", 1)
    step = step if is_number(step) and step > 0 else 1
    steps = _in_bounds(schema, _whole_step(step) if whole else step)
    yield from islice(steps, 2)
    yield from _between(schema, whole)
    yield from steps


def _suggested(schema: JsonObject) -> Iterator[int | float]:
    values = (schema.get("default"), *(schema.get("examples") or ()))
    yield from (value for value in values if is_number(value))


def _whole_step(step: float) -> int | float:
    """Return the least integer multiple of a step, for integers with a fractional `multipleOf`."""
    return next((step * n for n in range(1, 1001) if step * n % 1 == 0), step)


def _in_bounds(schema: JsonObject, step: float) -> Iterator[int | float]:
    low, high = _bounds(schema)
    if low is not None:
        start = math.ceil(low / step)
        numbers: Iterator[int] = iter(range(start, start + _MORE))
    elif high is not None:
        start = math.floor(high / step)
        numbers = iter(range(start, start - _MORE, -1))
    else:
        numbers = iter(range(1, _MORE))
    for number in numbers:
        value = number * step
        yield int(value) if value % 1 == 0 and abs(value) < 2**53 else value


def _between(schema: JsonObject, whole: bool) -> Iterator[int | float]:
    """Yield the middle of a range that is narrower than a step."""
    low, high = _bounds(schema)
    if whole or low is None:
        return
    top = low + 1 if high is None else high
    yield low + (top - low) / 2
    yield low + (top - low) / 3
    yield from (low, top)


def _bounds(schema: JsonObject) -> tuple[int | float | None, int | float | None]:
    lows = [schema[name] for name in ("minimum", "exclusiveMinimum") if is_number(schema.get(name))]
    highs = [
        schema[name] for name in ("maximum", "exclusiveMaximum") if is_number(schema.get(name))
    ]
    return max(lows, default=None), min(highs, default=None)
