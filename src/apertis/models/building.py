"""The slow road from JSON to models: decoded JSON -> models, open to what no class knows."""

from __future__ import annotations

from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin

import msgspec

from apertis.models.model import Model, Tagged, Unknown, attach_unknown


class Malformed(ValueError):
    """JSON is not what it has to be; `reason` names the place and what is wrong there."""

    def __init__(self, problem: str, place: tuple[str | int, ...] = ()) -> None:
        self.problem = problem
        self.place = place
        super().__init__(problem, place)

    def __str__(self) -> str:
        return self.reason

    @property
    def reason(self) -> str:
        """For example `usage.output_tokens: expected int, got str`."""
        steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.place]
        path = "".join(steps).removeprefix(".")
        return f"{path}: {self.problem}" if path else self.problem

    def inside(self, step: str | int) -> Malformed:
        """Return the same problem, seen from one level further out."""
        return Malformed(self.problem, (step, *self.place))


class _Plan(msgspec.Struct):
    """The decoding plan of one annotation."""

    scalars: frozenset[type[Any]]
    names: str
    item: _Plan | None = None
    single: type[Model] | None = None
    variants: dict[str, type[Model]] = {}
    unknown: type[Unknown] | None = None

    def read(self, value: Any) -> Any:
        kind = cast("Any", type(value))
        if kind in self.scalars or object in self.scalars:
            return value
        if kind is float and int in self.scalars and value.is_integer():
            # `1000.0` and `1e3` are whole numbers too, as JSON goes.
            return int(value)
        if kind is dict and self.variants:
            return self._read_variant(value)
        if kind is dict and self.single is not None:
            return _read_fields(self.single, value)
        if kind is list and self.item is not None:
            return _read_items(self.item, value)
        raise Malformed(f"expected {self.names}, got {_name(kind)}")

    def _read_variant(self, value: dict[str, Any]) -> Any:
        if "type" not in value and len(self.variants) == 1:
            # A union of one leaves no doubt, so msgspec does not ask for the tag either.
            return _read_fields(next(iter(self.variants.values())), value)
        if "type" not in value:
            raise Malformed("is missing", ("type",))
        tag: Any = value["type"]
        if not isinstance(tag, str):
            raise Malformed(f"expected str, got {_name(cast('Any', type(tag)))}", ("type",))
        known = self.variants.get(tag)
        if known is not None:
            return _read_fields(known, value)
        if self.unknown is None:
            raise Malformed(f"expected {' or '.join(self.variants)}, got {tag!r}", ("type",))
        variant: Any = self.unknown
        return variant(type=tag, data=value)


def built(kind: Any, document: Any) -> Any:
    """Build the model that decoded JSON stands for: a class, or one class of a union.

    Raises:
        Malformed: A required field is missing, or a known one has the wrong type.
    """
    return _plan(kind).read(document)


def _read_items(plan: _Plan, values: list[Any]) -> list[Any]:
    items: list[Any] = []
    for index, value in enumerate(values):
        try:
            items.append(plan.read(value))
        except Malformed as error:
            raise error.inside(index) from None
    return items


def _read_fields(kind: type[Model], value: dict[str, Any]) -> Model:
    struct: Any = kind
    plans = _plans(struct)
    known: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    for name, item in value.items():
        entry = plans.get(name)
        if entry is None:
            unknown[name] = item
            continue
        if item is None and not entry[2] and NoneType not in entry[1].scalars:
            # Look-alikes of the service say null for what it leaves out.
            continue
        try:
            known[entry[0]] = entry[1].read(item)
        except Malformed as error:
            raise error.inside(name) from None
    for name, (field, _, required) in plans.items():
        if required and field not in known:
            raise Malformed("is missing", (name,))
    model = kind(**known)
    if issubclass(kind, Tagged):
        unknown.pop("type", None)
    if unknown:
        attach_unknown(model, unknown)
    return model


@cache
def _plans(kind: Any) -> dict[str, tuple[str, _Plan, bool]]:
    fields = msgspec.structs.fields(kind)
    return {f.encode_name: (f.name, _plan(f.type), f.required) for f in fields}


@cache
def _plan(annotation: Any) -> _Plan:
    options = get_args(annotation) if get_origin(annotation) in {Union, UnionType} else [annotation]
    scalars: set[type[Any]] = set()
    item: _Plan | None = None
    single: type[Model] | None = None
    tagged: dict[str, type[Model]] = {}
    unknown: type[Unknown] | None = None
    for option in options:
        origin: Any = get_origin(option) or option
        if option is Any:
            scalars.add(object)
        elif origin is list:
            (inner,) = get_args(option) or (Any,)
            item = _plan(inner)
        elif isinstance(origin, type) and issubclass(origin, Tagged):
            tagged[option.__struct_config__.tag] = option
            unknown = option.unknown_variant
        elif isinstance(origin, type) and issubclass(origin, Model):
            single = origin
        else:
            scalars.add(cast("type[Any]", origin))
    names = [_name(kind) for kind in scalars if kind is not NoneType]
    names += ["list"] if item else []
    names += ["object"] if tagged or single else []
    return _Plan(frozenset(scalars), " or ".join(sorted(names)), item, single, tagged, unknown)


def _name(kind: type[Any]) -> str:
    names: dict[type[Any], str] = {dict: "object", NoneType: "null"}
    return names.get(kind, kind.__name__)
