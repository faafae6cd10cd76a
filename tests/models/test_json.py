"""The one guard around JSON that comes from elsewhere."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.models.json import (
    json_or_none,
    on_one_line,
    with_sound_text,
    without_half_characters,
)


class Named(msgspec.Struct):
    name: str


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no",
        b'{"name":7}',
        b'{"name":"a"',
        b'{"name":"\xff"}',
        b'{"name":"\\ud83d"}',
        b'{"name":"a","other":' + b"[" * 100_000,
        b'{"name":' + b"9" * 5000 + b"}",
    ],
)
def test_what_cannot_be_read_is_none(data: bytes) -> None:
    assert json_or_none(data, Named) is None
    assert json_or_none(data, msgspec.json.Decoder(Named)) is None


def test_what_can_be_read_is_the_same_by_type_and_by_decoder() -> None:
    for data in (b'{"name":"a"}', memoryview(b'{"name":"a"}'), '{"name":"a"}'):
        assert json_or_none(data, Named) == Named("a")
        assert json_or_none(data, msgspec.json.Decoder(Named)) == Named("a")


@given(st.binary(max_size=60) | st.text('{}[]":\\ud83dc0\xff', max_size=60).map(str.encode))
def test_no_bytes_raise(data: bytes) -> None:
    json_or_none(data, object)
    json_or_none(with_sound_text(data), object)


@pytest.mark.parametrize(
    ("data", "sound"),
    [
        (b'"\\ud83d"', b'"\\ufffd"'),
        (b'"\\ud83d\\ude00"', b'"\\ud83d\\ude00"'),
        (b'"\\\\ud83d"', b'"\\\\ud83d"'),
        (b'"\xff"', b'"\xef\xbf\xbd"'),
    ],
)
def test_what_is_no_text_becomes_the_mark_for_it(data: bytes, sound: bytes) -> None:
    assert with_sound_text(data) == sound
    assert without_half_characters(sound) == sound


@given(st.text(st.sampled_from("a\x85\u2028\u2029\xe9\n")))
def test_json_on_one_line_says_the_same_on_a_single_line(text: str) -> None:
    data = on_one_line(msgspec.json.encode(text))
    assert len(data.decode().splitlines()) == 1
    assert msgspec.json.decode(data) == text
