"""What is read of a body, and that an edit changes what it names and nothing else."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.accounting.prices import price_of_dollars
from apertis.gateway.errors import Refusal
from apertis.gateway.request.body import (
    _DECISIVE,  # pyright: ignore[reportPrivateUsage]
    Body,
    Edits,
    declared_edits,
    peek,
    read_object,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
# A name that decides something is rejected in another case.
NAMES = st.text(max_size=8).filter(
    lambda name: name == name.casefold() or name.casefold() not in _DECISIVE
)
SPACE = st.sampled_from([b"", b" ", b"\n  ", b"\t", b"\r\n"])
PRICE = price_of_dollars(Decimal(3), Decimal(15))
MESSAGE = b'{"model":"m","max_tokens":5,"messages":[]}'


def read(data: bytes) -> Body:
    body = read_object(data)
    assert isinstance(body, Body), body
    return body


def refusal(data: bytes, *, needs_max_tokens: bool = True) -> Refusal:
    found = peek(data, needs_max_tokens=needs_max_tokens)
    assert isinstance(found, Refusal)
    return found


@st.composite
def written_objects(draw: st.DrawFn) -> tuple[bytes, dict[str, Any]]:
    """An object and its bytes, with white space and escapes as any client may write them."""
    # Names that differ in their case alone are one name to some readers, and rejected.
    names = draw(st.lists(NAMES, max_size=6, unique_by=str.casefold))
    fields = {name: draw(JSON) for name in names}
    parts = []
    for name, value in fields.items():
        key = json.dumps(name, ensure_ascii=draw(st.booleans())).encode()
        text = json.dumps(value, ensure_ascii=draw(st.booleans())).encode()
        parts.append(
            b"".join((draw(SPACE), key, draw(SPACE), b":", draw(SPACE), text, draw(SPACE)))
        )
    inside = b",".join(parts) or draw(SPACE)
    return draw(SPACE) + b"{" + inside + b"}" + draw(SPACE), fields


@given(written_objects())
@settings(max_examples=200)
def test_a_body_without_an_edit_is_the_very_bytes_that_came(
    written: tuple[bytes, dict[str, Any]],
) -> None:
    data, fields = written
    body = read(data)
    assert body.edited() is data
    assert {name: json.loads(body.raw(name) or b"") for name in body.names} == fields


@given(written_objects(), st.data())
@settings(max_examples=200)
def test_an_edit_changes_what_it_names_and_keeps_every_other_byte(
    written: tuple[bytes, dict[str, Any]], data: st.DataObject
) -> None:
    text, fields = written
    names = sorted(fields)
    remove = data.draw(st.sets(st.sampled_from(names)) if names else st.just(set[str]()))
    left = [name for name in names if name not in remove]
    replace = data.draw(st.dictionaries(st.sampled_from(left), JSON) if left else st.just({}))
    add = data.draw(
        st.dictionaries(NAMES.filter(lambda name: name not in fields), JSON, max_size=2)
    )
    body = read(text)
    edited = body.edited(
        {name: msgspec.json.encode(value) for name, value in replace.items()},
        remove,
        {name: msgspec.json.encode(value) for name, value in add.items()},
    )
    expected = {name: value for name, value in fields.items() if name not in remove}
    assert json.loads(edited) == {**expected, **replace, **add}
    for name in left:
        if name not in replace:
            assert (body.raw(name) or b"") in edited
    # White space before and after the object is not the edit's to touch.
    assert edited.startswith(text[: text.index(b"{") + 1])
    assert edited.endswith(text[text.rindex(b"}") :])


def test_removing_a_field_leaves_the_spacing_of_the_others() -> None:
    body = read(b'{\n  "a": 1,\n  "b": [1, 2],\n  "c": "x"\n}')
    assert body.edited(remove=("b",)) == b'{\n  "a": 1,\n  "c": "x"\n}'
    assert body.edited(remove=("a",)) == b'{\n  "b": [1, 2],\n  "c": "x"\n}'
    assert body.edited(remove=("c",)) == b'{\n  "a": 1,\n  "b": [1, 2]\n}'
    assert body.edited({"b": b"0"}) == b'{\n  "a": 1,\n  "b": 0,\n  "c": "x"\n}'


@pytest.mark.parametrize(
    "data",
    [
        b'{"model":"a","model":"b"}',
        b'{"model":"aa","model":"b"}',
        b'{"model":1,"x":2,"model":1}',
        b'{"model":"a","mod\\u0065l":"b"}',
        b'{"model":{"b":1,"c":2},"c":2,"model":1}',
        b'{"model":12,"x":0,"model":1}',
    ],
)
def test_a_name_that_stands_twice_is_refused(data: bytes) -> None:
    found = read_object(data)
    assert isinstance(found, Refusal)
    assert (found.status, found.code) == (400, "invalid_request")
    assert "occurs twice" in found.message


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), JSON), min_size=2, max_size=5))
def test_no_value_can_hide_a_name_that_stands_twice(pairs: list[tuple[str, Any]]) -> None:
    text = (
        b"{" + b",".join(b'"%s":%s' % (k.encode(), json.dumps(v).encode()) for k, v in pairs) + b"}"
    )
    found = read_object(text)
    assert isinstance(found, Refusal) == (len({name for name, _ in pairs}) < len(pairs))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "truncated"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'{"model":', "truncated"),
        (b'{"model":"m"} x', "trailing"),
        (b"{'model':1}", "malformed"),
        (b'{"model":"\xff"}', "not UTF-8 (byte 10)"),
        (b'{"model":"\xed\xa0\x80"}', "not UTF-8"),
        (b"[" * 200_000, "must be a JSON object"),
        (b'{"a":' + b"[" * 200_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_object_is_refused_with_the_reason(data: bytes, words: str) -> None:
    found = refusal(data)
    assert (found.status, found.type, found.code) == (
        400,
        "invalid_request_error",
        "invalid_request",
    )
    assert words in found.message


@pytest.mark.parametrize("missing", ["model", "messages", "max_tokens"])
def test_a_missing_field_is_named(missing: str) -> None:
    fields = {"model": "m", "max_tokens": 5, "messages": []}
    del fields[missing]
    found = refusal(json.dumps(fields).encode())
    assert (found.status, found.code, found.param) == (400, "missing_parameter", missing)


@pytest.mark.parametrize("value", ["1.5", '"5"', "-1", "true", "null", "1e400", "[]"])
def test_a_number_of_tokens_must_be_a_whole_one(value: str) -> None:
    found = refusal(b'{"model":"m","messages":[],"max_tokens":%s}' % value.encode())
    assert found.param == "max_tokens"


@pytest.mark.parametrize("value", ["1", "null", '""', '"' + "x" * 257 + '"', "{}"])
def test_a_model_must_be_a_name(value: str) -> None:
    found = refusal(b'{"model":%s,"messages":[],"max_tokens":5}' % value.encode())
    assert (found.code, found.param) == ("invalid_parameter", "model")


def test_counting_tokens_needs_no_max_tokens() -> None:
    body = peek(b'{"model":"m","messages":[]}', needs_max_tokens=False)
    assert isinstance(body, Body)
    assert body.model == "m"


@pytest.mark.parametrize(("value", "stream"), [("true", True), ("false", False), ("null", False)])
def test_stream_is_read(value: str, stream: bool) -> None:
    body = peek(MESSAGE[:-1] + b',"stream":%s}' % value.encode(), needs_max_tokens=True)
    assert isinstance(body, Body)
    assert body.stream is stream


def test_names_that_differ_in_case_alone_are_one_name() -> None:
    # "\u017f" folds to "s": Go's decoder takes it for one.
    for second in (b"Model", b"MODEL", b"max_token\xc5\xbf", b"Max_Tokens"):
        body = b'{"model":"a","max_tokens":1,"messages":[],"%b":"b"}' % second
        refusal = peek(body, needs_max_tokens=True)
        assert isinstance(refusal, Refusal)
        assert "occurs twice" in refusal.message


def test_an_object_of_very_many_fields_is_refused_unread() -> None:
    refusal = read_object(b"{%b}" % b",".join(b'"a%d":1' % number for number in range(1001)))
    assert isinstance(refusal, Refusal)
    assert "at most 1000 fields" in refusal.message


HALF = "\\ud83d"


def asking(text: str, behind: str = "") -> bytes:
    """A body in whose second message stands a text of JSON's own writing."""
    return (
        '{"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "fine, \\"{"},'
        f' {{"role": "assistant", "content": [[], {{"text": "{text}"}}]}}]{behind}}}'
    ).encode()


@pytest.mark.parametrize("half", ["\\ud83d", "\\uDE00", "\\uD83D\\u0041", "\\ud83d\\ud83d\\ude00"])
@pytest.mark.parametrize("before", ["", "cut ", "\\ud83d\\ude00", "\\\\", '\\"'])
@pytest.mark.parametrize("after", ["", " ", "x", "\\n", "and more text than an escape has"])
@pytest.mark.parametrize("behind", ["", ', "system": "and more behind it"'])
def test_half_a_surrogate_pair_is_named_with_its_place(
    half: str, before: str, after: str, behind: str
) -> None:
    data = asking(before + half + after, behind)
    refusal = read_object(data)
    assert isinstance(refusal, Refusal)
    at = data.index((before + half).encode()) + len(before)
    escape = half[:6]
    assert refusal.message == (
        f"Invalid request format: half of a surrogate pair ({escape}) at byte {at}, in "
        "messages[1].content[1].text; it is not a character: replace or remove it"
    )


def test_half_a_pair_that_is_encoded_by_itself_is_named_too() -> None:
    refusal = read_object(asking("cut @").replace(b"@", b"\xed\xa0\xbd"))
    assert isinstance(refusal, Refusal)
    assert "half of a surrogate pair (which is not UTF-8)" in refusal.message
    assert "in messages[1].content[1].text;" in refusal.message


def test_half_a_pair_in_a_name_has_the_place_of_its_object() -> None:
    refusal = read_object(b'{"model": "m", "metadata": {"user": "u", "\\ud83d": 1}}')
    assert isinstance(refusal, Refusal)
    assert "at byte 42, in metadata;" in refusal.message


@given(st.text(max_size=20), st.text(max_size=20))
def test_whole_characters_are_never_taken_for_halves(before: str, after: str) -> None:
    data = json.dumps({"model": before, "messages": [after]}).encode()
    assert not isinstance(read_object(data), Refusal)
    cut = read_object(data[:-3])
    assert isinstance(cut, Refusal)
    assert "surrogate" not in cut.message


def test_behind_many_values_the_byte_is_the_place() -> None:
    values = b"[]," * 60_000
    refusal = read_object(b'{"messages": [' + values + b'"\\ud83d"], "model": "m"}')
    assert isinstance(refusal, Refusal)
    assert f"at byte {len(values) + 15}; it is" in refusal.message


def edited(fields: dict[str, Any]) -> dict[str, Any] | Refusal:
    body = read_object(json.dumps({"model": "m", **fields}).encode())
    assert isinstance(body, Body)
    edits = declared_edits(body)
    if isinstance(edits, Refusal):
        return edits
    result = json.loads(body.edited(edits.replace, edits.remove, edits.add))
    assert result.pop("model") == "m"
    return result  # type: ignore[no-any-return]


def test_a_body_of_the_api_itself_is_not_edited() -> None:
    body = read_object(b'{"model":"m","top_k":5,"unknown_field":{"x":1}}')
    assert isinstance(body, Body)
    assert declared_edits(body) == Edits()


@pytest.mark.parametrize(
    "fields",
    [
        {"fallback_models": ["a"], "fallback_timeout": 9000, "fallback_enabled": True},
        {"compression": {"enabled": False}},
        {"compression": None},
        {"n": 1},
        {"presence_penalty": 0, "frequency_penalty": 0.0},
        {"logit_bias": {}},
        {"response_format": {"type": "text"}},
        {"seed": None, "user": None, "stop": None},
    ],
)
def test_what_changes_nothing_is_taken_out(fields: dict[str, Any]) -> None:
    assert edited(fields) == {}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"stop": "x"}, {"stop_sequences": ["x"]}),
        ({"stop": ["x", "y"]}, {"stop_sequences": ["x", "y"]}),
        ({"user": "u"}, {"metadata": {"user_id": "u"}}),
        ({"user": "u", "metadata": {}}, {"metadata": {"user_id": "u"}}),
        ({"user": "u", "metadata": {"user_id": "u"}}, {"metadata": {"user_id": "u"}}),
        ({"metadata": None, "user": "u"}, {"metadata": {"user_id": "u"}}),
    ],
)
def test_what_has_another_name_here_is_renamed(
    fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert edited(fields) == expected


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"compression": {"enabled": True}}, "compression"),
        ({"compression": "on"}, "compression"),
        ({"n": 2}, "n"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": -1}, "frequency_penalty"),
        ({"logit_bias": {"50": 1}}, "logit_bias"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"seed": 7}, "seed"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": 5}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"stop": "x", "stop_sequences": ["y"]}, "stop"),
        ({"user": 5}, "user"),
        ({"user": "u", "metadata": {"user_id": "v"}}, "user"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    refusal = edited(fields)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code, refusal.param) == (400, "invalid_parameter", param)
    assert param in refusal.message


@pytest.mark.parametrize("name", ["n", "seed", "stop", "user", "compression", "logit_bias"])
@pytest.mark.parametrize("number", [b"1" * 5000, b"1e999", b"-1e999"])
def test_a_number_that_nobody_can_read_is_refused(name: str, number: bytes) -> None:
    body = read_object(b'{"model":"m","%b":%b}' % (name.encode(), number))
    assert isinstance(body, Body)
    refusal = declared_edits(body)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.param) == (400, name)


def test_a_user_beside_metadata_that_nobody_can_read_is_refused() -> None:
    body = read_object(b'{"user":"ann","metadata":{"user_id":%b}}' % (b"1" * 5000))
    assert isinstance(body, Body)
    refusal = declared_edits(body)
    assert isinstance(refusal, Refusal)
    assert refusal.param == "user"


LONG = "The tide turns twice a day;\n\u6f6e. " * 500
KINDS_OF_CONTENT: list[Any] = [
    "Hi",
    [{"type": "text", "text": "Hi"}],
    [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    [{"type": "image", "source": {"type": "base64", "data": "aaaa"}}],
    [{"type": "tool_use", "id": "a", "name": "t", "input": {"messages": []}}],
    {"messages": []},
    None,
]
CONTENTS = st.sampled_from(KINDS_OF_CONTENT)
TURNS: st.SearchStrategy[list[Any]] = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": CONTENTS}),
    max_size=3,
)
ALL_FIELDS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "model": st.just("m"),
        "max_tokens": st.just(9),
        "stream": st.booleans(),
        "system": CONTENTS,
        "tools": st.just([{"name": "t", "input_schema": {"messages": [{"role": "x"}]}}]),
        "metadata": st.just({"messages": [{"role": "user", "content": "Hi"}]}),
        "container": st.just("c"),
        "MODEL": st.just("m"),
        "context_management": st.just({"messages": []}),
    },
)


@given(ALL_FIELDS, TURNS, st.data(), st.sampled_from([(",", ":"), (", ", ": ")]))
@settings(max_examples=300)
def test_a_large_body_is_read_like_any_other_one(
    fields: dict[str, Any], turns: list[Any], data: st.DataObject, spaces: tuple[str, str]
) -> None:
    said = [{"role": "user", "content": LONG}, *turns]
    members = [*fields.items(), ("messages", data.draw(st.permutations(said)))]
    members += data.draw(st.lists(st.sampled_from(members), max_size=1))
    members = data.draw(st.permutations(members))
    texts = [
        spaces[1].join((json.dumps(name), json.dumps(value, separators=spaces, ensure_ascii=False)))
        for name, value in members
    ]
    whole = ("{" + spaces[0].join(texts) + "}").encode()
    quick, slow = peek(whole, needs_max_tokens=True), read_object(whole)
    if isinstance(slow, Refusal):
        assert quick == slow
        return
    if isinstance(quick, Refusal):
        assert not {"model", "max_tokens"} <= fields.keys()
        return
    assert {name: quick.raw(name) for name in quick.names} == {
        name: slow.raw(name) for name in slow.names
    }
    assert [quick.span(name) for name in quick.names] == [slow.span(name) for name in quick.names]
    edit = {"messages": b"[]"}, ("model",), {"added": b"1"}
    assert quick.edited(*edit) == slow.edited(*edit)
    one, other = quick.estimate, slow.estimate
    assert one.input_tokens == other.input_tokens
    assert one.likely_tokens == other.likely_tokens
    assert one.reservation_units(9, (PRICE,)) == other.reservation_units(9, (PRICE,))
    assert one.held_after(9, None) == other.held_after(9, None)


@pytest.mark.parametrize("place", [0, 30, 16_000, -3])
def test_a_large_body_that_cannot_be_read_is_refused_with_its_place(place: int) -> None:
    data = json.dumps({"model": "m", "messages": [{"role": "user", "content": LONG}]}).encode()
    data = data[:place] + b"\x00" + data[place:]
    assert refusal(data) == read_object(data)
