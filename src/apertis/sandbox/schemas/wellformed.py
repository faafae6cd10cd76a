"""Validation of JSON Schemas: keywords whose values have the wrong form are rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apertis.sandbox.values import is_array, is_integer, is_number, is_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
