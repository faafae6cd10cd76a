"""The slow road from JSON to models: decoded JSON -> models, open to what no class knows.

Models made by hand go it too: their keywords are what JSON's keys are elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin

import msgspec

from apertis.models.model import Model, Tagged, Unknown, attach_document, attach_unknown, made
from apertis.models.times import Timestamp, moment


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


class InvalidFields(Malformed, TypeError):
    """A model made by hand lacks a field, or was given what does not fit."""

    def __init__(self, kind: type[Model], problem: str) -> None:
        self.kind = kind
        super().__init__(problem)

    @property
    def reason(self) -> str:
        """For example `TextBlock: text: is missing`."""
        return f"{self.kind.__name__}: {self.problem}"

    def __reduce__(self) -> tuple[Any, ...]:
        return InvalidFields, (self.kind, self.problem)


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
        if kind is str and Timestamp in self.scalars:
            return moment(value)
        return self._read_made(value)

    def _read_made(self, value: Any) -> Any:
        """Read what no JSON decodes to: models, and relatives of JSON's own types."""
        kind = cast("Any", type)(value)
        got = _name(kind)
        if issubclass(kind, Model):
            known = (*self.variants.values(), *filter(None, (self.single, self.unknown)))
            if issubclass(kind, known):
                return value
        elif issubclass(kind, datetime) and Timestamp in self.scalars:
            return moment(value)
        elif issubclass(kind, tuple) and self.item is not None:
            return _read_items(self.item, [*value])
        elif issubclass(kind, Mapping) and kind is not dict:
            return self.read({**value})
        elif issubclass(kind, tuple(self.scalars)) and kind is not bool:
            return value
        raise Malformed(f"expected {self.names}, got {got}")

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
        return made(self.unknown, type=tag, data=value)


def built(kind: Any, document: Any) -> Any:
    """Build the model that decoded JSON stands for: a class, or one class of a union.

    Raises:
        Malformed: A required field is missing, or a known one has the wrong type.
    """
    return _plan(kind).read(document)


def made_by_hand(kind: type[Model], positional: tuple[Any, ...], fields: dict[str, Any]) -> Model:
    """Make the model that a program calls a class for.

    Raises:
        InvalidFields: A field is missing, or has the wrong type, or its name was left out.
    """
    struct: Any = kind
    plans = _plans(struct)
    if positional:
        raise InvalidFields(
            kind, f"takes its fields by name: {', '.join(struct.__struct_fields__)}"
        )
    if issubclass(kind, Unknown):
        return made(kind, **fields)
    tag = struct.__struct_config__.tag
    if tag is not None and fields.get("type", tag) != tag:
        raise InvalidFields(kind, f"type: expected {tag!r}, got {fields['type']!r}")
    by_key = {field: key for key, (field, _, _) in plans.items()}
    document = {by_key.get(name, name): value for name, value in fields.items()}
    missing = [key for key, (_, _, required) in plans.items() if required and key not in document]
    if len(missing) > 1:
        raise InvalidFields(kind, f"{', '.join(missing)}: are missing")
    try:
        model = _read_fields(kind, document)
    except Malformed as error:
        raise InvalidFields(kind, error.reason) from None
    _attach(model, document if tag is None else {"type": tag, **document})
    return model


def made_unchecked(kind: type[Model], values: dict[str, Any], given: set[str] | None) -> Model:
    """Make a model of values as they are; decoded JSON in them becomes models where it can."""
    struct: Any = kind
    plans = _plans(struct)
    fields: dict[str, Any] = {}
    for key, (field, plan, required) in plans.items():
        name = field if field in values else key
        if name in values:
            fields[field] = _read_or_leave(plan, values[name])
        elif required:
            fields[field] = None
    model = made(kind, **fields)
    known = {*plans, *(field for field, _, _ in plans.values()), "type"}
    attach_unknown(model, {name: value for name, value in values.items() if name not in known})
    keys = {field: key for key, (field, _, _) in plans.items()}
    document = {keys.get(name, name): value for name, value in values.items()}
    if given is not None:
        document = {key: value for key, value in document.items() if key in given}
    _attach(model, document)
    return model


def _attach(model: Model, document: dict[str, Any]) -> None:
    attach_document(model, document)
    kind: Any = type(model)
    for name in kind._keeping & document.keys():
        for item, part in zip(getattr(model, name) or (), document[name] or (), strict=False):
            if isinstance(item, Model) and isinstance(part, dict):
                attach_document(item, cast("dict[str, Any]", part))


def _read_or_leave(plan: _Plan, value: Any) -> Any:
    try:
        return plan.read(value)
    except Malformed:
        return value


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
    model = made(kind, **known)
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
        if option is Any or isinstance(option, TypeVar):
            scalars.add(object)
        elif origin is Literal:
            scalars.update(map(cast("Any", type), get_args(option)))
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
    names: dict[type[Any], str] = {dict: "object", NoneType: "null", Timestamp: "str"}
    return names.get(kind, kind.__name__)
