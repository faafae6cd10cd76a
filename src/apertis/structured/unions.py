"""Types with unions of plain classes, which msgspec does not tell apart.

`Cat | Dog` is read as the class whose fields are those of the object; of two that fit alike, as
the first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import UnionType
from typing import (
    Annotated,
    Any,
    NamedTuple,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from apertis.structured.schema import (
    InvalidValueError,
    convert_by_msgspec,
    is_array,
    is_object,
    kind_of,
    place,
    rooted,
    shown,
    without_msgspec,
)

_ARRAYS = (list, tuple, set, frozenset, Sequence, AbstractSet)


class _Field(NamedTuple):
    name: str
    key: str
    type: Any
    required: bool


class Mixed:
    """A type with such a union in it."""

    def __init__(self, annotation: Any) -> None:
        self._type = annotation
        self.schema()

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the type."""
        definitions: dict[str, Any] = {}
        root = _schema(self._type, definitions)
        return rooted({**root, "$defs": definitions} if definitions else root)

    def convert(self, value: Any) -> Any:
        """Return the value of the type that decoded JSON stands for."""
        return _convert(self._type, value, "$")


def _schema(annotation: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if without_msgspec(annotation) is None:
        (schema,), parts = msgspec.json.schema_components(
            [annotation], ref_template="#/$defs/{name}"
        )
        for name, part in parts.items():
            _define(definitions, name, part)
        return schema
    annotation = _bare(annotation)
    if variants := _variants(annotation):
        return {"anyOf": [_schema(variant, definitions) for variant in variants]}
    if (fields := _fields(annotation)) is not None:
        name = annotation.__name__
        if name not in definitions:
            # It may be a part of itself.
            definitions[name] = {}
            properties = {field.key: _schema(field.type, definitions) for field in fields}
            required = [field.key for field in fields if field.required]
            definitions[name] = {
                "title": name,
                "type": "object",
                "properties": properties,
                "required": required,
            }
        return {"$ref": f"#/$defs/{name}"}
    origin, items = get_origin(annotation), get_args(annotation)
    if origin in _ARRAYS and (len(items) == 1 or (origin is tuple and items[1:] == (...,))):
        return {"type": "array", "items": _schema(items[0], definitions)}
    if origin in (dict, Mapping) and items[0] is str:
        return {"type": "object", "additionalProperties": _schema(items[1], definitions)}
    raise TypeError(without_msgspec(annotation) or shown(annotation))


def _define(definitions: dict[str, Any], name: str, schema: dict[str, Any]) -> None:
    if definitions.get(name) not in (None, {}, schema):
        raise TypeError(f"two of its classes are named {name}")
    definitions[name] = schema


def _convert(annotation: Any, value: Any, path: str) -> Any:
    if without_msgspec(annotation) is None:
        try:
            return convert_by_msgspec(annotation, value)
        except InvalidValueError as error:
            inner = path + error.path.removeprefix("$")
            raise InvalidValueError(inner, error.expected, error.found, error.detail) from None
    annotation = _bare(annotation)
    if variants := _variants(annotation):
        return _one_of(variants, value, path)
    if (fields := _fields(annotation)) is not None:
        return _made(annotation, fields, value, path)
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in _ARRAYS:
        if not is_array(value):
            raise InvalidValueError(path, "an array", kind_of(value))
        items = [_convert(parts[0], item, place(path, i)) for i, item in enumerate(value)]
        return items if origin in (list, Sequence) else _kind(origin)(items)
    if not is_object(value):
        raise InvalidValueError(path, "an object", kind_of(value))
    return {key: _convert(parts[1], item, place(path, key)) for key, item in value.items()}


def _kind(origin: Any) -> Any:
    return set if origin is AbstractSet else origin


def _one_of(variants: tuple[Any, ...], value: Any, path: str) -> Any:
    if is_object(value):
        # A class that leaves out a part of the object is not the one that was meant.
        unknown = [_unknown(variant, value) for variant in variants]
        least = min(unknown)
        variants = tuple(v for v, count in zip(variants, unknown, strict=True) if count == least)
    faults: list[InvalidValueError] = []
    for variant in variants:
        try:
            return _convert(variant, value, path)
        except InvalidValueError as fault:
            faults.append(fault)
    # What fits as far as its parts is what was meant.
    inner = [fault for fault in faults if fault.path != path]
    if inner:
        raise inner[0]
    expected = " or ".join(dict.fromkeys(fault.expected for fault in faults))
    raise InvalidValueError(path, expected, kind_of(value), faults[0].detail)


def _unknown(variant: Any, value: dict[str, Any]) -> int:
    """Return how many keys of an object a type does not have."""
    fields = _fields(_bare(variant))
    return len(value) if fields is None else len(value.keys() - {field.key for field in fields})


def _made(annotation: Any, fields: tuple[_Field, ...], value: Any, path: str) -> Any:
    if not is_object(value):
        raise InvalidValueError(path, "an object", kind_of(value))
    values: dict[str, Any] = {}
    for field in fields:
        inner = place(path, field.key)
        if field.key in value:
            values[field.name] = _convert(field.type, value[field.key], inner)
        elif field.required:
            raise InvalidValueError(inner, "a value", "nothing")
    try:
        return annotation(**values)
    except (TypeError, ValueError) as error:
        # A check of the class itself, whose words may repeat the value.
        expected = f"a {annotation.__name__} that its own checks accept"
        raise InvalidValueError(path, expected, "another one", str(error)) from None


def _bare(annotation: Any) -> Any:
    while get_origin(annotation) in (Annotated, Required, NotRequired):
        annotation = get_args(annotation)[0]
    # `type Name = ...`
    value = getattr(annotation, "__value__", None)
    return annotation if value is None else _bare(value)


def _variants(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()


def _fields(annotation: Any) -> tuple[_Field, ...] | None:
    """Return the fields of a class; None for what is no class with fields."""
    if not isinstance(annotation, type):
        return None
    kind: Any = annotation
    if issubclass(annotation, msgspec.Struct):
        return tuple(
            _Field(field.name, field.encode_name, field.type, field.required)
            for field in msgspec.structs.fields(annotation)
        )
    if dataclasses.is_dataclass(kind):
        types = get_type_hints(kind, include_extras=True)
        absent = dataclasses.MISSING
        return tuple(
            _Field(f.name, f.name, types[f.name], f.default is f.default_factory is absent)
            for f in dataclasses.fields(kind)
            if f.init
        )
    is_named = issubclass(annotation, tuple) and hasattr(kind, "_field_defaults")
    if not is_named and not hasattr(kind, "__required_keys__"):
        return None
    types = get_type_hints(kind, include_extras=True)
    if is_named:
        defaults = kind._field_defaults
        return tuple(_Field(name, name, types[name], name not in defaults) for name in types)
    return tuple(
        _Field(name, name, hint, _is_required(hint, name in kind.__required_keys__))
        for name, hint in types.items()
    )


def _is_required(hint: Any, by_class: bool) -> bool:
    # Where annotations are texts, a class of Python 3.11 does not know its `NotRequired`.
    origin = get_origin(hint)
    return origin is Required or (by_class and origin is not NotRequired)
