from __future__ import annotations

import enum
import pickle
from dataclasses import dataclass, field, make_dataclass
from typing import Annotated, Any, Literal, NamedTuple, cast

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from typing_extensions import TypedDict

from apertis import ParameterError
from apertis.structured import InvalidValueError, convert, schema_of, transform_schema


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Item:
    name: str
    price: float
    color: Color = Color.RED


@dataclass
class Order:
    items: list[Item]
    note: str | None = None


@dataclass
class Node:
    value: int
    next: Node | None = None


class Struct(msgspec.Struct, rename="camel"):
    first_name: Annotated[str, msgspec.Meta(max_length=20, description="A name.")]


class Dictionary(TypedDict, total=False):
    count: int


class Pair(NamedTuple):
    left: int
    right: int


class Model(pydantic.BaseModel):
    count: int = pydantic.Field(ge=1)
    items: list[Item] = []


@pydantic.dataclasses.dataclass
class PydanticData:
    name: str


@dataclass
class HasModel:
    model: Model


class Plain:
    """A class without fields."""


def test_a_class_gives_a_schema_of_its_fields() -> None:
    schema = schema_of(Node, "output_format")
    assert schema["$ref"] == "#/$defs/Node"
    assert (
        schema["$defs"]["Node"]["properties"]["next"]["anyOf"][1] == {"$ref": "#/$defs/Node"}
        or {"$ref": "#/$defs/Node"} in schema["$defs"]["Node"]["properties"]["next"]["anyOf"]
    )
    order = schema_of(Order, "output_format")
    assert order["type"] == "object"
    assert order["properties"]["items"] == {"type": "array", "items": {"$ref": "#/$defs/Item"}}
    assert order["$defs"].keys() == {"Item", "Color"}
    assert schema_of(Struct, "x")["required"] == ["firstName"]


VALUES: list[tuple[Any, Any, Any]] = [
    (int, 3, 3),
    (str | None, None, None),
    (list[int], [1], [1]),
    (Literal["a", "b"], "a", "a"),
    (Color, "blue", Color.BLUE),
    (tuple[int, str], [1, "a"], (1, "a")),
    (Dictionary, {"count": 1}, {"count": 1}),
    (Pair, [1, 2], Pair(1, 2)),
    (Node, {"value": 1, "next": {"value": 2}}, Node(1, Node(2))),
    (Struct, {"firstName": "Ada"}, Struct("Ada")),
    (Order, {"items": [{"name": "a", "price": 1}]}, Order([Item("a", 1.0)])),
    (Model, {"count": 1}, Model(count=1)),
    (list[Model | None], [None, {"count": 2}], [None, Model(count=2)]),
    (PydanticData, {"name": "a"}, PydanticData("a")),
    (HasModel, {"model": {"count": 1}}, HasModel(Model(count=1))),
    (Annotated[int, pydantic.Field(ge=1)], 2, 2),
]


@pytest.mark.parametrize(("kind", "value", "expected"), VALUES, ids=str)
def test_json_becomes_a_value_of_the_type(kind: Any, value: Any, expected: Any) -> None:
    assert schema_of(kind, "output_format")
    assert convert(kind, value) == expected
    assert type(convert(kind, value)) is type(expected)


FAULTS: list[tuple[Any, Any, str]] = [
    (int, "3", "at $: expected `int`, found a string"),
    (
        Order,
        {"items": [{"name": "a", "price": "x"}]},
        "at $.items[0].price: expected `float`, found a string",
    ),
    (Order, {"items": [{"name": "a"}]}, "at $.items[0].price: expected a value, found nothing"),
    (Color, "secret", "at $: expected one of the values that are listed, found a string"),
    (dict[str, int], {"secret": "x"}, "at $[...]: expected `int`, found another value"),
    (Model, {"count": 0}, "at $.count: expected greater than or equal to 1, found an integer"),
    (Model, {}, "at $.count: expected a value, found nothing"),
    (
        list[Model | Item],
        [{"count": "secret"}],
        "at $[0].count: expected integer, unable to parse string as an integer, found a string",
    ),
]


@pytest.mark.parametrize(("kind", "value", "text"), FAULTS, ids=str)
def test_a_fault_is_told_by_its_place_and_without_the_value(
    kind: Any, value: Any, text: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        convert(kind, value)
    assert str(caught.value) == text
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert vars(pickle.loads(pickle.dumps(caught.value))) == vars(caught.value)


def test_words_of_a_callers_own_check_stay_out_of_the_text() -> None:
    class Even(pydantic.BaseModel):
        number: int

        @pydantic.field_validator("number")
        @classmethod
        def check(cls, value: int) -> int:
            raise ValueError(f"{value} is odd")

    @dataclass
    class Odd:
        number: int

        def __post_init__(self) -> None:
            raise ValueError(f"{self.number} is even")

    for kind in (Even, Odd):
        with pytest.raises(InvalidValueError) as caught:
            convert(kind, {"number": 41_234})
        assert "41" not in str(caught.value)
        assert "41234 is" in caught.value.detail


@pytest.mark.parametrize("kind", [Plain, list[Plain], len, {"type": "object"}, 3, "Later"])
def test_a_type_without_a_schema_is_named_with_its_place(kind: Any) -> None:
    with pytest.raises(ParameterError, match=r"^output_format: ") as caught:
        schema_of(kind, "output_format")
    assert caught.value.param == "output_format"


# A schema, and what the API takes of it.
TRANSFORMED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"type": "integer", "minimum": 1, "maximum": 10, "description": "A number"},
        {"type": "integer", "description": "A number\n\n{minimum: 1, maximum: 10}"},
    ),
    ({"type": "string", "format": "email"}, {"type": "string", "format": "email"}),
    ({"type": "string", "format": "odd"}, {"type": "string", "description": "{format: odd}"}),
    (
        {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3},
        {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "description": "{maxItems: 3}",
        },
    ),
    (
        {"type": "array", "items": {"type": "null"}, "minItems": 2},
        {"type": "array", "items": {"type": "null"}, "description": "{minItems: 2}"},
    ),
    (
        {"type": "object", "properties": {"a": {"type": "boolean"}}, "title": "A"},
        {
            "type": "object",
            "title": "A",
            "properties": {"a": {"type": "boolean"}},
            "additionalProperties": False,
        },
    ),
    (
        {"type": "string", "format": "odd", "maxLength": 3},
        {"type": "string", "description": "{maxLength: 3, format: odd}"},
    ),
    ({"enum": ["a", 1], "type": "string"}, {"enum": ["a", 1]}),
    ({"const": "a", "default": "a"}, {"const": "a", "description": "{default: a}"}),
    ({"oneOf": [{"type": "null"}]}, {"anyOf": [{"type": "null"}]}),
    ({"allOf": [{"type": "null"}]}, {"allOf": [{"type": "null"}]}),
    (
        {"$ref": "#/$defs/A", "$defs": {"A": {"type": "number", "minimum": 0}}},
        {"$ref": "#/$defs/A", "$defs": {"A": {"type": "number", "description": "{minimum: 0}"}}},
    ),
    # From here on anthropic 2.14 fails, or lets the model answer with nothing but `{}`.
    (
        {"type": ["string", "null"], "maxLength": 3, "description": "Short"},
        {
            "anyOf": [
                {"type": "string", "description": "{maxLength: 3}"},
                {"type": "null", "description": "{maxLength: 3}"},
            ],
            "description": "Short",
        },
    ),
    (
        {"type": "array", "prefixItems": [{"type": "null"}, {"type": "string"}], "items": False},
        {
            "type": "array",
            "items": {"anyOf": [{"type": "null"}, {"type": "string"}]},
            "description": "{in this order: ['null', 'string']}",
        },
    ),
]


@pytest.mark.parametrize(("schema", "expected"), TRANSFORMED, ids=str)
def test_a_schema_becomes_what_the_api_takes(
    schema: dict[str, Any], expected: dict[str, Any]
) -> None:
    before = msgspec.json.encode(schema)
    assert transform_schema(schema) == expected
    assert msgspec.json.encode(schema) == before


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({}, r"\$:"),
        ({"type": "object", "properties": {"a": {"enum": []}}}, r"\$\.a:"),
        ({"type": "array", "items": {"type": "object", "additionalProperties": True}}, r"\$\[\]:"),
        ({"anyOf": [{"type": "null"}, True]}, r"\$\.anyOf\[1\]:"),
    ],
)
def test_a_schema_that_says_nothing_is_an_error_with_its_place(
    schema: dict[str, Any], place: str
) -> None:
    with pytest.raises(ParameterError, match=place):
        transform_schema(schema)


def test_a_type_is_transformed_too() -> None:
    assert transform_schema(Model)["properties"]["count"] == {
        "title": "Count",
        "type": "integer",
        "description": "{minimum: 1}",
    }
    assert transform_schema(list[int]) == {"type": "array", "items": {"type": "integer"}}


def test_a_mutable_default_does_not_stand_in_the_way() -> None:
    @dataclass
    class Basket:
        items: list[str] = field(default_factory=list[str])

    assert convert(Basket, {}) == Basket([])
    assert transform_schema(Basket)["properties"].keys() == {"items"}


LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers(-(2**53), 2**53)),
    (str, st.text(st.characters(exclude_categories=["Cs"]))),
    (bool, st.booleans()),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (Color, st.sampled_from(Color)),
    (Literal["a", "b"], st.sampled_from(["a", "b"])),
]
Typed = tuple[Any, st.SearchStrategy[Any]]


def lists(typed: Typed) -> Typed:
    kind, values = typed
    return cast("Any", list)[kind], st.lists(values, max_size=4)


def optional(typed: Typed) -> Typed:
    kind, values = typed
    return kind | None, st.none() | values


def classes(fields: list[Typed]) -> Typed:
    names = [f"field_{number}" for number in range(len(fields))]
    kind = make_dataclass("Made", [(name, f[0]) for name, f in zip(names, fields, strict=True)])
    return kind, st.builds(kind, *(values for _, values in fields))


TYPED: st.SearchStrategy[Typed] = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: (
        inner.map(lists)
        | inner.map(optional)
        | st.lists(inner, min_size=1, max_size=3).map(classes)
    ),
    max_leaves=6,
)


@given(st.data(), TYPED)
def test_a_value_of_any_type_comes_back_from_its_json(data: st.DataObject, typed: Typed) -> None:
    kind, values = typed
    value = data.draw(values)
    plain = msgspec.json.decode(msgspec.json.encode(value))
    validator: Any = Draft202012Validator(transform_schema(kind))
    assert not list(validator.iter_errors(plain))
    assert convert(kind, plain) == value


def some(**optional: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    return optional


TITLES = some(title=st.just("T"), description=st.just("words"), default=st.just(1))
PLAIN = [
    st.fixed_dictionaries({"type": st.sampled_from(["boolean", "null"])}, optional=TITLES),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["integer", "number"])},
        optional=some(minimum=st.integers(), multipleOf=st.just(2), **TITLES),
    ),
    st.fixed_dictionaries(
        {"type": st.just("string")},
        optional=some(
            format=st.sampled_from(["email", "uuid", "odd"]), maxLength=st.just(9), **TITLES
        ),
    ),
    st.fixed_dictionaries({"enum": st.just(["a", 1, None])}, optional=TITLES),
    st.fixed_dictionaries({"const": st.sampled_from(["a", True])}, optional=TITLES),
    st.just({"$ref": "#/$defs/A", "description": "It is left out."}),
]


def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    arrays = st.fixed_dictionaries(
        {"type": st.just("array"), "items": inner},
        optional=some(minItems=st.integers(0, 3), maxItems=st.just(5), **TITLES),
    )
    properties = st.dictionaries(st.sampled_from("abc"), inner, min_size=1)
    objects = st.fixed_dictionaries(
        {"type": st.just("object"), "properties": properties},
        optional=some(required=st.just(["a"]), additionalProperties=st.booleans(), **TITLES),
    )
    several = st.lists(inner, min_size=1, max_size=3)
    unions = st.sampled_from(["anyOf", "oneOf", "allOf"]).flatmap(
        lambda name: st.fixed_dictionaries({name: several}, optional=TITLES)
    )
    return st.one_of(arrays, objects, unions)


@given(st.recursive(st.one_of(PLAIN), larger, max_leaves=8), st.one_of(PLAIN))
def test_the_api_gets_the_schema_that_anthropics_client_sends(
    schema: dict[str, Any], definition: dict[str, Any]
) -> None:
    anthropic: Any = pytest.importorskip("anthropic", reason="anthropic is not installed")
    whole = {**schema, "$defs": {"A": definition}}
    theirs = msgspec.json.encode(anthropic.transform_schema(whole))
    assert msgspec.json.encode(transform_schema(whole)) == theirs
