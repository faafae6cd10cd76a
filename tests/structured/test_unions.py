from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, make_dataclass
from typing import Any, NamedTuple, NotRequired

import msgspec
import pytest
from typing_extensions import TypedDict

from apertis import ParameterError
from apertis.structured import InvalidValueError, convert, schema_of, transform_schema


@dataclass
class Cat:
    name: str
    lives: int = 9


@dataclass
class Dog:
    name: str
    bark: float
    friends: list[Cat | Dog] = field(default_factory=list["Cat | Dog"])


class Fish(msgspec.Struct):
    depth: int
    near: Cat | Dog | None = None


class Home(TypedDict):
    pet: Cat | Dog
    other: NotRequired[dict[str, Cat | Dog]]


class Two(NamedTuple):
    first: Cat | Dog
    second: Cat | Dog = Cat("Tom")


VALUES: list[tuple[Any, Any, Any]] = [
    (Cat | Dog, {"name": "a"}, Cat("a")),
    (Cat | Dog, {"name": "a", "bark": 1}, Dog("a", 1.0)),
    (list[Cat | Dog], [{"name": "a", "bark": 1}], [Dog("a", 1.0)]),
    (Sequence[Cat | Dog], [{"name": "a"}], [Cat("a")]),
    (tuple[Cat | Dog, ...], [{"name": "a"}], (Cat("a"),)),
    (Dog, {"name": "a", "bark": 1, "friends": [{"name": "b"}]}, Dog("a", 1.0, [Cat("b")])),
    (Fish | Cat | None, None, None),
    (Fish | Cat, {"depth": 1, "near": {"name": "a"}}, Fish(1, Cat("a"))),
    (Home, {"pet": {"name": "a"}}, {"pet": Cat("a")}),
    (
        Home,
        {"pet": {"name": "a"}, "other": {"x": {"name": "b"}}},
        {"pet": Cat("a"), "other": {"x": Cat("b")}},
    ),
    (Two, {"first": {"name": "a"}}, Two(Cat("a"))),
    (int | Cat | Dog, 3, 3),
]


@pytest.mark.parametrize(("kind", "value", "expected"), VALUES, ids=str)
def test_an_object_is_read_as_the_class_with_its_fields(
    kind: Any, value: Any, expected: Any
) -> None:
    assert schema_of(kind, "output_format")
    assert convert(kind, value) == expected
    assert type(convert(kind, value)) is type(expected)


FAULTS: list[tuple[Any, Any, str]] = [
    (Cat | Dog, {"name": "a", "bark": "b"}, "at $.bark: expected `float`, found a string"),
    (Cat | Dog, 3, "at $: expected `object` or an object, found an integer"),
    (list[Cat | Dog], {}, "at $: expected an array, found an object"),
    (list[Cat | Dog], [{}], "at $[0].name: expected a value, found nothing"),
    (Home, {"pet": {"name": 3}}, "at $.pet.name: expected `str`, found an integer"),
    (Home, {}, "at $.pet: expected a value, found nothing"),
    (dict[str, Cat | Dog], 3, "at $: expected an object, found an integer"),
]


@pytest.mark.parametrize(("kind", "value", "text"), FAULTS, ids=str)
def test_a_fault_names_the_place_in_the_whole_value(kind: Any, value: Any, text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        convert(kind, value)
    assert str(caught.value) == text


def test_each_class_stands_once_in_the_schema() -> None:
    schema = transform_schema(list[Cat | Dog])
    assert schema["items"] == {"anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]}
    assert schema["$defs"].keys() == {"Cat", "Dog"}
    assert schema["$defs"]["Dog"]["required"] == ["name", "bark"]
    assert schema["$defs"]["Dog"]["properties"]["friends"]["items"] == schema["items"]


def test_a_check_of_the_class_itself_is_a_fault_without_its_words() -> None:
    @dataclass
    class Careful:
        pet: Cat | Dog

        def __post_init__(self) -> None:
            raise ValueError(f"no {self.pet} here")

    globals()["Careful"] = Careful
    with pytest.raises(InvalidValueError) as caught:
        convert(Careful, {"pet": {"name": "Tom"}})
    assert "Tom" not in str(caught.value)
    assert "Tom" in caught.value.detail


def test_two_classes_of_one_name_are_an_error() -> None:
    other: Any = make_dataclass("Cat", [("age", int)])
    with pytest.raises(ParameterError, match="two of its classes are named Cat"):
        schema_of(list[Cat | Dog | other], "output_format")
