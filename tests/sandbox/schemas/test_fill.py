from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.sandbox.schemas import fill, fits
from apertis.sandbox.vocabulary import Words

PROMPT = Words('Please book "Dinner" for Ann in Rome at 7 for 3 people, ann@example.com.')


def filled(schema: Any, words: Words = PROMPT) -> Any:
    value = fill(schema, words)
    jsonschema.Draft202012Validator(schema).validate(value)
    return value


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"const": 5}, 5),
        ({"enum": ["x", "dinner"]}, "dinner"),
        ({"enum": [None, 2]}, None),
        ({"type": "integer", "minimum": 5}, 7),
        ({"type": "integer", "minimum": 100, "multipleOf": 7}, 105),
        ({"type": "integer", "exclusiveMaximum": 0}, -1),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5}, 0.25),
        ({"type": "string", "format": "email"}, "ann@example.com"),
        ({"type": "string", "format": "date"}, "2026-01-31"),
        ({"type": "string", "pattern": "^[A-Z]{3}-\\d{4}$"}, "AAA-0000"),
        ({"type": "string", "pattern": "^(cat|dog)s?$"}, "cat"),
        ({"type": "string", "maxLength": 3}, "Ann"),
        ({"type": "boolean"}, False),
        ({"type": "null"}, None),
        ({"type": ["null", "string"]}, "Dinner"),
        ({"type": "array", "items": {"enum": ["Dinner", "Ann", "Bob"]}}, ["Dinner", "Ann"]),
        ({"anyOf": [{"type": "integer", "minimum": 1000}, {"type": "null"}]}, 1000),
        ({"allOf": [{"type": "integer"}, {"minimum": 8}, {"maximum": 8}]}, 8),
        ({"oneOf": [{"type": "integer"}, {"type": "integer", "minimum": 5}]}, 3),
        ({"type": "string", "not": {"const": "Dinner"}}, "Ann"),
        ({"type": "string", "default": "mild", "minLength": 4, "maxLength": 4}, "Rome"),
    ],
)
def test_a_value_comes_from_the_prompt_or_the_schema(schema: Any, value: Any) -> None:
    assert filled(schema) == value


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 300},
        {"type": "string", "pattern": "^a+$", "minLength": 20},
        {"type": "array", "minItems": 3, "items": {"type": "integer"}},
        {"type": "array", "minItems": 4, "uniqueItems": True, "items": {"type": "string"}},
        {"type": "array", "prefixItems": [{"type": "null"}, {"type": "boolean"}], "minItems": 3},
        {"type": "array", "contains": {"const": 9}},
        {"type": "object", "minProperties": 3, "additionalProperties": {"type": "integer"}},
        {
            "type": "object",
            "required": ["a"],
            "properties": {"a": {"$ref": "#"}},
            "minProperties": 0,
        }
        | {"properties": {"a": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}},
        {
            "$defs": {
                "node": {
                    "type": "object",
                    "required": ["next"],
                    "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
                }
            },
            "$ref": "#/$defs/node",
        },
        {
            "if": {"required": ["x"]},
            "then": {"required": ["y"]},
            "else": {"required": ["z"]},
            "type": "object",
        },
        {"type": "object", "required": ["a"], "dependentRequired": {"a": ["b"]}},
        {"type": "object", "required": ["id-7"], "patternProperties": {"^id": {"type": "integer"}}},
    ],
)
def test_harder_schemas_are_filled_too(schema: Any) -> None:
    filled(schema)


def test_required_fields_are_filled_and_optional_ones_only_with_evidence() -> None:
    schema = {
        "type": "object",
        "properties": {
            "guest": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "phone": {"type": "string"}},
                "required": ["name"],
            },
            "city": {"type": "string"},
            "people": {"type": "integer", "maximum": 5},
            "wine": {"type": "boolean"},
            "menu": {"enum": ["fish", "meat"]},
        },
        "required": ["guest"],
    }
    assert filled(schema) == {"guest": {"name": "Dinner"}, "city": "Rome", "people": 3}


def test_a_schema_that_nothing_fits_still_gets_an_answer() -> None:
    for schema in (False, {"type": "integer", "minimum": 2, "maximum": 1}, {"$ref": "#"}):
        fill(schema, PROMPT)


NAMES = st.sampled_from(["location", "query", "name", "age", "unit", "x"])
TEXTS = st.text("abc 1", max_size=6)


def bounds(low: str, high: str, most: int) -> st.SearchStrategy[dict[str, int]]:
    pairs = st.tuples(st.integers(0, most), st.integers(0, most)).map(sorted)
    return pairs.flatmap(
        lambda pair: st.sampled_from(
            [{}, {low: pair[0]}, {high: pair[1]}, {low: pair[0], high: pair[1]}]
        )
    )


LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.just({}),
    st.just({"type": "null"}),
    st.just({"type": "boolean"}),
    st.builds(lambda b: {"type": "string", **b}, bounds("minLength", "maxLength", 30)),
    st.builds(
        lambda p: {"type": "string", "pattern": p},
        st.sampled_from([r"^\d{3}$", "^[a-f]+$", r"x\.y", "^(?:no|yes)$", r"^\w+@\w+\.com$"]),
    ),
    st.builds(
        lambda f: {"type": "string", "format": f},
        st.sampled_from(["date", "email", "uri", "uuid", "date-time"]),
    ),
    st.builds(lambda b: {"type": "integer", **b}, bounds("minimum", "maximum", 50)),
    st.builds(
        lambda n, s: {"type": "integer", "minimum": n, "multipleOf": s},
        st.integers(-20, 20),
        st.integers(1, 9),
    ),
    st.builds(
        lambda n: {"type": "number", "exclusiveMinimum": n, "maximum": n + 0.5}, st.integers(-5, 5)
    ),
    st.builds(lambda e: {"enum": e}, st.lists(TEXTS | st.integers(0, 5), min_size=1, max_size=3)),
    st.builds(lambda c: {"const": c}, TEXTS | st.none() | st.booleans()),
)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def build(properties: dict[str, Any], required: set[str], extra: Any) -> Any:
        schema = {"type": "object", "properties": properties, "required": sorted(required)}
        return schema if extra is None else {**schema, "additionalProperties": extra}

    return st.builds(
        build,
        st.dictionaries(NAMES, inner, max_size=4),
        st.sets(NAMES, max_size=2),
        st.sampled_from([None, True]),
    ) | st.builds(
        lambda properties: {
            "type": "object",
            "properties": properties,
            "required": sorted(properties),
            "additionalProperties": False,
        },
        st.dictionaries(NAMES, inner, max_size=4),
    )


SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        objects(inner),
        st.builds(
            lambda i, b: {"type": "array", "items": i, **b},
            inner,
            bounds("minItems", "maxItems", 4),
        ),
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda s: {"allOf": [s, {"title": "x"}]}, inner),
        st.builds(lambda s: {"$defs": {"it": s}, "title": "y", "allOf": [s]}, inner),
    ),
    max_leaves=8,
)


@given(SCHEMAS, st.sampled_from([PROMPT, Words(""), Words("What is the age of Bob in Oslo?")]))
@settings(max_examples=200, deadline=None)
def test_what_is_filled_in_fits(schema: Any, words: Words) -> None:
    filled(schema, words)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-60, 60) | TEXTS | st.just(0.5) | st.just("2026-01-31"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=6,
)


@given(SCHEMAS, VALUES)
@settings(max_examples=300, deadline=None)
def test_fitting_means_what_the_standard_means(schema: Any, value: Any) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    assert fits(value, schema, schema) == validator.is_valid(value)


SELF = {"$ref": "#"}
ENDLESS = [
    {"anyOf": [SELF, SELF], "allOf": [SELF, SELF]},
    {"oneOf": [SELF, SELF, SELF]},
    {"type": "object", "required": ["a", "b"], "properties": {"a": SELF, "b": SELF}},
    {"type": "object", "required": ["a"], "properties": dict.fromkeys("abc", SELF)},
    {"type": "array", "minItems": 2, "items": SELF},
    {"type": "array", "minItems": 10**9, "items": {"type": "null"}},
    {"type": "string", "minLength": 10**9},
    {"type": "object", "minProperties": 10**9},
    {"not": SELF},
]


@pytest.mark.parametrize("schema", ENDLESS, ids=str)
def test_schemas_without_end_come_to_an_end(schema: Any) -> None:
    fill(schema, PROMPT)
    values: list[Any] = [None, {}, [[], []], {"a": {"a": {}}}]
    for value in values:
        fits(value, schema, schema)
