"""References inside a JSON Schema, and schemas merged into one."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from apertis.sandbox.values import JsonObject, is_array, is_number, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_VARIANTS = 24
_DEEPEST = 24
_KEEP_GREATEST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_KEEP_LEAST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")


def resolve(reference: object, root: object) -> object:
    """Resolve `#`, `#/$defs/...` or `#anchor`; True (anything) for a missing schema."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return True
    pointer = unquote(reference[1:])
    if pointer and not pointer.startswith("/"):
        return _anchored(pointer, root)
    value: object = root
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if is_object(value) and key in value:
            value = value[key]
        elif is_array(value) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return True
    return value


def _anchored(name: str, root: object) -> object:
    definitions = root.get("$defs") if is_object(root) else None
    for schema in definitions.values() if is_object(definitions) else ():
        if is_object(schema) and schema.get("$anchor") == name:
            return schema
    return True


def variants(schema: object, root: object) -> Iterator[JsonObject]:
    """Yield the plain schemas, without references and alternatives, that this one allows.

    What fits the schema fits at least one of them; the other way round is for `fits` to say.
    There may be many: the first 24 of them are enough to find a value.
    """
    yield from islice(_variants(schema, root, frozenset()), _MAX_VARIANTS)


def _variants(schema: object, root: object, above: frozenset[int]) -> Iterator[JsonObject]:
    """Find references; `above` are the enclosing schemas: one inside itself allows nothing."""
    if schema is True:
        yield {}
    if not is_object(schema) or id(schema) in above or len(above) > _DEEPEST:
        return
    plain = {name: value for name, value in schema.items() if name not in _COMPOSING}
    inside = above | {id(schema)}
    groups: list[list[object]] = []
    if "$ref" in schema:
        groups.append([resolve(schema["$ref"], root)])
    groups += [[part] for part in _list(schema.get("allOf"))]
    groups += [_list(schema[name]) for name in ("anyOf", "oneOf") if name in schema]
    if "if" in schema:
        both = {"allOf": [schema["if"], schema.get("then", True)]}
        groups.append([both, schema.get("else", True)])
    yield from _combined(plain, groups, root, inside)


def _combined(
    merged: JsonObject, groups: list[list[object]], root: object, above: frozenset[int]
) -> Iterator[JsonObject]:
    """Yield the schema merged with one variant of one alternative from each group."""
    if not groups:
        yield merged
        return
    for alternative in groups[0]:
        for part in _variants(alternative, root, above):
            yield from _combined(merge(merged, part), groups[1:], root, above)


_COMPOSING = ("$ref", "allOf", "anyOf", "oneOf", "if", "then", "else")


def _list(value: object) -> list[Any]:
    return value if is_array(value) else []


def merge(one: JsonObject, other: JsonObject) -> JsonObject:
    """Return a schema for what fits both, as far as one flat schema can say it."""
    merged = dict(one)
    for name, value in other.items():
        merged[name] = _merged(name, merged[name], value) if name in merged else value
    return merged


def _merged(name: str, one: Any, other: Any) -> Any:
    if name in ("properties", "patternProperties", "$defs") and is_object(one):
        both = {key: {"allOf": [one[key], other[key]]} for key in one if key in other}
        return {**one, **other, **both}
    if name == "required":
        return [*_list(one), *(item for item in _list(other) if item not in _list(one))]
    if name == "enum":
        return [item for item in _list(one) if item in _list(other)]
    if name == "type":
        return _common_types(one, other)
    if is_number(one) and is_number(other):
        if name in _KEEP_GREATEST:
            return max(one, other)
        if name in _KEEP_LEAST:
            return min(one, other)
    if name in ("items", "additionalProperties", "contains") and one != other:
        return {"allOf": [one, other]}
    return one if name in ("description", "title", "default") else other


def _common_types(one: Any, other: Any) -> Any:
    first = one if is_array(one) else [one]
    second = other if is_array(other) else [other]
    common = [kind for kind in first if kind in second]
    if ("number" in first and "integer" in second) or ("integer" in first and "number" in second):
        common.append("integer")
    return common or first
