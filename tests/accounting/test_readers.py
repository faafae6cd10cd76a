"""What is read of a stream, event by event and however its events are grouped."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.accounting.counts import completed
from apertis.accounting.readers import Reading, StreamReader, read_message
from apertis.accounting.tokens import Tokens, Use


def event(type: str, **fields: object) -> bytes:
    data = msgspec.json.encode({"type": type, **fields})
    return b"event: " + type.encode() + b"\ndata: " + data + b"\n\n"


def message_start(usage: object = None, model: str = "claude-opus-4-5") -> bytes:
    message = {"id": "msg_1", "model": model, "content": [], "usage": usage}
    return event("message_start", message=message)


def block_start(index: int = 0, type: str = "text") -> bytes:
    return event("content_block_start", index=index, content_block={"type": type})


def piece(text: str, index: int = 0, kind: str = "text") -> bytes:
    type_ = {"text": "text_delta", "thinking": "thinking_delta", "partial_json": "input_json_delta"}
    delta = {"type": type_[kind], kind: text}
    return event("content_block_delta", index=index, delta=delta)


def block_stop(index: int = 0) -> bytes:
    return event("content_block_stop", index=index)


def message_delta(usage: object = None, stop_reason: str | None = "end_turn") -> bytes:
    return event("message_delta", delta={"stop_reason": stop_reason}, usage=usage)


PING = event("ping")
STOP = event("message_stop")
START = message_start({"input_tokens": 10, "output_tokens": 1})


def read(*events: bytes) -> StreamReader:
    reader = StreamReader()
    for one in events:
        reader.feed(one)
    return reader


def booked(reader: StreamReader) -> Tokens:
    """What a stream is booked with that ends now."""
    assert reader.use is not None
    seen = reader.output_seen
    return completed(reader.use, None, max_tokens=1000, likely_input=lambda: 0, output_seen=seen)[0]


def facts(reader: StreamReader) -> dict[str, Any]:
    names = (
        "tokens",
        "others",
        "model",
        "id",
        "stop_reason",
        "content_started",
        "stopped",
        "error_type",
        "malformed",
        "final",
        "deltas",
        "use",
        "estimated",
    )
    return {name: getattr(reader, name) for name in names}


def test_a_whole_stream_says_everything() -> None:
    reader = read(
        START,
        PING,
        block_start(),
        piece("Hel"),
        piece("lo"),
        block_stop(),
        message_delta({"output_tokens": 17}),
        STOP,
    )
    assert facts(reader) == {
        "tokens": Tokens(input=10, output=17),
        "others": (),
        "model": "claude-opus-4-5",
        "id": "msg_1",
        "stop_reason": "end_turn",
        "content_started": True,
        "stopped": True,
        "error_type": None,
        "malformed": None,
        "final": True,
        "deltas": 2,
        "use": Use(Tokens(input=10, output=17)),
        "estimated": False,
    }


@pytest.mark.parametrize(
    ("behind", "ends"),
    [
        (b"", True),
        (PING, True),
        (b": bye\n\n", True),
        (b'data: {"type":"ping"}\n\n', True),
        (b"data: [DONE]\n\n", False),
        (START, False),
        (event("error", error={"type": "api_error"}), False),
    ],
)
def test_what_stands_behind_the_message_in_its_last_piece_is_told(
    behind: bytes, ends: bool
) -> None:
    assert read(START, STOP + behind).ends_block is ends
    assert not read(START).ends_block
    assert not read(START + event("error", error={"type": "api_error"})).ends_block


def test_nothing_is_known_before_the_first_event() -> None:
    reader = read()
    assert reader.tokens is None
    assert reader.use is None
    assert not reader.content_started


def test_an_upstream_that_splits_its_input_at_the_end_only_is_booked_right() -> None:
    whole = message_start({"input_tokens": 5000, "output_tokens": 0})
    split = message_delta(
        {
            "input_tokens": 200,
            "cache_read_input_tokens": 4000,
            "cache_creation_input_tokens": 800,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 800},
            "output_tokens": 40,
        }
    )
    assert read(whole, split, STOP).tokens == Tokens(
        input=200, output=40, cache_read=4000, cache_write_1h=800
    )


def test_cumulative_repeats_and_nulls_are_not_added() -> None:
    usage = {"input_tokens": 30, "cache_read_input_tokens": 7, "output_tokens": 2}
    deltas = [message_delta({**usage, "output_tokens": n}, stop_reason=None) for n in (10, 20, 30)]
    nulls = message_delta(
        {"input_tokens": None, "cache_read_input_tokens": None, "output_tokens": 31}
    )
    reader = read(message_start(usage), *deltas, nulls, STOP)
    assert reader.tokens == Tokens(input=30, cache_read=7, output=31)
    assert reader.final


def test_a_count_without_a_stop_reason_is_not_the_final_one() -> None:
    reader = read(START, block_start(), message_delta({"output_tokens": 2}, stop_reason=None))
    assert not reader.final
    reader.feed(message_delta(None))
    assert not reader.final, "a stop reason without a count leaves the output unknown"


def test_a_cut_stream_is_booked_by_the_largest_of_what_was_said_and_seen() -> None:
    pieces = [piece("x") for _ in range(9)]
    assert booked(read(START, block_start(), *pieces)) == Tokens(input=10, output=9)
    long = read(START, block_start(), piece("a" * 401))
    assert booked(long) == Tokens(input=10, output=101)
    assert long.tokens == Tokens(input=10, output=1)
    said = message_delta({"output_tokens": 500}, stop_reason=None)
    assert booked(read(START, block_start(), piece("x"), said)).output == 500


def test_a_final_count_is_never_replaced_by_an_estimate() -> None:
    reader = read(START, block_start(), *[piece("x")] * 50, message_delta({"output_tokens": 3}))
    assert booked(reader) == Tokens(input=10, output=3)


@pytest.mark.parametrize("kind", ["text", "thinking", "partial_json"])
def test_every_kind_of_piece_counts(kind: str) -> None:
    reader = read(START, block_start(), *(piece("abcd" * 4, kind=kind) for _ in range(10)))
    assert reader.deltas == 10
    assert booked(reader).output == 40
    assert reader.malformed is None


def test_interleaved_blocks_are_in_order() -> None:
    mixed = [piece("abcd", i % 2) for i in range(10)]
    reader = read(START, block_start(0), block_start(1), *mixed, block_stop(1), piece("x", 0))
    assert reader.deltas == 11
    assert reader.malformed is None


def test_a_piece_is_told_by_its_index_wherever_that_stands() -> None:
    def late(index: int) -> bytes:
        data = (
            b'{"delta":{"type":"text_delta","text":"x"},"index":%d,"type":"content_block_delta" }'
        )
        return b"event: content_block_delta\ndata: " + data % index + b"\n\n"

    reader = read(START, block_start(0), late(0), late(0))
    assert reader.malformed is None
    reader.feed(late(1))
    assert reader.malformed == "content_block_delta of a block that is not open"
    assert reader.deltas == 2


def test_an_error_event_is_known_by_its_type() -> None:
    error = event("error", error={"type": "overloaded_error", "message": "secret"})
    assert read(error).error_type == "overloaded_error"
    assert read(error).malformed is None
    assert read(START, block_start(), error).error_type == "overloaded_error"
    assert read(event("error", error="what")).error_type == "api_error"
    assert read(event("error")).error_type == "api_error"
    # It is kept, logged and counted: an upstream does not decide how long it is.
    assert read(event("error", error={"type": "x" * 5000})).error_type == "x" * 64


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([START, START], "a second message_start"),
        ([piece("x")], "content_block_delta before message_start"),
        ([STOP], "message_stop before message_start"),
        ([START, piece("x")], "content_block_delta of a block that is not open"),
        ([START, block_start(), piece("x", 1)], "content_block_delta of a block that is not open"),
        (
            [START, block_start(), piece("x"), piece("x"), block_stop(), piece("x")],
            "content_block_delta of a block that is not open",
        ),
        ([START, block_stop()], "content_block_stop of a block that is not open"),
        ([START, block_start(), block_start()], "a second content_block_start of one index"),
        ([START, event("content_block_start")], "content_block_start without an index"),
        ([event("message_start")], "message_start without a message"),
    ],
)
def test_events_out_of_order_are_malformed(events: list[bytes], reason: str) -> None:
    assert read(*events).malformed == reason


@pytest.mark.parametrize(
    "bad",
    [
        b"event: message_delta\ndata: {oops\n\n",
        b"event: message_delta\ndata: [1]\n\n",
        b'event: message_stop\ndata: {"type":7}\n\n',
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{\n\n',
        piece("a private word").replace(b'word"', b"word"),
        piece("a private word").replace(b"}}", b"}"),
        b"data: nonsense\n\n",
        b"event: message_delta\ndata: " + b"[" * 100_000 + b"\n\n",
    ],
)
def test_damaged_data_is_noticed_and_never_quoted(bad: bytes) -> None:
    reader = read(START, block_start(), piece("abc"), bad)
    assert reader.malformed is not None
    assert reader.malformed.endswith("is not what its type promises")
    assert "private" not in reader.malformed


@pytest.mark.parametrize(
    "harmless",
    [
        PING,
        b": a comment\n\n",
        b"event: ping\n\n",
        b"\n\n\n\n",
        b"data: [DONE]\n\n",
        event("something_new", usage={"input_tokens": 99, "output_tokens": 99}),
        b"event: something_new\ndata: {oops\n\n",
        b"retry: 100\n\n",
    ],
)
def test_what_says_nothing_changes_nothing(harmless: bytes) -> None:
    events = [START, block_start(), piece("a"), piece("b"), message_delta({"output_tokens": 4})]
    plain = facts(read(*events, STOP))
    for place in range(len(events) + 1):
        assert facts(read(*events[:place], harmless, *events[place:], STOP)) == plain
    assert facts(read(*events, STOP, harmless)) == plain


def fallback(index: int, to: object = "claude-opus-4-8") -> bytes:
    block = {"type": "fallback", "from": {"model": "claude-opus-4-5"}, "to": {"model": to}}
    return event("content_block_start", index=index, content_block=block) + block_stop(index)


def test_after_a_fallback_block_another_model_answers() -> None:
    attempts = [
        {"type": "message", "model": "claude-opus-4-5", "input_tokens": 10, "output_tokens": 2},
        {
            "type": "fallback_message",
            "model": "claude-opus-4-8",
            "input_tokens": 12,
            "output_tokens": 9,
        },
    ]
    usage = {"input_tokens": 12, "output_tokens": 9, "iterations": attempts}
    reader = read(START, fallback(0), block_start(1), piece("x", 1), message_delta(usage), STOP)
    assert reader.model == "claude-opus-4-8"
    assert reader.use == Use(Tokens(input=12, output=9), "claude-opus-4-8")
    assert reader.others == (Use(Tokens(input=10, output=2), "claude-opus-4-5"),)
    assert not reader.estimated


def test_a_chain_that_is_cut_off_is_told_by_what_was_seen_of_each_model() -> None:
    first = [block_start(0), *[piece("abcd")] * 3, block_stop(0)]
    reader = read(START, *first, fallback(1), block_start(2), *[piece("efgh", 2)] * 5)
    assert reader.others == (Use(Tokens(input=10, output=3)),)
    assert reader.use is not None
    assert reader.use.model == "claude-opus-4-8"
    assert reader.use.unknown == {"output"}
    assert reader.output_seen == 5
    assert reader.estimated


def test_a_chain_whose_attempts_are_not_listed_is_estimated_but_for_the_last() -> None:
    end = [message_delta({"output_tokens": 9}), STOP]
    reader = read(START, block_start(0), piece("abcd"), block_stop(0), fallback(1), *end)
    assert reader.use == Use(Tokens(input=10, output=9), "claude-opus-4-8")
    assert reader.others == (Use(Tokens(input=10, output=1)),)
    assert reader.estimated


@pytest.mark.parametrize("to", [None, 7, ""])
def test_a_fallback_to_nobody_in_particular_is_no_fault(to: object) -> None:
    reader = read(START, fallback(0, to), message_delta({"output_tokens": 9}), STOP)
    assert reader.malformed is None
    assert reader.model == "claude-opus-4-5"


@pytest.mark.parametrize("end", [STOP, piece("x", 9), event("error"), START])
def test_nothing_is_taken_behind_the_end_or_a_fault(end: bytes) -> None:
    before = [START, block_start(), piece("a")]
    after = [
        piece("b" * 900),
        message_delta({"input_tokens": 9000, "output_tokens": 900}),
        block_start(5),
        event("error"),
        STOP,
    ]
    reader = read(*before, end)
    assert facts(read(*before, end, *after)) == facts(reader)
    assert facts(read(b"".join((*before, end, *after)))) == facts(reader)
    assert reader.deltas == 1


@pytest.mark.parametrize("text", [b"one \\ud83d", b"\\uDE00", b"\xff\xfe", b"\xed\xa0\xbd"])
def test_text_that_is_no_text_is_passed_and_counted(text: bytes) -> None:
    odd = piece("@@").replace(b"@@", text)
    pieces = [odd, piece("b"), odd, odd]
    reader = read(START, block_start(), *pieces, message_delta({"output_tokens": 4}), STOP)
    assert reader.malformed is None
    assert reader.deltas == 4
    assert reader.use == Use(Tokens(input=10, output=4))


def test_a_block_of_any_depth_is_passed() -> None:
    deep = b"[" * 5000 + b"]" * 5000
    start = event("content_block_start", index=0, content_block={"type": "tool_use", "input": "@"})
    reader = read(START, start.replace(b'"@"', deep), block_stop(), STOP)
    assert reader.malformed is None


def test_a_start_of_any_content_is_read() -> None:
    message = message_start({"input_tokens": 8, "output_tokens": 1}).replace(
        b'"content":[]', b'"content":[' + b"[" * 3000 + b"]" * 3000 + b',"\\ud83d\xff"]'
    )
    reader = read(message)
    assert reader.tokens == Tokens(input=8, output=1)
    assert reader.model == "claude-opus-4-5"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("same", [START, piece("x")])
def test_the_sound_part_of_a_block_ends_where_the_fault_begins(end: bytes, same: bytes) -> None:
    # The faulty event has the very bytes of one that was sound.
    sound = [START, block_start(), piece("x"), block_stop()]
    block = lines_of(b"".join((*sound, same, STOP)), end)
    reader = read(block)
    assert reader.malformed is not None
    assert block[: reader.sound_bytes] == lines_of(b"".join(sound), end)


def lines_of(block: bytes, end: bytes) -> bytes:
    return block.replace(b"\n", end)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize(
    "respell",
    [
        lambda block: block,
        lambda block: block.replace(b": ", b":"),
        lambda block: block.replace(b"}}\n", b"}       }\n"),
        lambda block: block.replace(b'":', b'" : '),
        lambda block: b"\n".join(x for x in block.split(b"\n") if not x.startswith(b"event:")),
        lambda block: b"\xef\xbb\xbf" + block,
        lambda block: block.replace(b"data: {", b"data: {\ndata: "),
    ],
)
def test_every_spelling_of_the_same_stream_says_the_same(end: bytes, respell: Any) -> None:
    events = [
        START,
        block_start(),
        *(piece(text) for text in ("a", "}", '"', '"}}', "\\", "é\u2028", " } ", "")),
        block_stop(),
        message_delta({"output_tokens": 4}),
        STOP,
    ]
    plain = read(*events)
    spelled = read(lines_of(respell(b"".join(events)), end))
    assert plain.malformed is None
    # Text may be longer in another spelling; the rest is equal.
    assert facts(spelled) == facts(plain)


ANY_EVENT = st.one_of(
    st.just(START),
    st.just(PING),
    st.just(STOP),
    st.just(b": comment\n\n"),
    st.just(b"\n"),
    st.builds(block_start, st.integers(0, 2)),
    st.builds(block_stop, st.integers(0, 2)),
    st.builds(
        piece,
        st.text(max_size=8),
        st.integers(0, 2),
        st.sampled_from(["text", "thinking", "partial_json"]),
    ),
    st.builds(message_delta, st.builds(dict, output_tokens=st.integers(0, 99))),
    st.builds(lambda text: piece(text).replace(b"\n", b"\r\n"), st.text(max_size=4)),
    st.sampled_from([b"event: message_delta\ndata: {\n\n", b"data:x\n\n"]),
)


@given(st.lists(ANY_EVENT, max_size=25), st.data())
@settings(max_examples=200)
def test_facts_do_not_depend_on_how_events_are_grouped(
    events: list[bytes], data: st.DataObject
) -> None:
    events = [START, block_start(), *events]
    alone = facts(read(*events))
    assert facts(read(b"".join(events))) == alone
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=4)))
    groups = [b"".join(events[a:b]) for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
    assert facts(read(*groups)) == alone


ODD = ['"', "}", " ", "\n", "\r", "\\", "x", '"}}\n\n', "data: ", piece("y").decode()]


@given(st.lists(st.sampled_from(ODD), max_size=8).map("".join))
@settings(max_examples=400)
def test_a_piece_by_itself_is_read_like_one_among_others(odd: str) -> None:
    learned = piece("abc")
    begun = learned[: learned.index(b"abc")]
    alone = begun + odd.encode() + b'"}}\n\n'
    before = [START, block_start(), learned]
    by_itself, among_others = read(*before, alone), read(*before, b": comment\n\n" + alone)
    assert facts(by_itself) == facts(among_others)
    assert by_itself.output_seen == among_others.output_seen


@given(st.lists(st.text(max_size=30), max_size=30))
@settings(max_examples=150)
def test_every_piece_is_counted_once_with_all_its_bytes(texts: list[str]) -> None:
    reader = read(START, block_start(), *map(piece, texts))
    assert reader.malformed is None
    assert reader.deltas == len(texts)
    written = sum(len(msgspec.json.encode(text)) - 2 for text in texts)
    assert booked(reader).output == max(1, len(texts), -(-written // 4))


def test_a_message_says_its_model_id_reason_and_usage() -> None:
    body = msgspec.json.encode(
        {
            "id": "msg_1",
            "type": "message",
            "model": "claude-opus-4-5-20251101",
            "content": [{"type": "text", "text": "Hi", "usage": {"input_tokens": 999}}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 12, "output_tokens": 3},
        }
    )
    assert read_message(body) == Reading(
        Use(Tokens(input=12, output=3)),
        "claude-opus-4-5-20251101",
        "msg_1",
        "end_turn",
        output_estimate=15,
        context=15,
    )


@pytest.mark.parametrize("usage", [b"", b',"usage":null', b',"usage":7', b',"usage":[1]'])
def test_without_usage_there_are_no_tokens(usage: bytes) -> None:
    assert read_message(b'{"id":"msg_1"' + usage + b"}") == Reading(id="msg_1")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"oops", b'{"id":', b'{"id":7}', b"[" * 100_000],
)
def test_what_is_no_message_has_no_facts(body: bytes) -> None:
    assert read_message(body) == Reading()
