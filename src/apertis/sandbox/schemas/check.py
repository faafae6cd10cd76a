"""Validation of a value against a JSON Schema (2020-12, the keywords that tools and output use)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from apertis.sandbox.schemas.references import resolve
from apertis.sandbox.values import JsonObject, is_array, is_integer, is_number, is_object

_Findings: TypeAlias = Iterator[bool]

_TYPES: dict[str, Callable[[object], bool]] = {
    "object": is_object,
    "array": is_array,
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": is_number,
    "integer": lambda value: is_integer(value) or (isinstance(value, float) and value % 1 == 0),
}


def fits(value: object, schema: object, root: object) -> bool:
    """Return whether the value fits. `root` is the schema that references point into.

    `format` describes and does not decide, as the standard has it. A schema that refers to itself
    without end fits nothing.
    """
    return _fits(value, schema, root, frozenset())


def _fits(value: object, schema: object, root: object, above: frozenset[int]) -> bool:
    """Check a value; `above` holds the schemas that this one stands in for the same value."""
    if schema is True:
        return True
    if not is_object(schema) or id(schema) in above:
        return False
    return all(_findings(value, schema, root, above | {id(schema)}))


def _findings(value: object, schema: JsonObject, root: object, above: frozenset[int]) -> _Findings:
    if "type" in schema:
        yield _has_type(value, schema["type"])
    if "enum" in schema:
        yield any(same(value, allowed) for allowed in schema["enum"])
    if "const" in schema:
        yield same(value, schema["const"])
    yield from _composed(value, schema, root, above)
    if isinstance(value, str):
        yield from _string(value, schema)
    elif is_number(value):
        yield from _number(value, schema)
    elif is_array(value):
        yield from _array(value, schema, root)
    elif is_object(value):
        yield from _object(value, schema, root, above)


def same(one: object, other: object) -> bool:
    """JSON equality: `1` and `1.0` are equal, `1` and `true` are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if is_array(one) and is_array(other):
        return len(one) == len(other) and all(map(same, one, other))
    if is_object(one) and is_object(other):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return one == other


def _has_type(value: object, types: Any) -> bool:
    names = types if is_array(types) else [types]
    return any(name in _TYPES and _TYPES[name](value) for name in names)


def _composed(value: object, schema: JsonObject, root: object, above: frozenset[int]) -> _Findings:
    if "$ref" in schema:
        yield _fits(value, resolve(schema["$ref"], root), root, above)
    yield all(_fits(value, part, root, above) for part in schema.get("allOf", ()))
    if "anyOf" in schema:
        yield any(_fits(value, part, root, above) for part in schema["anyOf"])
    if "oneOf" in schema:
        yield sum(_fits(value, part, root, above) for part in schema["oneOf"]) == 1
    if "not" in schema:
        yield not _fits(value, schema["not"], root, above)
    if "if" in schema:
        branch = "then" if _fits(value, schema["if"], root, above) else "else"
        yield _fits(value, schema.get(branch, True), root, above)


def _string(value: str, schema: JsonObject) -> _Findings:
    yield schema.get("minLength", 0) <= len(value)
    yield len(value) <= schema.get("maxLength", len(value))
    if isinstance(schema.get("pattern"), str):
        yield matches(schema["pattern"], value)


def matches(pattern: str, value: str) -> bool:
    """Return whether the pattern matches in the value; an unreadable one never matches."""
    try:
        return re.search(pattern, value) is not None
    except (re.error, OverflowError, RecursionError):
        return False


def _number(value: float, schema: JsonObject) -> _Findings:
    yield schema.get("minimum", value) <= value <= schema.get("maximum", value)
    for name, outside in (
        ("exclusiveMinimum", value > schema.get("exclusiveMinimum", value - 1)),
        ("exclusiveMaximum", value < schema.get("exclusiveMaximum", value + 1)),
    ):
        yield name not in schema or outside
    step = schema.get("multipleOf")
    if is_number(step) and step > 0:
        yield _is_multiple(value, step)


def _is_multiple(value: float, step: float) -> bool:
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    return (value / step) % 1 == 0


def _array(value: list[Any], schema: JsonObject, root: object) -> _Findings:
    yield schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
    if schema.get("uniqueItems"):
        yield not any(
            same(item, other) for place, item in enumerate(value) for other in value[:place]
        )
    first = schema.get("prefixItems") or ()
    yield all(fits(item, part, root) for item, part in zip(value, first, strict=False))
    if "items" in schema:
        yield all(fits(item, schema["items"], root) for item in value[len(first) :])
    if "contains" in schema:
        found = sum(fits(item, schema["contains"], root) for item in value)
        yield schema.get("minContains", 1) <= found <= schema.get("maxContains", found)


def _object(
    value: JsonObject, schema: JsonObject, root: object, above: frozenset[int]
) -> _Findings:
    yield schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", len(value))
    yield all(name in value for name in schema.get("required", ()))
    for name, needed in schema.get("dependentRequired", {}).items():
        yield name not in value or all(other in value for other in needed)
    for name, part in schema.get("dependentSchemas", {}).items():
        yield name not in value or _fits(value, part, root, above)
    for name, item in value.items():
        if "propertyNames" in schema:
            yield fits(name, schema["propertyNames"], root)
        yield all(fits(item, part, root) for part in property_schemas(name, schema))


def property_schemas(name: str, schema: JsonObject) -> list[object]:
    """Return the schemas that a property of this name has to fit."""
    found: list[object] = []
    properties = schema.get("properties", {})
    if name in properties:
        found.append(properties[name])
    for pattern, part in schema.get("patternProperties", {}).items():
        if matches(pattern, name):
            found.append(part)
    return found or [schema.get("additionalProperties", True)]


_SUBSCHEMA = (
    "items",
    "additionalProperties",
    "contains",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
)
_SUBSCHEMA_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SUBSCHEMA_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_DEEPEST = 100


def _is_count(value: object) -> bool:
    return (is_integer(value) or (isinstance(value, float) and value % 1 == 0)) and value >= 0


def _is_names(value: object) -> bool:
    return is_array(value) and all(isinstance(item, str) for item in value)


def _is_names_by_name(value: object) -> bool:
    return is_object(value) and all(map(_is_names, value.values()))


def _is_type(value: object) -> bool:
    return isinstance(value, str) or (_is_names(value) and bool(value))


def _is_step(value: object) -> bool:
    return is_number(value) and value > 0


_KEYWORDS: dict[str, Callable[[object], bool]] = {
    "type": _is_type,
    "enum": is_array,
    "required": _is_names,
    "dependentRequired": _is_names_by_name,
    "pattern": lambda value: isinstance(value, str),
    "$ref": lambda value: isinstance(value, str),
    "multipleOf": _is_step,
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), is_number),
    **dict.fromkeys(
        (
            "minLength",
            "maxLength",
            "minItems",
            "maxItems",
            "minContains",
            "maxContains",
            "minProperties",
            "maxProperties",
        ),
        _is_count,
    ),
}


def schema_problems(path: str, schema: object) -> Iterator[str]:
    """Yield a complaint in the API's words when the value is no JSON Schema."""
    if not _is_schema(schema, 0):
        yield (
            f"{path}: JSON schema is invalid. It must match JSON Schema draft 2020-12 "
            "(https://json-schema.org/draft/2020-12)"
        )


def _is_schema(schema: object, depth: int) -> bool:
    if isinstance(schema, bool):
        return True
    if not is_object(schema) or depth > _DEEPEST:
        return False
    if not all(right(schema[name]) for name, right in _KEYWORDS.items() if name in schema):
        return False
    return all(_is_schema(part, depth + 1) for part in _subschemas(schema))


def _subschemas(schema: dict[str, Any]) -> Iterator[object]:
    yield from (schema[name] for name in _SUBSCHEMA if name in schema)
    for name in _SUBSCHEMA_LISTS:
        if name in schema:
            yield from schema[name] if is_array(schema[name]) else (None,)
    for name in _SUBSCHEMA_MAPS:
        if name in schema:
            yield from schema[name].values() if is_object(schema[name]) else (None,)
