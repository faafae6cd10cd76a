"""`messages.stream`: the helper, member by member."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from apertis import ApertisError, StreamTruncatedError
from apertis.models import decode_message, parse_partial_json
from apertis.testing import (
    AwaitDisconnect,
    Exchange,
    Gate,
    ScriptedServer,
    http_chunk,
    json_response,
    sse_event,
    sse_head,
    sse_response,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apertis import Apertis, MessageStream

    Connect = Callable[..., Apertis]

LEAST: dict[str, Any] = {
    "model": "m",
    "max_tokens": 5,
    "messages": [{"role": "user", "content": "Hello"}],
}
START: dict[str, Any] = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 25, "output_tokens": 1, "cache_read_input_tokens": 7},
    },
}
CITATION = {
    "type": "char_location",
    "cited_text": "x",
    "document_index": 0,
    "document_title": None,
    "start_char_index": 0,
    "end_char_index": 1,
}
SEARCH = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": [
        {"type": "web_search_result", "title": "t", "url": "u", "encrypted_content": "e", "new": 1}
    ],
}


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text(piece: str) -> dict[str, Any]:
    return {"type": "text_delta", "text": piece}


EVENTS: list[dict[str, Any]] = [
    START,
    {"type": "ping"},
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Let me "},
        {"type": "thinking_delta", "thinking": "see."},
        {"type": "signature_delta", "signature": "EqQBCg=="},
    ),
    *block(
        1,
        {"type": "text", "text": ""},
        text("Hel"),
        {"type": "citations_delta", "citation": CITATION},
        text("lo \u2028é\u0085!"),
    ),
    {"type": "ping"},
    *block(
        2,
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
        {"type": "input_json_delta", "partial_json": ""},
        {"type": "input_json_delta", "partial_json": '{"city": "Os'},
        {"type": "input_json_delta", "partial_json": 'lo", "n": 1.50}'},
    ),
    *block(3, SEARCH),
    *block(4, {"type": "hologram", "z": 1}, {"type": "hologram_delta", "z": 2}),
    {"type": "an_event_of_next_year", "x": 1},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 15, "input_tokens": None},
    },
    {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 18}},
    {"type": "message_stop"},
]
TEXT = "Hello \u2028é\u0085!"
MESSAGE = {
    **START["message"],
    "content": [
        {"type": "thinking", "thinking": "Let me see.", "signature": "EqQBCg=="},
        {"type": "text", "text": TEXT, "citations": [CITATION]},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"city": "Oslo", "n": 1.5}},
        SEARCH,
        {"type": "hologram", "z": 1},
    ],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 25, "output_tokens": 18, "cache_read_input_tokens": 7},
}


@pytest.fixture
def client(connect: Connect) -> Iterator[Apertis]:
    headers = {"request-id": "req_1", "anthropic-workspace-id": "wrkspc_1"}
    with ScriptedServer([sse_response(EVENTS, headers)]) as server:
        yield connect(api_key="sk-test-0123456789", base_url=server.base_url, max_retries=0)
        assert server.requests[0].json() == {**LEAST, "stream": True}


def test_iterating_gives_the_events_and_what_follows_of_them(client: Apertis) -> None:
    with client.messages.stream(**LEAST) as stream:
        events = list(stream)
    assert [event.type for event in events] == [
        "message_start",
        "content_block_start",
        *["content_block_delta", "thinking"] * 2,
        "content_block_delta",
        "signature",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "text",
        "content_block_delta",
        "citation",
        "content_block_delta",
        "text",
        "content_block_stop",
        "content_block_start",
        *["content_block_delta", "input_json"] * 3,
        "content_block_stop",
        "content_block_start",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "an_event_of_next_year",
        "message_delta",
        "message_delta",
        "message_stop",
    ]
    found = {event.type: event for event in events}
    last: Any = found["text"]
    assert (last.text, last.snapshot) == ("lo \u2028é\u0085!", TEXT)
    thought: Any = found["thinking"]
    assert (thought.thinking, thought.snapshot) == ("see.", "Let me see.")
    given: Any = found["input_json"]
    assert given.partial_json == 'lo", "n": 1.50}'
    assert given.snapshot == {"city": "Oslo", "n": 1.5}
    assert [e.snapshot for e in events if e.type == "input_json"][1] == {"city": "Os"}
    signed: Any = found["signature"]
    assert signed.signature == "EqQBCg=="
    cited: Any = found["citation"]
    assert (cited.citation.type, cited.citation.cited_text) == ("char_location", "x")
    stops: list[Any] = [event for event in events if event.type == "content_block_stop"]
    assert [stop.content_block.to_dict() for stop in stops] == MESSAGE["content"]
    end: Any = found["message_stop"]
    assert end.message.to_dict() == MESSAGE


def test_a_snapshot_of_text_that_is_json_can_be_read_before_its_end(connect: Connect) -> None:
    events = [START, *block(0, {"type": "text", "text": ""}, text('{"a": [1, '), text("2]}"))]
    with ScriptedServer([sse_response([*events, {"type": "message_stop"}])]) as server:
        client = connect(api_key="k", base_url=server.base_url)
        with client.messages.stream(**LEAST) as stream:
            parsed = [event.parsed_snapshot() for event in stream if event.type == "text"]
    assert parsed == [{"a": [1]}, {"a": [1, 2]}]


def test_text_stream_gives_the_text_alone(client: Apertis) -> None:
    with client.messages.stream(**LEAST) as stream:
        assert list(stream.text_stream) == ["Hel", "lo \u2028é\u0085!"]


def test_text_stream_goes_on_where_iterating_stopped(client: Apertis) -> None:
    with client.messages.stream(**LEAST) as stream:
        for event in stream:
            if event.type == "text":
                break
        assert list(stream.text_stream) == ["lo \u2028é\u0085!"]
        assert list(stream) == []


def test_text_stream_can_be_left_and_taken_up_again(client: Apertis) -> None:
    with client.messages.stream(**LEAST) as stream:
        for piece in stream.text_stream:
            assert piece == "Hel"
            break
        assert list(stream.text_stream) == ["lo \u2028é\u0085!"]
        assert stream.get_final_message().to_dict() == MESSAGE


def test_get_final_message_reads_what_is_left(client: Apertis) -> None:
    with client.messages.stream(**LEAST) as stream:
        next(stream)
        message = stream.get_final_message()
        assert stream.get_final_message() == message
    assert message.to_dict() == MESSAGE
    assert message.response.headers is stream.response.headers
    assert message.request_id == "req_1"
    assert stream.get_final_message() == message


def test_get_final_text_is_the_text_of_the_whole(client: Apertis) -> None:
    with client.messages.stream(**LEAST) as stream:
        assert stream.get_final_text() == TEXT


def test_get_final_text_of_a_message_without_text_says_what_it_has(connect: Connect) -> None:
    tool = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    end = {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}}
    end["usage"] = {"output_tokens": 3}
    events = [START, *block(0, tool), end, {"type": "message_stop"}]
    with ScriptedServer([sse_response(events)]) as server:
        client = connect(api_key="k", base_url=server.base_url)
        with client.messages.stream(**LEAST) as stream:
            with pytest.raises(ApertisError, match=r"no text.*tool_use"):
                stream.get_final_text()
            assert stream.get_final_message().tool_uses[0].name == "f"


def test_until_done_reads_to_the_end(client: Apertis) -> None:
    with client.messages.stream(**LEAST) as stream:
        stream.until_done()
        assert stream.current_message_snapshot.to_dict() == MESSAGE
        assert list(stream.text_stream) == []


def test_the_snapshot_grows_with_what_was_iterated_over(client: Apertis) -> None:
    with client.messages.stream(**LEAST) as stream:
        with pytest.raises(ApertisError, match="no event has been read"):
            _ = stream.current_message_snapshot
        seen = [(event.type, stream.current_message_snapshot.text) for event in stream]
    assert seen[0] == ("message_start", "")
    # The raw event comes before what it means; the message has both already.
    assert [text for kind, text in seen if kind == "text"] == ["Hel", TEXT]
    usage = stream.current_message_snapshot.usage
    assert (usage.input_tokens, usage.output_tokens) == (25, 18)


def test_a_half_tool_input_can_be_looked_at(client: Apertis) -> None:
    with client.messages.stream(**LEAST) as stream:
        for event in stream:
            if event.type == "input_json" and event.partial_json:
                break
        half = stream.current_message_snapshot
    assert half.tool_uses[0].input == {}
    assert half.stop_reason is None


def test_the_head_of_the_answer_is_there_before_the_first_event(client: Apertis) -> None:
    with client.messages.stream(**LEAST) as stream:
        assert stream.response.status == 200
        assert stream.response.headers["Content-Type"].startswith("text/event-stream")
        assert stream.request_id == "req_1"


@pytest.mark.parametrize("member", ["get_final_message", "get_final_text"])
def test_after_close_there_is_no_half_message(client: Apertis, member: str) -> None:
    with client.messages.stream(**LEAST) as stream:
        for event in stream:
            if event.type == "text":
                break
        stream.close()
        assert list(stream) == []
        with pytest.raises(StreamTruncatedError, match="closed") as caught:
            getattr(stream, member)()
        stream.until_done()
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hel"
    assert caught.value.request_id == "req_1"
    assert stream.current_message_snapshot.text == "Hel"


def test_a_stream_that_nobody_iterated_over_gives_no_message_either(client: Apertis) -> None:
    with client.messages.stream(**LEAST) as stream:
        pass
    with pytest.raises(StreamTruncatedError, match="closed"):
        stream.get_final_message()
    stream.close()


def opened(server: ScriptedServer, connect: Connect) -> Apertis:
    return connect(api_key="sk-test-0123456789", base_url=server.base_url, max_retries=0)


def begun(gate: Any) -> Exchange:
    first = b"".join(http_chunk(sse_event(event)) for event in EVENTS[:10])
    return Exchange(sse_head(), first, gate)


def test_leaving_the_block_hangs_up(connect: Connect) -> None:
    with ScriptedServer([begun(AwaitDisconnect())]) as server:
        with opened(server, connect).messages.stream(**LEAST) as stream:
            next(stream)
        server.wait_until_disconnected()


def test_an_error_inside_the_block_hangs_up(connect: Connect) -> None:
    with ScriptedServer([begun(AwaitDisconnect())]) as server:
        with pytest.raises(ZeroDivisionError), opened(server, connect).messages.stream(**LEAST):
            raise ZeroDivisionError
        server.wait_until_disconnected()


def test_leaving_a_raw_stream_hangs_up(connect: Connect) -> None:
    with ScriptedServer([begun(AwaitDisconnect())]) as server:
        with opened(server, connect).messages.create(**LEAST, stream=True) as stream:
            assert next(stream).type == "message_start"
        server.wait_until_disconnected()


def test_an_event_is_given_out_when_it_came(connect: Connect) -> None:
    gate = Gate()
    with ScriptedServer([Exchange(*begun(gate).steps)], require_all=False) as server:
        with opened(server, connect).messages.stream(**LEAST) as stream:
            kinds = [next(stream).type for _ in range(9)]
            assert gate.reached.wait(60)
        gate.open()
    assert kinds[-1] == "content_block_stop"


def test_a_stream_read_to_its_end_keeps_the_connection(connect: Connect) -> None:
    script = [sse_response(EVENTS), json_response(200, MESSAGE)]
    with ScriptedServer(script) as server:
        client = opened(server, connect)
        with client.messages.stream(**LEAST) as stream:
            stream.until_done()
        client.messages.create(**LEAST)
        assert server.connection_count == 1


def test_the_last_usage_wins_and_nothing_is_added_up(connect: Connect) -> None:
    deltas = [
        {
            "type": "message_delta",
            "delta": {"stop_reason": None},
            "usage": {"output_tokens": n, "cache_creation_input_tokens": n},
        }
        for n in (5, 9, 7)
    ]
    with (
        ScriptedServer([sse_response([START, *deltas, {"type": "message_stop"}])]) as server,
        opened(server, connect).messages.stream(**LEAST) as stream,
    ):
        usage = stream.get_final_message().usage
    assert (usage.input_tokens, usage.output_tokens) == (25, 7)
    assert usage.cache_creation_input_tokens == 7
    assert usage.cache_read_input_tokens == 7


def test_a_compaction_is_an_event_of_its_own(connect: Connect) -> None:
    compaction = block(
        0,
        {"type": "compaction", "content": None},
        {"type": "compaction_delta", "content": "A summary."},
    )
    events = [START, *compaction, {"type": "message_stop"}]
    with (
        ScriptedServer([sse_response(events)]) as server,
        opened(server, connect).messages.stream(**LEAST) as stream,
    ):
        found = {event.type: event for event in stream}
        message = stream.get_final_message()
    summed: Any = found["compaction"]
    assert summed.content == "A summary."
    assert message.to_dict()["content"] == [{"type": "compaction", "content": "A summary."}]


def test_the_members_have_the_names_that_people_know(client: Apertis) -> None:
    with client.messages.stream(**LEAST) as stream:
        for name in (
            "text_stream",
            "get_final_message",
            "get_final_text",
            "until_done",
            "close",
            "response",
        ):
            assert hasattr(stream, name), name
        assert (stream.request_id, stream.workspace_id) == ("req_1", "wrkspc_1")
        next(stream)
        assert stream.current_message_snapshot.id == "msg_1"


def pieces(stream: MessageStream) -> list[str]:
    return list(stream.text_stream)


LINES = [
    pytest.param(lambda e: b"data: " + data(e) + b"\n\n", id="no event line"),
    pytest.param(lambda e: b"data:" + data(e) + b"\n\n", id="no space"),
    pytest.param(lambda e: b"event:x\r\ndata: " + data(e) + b"\r\n\r\n", id="CR LF, wrong name"),
    pytest.param(lambda e: b"data: " + data(e) + b"\r\r", id="CR"),
    pytest.param(lambda e: b": note\nid: 1\nretry: 1\n" + sse_event(e), id="other fields"),
    pytest.param(
        lambda e: b"event: %s\ndata: %s\n\n" % (name(e), data(e, without="type")),
        id="the type in the event line alone",
    ),
]


def data(event: dict[str, Any], without: str = "") -> bytes:
    line = sse_event(event).split(b"data: ", 1)[1].strip()
    if without:
        line = line.replace(b'"type":"%s",' % name(event), b"", 1)
        line = line.replace(b'"type":"%s"' % name(event), b"", 1)
    return line


def name(event: dict[str, Any]) -> bytes:
    return str(event["type"]).encode()


@pytest.mark.parametrize("write", LINES)
def test_other_ways_to_write_events_are_read(
    connect: Connect, write: Callable[[dict[str, Any]], bytes]
) -> None:
    chunks = [http_chunk(write(event)) for event in EVENTS]
    with (
        ScriptedServer([sse_head() + b"".join(chunks) + http_chunk(b"")]) as server,
        opened(server, connect).messages.stream(**LEAST) as stream,
    ):
        assert pieces(stream) == ["Hel", "lo \u2028é\u0085!"]
        assert stream.get_final_message().to_dict() == MESSAGE


def test_a_stream_may_end_in_done(connect: Connect) -> None:
    chunks = [http_chunk(sse_event(event)) for event in EVENTS]
    done = http_chunk(b"data: [DONE]\n\n") + http_chunk(b"")
    with (
        ScriptedServer([sse_head() + b"".join(chunks) + done]) as server,
        opened(server, connect).messages.stream(**LEAST) as stream,
    ):
        assert stream.get_final_message().to_dict() == MESSAGE


def accumulated(connect: Connect, *events: dict[str, Any]) -> Any:
    starts = () if events[0]["type"] == "message_start" else (START,)
    whole = [*starts, *events, {"type": "message_stop"}]
    with ScriptedServer([sse_response(whole)]) as server:
        client = connect(api_key="sk-test", base_url=server.base_url)
        with client.messages.stream(**LEAST) as stream:
            return stream.get_final_message()


END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}


def test_what_the_end_says_of_the_request_replaces_what_the_start_said(connect: Connect) -> None:
    """A fallback in the middle of a stream changes the request in another way."""
    first, second = ({"type": "thinking_dropped", "path": path} for path in "ab")
    start = {**START, "message": {**START["message"], "input_transformations": [first]}}
    for said, expected in (([second], [second]), (None, [first]), ([], [])):
        end = {**END, "input_transformations": said}
        message = accumulated(connect, start, end)
        assert message.to_dict()["input_transformations"] == expected
    assert accumulated(connect, start, END).input_transformations[0].path == "a"


def test_after_a_fallback_the_message_is_of_the_model_that_answered(connect: Connect) -> None:
    def hop(index: int, to: str) -> list[dict[str, Any]]:
        block = {"type": "fallback", "from": {"model": "m"}, "to": {"model": to}}
        return [
            {"type": "content_block_start", "index": index, "content_block": block},
            {"type": "content_block_stop", "index": index},
        ]

    message = accumulated(connect, *hop(0, "second"), *hop(1, "third"), END)
    assert message.model == message.to_dict()["model"] == "third"


@pytest.mark.parametrize(
    ("pieces", "value"),
    [
        (['{"a": "x\\ud83d', ' y"}'], "x\ufffd y"),
        (['{"a": "x\\ud83d"', "}"], "x\ufffd"),
        (['{"a": "\\ude00', '"}'], "\ufffd"),
        (['{"a": "\\ud83d', '\\ude00"}'], "\U0001f600"),
    ],
)
def test_half_a_character_in_a_tool_input_is_read_as_in_a_whole_answer(
    connect: Connect, pieces: list[str], value: str
) -> None:
    block = {"type": "tool_use", "id": "t", "name": "n", "input": {}}
    start = {"type": "content_block_start", "index": 0, "content_block": block}
    stop = {"type": "content_block_stop", "index": 0}
    deltas = [
        {"type": "content_block_delta", "index": 0}
        | {"delta": {"type": "input_json_delta", "partial_json": piece}}
        for piece in pieces
    ]
    message = accumulated(connect, start, *deltas, stop, END)
    assert message.content[0].input == {"a": value}
    whole = message.to_dict()
    escaped = json.dumps(whole).encode().replace(json.dumps(value).encode(), b"@")
    text = "".join(pieces).partition(": ")[2].removesuffix("}").encode()
    assert decode_message(escaped.replace(b"@", text)).content == message.content
    cut = accumulated(connect, start, *deltas[:1], stop, END).content[0].input
    assert cut in ({}, {"a": value})
    assert parse_partial_json("".join(pieces)) == {"a": value}
