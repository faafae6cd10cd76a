"""A few members of an object are found, whatever stands in all others."""

from __future__ import annotations

import json
import time
import tracemalloc
from decimal import Decimal
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.accounting.estimate import Estimate
from apertis.accounting.prices import price_of_dollars
from apertis.gateway.errors import Refusal
from apertis.gateway.request.body import Body, declared_edits, peek, read_object
from apertis.gateway.routing.fallback import is_bound
from apertis.models.json import with_sound_text
from apertis.sansio.slices import (
    BATCH_BOUNDS,
    MAX_BATCH_REQUESTS,
    MAX_FIELDS,
    MAX_VALUES,
    Bounds,
    items,
    read_or_none,
    slices,
    structures,
)

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


PRICE = price_of_dollars(Decimal(5), Decimal(25))

TEXT = st.text(st.sampled_from('ab\\"{}[],:\n\u00e9\U0001f600'), max_size=12)
VALUES = st.recursive(
    st.none() | st.integers(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
TOO_MANY = f"at most {MAX_VALUES} values"


def reference(data: bytes) -> bytes:
    """The commas and brackets outside of strings, byte by byte."""
    found = bytearray()
    inside = escaped = False
    for byte in data:
        if escaped:
            escaped = False
        elif inside:
            escaped = byte == b"\\"[0]
            inside = byte != b'"'[0]
        elif byte == b'"'[0]:
            inside = True
        elif byte in b",[]{}":
            found.append(byte)
    return bytes(found)


def values(document: object) -> int:
    """The values of a document, an empty array or object for two."""
    if isinstance(document, dict):
        inner = list(cast("dict[str, object]", document).values())
    elif isinstance(document, list):
        inner = cast("list[object]", document)
    else:
        return 1
    return 1 + sum(map(values, inner)) if inner else 2


def message(content: bytes, rest: bytes = b"") -> bytes:
    return b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":%b}]%b}' % (
        content,
        rest,
    )


@given(VALUES, st.integers(1, 9), st.booleans())
def test_the_structure_of_every_json_is_found_in_whatever_pieces_it_is_read(
    document: Any, piece_bytes: int, ascii_only: bool
) -> None:
    data = json.dumps(document, ensure_ascii=ascii_only).encode()
    assert b"".join(structures(data, piece_bytes)) == reference(data)


@given(st.text(st.sampled_from('an\\"{[,]} '), max_size=30).map(str.encode), st.integers(1, 9))
def test_what_is_not_json_is_counted_up_to_its_first_fault(data: bytes, piece_bytes: int) -> None:
    # A backslash outside of a string is one, and so is an escape that JSON does not have.
    outside, inside = data, False
    for place, byte in enumerate(data):
        if byte == b'"'[0] and not (inside and _escaped(data, place)):
            inside = not inside
        elif byte not in b'"\\/bfnrtu' and _escaped(data, place) if inside else byte == b"\\"[0]:
            outside = data[:place]
            break
    found = b"".join(structures(data, piece_bytes))
    assert found.startswith(reference(outside))


def _escaped(data: bytes, place: int) -> bool:
    before = data[:place]
    return (len(before) - len(before.rstrip(b"\\"))) % 2 == 1


def test_an_escape_that_json_does_not_have_is_a_fault_wherever_it_stands() -> None:
    for byte in set(range(256)) - set(b'"\\/bfnrtu'):
        found = peek(message(b'["\\%c"]' % byte), needs_max_tokens=True)
        assert isinstance(found, Refusal), byte


@given(st.dictionaries(TEXT, VALUES, max_size=6))
def test_the_bound_is_exact(document: dict[str, Any]) -> None:
    data = json.dumps(document).encode()
    count = values(document)
    assert Bounds(values=count).excess(data) is None
    if count > 1:
        assert Bounds(values=count - 1).excess(data) == f"at most {count - 1} values"


@given(
    st.lists(
        st.sampled_from(
            [b'"%b"' % (b"[," * 9_000), b"[]", b"[[],[]]", b"0", b'{"":[]}', b"[[[[]]]]"]
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 3_000),
)
@settings(max_examples=30)
def test_a_bound_is_exact_wherever_the_structure_is_dense(kinds: list[bytes], times: int) -> None:
    data = b"[%b]" % b",".join(
        kind for kind in kinds for _ in range(2 if kind.startswith(b'"') else times)
    )
    count = 1 + len(reference(data).translate(None, b"]}"))
    assert Bounds(count, count).excess(data) is None
    assert Bounds(count - 1, count).excess(data) == f"at most {count - 1} values"


@given(st.dictionaries(TEXT, VALUES, min_size=2, max_size=6))
def test_the_fields_at_the_top_are_counted_exactly(document: dict[str, Any]) -> None:
    data = json.dumps(document).encode()
    fields = len(document)
    assert Bounds(values=None, fields=fields).excess(data) is None
    excess = Bounds(values=None, fields=fields - 1).excess(data)
    assert excess == f"at most {fields - 1} fields at the top"


def test_the_fields_are_counted_exactly_where_values_are_cut_between_pieces() -> None:
    inner = [{"a": [[1], {}, {"b": [2, '\n"[,']}]}] * 2_000
    document = {str(name): inner for name in range(9)}
    data = json.dumps(document).encode()
    assert len(data) > 9 * 64 * 1024
    assert Bounds(values=None, fields=9).excess(data) is None
    assert Bounds(values=None, fields=8).excess(data) == "at most 8 fields at the top"


@pytest.mark.parametrize(
    ("data", "excess"),
    [
        (message(b"[%b{}]" % (b"{}," * 10_000_000)), TOO_MANY),
        (message(b'"hi"', b',"tools":[%b{}]' % (b"{}," * 10_000_000)), TOO_MANY),
        (message(b'"hi"', b',"metadata":{%b"a":0}' % (b'"a":0,' * 4_000_000)), TOO_MANY),
        (message(b'"hi"', b',"fallback_models":[%b""]' % (b'"",' * 8_000_000)), TOO_MANY),
        (message(b'"hi"', b',"logit_bias":{%b"a":0}' % (b'"a":0,' * 4_000_000)), TOO_MANY),
        (message(b'"hi"', b',"system":[%b0]' % (b"0," * 12_000_000)), TOO_MANY),
        (message(b"[%b[]]" % (b'["x","\\"",' * 100_000)), TOO_MANY),
        (
            message(b'"hi"', b"".join(b',"%d":0' % name for name in range(2_500_000))),
            f"at most {MAX_FIELDS} fields at the top",
        ),
    ],
    ids=["blocks", "tools", "metadata", "models", "biases", "numbers", "nested", "fields"],
)
def test_a_body_of_too_much_structure_is_refused_before_it_takes_memory(
    data: bytes, excess: str
) -> None:
    tracemalloc.start()
    found = peek(data, needs_max_tokens=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(found, Refusal)
    assert found.status == 400
    assert found.message == f"Invalid request format: a body has {excess} here"
    # What it would take by the value is a hundred times that.
    assert peak < len(data) + 8 * 2**20


N = MAX_VALUES // 5
BIASES = b"".join(b'"%d":0,' % name for name in range(4 * N))


@pytest.mark.parametrize("fields", [MAX_FIELDS - 2, MAX_VALUES // 5, MAX_VALUES // 2 - 9])
def test_many_fields_behind_a_long_text_take_no_more_memory_than_a_large_text(fields: int) -> None:
    rest = b"".join(b',"%d":0' % name for name in range(fields))
    data = message(b'"%b"' % (b"x" * 2_000_000), rest)
    tracemalloc.start()
    found = peek(data, needs_max_tokens=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(found, Refusal)
    assert "fields" in found.message
    assert peak < 64 * 2**20


@pytest.mark.parametrize(
    "data",
    [
        message(b"[%b{}]" % (b"{}," * N * 2)),
        message(b"[%b{}]" % (b'{"x":{}},' * N)),
        message(b"[%b{}]" % (b'{"type":"image","source":{"type":"url"}},' * (N - 1))),
        message(b"[%b{}]" % (b'{"type":"text","text":"","cache_control":{}},' * (N - 9))),
        message(b'[{"type":"image","x":[%b{}]}]' % (b'{"":[]},' * N)),
        message(b'"hi"', b',"tools":[%b{}]' % (b'{"type":"x"},' * N)),
        message(
            b'"hi"', b',"logit_bias":{%b"":0}' % b"".join(b'"%d":0,' % i for i in range(N * 4))
        ),
        message(b'"hi"', b',"user":"u","metadata":{%b"":0}' % (b'"":0,' * N * 4)),
        message(b'"hi"', b',"fallback_models":[%b""]' % (b'"",' * N * 4)),
    ],
    ids=["empty", "unknown", "images", "cached", "inside", "tools", "biases", "metadata", "models"],
)
def test_no_body_within_the_bounds_takes_more_memory_than_a_large_text(data: bytes) -> None:
    tracemalloc.start()
    body = peek(data, needs_max_tokens=True)
    assert isinstance(body, Body)
    declared_edits(body)
    Estimate(data).reservation_units(5, (PRICE,))
    is_bound(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A text of 32 MB takes twice its size, and six times with a single character beyond ASCII.
    assert peak < 64 * 2**20


def test_a_text_that_looks_like_much_structure_is_a_text() -> None:
    record = json.dumps({"id": 1, "note": 'a "quoted" \\ word', "in": {"tags": ["a", "b"]}})
    data = message(json.dumps(record * 200_001).encode())
    assert data.count(b"{") > 400_000
    assert isinstance(peek(data, needs_max_tokens=True), Body)


def test_a_text_without_an_end_is_walked_through_once() -> None:
    data = message(b'"' + b'\\"{' * 400_000)[:-3]
    found = peek(data, needs_max_tokens=True)
    assert isinstance(found, Refusal)
    assert "truncated" in found.message


def test_one_name_of_escapes_is_refused() -> None:
    data = message(b'"hi"', b',"%b":0' % (b"\\n" * 5_000_000))
    tracemalloc.start()
    found = peek(data, needs_max_tokens=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(found, Refusal)
    assert "the name of a field has at most 256 characters" in found.message
    assert peak < 2 * len(data)


def test_a_batch_is_bounded_in_its_requests_and_each_of_them_like_a_request() -> None:
    many = b'{"requests":[%b0]}' % (b"0," * 20_000_000)
    found = read_object(many, BATCH_BOUNDS)
    assert isinstance(found, Refusal)
    assert "elements at its second level" in found.message
    one = b'{"requests":[{"custom_id":"a","params":%b}]}' % message(b"[%b0]" % (b"0," * MAX_VALUES))
    assert isinstance(read_object(one, BATCH_BOUNDS), Body)
    full = b'{"requests":[%b0]}' % (b"0," * (MAX_BATCH_REQUESTS - 1))
    assert isinstance(read_object(full, BATCH_BOUNDS), Body)


@given(st.integers(0, 3), st.integers(-2, 2))
def test_a_large_body_that_is_no_utf8_is_found_with_its_place(before: int, around: int) -> None:
    data = b'{"a":"%b%b"}' % (b"x" * before, "\u6f22".encode() * 400_000)
    assert isinstance(read_object(data), Body)
    place = 6 + before + 3 * (2**20 // 3 + around)
    found = read_object(data[:place] + b"\xff" + data[place:])
    assert isinstance(found, Refusal)
    assert f"not UTF-8 (byte {place})" in found.message
