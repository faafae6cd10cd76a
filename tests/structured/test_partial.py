from __future__ import annotations

import json
from copy import deepcopy
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.structured.partial import MAX_SHORT, PartialJSON

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63), FLOATS, TEXT
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20
)


@st.composite
def pieces(draw: st.DrawFn, text: str) -> list[str]:
    cuts = draw(st.lists(st.integers(0, len(text)), max_size=20).map(sorted))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def read(parts: list[str]) -> PartialJSON:
    reader = PartialJSON()
    for part in parts:
        reader.feed(part)
    reader.finish()
    return reader


def begins(less: Any, more: Any) -> bool:
    """Return whether one value can have grown into the other."""
    kind = cast("Any", type(less))
    if kind is not type(more):
        return False
    if kind is str:
        return bool(more.startswith(less))
    if kind is list:
        return len(less) <= len(more) and all(map(begins, less, more))
    if kind is dict:
        return all(key in more and begins(value, more[key]) for key, value in less.items())
    return bool(less == more)


@given(st.data(), VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_any_cut_gives_the_same_value_and_it_only_grows(
    data: st.DataObject, value: Any, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    reader = PartialJSON()
    before: Any = None
    begun = False
    for part in data.draw(pieces(text)):
        reader.feed(part)
        if begun:
            assert begins(before, reader.value)
        begun, before = reader.begun, deepcopy(reader.value)
    reader.finish()
    assert reader.complete
    if begun:
        assert begins(before, reader.value)
    assert reader.value == msgspec.json.decode(text)


@given(st.text(st.sampled_from('{}[],:"\\ 01-.eEtrufalsn\n'), max_size=12))
def test_it_reads_what_a_decoder_of_json_reads_and_nothing_else(text: str) -> None:
    reader = read([text])
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        assert not reader.complete
    else:
        assert reader.complete
        assert reader.value == value


@given(VALUES, st.integers(1, 9))
def test_the_work_grows_with_the_text_and_not_with_its_square(value: Any, size: int) -> None:
    text = json.dumps({"a": value, "b": "x" * 5_000})
    reader = read([text[i : i + size] for i in range(0, len(text), size)])
    assert reader.complete
    # Each character as it comes, when its string ends, in the copies of a string that grows by an
    # eighth, and in those of a short one.
    assert reader.work <= len(text) * (1 + 1 + 9 + MAX_SHORT)


@pytest.mark.parametrize("count", [1_000, 4_000])
def test_ten_characters_of_work_a_character_in_a_long_answer(count: int) -> None:
    text = json.dumps({f"field_{i}": f"value {i}" for i in range(count)})
    reader = read([text[i : i + 4] for i in range(0, len(text), 4)])
    assert reader.work <= 10 * len(text)


BEGINNINGS: list[tuple[str, Any]] = [
    ('{"a": "he', {"a": "he"}),
    ('{"a": 12', {}),
    ('{"a": tru', {}),
    ('{"a', {}),
    ('["\\ud83d', [""]),
    ('["\\ud83d\\ude00', ["\U0001f600"]),
    ('["a\\', ["a"]),
    ('["a\\n', ["a\n"]),
    ('[{"a": [1, {', [{"a": [1, {}]}]),
    ('"abc', "abc"),
    ("", None),
]


@pytest.mark.parametrize(("text", "value"), BEGINNINGS)
def test_a_beginning_gives_what_is_sure(text: str, value: Any) -> None:
    reader = PartialJSON()
    reader.feed(text)
    assert reader.value == value
    assert not reader.complete


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("", "$", "a value"),
        ('{"items": [{"price": 1}, {"pri', "$.items[1]", "the rest of a string"),
        ('{"items": [{"price": 1}, {"price": "x', "$.items[1].price", "the rest of a string"),
        ('{"items": [1, "x', "$.items[1]", "the rest of a string"),
        ('{"items": [1, 2', "$.items", "`,` or the end"),
        ('{"items": [1, ', "$.items[1]", "a value"),
        ('{"a b": {"c"', '$["a b"]', "`:`"),
        ("{", "$", "a key or `}`"),
        ('{"a": 1,', "$", "a key"),
    ],
)
def test_a_cut_is_told_by_its_place(text: str, path: str, expected: str) -> None:
    reader = read([text])
    assert (reader.path(), reader.expected(), reader.fault) == (path, expected, None)


@pytest.mark.parametrize(
    ("text", "path", "fault"),
    [
        ("Here it is: {}", "$", "a value"),
        ('{"a": [1, x]}', "$.a[1]", "a value"),
        ('{"a": [1 2]}', "$.a", "`,` or the end"),
        ('{"a": 1} and', "$", "nothing after the value"),
        ('{"a": "\x01"}', "$.a", "a string without control characters or unknown escapes"),
        ('{"a": [1}', "$.a", "`,` or the end"),
        ("{]", "$", "a key or `}`"),
        ("[}", "$[0]", "a value or `]`"),
        ('{"a": [1,]}', "$.a[1]", "a value"),
    ],
)
def test_what_is_no_json_is_told_by_its_place(text: str, path: str, fault: str) -> None:
    reader = read([text])
    assert (reader.path(), reader.fault) == (path, fault)
    before = deepcopy(reader.value)
    reader.feed('"more": [1, 2]}')
    assert reader.value == before
    assert not reader.complete
