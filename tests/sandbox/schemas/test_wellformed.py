from __future__ import annotations

from typing import Any

import pytest

from apertis.sandbox.schemas import schema_problems


@pytest.mark.parametrize(
    "schema",
    [
        5,
        None,
        {"type": 5},
        {"type": []},
        {"enum": "a"},
        {"required": "a"},
        {"required": [1]},
        {"minimum": "1"},
        {"minLength": -1},
        {"minItems": 1.5},
        {"multipleOf": 0},
        {"pattern": 1},
        {"$ref": 1},
        {"properties": []},
        {"properties": {"a": 5}},
        {"items": [{"type": "null"}]},
        {"anyOf": {}},
        {"allOf": [5]},
        {"dependentRequired": {"a": "b"}},
    ],
)
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    (problem,) = schema_problems("tools.0", schema)
    assert problem.startswith("tools.0: JSON schema is invalid.")


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {},
        {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "x-extra": 5},
        {"minLength": 2.0, "items": {"$ref": "#"}, "anyOf": [{}, False]},
    ],
)
def test_what_is_a_schema_is_taken(schema: Any) -> None:
    assert list(schema_problems("tools.0", schema)) == []
