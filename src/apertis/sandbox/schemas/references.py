"""References inside a JSON Schema, and schemas merged into one."""

from __future__ import annotations

from itertools import islice, product
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from apertis.sandbox.values import JsonObject, is_array, is_number, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_VARIANTS = 24
_DEEPEST = 24
_KEEP_GREATEST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_KEEP_LEAST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")


def resolve(reference: object, root: object) -> object:
    """The schema that `#`, `#/$defs/...` or `#anchor` points to; True (anything) for a lost one."""
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


def variants(schema: object, root: object, depth: int = 0) -> Iterator[JsonObject]:
    """The plain schemas, without references and alternatives, that this one allows.

    What fits the schema fits at least one of them; the other way round is for `fits` to say.
    """
    yield from islice(_variants(schema, root, depth), _MOST_VARIANTS)


def _variants(schema: object, root: object, depth: int) -> Iterator[JsonObject]:
    if schema is True:
        yield {}
        return
    if not is_object(schema) or depth > _DEEPEST:
        return
    plain = {name: value for name, value in schema.items() if name not in _COMPOSING}
    groups = [[plain]]
    if "$ref" in schema:
        groups.append(list(variants(resolve(schema["$ref"], root), root, depth + 1)))
    groups += [list(variants(part, root, depth + 1)) for part in _list(schema.get("allOf"))]
    for name in ("anyOf", "oneOf"):
        if name in schema:
            parts = _list(schema[name])
            groups.append([found for part in parts for found in variants(part, root, depth + 1)])
    if "if" in schema:
        groups.append(_conditional(schema, root, depth))
    for combination in product(*groups):
        merged: JsonObject = {}
        for part in combination:
            merged = merge(merged, part)
        yield merged


_COMPOSING = ("$ref", "allOf", "anyOf", "oneOf", "if", "then", "else")


def _conditional(schema: JsonObject, root: object, depth: int) -> list[JsonObject]:
    both = {"allOf": [schema["if"], schema.get("then", True)]}
    otherwise = list(variants(schema.get("else", True), root, depth + 1))
    return [*variants(both, root, depth + 1), *otherwise]


def _list(value: object) -> list[Any]:
    return value if is_array(value) else []


def merge(one: JsonObject, other: JsonObject) -> JsonObject:
    """A schema for what fits both, as far as one flat schema can say it."""
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
