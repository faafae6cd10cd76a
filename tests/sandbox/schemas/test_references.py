"""References inside a schema, and what two schemas allow together."""

from __future__ import annotations

from typing import Any

import pytest

from apertis.sandbox.schemas.references import merge, resolve, variants

ROOT: dict[str, Any] = {
    "$defs": {
        "a": {"type": "string"},
        "a/b~c": {"type": "null"},
        "named": {"$anchor": "here", "type": "integer"},
        "loop": {"$ref": "#/$defs/loop"},
        "tree": {"anyOf": [{"type": "null"}, {"allOf": [{"$ref": "#/$defs/tree"}]}]},
    },
    "anyOf": [{"type": "string"}, {"type": "integer"}],
}


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("#", ROOT),
        ("#/$defs/a", {"type": "string"}),
        ("#/%24defs/a", {"type": "string"}),
        ("#/$defs/a~1b~0c", {"type": "null"}),
        ("#/anyOf/1", {"type": "integer"}),
        ("#here", ROOT["$defs"]["named"]),
        ("#/anyOf/2", True),
        ("#/nowhere", True),
        ("#nowhere", True),
        ("https://example.com/schema", True),
        (5, True),
    ],
)
def test_a_reference_leads_into_the_schema_or_allows_anything(
    reference: object, found: object
) -> None:
    assert resolve(reference, ROOT) == found


@pytest.mark.parametrize(
    ("schema", "allowed"),
    [
        (True, [{}]),
        (False, []),
        ({"$ref": "#/$defs/a", "minLength": 1}, [{"minLength": 1, "type": "string"}]),
        ({"anyOf": [{"minimum": 1}, {"maximum": 2}]}, [{"minimum": 1}, {"maximum": 2}]),
        (
            {"allOf": [{"minimum": 1}, {"minimum": 3}, {"maximum": 9}]},
            [{"minimum": 3, "maximum": 9}],
        ),
        ({"if": {"minimum": 1}, "else": {"maximum": 0}}, [{"minimum": 1}, {"maximum": 0}]),
        ({"$ref": "#/$defs/loop"}, []),
        ({"$ref": "#/$defs/tree"}, [{"type": "null"}]),
    ],
)
def test_a_schema_is_what_its_parts_allow(schema: object, allowed: list[object]) -> None:
    assert [*variants(schema, ROOT)] == allowed


def test_of_very_many_variants_the_first_are_enough() -> None:
    many = {"allOf": [{"anyOf": [{}, {"minimum": 1}]}] * 10}
    assert len([*variants(many, many)]) == 24


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ({"minimum": 1}, {"minimum": 2}, {"minimum": 2}),
        ({"maxItems": 1}, {"maxItems": 2}, {"maxItems": 1}),
        ({"enum": [1, 2]}, {"enum": [2, 3]}, {"enum": [2]}),
        ({"required": ["a"]}, {"required": ["a", "b"]}, {"required": ["a", "b"]}),
        ({"type": ["string", "null"]}, {"type": "null"}, {"type": ["null"]}),
        ({"type": "number"}, {"type": "integer"}, {"type": ["integer", "integer"]}),
        ({"items": True}, {"items": {}}, {"items": {"allOf": [True, {}]}}),
        (
            {"properties": {"a": {}, "b": {}}},
            {"properties": {"b": True, "c": True}},
            {"properties": {"a": {}, "b": {"allOf": [{}, True]}, "c": True}},
        ),
        ({"title": "one"}, {"title": "other"}, {"title": "one"}),
        ({"format": "date"}, {"format": "time"}, {"format": "time"}),
    ],
)
def test_what_both_say_holds(
    one: dict[str, Any], other: dict[str, Any], both: dict[str, Any]
) -> None:
    merged = merge(one, other)
    assert merged == both or set(merged["type"]) == set(both["type"])
