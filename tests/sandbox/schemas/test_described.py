from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest

from apertis import transform_schema
from apertis.sandbox.schemas import fill
from apertis.sandbox.vocabulary import Words
from apertis.sandbox.wanted_json import with_described


@pytest.mark.parametrize(
    ("description", "keywords"),
    [
        ("A number\n\n{minimum: 1, maximum: 10}", {"minimum": 1, "maximum": 10}),
        ("{multipleOf: 0.5, exclusiveMinimum: 2}", {"multipleOf": 0.5, "exclusiveMinimum": 2}),
        ("{maxLength: 3, pattern: ^[A-Z]{1,3}$}", {"maxLength": 3, "pattern": "^[A-Z]{1,3}$"}),
        (
            "{minItems: 2, in this order: ['integer', 'string']}",
            {"minItems": 2, "prefixItems": [{"type": "integer"}, {"type": "string"}]},
        ),
        ("{uniqueItems: True, default: [1, 2]}", {"uniqueItems": True}),
        ("{minimum: high, in this order: ['Cat']}", {}),
        ("Give {minimum: 1} here", {}),
        ("{}", {}),
    ],
)
def test_keywords_at_the_end_of_a_description_count(
    description: str, keywords: dict[str, Any]
) -> None:
    schema: dict[str, Any] = {"description": description}
    assert with_described({"items": [schema]}) == {"items": [{**keywords, **schema}]}


def test_what_the_schema_says_itself_stands() -> None:
    schema = {"minimum": 5, "description": "{minimum: 1}"}
    assert with_described(schema) == schema
    assert with_described({"properties": {"description": {"type": "null"}}}) == {
        "properties": {"description": {"type": "null"}}
    }


class Limited(msgspec.Struct):
    stars: Annotated[int, msgspec.Meta(ge=10, le=12)]
    code: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
    tags: Annotated[list[str], msgspec.Meta(min_length=2, max_length=3)]
    pair: tuple[int, str]
    raw: bytes


def test_a_schema_that_was_transformed_is_filled_with_what_the_type_takes() -> None:
    value = fill(with_described(transform_schema(Limited)), Words("Tell me."))
    assert msgspec.convert(value, Limited).stars == 10
