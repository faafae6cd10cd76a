"""Rules for JSON values, each by what it says of good and bad ones."""

from __future__ import annotations

from typing import Any

import pytest

from apertis.sandbox.rules import (
    Rule,
    anything,
    array,
    boolean,
    either,
    integer,
    matching,
    number,
    object_,
    one_of,
    optional,
    record,
    string,
    tagged,
)

INTEGER, LIST = "Input should be a valid integer", "Input should be a valid list"


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (anything, [None, 1, "x", []], {}),
        (string, ["", "x"], {1: "Input should be a valid string"}),
        (boolean, [True, False], {1: "Input should be a valid boolean"}),
        (object_, [{}], {"x": "Input should be an object"}),
        (matching("a+"), ["a", "aa"], {"ab": "String should match pattern '^a+$'"}),
        (
            integer(2),
            [2, 3],
            {0: "Input should be greater than or equal to 2", True: INTEGER, 2.0: INTEGER},
        ),
        (number(0, 1), [0, 0.5, 1], {2: "range: 0..1", True: "Input should be a valid number"}),
        (one_of("a"), ["a"], {"b": "Input should be 'a'"}),
        (one_of("a", "b", "c"), ["c"], {1: "Input should be 'a', 'b' or 'c'"}),
        (optional(string), [None, "x"], {1: "Input should be a valid string"}),
        (either(str, one_of("a"), integer(0)), ["a", 0], {"b": "Input should be 'a'"}),
        (array(integer(0)), [[], [0, 1]], {"x": LIST}),
    ],
)
def test_a_rule_passes_what_is_right_and_says_what_is_wrong(
    rule: Rule, good: list[Any], bad: dict[Any, str]
) -> None:
    for value in good:
        assert [*rule("at", value)] == []
    for value, complaint in bad.items():
        assert [*rule("at", value)] == [f"at: {complaint}"]


def test_an_item_is_named_by_its_place() -> None:
    assert [*array(string)("a", ["x", 1, 2])] == [
        "a.1: Input should be a valid string",
        "a.2: Input should be a valid string",
    ]


def test_a_record_names_what_is_missing_what_is_wrong_and_what_is_too_much() -> None:
    rule = record({"a": string}, {"b": boolean}, closed=True)
    assert [*rule("", {"a": ""})] == []
    assert [*rule("at", {"b": 1, "c": 1})] == [
        "at.a: Field required",
        "at.b: Input should be a valid boolean",
        "at.c: Extra inputs are not permitted",
    ]
    assert [*record({"a": string})("at", {"a": "x", "c": 1})] == []
    assert [*rule("at", [])] == ["at: Input should be an object"]


def test_the_type_of_a_tagged_object_stands_in_the_path() -> None:
    rule = tagged({"a": record({"x": string}), "b": object_})
    assert [*rule("at", {"type": "b"})] == []
    assert [*rule("at", {"type": "a"})] == ["at.a.x: Field required"]
    assert [*rule("at", {})] == ["at.type: Field required"]
    assert [*rule("at", 1)] == ["at: Input should be an object"]
    for kind in ("c", ["a"], None):
        (complaint,) = rule("at", {"type": kind})
        assert complaint.endswith("does not match any of the expected tags: 'a', 'b'")
