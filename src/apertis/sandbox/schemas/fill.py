"""A value for a JSON Schema, from a prompt's words where they fit and from the schema where not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from apertis.sandbox.inert import (
    inert_flags,
    inert_numbers,
    is_formula,
    is_run,
    modest_first,
    suggested,
)
from apertis.sandbox.schemas.check import fits, property_schemas, same
from apertis.sandbox.schemas.references import variants
from apertis.sandbox.schemas.strings import inert_candidates, is_said, string_candidates
from apertis.sandbox.values import JsonObject, is_array, is_number
from apertis.sandbox.vocabulary import Words, stems

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MAX_TRIES = 60
# From here on only what is required is filled, and later nothing at all.
_SPARSE_DEPTH = 6
_DEEPEST = 20
_MAX_ITEMS = 1000
_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")


@dataclass(slots=True)
class _Budget:
    """A budget of parts to fill: some schemas cannot be satisfied by any number of attempts."""

    left: int = 5_000


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of a value: the schema as a whole, its name, and its depth.

    `acts` says that a program carries the value out: then it must do nothing, and the prompt's
    words are not heard.
    """

    root: object
    words: Words
    budget: _Budget
    name: str = ""
    depth: int = 0
    acts: bool = False

    def item(self) -> _Place:
        return replace(self, depth=self.depth + 1)

    def inside(self, name: str, schema: object) -> _Place:
        acts = self.acts or is_run(name, schema) or (is_formula(name) and not self.words.maths)
        words = _UNHEARD if acts else self.words
        return replace(self, name=name, depth=self.depth + 1, acts=acts, words=words)


_UNHEARD = Words("")


class _NothingFitsError(Exception):
    """No value was found."""


def fill(schema: object, words: Words, acts: bool = False) -> Any:
    """Return a value that fits the schema, if one can be found; else the nearest one.

    The prompt's own words come first, then `default` and `examples`, then the plainest value. What
    a program would run (see `apertis.sandbox.inert`), and all of it when it `acts`, holds no words
    of the prompt and does nothing.
    """
    place = _Place(schema, _UNHEARD if acts else words, _Budget(), acts=acts)
    try:
        return _best(schema, place)
    except _NothingFitsError:
        return next(_candidates(schema, place), None)


def _best(schema: object, place: _Place) -> Any:
    place.budget.left -= 1
    if place.budget.left < 0:
        raise _NothingFitsError
    for value in islice(_candidates(schema, place), _MAX_TRIES):
        if fits(value, schema, place.root):
            return value
    raise _NothingFitsError


def _candidates(schema: object, place: _Place) -> Iterator[Any]:
    if place.depth > _DEEPEST:
        return
    flat = list(variants(schema, place.root))
    if place.depth > _SPARSE_DEPTH:
        flat.sort(key=_weight)
    # A null is the last resort: what says something is better.
    empty = [variant for variant in flat if variant.get("type") == "null"]
    rest = [variant for variant in flat if variant.get("type") != "null"]
    others = _in_turn(rest, place)
    yield from islice(others, _MAX_TRIES // 2)
    yield from _in_turn(empty, place)
    yield from others


def _in_turn(flat: list[JsonObject], place: _Place) -> Iterator[Any]:
    streams = [_of_variant(variant, place) for variant in flat]
    while streams:
        going: list[Iterator[Any]] = []
        for stream in streams:
            value = next(stream, _END)
            if value is not _END:
                yield value
                going.append(stream)
        streams = going


_END = object()


def _weight(variant: JsonObject) -> int:
    """Rank scalars before arrays before objects: so a recursive schema comes to an end."""
    kinds = _types(variant)
    return max((2 - min(2, _TYPES.index(kind)) for kind in kinds[:1]), default=0)


def _types(variant: JsonObject) -> list[str]:
    named = variant.get("type")
    if isinstance(named, str):
        return [named]
    if is_array(named):
        return sorted((str(kind) for kind in named), key="null".__eq__)
    keywords = (
        ("properties", "object"),
        ("required", "object"),
        ("items", "array"),
        ("prefixItems", "array"),
        ("minItems", "array"),
        ("minimum", "number"),
        ("maximum", "number"),
        ("minProperties", "object"),
    )
    implied = [kind for keyword, kind in keywords if keyword in variant]
    return [*dict.fromkeys(implied), *(["string", *_TYPES] if not implied else [])]


def _of_variant(variant: JsonObject, place: _Place) -> Iterator[Any]:
    if "const" in variant:
        yield variant["const"]
        return
    if is_array(variant.get("enum")):
        yield from _of_enum(variant["enum"], place)
        return
    if place.acts:
        yield from suggested(variant)
    for kind in _types(variant):
        if kind == "object":
            yield from _objects(variant, place)
        elif kind == "array":
            yield from _arrays(variant, place)
        elif kind == "string":
            made = inert_candidates if place.acts else string_candidates
            yield from made(variant, place.name, place.words)
        elif kind in ("integer", "number"):
            said = inert_numbers(place.name) if place.acts else place.words.numbers
            yield from number_candidates(variant, kind, said)
        elif kind == "boolean":
            yield from _flags(place)
        else:
            yield None


def _flags(place: _Place) -> tuple[bool, bool]:
    if place.acts:
        return inert_flags(place.name)
    said = bool(stems(place.name) & place.words.stems)
    return (said, not said)


def _of_enum(allowed: list[Any], place: _Place) -> Iterator[Any]:
    if place.acts:
        yield from modest_first(allowed)
        return
    yield from (value for value in allowed if is_said(value, place.words))
    yield from allowed


def _objects(variant: JsonObject, place: _Place) -> Iterator[JsonObject]:
    required = [str(name) for name in variant.get("required", ())]
    known = [str(name) for name in variant.get("properties", {})]
    sparse = place.depth > _SPARSE_DEPTH
    said = [] if sparse else [name for name in known if _has_evidence(name, variant, place)]
    choices = ([*required, *said], required, [*required, *known])
    for names in dict.fromkeys(tuple(dict.fromkeys(names)) for names in choices):
        yield from _object_of(list(names), variant, place)


def _object_of(names: list[str], variant: JsonObject, place: _Place) -> Iterator[JsonObject]:
    value: JsonObject = {}
    for name in _with_dependents(names, variant):
        schemas = property_schemas(name, variant)
        schema = schemas[0] if len(schemas) == 1 else {"allOf": schemas}
        try:
            value[name] = _best(schema, place.inside(name, schema))
        except _NothingFitsError:
            if name in variant.get("required", ()):
                return
    missing = min(int(variant.get("minProperties", 0)), _MAX_ITEMS) - len(value)
    for number in range(1, missing + 1):
        name = f"item{number}"
        if name not in value:
            value[name] = _extra(name, variant, place)
    yield value


def _with_dependents(names: list[str], variant: JsonObject) -> list[str]:
    found = list(names)
    for name in found:
        needed = variant.get("dependentRequired", {}).get(name, ())
        found += [str(other) for other in needed if other not in found]
    return found


def _extra(name: str, variant: JsonObject, place: _Place) -> Any:
    try:
        schema = variant.get("additionalProperties", True)
        return _best(schema, place.inside(name, schema))
    except _NothingFitsError:
        return None


def _has_evidence(name: str, variant: JsonObject, place: _Place) -> bool:
    """Return whether the prompt says something about an optional property."""
    schema = variant["properties"][name]
    place = place.inside(name, schema)
    for flat in variants(schema, place.root):
        if "const" in flat or flat.get("enum"):
            allowed = flat["enum"] if is_array(flat.get("enum")) else [flat.get("const")]
            if any(is_said(value, place.words) for value in allowed):
                return True
        elif "string" in _types(flat)[:1]:
            if next(string_candidates(flat, name, place.words, said_only=True), None) is not None:
                return True
        elif stems(name) & place.words.stems:
            return True
    return False


def _arrays(variant: JsonObject, place: _Place) -> Iterator[list[Any]]:
    first: list[Any] = variant.get("prefixItems") or []
    least = int(variant.get("minItems", 0))
    most = int(variant.get("maxItems", _MAX_ITEMS))
    sparse = place.depth > _SPARSE_DEPTH
    few = sparse or place.acts
    for size in dict.fromkeys((least if few else max(least, len(first), 1), least, 0)):
        try:
            items = [_best(part, place.item()) for part in first[:size]]
            rest = _items(variant, place, min(size, most, _MAX_ITEMS) - len(items), sparse)
        except _NothingFitsError:
            continue
        yield [*items, *rest]


def _items(variant: JsonObject, place: _Place, wanted: int, sparse: bool) -> list[Any]:
    """Fill so many items, more when the prompt names more; different ones when required."""
    schema = variant.get("items", True)
    contained = variant.get("contains")
    items: list[Any] = []
    if contained is not None:
        both = {"allOf": [contained, schema]}
        items = [_best(both, place.item()) for _ in range(int(variant.get("minContains", 1)))]
    most = int(variant.get("maxItems", _MAX_ITEMS)) - len(variant.get("prefixItems") or ())
    wanted = max(wanted, 0)
    if not sparse and "prefixItems" not in variant:
        wanted = max(wanted, min(most, _said_items(schema, place)))
    if variant.get("uniqueItems") or wanted > 1:
        items = _different(schema, place, items, wanted)
    while len(items) < wanted:
        if variant.get("uniqueItems"):
            raise _NothingFitsError
        items.append(_best(schema, place.item()))
    return items


def _said_items(schema: object, place: _Place) -> int:
    """Count the items of a list of strings that the prompt holds."""
    flat = next(variants(schema, place.root), None)
    if flat is not None and is_array(flat.get("enum")):
        return sum(is_said(value, place.words) for value in flat["enum"])
    if flat is None or flat.get("type") != "string" or flat.get("format"):
        return 0
    words = place.words
    return len(words.quoted) or len(words.names)


def _different(schema: object, place: _Place, items: list[Any], wanted: int) -> list[Any]:
    found = list(items)
    for value in islice(_candidates(schema, place.item()), _MAX_TRIES + 2 * wanted):
        if len(found) >= wanted:
            break
        new = not any(same(value, other) for other in found)
        if new and fits(value, schema, place.root):
            found.append(value)
    return found


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
