"""Lines of results, cut anywhere."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.batches.results_stream import LineFraming, LineResult, read_results

MESSAGE = b'{"id":"msg_1","usage":{"input_tokens":1}}'


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=12)), st.sampled_from([b"\n", b"x\n", b"\r\n"]))
def test_whole_lines_come_out_and_nothing_is_lost(chunks: list[bytes], tail: bytes) -> None:
    framing = LineFraming()
    blocks = [framing.feed(chunk) for chunk in [*chunks, tail, *chunks]]
    rest = framing.rest()
    assert b"".join([*blocks, rest]) == b"".join([*chunks, tail, *chunks])
    assert all(not block or block.endswith(b"\n") for block in blocks)
    assert b"\n" not in rest
    assert framing.rest() == b""


def test_a_line_without_an_end_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apertis.gateway.batches.results_stream.MAX_LINE_BYTES", 100)
    framing = LineFraming()
    framing.feed(b"x" * 90 + b"\n" + b"y" * 100)
    assert not framing.overflowed
    framing.feed(b"y")
    assert framing.overflowed


def test_lines_say_what_was_answered() -> None:
    lines = (
        b'{"custom_id":"a","result":{"type":"succeeded","message":%b}}\n\n'
        b'{"result":{"type":"errored","error":{"type":"error"}},"custom_id":"b","new":1}\r\n'
        b'{"custom_id":"c","result":{"type":"expired","message":null}}' % MESSAGE
    )
    assert read_results(lines) == [
        LineResult("a", MESSAGE),
        LineResult("b", None),
        LineResult("c", None),
    ]


def test_a_kind_of_result_that_is_not_known_is_paid_if_it_has_a_message() -> None:
    line = b'{"custom_id":"a","result":{"type":"partly","message":%b}}\n' % MESSAGE
    assert read_results(line) == [LineResult("a", MESSAGE)]


def test_characters_that_look_like_line_ends_are_none() -> None:
    message = json.dumps({"text": "a\u2028b\x85c"}, ensure_ascii=False).encode()
    line = b'{"custom_id":"a","result":{"message":%b}}\n' % message
    assert read_results(line) == [LineResult("a", message)]


@pytest.mark.parametrize("line", [b"no", b"[]", b'{"result":{}}', b"\xff", b'{"custom_id":7}', b""])
def test_a_line_that_does_not_say_whose_it_is_hides_no_other(line: bytes) -> None:
    good = b'{"custom_id":"a","result":{}}\n'
    assert read_results(good + line + b"\n" + good) == [LineResult("a", None)] * 2


@pytest.mark.parametrize(
    "content",
    [b'"one \\ud83d"', b'"\xff"', b"[" * 3000 + b"]" * 3000, b'{"usage":{"input_tokens":9}}'],
)
def test_a_line_of_any_content_says_what_was_answered(content: bytes) -> None:
    message = b'{"id":"msg_1","content":[%b],"usage":{"input_tokens":1}}' % content
    line = b'{"custom_id":"a","result":{"type":"succeeded","message":%b}}\n' % message
    assert read_results(line) == [LineResult("a", message)]


@pytest.mark.parametrize(
    "line",
    [
        b'{"custom_id":"a"}',
        b'{"custom_id":"a","result":7}',
        b'{"custom_id":"a","result":{"type":"succeeded","message":{"id":"msg_1","con',
        b' { "custom_id" : "a" , "result" : oops }',
    ],
)
def test_a_line_whose_result_cannot_be_read_still_has_its_name(line: bytes) -> None:
    assert read_results(line) == [LineResult("a", b"")]
