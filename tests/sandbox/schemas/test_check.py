from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from apertis.sandbox.schemas import fits

CASES: list[tuple[Any, list[Any]]] = [
    ({"type": "integer"}, [1, 1.0, 1.5, True, "1", None]),
    ({"type": ["number", "null"]}, [1, None, "x", False]),
    ({"enum": [1, "a", [True]]}, [1, 1.0, True, "a", [True], [1]]),
    ({"const": {"a": 1}}, [{"a": 1}, {"a": 1.0}, {"a": 2}, {}, 5]),
    ({"minLength": 2, "maxLength": 3}, ["a", "ab", "abcd", 5]),
    ({"pattern": "b+"}, ["abc", "a", 5]),
    ({"minimum": 1, "exclusiveMaximum": 3}, [0, 1, 2.5, 3, "x"]),
    ({"maximum": 3, "exclusiveMinimum": 1}, [1, 2, 3, 4]),
    ({"multipleOf": 0.5}, [1, 1.5, 1.25, "x"]),
    ({"minItems": 1, "maxItems": 2}, [[], [1], [1, 2, 3], {}]),
    ({"uniqueItems": True}, [[1, 2], [1, 1.0], [1, True], [[1], [1]], [{"a": 1}, {"a": 1}]]),
    (
        {"prefixItems": [{"type": "null"}], "items": {"type": "integer"}},
        [[None, 1], [1], [None, "x"]],
    ),
    ({"contains": {"const": 1}, "maxContains": 1}, [[1], [], [1, 1], [2, 1]]),
    ({"contains": {"const": 1}, "minContains": 0}, [[], [2]]),
    ({"required": ["a"], "properties": {"a": {"type": "null"}}}, [{"a": None}, {}, {"a": 1}, []]),
    ({"additionalProperties": False, "properties": {"a": True}}, [{"a": 1}, {"b": 1}, {}]),
    (
        {"patternProperties": {"^x": {"type": "null"}}, "additionalProperties": {"type": "string"}},
        [{"xa": None}, {"xa": 1}, {"b": "s"}, {"b": 1}],
    ),
    ({"propertyNames": {"maxLength": 1}}, [{"a": 1}, {"ab": 1}]),
    ({"minProperties": 1, "maxProperties": 1}, [{}, {"a": 1}, {"a": 1, "b": 2}]),
    ({"dependentRequired": {"a": ["b"]}}, [{"a": 1}, {"a": 1, "b": 1}, {"b": 1}]),
    ({"dependentSchemas": {"a": {"required": ["b"]}}}, [{"a": 1}, {"a": 1, "b": 1}]),
    ({"allOf": [{"type": "integer"}, {"minimum": 2}]}, [1, 2, "x"]),
    ({"anyOf": [{"type": "null"}, {"minimum": 2}]}, [None, 1, 2, "x"]),
    ({"oneOf": [{"type": "integer"}, {"minimum": 2}]}, [1, 2, 2.5, "x"]),
    ({"not": {"type": "string"}}, ["x", 1]),
    (
        {"if": {"type": "integer"}, "then": {"minimum": 2}, "else": {"type": "null"}},
        [1, 2, None, "x"],
    ),
    ({"$defs": {"a/b": {"type": "null"}}, "$ref": "#/$defs/a~1b"}, [None, 1]),
    ({"$defs": {"n": {"$anchor": "it", "type": "null"}}, "$ref": "#it"}, [None, 1]),
    ({"properties": {"next": {"$ref": "#"}}, "type": "object"}, [{"next": {}}, {"next": 1}]),
    (
        {"items": {"$ref": "#/prefixItems/0"}, "prefixItems": [{"type": "null"}]},
        [[None, None], [None, 1]],
    ),
    (True, [1]),
    (False, [1]),
]


@pytest.mark.parametrize(("schema", "values"), CASES, ids=[str(schema) for schema, _ in CASES])
def test_each_keyword_decides_as_the_standard_does(schema: Any, values: list[Any]) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    found = [fits(value, schema, schema) for value in values]
    assert found == [validator.is_valid(value) for value in values]


def test_a_schema_that_only_refers_to_itself_fits_nothing() -> None:
    assert not fits(1, {"$ref": "#"}, {"$ref": "#"})


def test_a_reference_that_leads_nowhere_allows_anything() -> None:
    schema = {"$ref": "#/$defs/gone"}
    assert fits(1, schema, schema)
    assert fits(1, {"$ref": "https://example.com/schema"}, {})
