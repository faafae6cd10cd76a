"""A few members of an object are found, whatever stands in all others."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.slices import items, read_or_none, slices, with_sound_text

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON), st.sampled_from([None, 1]), st.booleans())
@settings(max_examples=200)
def test_each_member_is_found_as_its_own_bytes(
    document: dict[str, Any], indent: int | None, plain: bool
) -> None:
    data = json.dumps(document, indent=indent, ensure_ascii=plain).encode()
    found = slices(data, document)
    assert found is not None
    assert {name: json.loads(value) for name, value in found.items()} == document


@given(st.lists(JSON), st.sampled_from([None, 1]))
def test_each_item_is_found_as_its_own_bytes(values: list[Any], indent: int | None) -> None:
    found = items(json.dumps(values, indent=indent).encode())
    assert found is not None
    assert [json.loads(value) for value in found] == values


@pytest.mark.parametrize(
    "odd",
    [
        rb'"\ud83d"',
        rb'"\q"',
        b'"\xff"',
        b'"\n"',
        b"[" * 200_000 + b"]" * 200_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        rb'"\"usage\":1}"',
        b'{"usage":{"input_tokens":9}}',
        b'[{"usage":1},"usage"]',
        rb'"\\"',
    ],
)
def test_what_is_not_asked_for_may_be_anything(odd: bytes) -> None:
    for text in (b'{"odd":%b,"usage":7}', b'{"usage":7,"odd":%b}', b' { "usage" : 7 ,"o":%b } '):
        assert slices(text % odd, ("usage",)) == {"usage": b"7"}
    assert items(b"[7,%b , 8]" % odd) == [b"7", odd, b"8"]


def test_a_name_counts_in_every_spelling_and_the_last_of_two_stands() -> None:
    assert slices(rb'{"us\u0061ge":1}', ("usage",)) == {"usage": b"1"}
    assert slices(b'{"usage":1,"usage":[2]}', ("usage",)) == {"usage": b"[2]"}
    assert slices(rb'{"\ud83d":1,"usage":2}', ("usage",)) == {"usage": b"2"}


NO_OBJECTS = [b"", b"[]", b"7", b"{", b"{,}", b'{"a"}', b'{"a":}', b'{"a":1', b'{"a":1}x']


@pytest.mark.parametrize("data", [*NO_OBJECTS, b'{"a":[}', b'{"a":"}', b'{"a":1 "b":2}'])
def test_what_is_no_object_has_no_members(data: bytes) -> None:
    assert slices(data, ("a",)) is None


@pytest.mark.parametrize("data", [b"", b"{}", b"[", b"[1", b"[1 2]", b'["a]'])
def test_what_is_no_list_has_no_items(data: bytes) -> None:
    assert items(data) is None


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":' + b"[" * 5_000_000 + b"]" * 5_000_000 + b"}",
        b'{"a":' + b'[{"b":' * 700_000 + b"1" + b"}]" * 700_000 + b"}",
        b'{"a":[' + b'"x",' * 2_000_000 + b"1]}",
        b"{" + b'"b":1,' * 1_000_000 + b'"a":1}',
        b'{"a":["' + b"x" * 5_000_000,
        b'{"a":["' + rb"\"" * 2_500_000,
        b"{" + b" " * 5_000_000,
        b"[" * 5_000_000,
    ],
)
def test_no_answer_takes_long(data: bytes) -> None:
    started = time.process_time()
    slices(data, ("usage",))
    items(data[5:])
    assert time.process_time() - started < 5


class Wanted(msgspec.Struct):
    name: str | None = None
    usage: Any = None


DECODER = msgspec.json.Decoder(Wanted)
SHAPE = {"name": None, "usage": {"input": None, "inner": {"x": None}}}


def test_what_a_decoder_refuses_it_gets_without_what_is_not_needed() -> None:
    deep = b"[" * 3000 + b"]" * 3000
    data = b'{"odd":%b,"name":"a\\ud83db\xff","usage":{"input":3,"odd":%b,"inner":{"x":1,"y":%b}}}'
    wanted = read_or_none(DECODER, data % (deep, deep, deep), SHAPE)
    assert wanted == Wanted("a\ufffdb\ufffd", {"input": 3, "inner": {"x": 1}})


def test_a_member_that_cannot_be_had_at_all_is_left_out() -> None:
    deep = b"[" * 3000 + b"]" * 3000
    assert read_or_none(DECODER, b'{"name":"a","usage":%b}' % deep, SHAPE) == Wanted("a")


def test_a_number_that_is_out_of_range_hides_nothing_else() -> None:
    data = b'{"name":"a","usage":{"input":1e400,"inner":{"x":1}}}'
    assert read_or_none(DECODER, data, SHAPE) == Wanted("a", {"inner": {"x": 1}})


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"name":7}', b"\xff", b'{"name":7,"o":}'])
def test_what_is_something_else_is_none(data: bytes) -> None:
    assert read_or_none(DECODER, data, SHAPE) is None


def test_text_is_made_sound_and_pairs_stay() -> None:
    odd = rb'["\ud83d\ude00","\ud83d","\\ud83d","' + b'\xff"]'
    assert json.loads(with_sound_text(odd)) == ["\U0001f600", "\ufffd", "\\ud83d", "\ufffd"]
