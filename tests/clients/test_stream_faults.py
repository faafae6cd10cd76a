"""A stream ends with `message_stop`, or with an error that says what came: never in silence."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from apertis import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    InternalServerError,
    OverloadedError,
    RateLimitError,
    StreamTimeoutError,
    StreamTruncatedError,
    Timeout,
)
from apertis.testing import (
    AwaitDisconnect,
    Close,
    Exchange,
    Gate,
    Reset,
    ScriptedServer,
    http_chunk,
    json_response,
    sse_event,
    sse_head,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis import Apertis, Message

    Connect = Callable[..., Apertis]

KEY = "sk-0123456789abcdefghij"
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
        "usage": {"input_tokens": 25, "output_tokens": 1},
    },
}
BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}
STOP = {"type": "content_block_stop", "index": 0}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}
LAST = {"type": "message_stop"}
WHOLE = [START, BLOCK, DELTA, STOP, END, LAST]
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
HEADERS = {"request-id": "req_1"}


def chunks(*events: Any) -> bytes:
    return b"".join(
        http_chunk(event if isinstance(event, bytes) else sse_event(event)) for event in events
    )


def streamed(*events: Any, end: Any = None, headers: dict[str, str] | None = None) -> Exchange:
    """The events, and what becomes of the connection: a clean end unless `end` is a step."""
    tail = [http_chunk(b"")] if end is None else [end]
    return Exchange(sse_head({**HEADERS, **(headers or {})}), chunks(*events), *tail)


def read_all(client: Apertis) -> str:
    with client.messages.stream(**LEAST) as stream:
        return stream.get_final_text()


def read_raw(client: Apertis) -> str:
    with client.messages.create(**LEAST, stream=True) as stream:
        return "".join(event.type for event in stream)


def read_underneath(client: Apertis) -> str:
    message: Message = client.messages.create(**{**LEAST, "max_tokens": 64_000})
    return message.text


@pytest.fixture(params=[read_all, read_raw, read_underneath], ids=lambda f: str(f.__name__))
def read(request: pytest.FixtureRequest) -> Callable[[Apertis], str]:
    """The three ways to a stream; all keep the same promises."""
    way: Callable[[Apertis], str] = request.param
    return way


def failed(
    connect: Connect, read: Callable[[Apertis], str], *script: Exchange, **settings: Any
) -> APIError:
    """The error that these exchanges end in, all of them played."""
    with ScriptedServer(list(script)) as server:
        client = connect(api_key=KEY, base_url=server.base_url, **settings)
        with pytest.raises(APIError) as caught:
            read(client)
        client.close()
        server.wait_until_disconnected()
    return caught.value


ENDS = [
    pytest.param(None, id="a clean end"),
    pytest.param(Close, id="closed"),
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    ("events", "text", "tokens"),
    [
        pytest.param([START, BLOCK], "", 1, id="before text"),
        pytest.param([START, BLOCK, DELTA], "Hi", 1, id="inside a block"),
        pytest.param([START, BLOCK, DELTA, STOP], "Hi", 1, id="between blocks"),
        pytest.param([START, BLOCK, DELTA, STOP, END], "Hi", 9, id="before message_stop"),
        pytest.param([START, BLOCK, DELTA, b"event: content_bl"], "Hi", 1, id="inside an event"),
    ],
)
@pytest.mark.usefixtures("quick")
def test_a_truncated_stream_is_an_error_with_what_came(
    connect: Connect,
    read: Callable[[Apertis], str],
    events: list[Any],
    text: str,
    tokens: int,
    end: Any,
) -> None:
    error = failed(connect, read, streamed(*events, end=end))
    assert type(error) is StreamTruncatedError
    assert isinstance(error, APIConnectionError)
    assert error.request_id == "req_1"
    assert error.partial is not None
    assert error.partial.text == text
    assert error.partial.usage.output_tokens == tokens
    assert error.partial.usage.input_tokens == 25
    assert error.partial.stop_reason == ("end_turn" if tokens == 9 else None)


def test_a_reset_inside_a_stream_is_no_foreign_exception(connect: Connect) -> None:
    # A reset may overtake what was not read yet: it waits until the text was.
    gate = Gate()
    script = Exchange(sse_head(HEADERS), chunks(START, BLOCK, DELTA), gate, Reset)
    with ScriptedServer([script]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        with client.messages.stream(**LEAST) as stream:
            assert next(iter(stream.text_stream)) == "Hi"
            gate.open()
            with pytest.raises(StreamTruncatedError) as caught:
                stream.until_done()
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hi"
    assert isinstance(caught.value.__cause__, OSError)


KINDS = [
    pytest.param("invalid_request_error", "BadRequestError", 400, id="invalid"),
    pytest.param("authentication_error", "AuthenticationError", 401, id="authentication"),
    pytest.param("billing_error", "PaymentRequiredError", 402, id="billing"),
    pytest.param("permission_error", "PermissionDeniedError", 403, id="permission"),
    pytest.param("not_found_error", "NotFoundError", 404, id="not found"),
    pytest.param("request_too_large", "ContentTooLargeError", 413, id="too large"),
    pytest.param("rate_limit_error", "RateLimitError", 429, id="rate limit"),
    pytest.param("api_error", "InternalServerError", 500, id="api"),
    pytest.param("timeout_error", "GatewayTimeoutError", 504, id="timeout"),
    pytest.param("overloaded_error", "OverloadedError", 529, id="overloaded"),
    pytest.param("an_error_of_next_year", "InternalServerError", 500, id="new"),
]


@pytest.mark.parametrize(("kind", "name", "status"), KINDS)
def test_an_error_event_is_the_error_that_its_type_stands_for(
    connect: Connect, kind: str, name: str, status: int
) -> None:
    event = {
        "type": "error",
        "error": {"type": kind, "message": "Not now", "details": None},
        "request_id": "req_2",
    }
    error = failed(connect, read_all, streamed(START, BLOCK, DELTA, event, headers={}))
    assert isinstance(error, APIStatusError)
    assert type(error).__name__ == name
    assert (error.status, error.type) == (status, kind)
    assert "Not now" in str(error)
    assert error.body == event
    assert error.request_id == "req_1"
    assert error.partial is not None
    assert error.partial.text == "Hi"
    assert error.headers is not None
    assert error.headers["content-type"].startswith("text/event-stream")


def test_an_error_event_may_name_the_request_where_the_head_does_not(connect: Connect) -> None:
    event = {**OVERLOADED, "request_id": "req_2"}
    script = Exchange(sse_head(), chunks(START, BLOCK, event), http_chunk(b""))
    assert failed(connect, read_all, script).request_id == "req_2"


def test_the_same_error_comes_again_when_asked_again(connect: Connect) -> None:
    with ScriptedServer([streamed(START, BLOCK, DELTA, OVERLOADED)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        with client.messages.stream(**LEAST) as stream:
            with pytest.raises(OverloadedError):
                stream.until_done()
            assert list(stream) == []
            with pytest.raises(OverloadedError) as caught:
                stream.get_final_message()
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hi"


def test_what_came_before_the_error_is_given_out_first(connect: Connect) -> None:
    seen: list[str] = []
    with ScriptedServer([streamed(START, BLOCK, DELTA, OVERLOADED)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        with pytest.raises(OverloadedError), client.messages.stream(**LEAST) as stream:
            seen.extend(stream.text_stream)
    assert seen == ["Hi"]


MALFORMED = [
    pytest.param(b"event: content_block_delta\ndata: {oops\n\n", "oops", id="no JSON"),
    pytest.param(b'event: x\ndata: ["a list"]\n\n', "a list", id="no object"),
    pytest.param(b'data: {"no":"type"}\n\n', "no", id="no type"),
    pytest.param({"type": "content_block_delta", "index": 0}, "delta", id="no delta"),
    pytest.param(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 5}},
        "text",
        id="a number for a text",
    ),
    pytest.param({**DELTA, "index": 7}, "content block 7", id="a block that never started"),
    pytest.param({**STOP, "index": 7}, "content block 7", id="the end of no block"),
    pytest.param(BLOCK, "content block 0 starts a second time", id="a block that starts again"),
]


@pytest.mark.parametrize(("event", "said"), MALFORMED)
def test_an_event_that_cannot_be_is_an_error_that_shows_it(
    connect: Connect, read: Callable[[Apertis], str], event: Any, said: str
) -> None:
    error = failed(connect, read, streamed(START, BLOCK, DELTA, event, DELTA, STOP, END, LAST))
    assert type(error) is APIResponseError
    assert said in str(error)
    assert error.request_id == "req_1"
    assert error.partial is not None
    assert error.partial.text == "Hi"


@pytest.mark.parametrize(
    ("pieces", "read"),
    [
        pytest.param(['{"a": 1, "b": [2, "c'], {"a": 1, "b": [2]}, id="cut"),
        pytest.param(["oops"], {"INVALID_JSON": "oops"}, id="no JSON"),
        pytest.param(["[1,", " 2]"], {"INVALID_JSON": "[1, 2]"}, id="no object"),
        pytest.param(["7"], {"INVALID_JSON": "7"}, id="a number"),
        pytest.param(["", " "], {}, id="nothing"),
    ],
)
def test_a_tool_input_that_is_no_object_stays_readable(
    connect: Connect, pieces: list[str], read: dict[str, Any]
) -> None:
    """The model wrote it; the caller decides."""
    tool = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    start = {"type": "content_block_start", "index": 0, "content_block": tool}
    deltas = [
        {**DELTA, "delta": {"type": "input_json_delta", "partial_json": piece}} for piece in pieces
    ]
    end = {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}}
    with ScriptedServer([streamed(START, start, *deltas, STOP, end, LAST)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        with client.messages.stream(**LEAST) as stream:
            for _ in stream:
                assert stream.current_message_snapshot.id == "msg_1"
            message = stream.get_final_message()
    assert message.tool_uses[0].input == read


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "first",
    [
        pytest.param(streamed(OVERLOADED), id="an error event first"),
        pytest.param(streamed({"type": "ping"}, OVERLOADED), id="after a ping"),
        pytest.param(streamed(START, OVERLOADED), id="after message_start"),
        pytest.param(streamed(end=Close), id="a drop at once"),
        pytest.param(streamed(START, {"type": "ping"}, end=Close), id="a drop after message_start"),
        pytest.param(streamed(START), id="a clean end after message_start"),
        pytest.param(Exchange(Close), id="no answer"),
        pytest.param(Exchange(json_response(529, OVERLOADED)), id="a status"),
    ],
)
def test_a_stream_that_fails_before_its_content_is_tried_again(
    connect: Connect, read: Callable[[Apertis], str], first: Exchange
) -> None:
    with ScriptedServer([first, streamed(*WHOLE)]) as server:
        read(connect(api_key=KEY, base_url=server.base_url, max_retries=1))
        assert len(server.requests) == 2
        assert server.requests[0].body == server.requests[1].body


@pytest.mark.usefixtures("quick")
def test_the_retries_are_told(connect: Connect) -> None:
    with ScriptedServer([streamed(OVERLOADED), streamed(START), streamed(*WHOLE)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        with client.messages.stream(**LEAST) as stream:
            assert stream.response.retries == 2
            assert stream.get_final_message().response.retries == 2


@pytest.mark.usefixtures("quick")
def test_the_error_of_the_last_try_is_raised(
    connect: Connect, read: Callable[[Apertis], str]
) -> None:
    script = [streamed(OVERLOADED), streamed(START, OVERLOADED), streamed(START, end=Close)]
    error = failed(connect, read, *script, max_retries=2)
    assert type(error) is StreamTruncatedError
    assert error.retries == 2
    assert error.partial is not None
    assert error.partial.id == "msg_1"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "events",
    [[START, BLOCK, OVERLOADED], [START, BLOCK, DELTA, OVERLOADED], [START, BLOCK], WHOLE[:-1]],
    ids=["error after a block began", "error after text", "drop in a block", "drop at the end"],
)
def test_a_stream_is_never_tried_again_once_its_content_began(
    connect: Connect, read: Callable[[Apertis], str], events: list[Any]
) -> None:
    """Also where all of it came in one packet: what was answered is paid for, and is shown."""
    assert failed(connect, read, streamed(*events), max_retries=5).retries == 0


@pytest.mark.parametrize("event", [OVERLOADED, {"type": "error", "error": "a text"}])
def test_without_retries_an_error_event_is_raised_at_once(
    connect: Connect, read: Callable[[Apertis], str], event: dict[str, Any]
) -> None:
    error = failed(connect, read, streamed(event), max_retries=0)
    assert isinstance(error, InternalServerError)
    assert error.partial is None


def test_an_error_event_that_no_retry_mends_is_raised_at_once(connect: Connect) -> None:
    event = {"type": "error", "error": {"type": "invalid_request_error", "message": "m"}}
    assert failed(connect, read_all, streamed(event)).retries == 0


def test_a_first_event_that_cannot_be_read_is_not_tried_again(connect: Connect) -> None:
    assert type(failed(connect, read_all, streamed(b"data: oops\n\n"))) is APIResponseError


def test_an_error_event_may_say_when_to_come_back(connect: Connect) -> None:
    busy = {"type": "error", "error": {"type": "rate_limit_error", "message": "m"}}
    error = failed(connect, read_all, streamed(busy, headers={"retry-after": "61"}))
    assert isinstance(error, RateLimitError)
    assert error.retry_after == 61


def test_silence_inside_a_stream_ends_at_the_idle_deadline(
    connect: Connect, read: Callable[[Apertis], str]
) -> None:
    script = Exchange(sse_head(HEADERS), chunks(START, BLOCK, DELTA), AwaitDisconnect())
    error = failed(connect, read, script, timeout=Timeout(idle=0.05))
    assert type(error) is StreamTimeoutError
    assert isinstance(error, APITimeoutError)
    assert error.deadline == "idle"
    assert error.partial is not None
    assert error.partial.text == "Hi"
    assert error.request_id == "req_1"


def test_a_stream_that_goes_on_ends_at_the_total_deadline(connect: Connect) -> None:
    script = Exchange(sse_head(HEADERS), chunks(START, BLOCK, DELTA), AwaitDisconnect())
    error = failed(connect, read_all, script, timeout=Timeout(total=0.1))
    assert isinstance(error, StreamTimeoutError)
    assert error.deadline == "total"


def test_the_errors_of_streams_pickle_with_what_came(connect: Connect) -> None:
    errors = [
        failed(connect, read_all, streamed(START, BLOCK, DELTA)),
        failed(connect, read_all, streamed(START, BLOCK, DELTA, OVERLOADED)),
        failed(connect, read_all, streamed(START, BLOCK, DELTA, b"data: oops\n\n")),
    ]
    for error in errors:
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert again.request_id == "req_1"
        assert again.partial == error.partial
        assert again.partial.to_dict() == error.partial.to_dict()  # type: ignore[union-attr]


def test_the_text_of_a_stream_is_in_no_error_message(connect: Connect) -> None:
    secret = {**DELTA, "delta": {"type": "text_delta", "text": "said in confidence"}}
    error = failed(connect, read_all, streamed(START, BLOCK, secret))
    assert "confidence" not in str(error)
    assert "confidence" not in repr(error)


@pytest.mark.parametrize("event", [DELTA, STOP, BLOCK], ids=["delta", "stop", "start"])
def test_a_block_that_has_ended_cannot_go_on(
    connect: Connect, read: Callable[[Apertis], str], event: Any
) -> None:
    error = failed(connect, read, streamed(START, BLOCK, DELTA, STOP, event, END, LAST))
    assert type(error) is APIResponseError
    assert "content block 0" in str(error)
    assert error.partial is not None
    assert error.partial.text == "Hi"


@pytest.mark.parametrize(
    "usage",
    [None, {"output_tokens": None}, {"output_tokens": None, "input_tokens": None}, {}],
)
def test_counters_that_are_null_leave_what_was_said_before(
    connect: Connect, read: Callable[[Apertis], str], usage: Any
) -> None:
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
    with ScriptedServer([streamed(START, BLOCK, DELTA, STOP, end, LAST)] * 2) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        assert read(client)
        with client.messages.stream(**LEAST) as stream:
            message = stream.get_final_message()
    assert (message.usage.input_tokens, message.usage.output_tokens) == (25, 1)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
def test_an_error_in_place_of_the_stream_is_that_error(
    connect: Connect, read: Callable[[Apertis], str], kind: str
) -> None:
    refusal = json_response(200, OVERLOADED, {"content-type": kind, "request-id": "req_1"})
    whole = streamed(START, BLOCK, DELTA, STOP, END, LAST)
    with ScriptedServer([refusal, whole]) as server:
        assert read(connect(api_key=KEY, base_url=server.base_url))
    error = failed(connect, read, Exchange(refusal), max_retries=0)
    assert type(error) is OverloadedError
    assert (error.status, error.request_id) == (529, "req_1")


HTML = b"<html>Bad gateway</html>"


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"content-type: text/html\r\n", id="HTML"),
        pytest.param(b"content-type: application/json\r\n", id="no JSON"),
        pytest.param(b"content-type: text/event-stream\r\n", id="no events"),
        pytest.param(b"", id="no type"),
    ],
)
def test_a_stream_that_is_something_else_is_an_error(
    connect: Connect, read: Callable[[Apertis], str], head: bytes
) -> None:
    page = b"HTTP/1.1 200 OK\r\n%scontent-length: %d\r\n\r\n%s" % (head, len(HTML), HTML)
    with ScriptedServer([page]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        with pytest.raises(APIResponseError, match="Bad gateway"):
            read(client)


@pytest.mark.parametrize(
    "kind",
    ["application/json", "text/html; charset=utf-8", "text/plain", "binary/octet-stream", None],
)
@pytest.mark.parametrize("before", [b"", b"\n\n", b"\xef\xbb\xbf", b": hello\n\n", b"retry: 1\n"])
def test_a_stream_is_read_as_one_whatever_its_label(
    connect: Connect, read: Callable[[Apertis], str], kind: str | None, before: bytes
) -> None:
    label = b"" if kind is None else b"content-type: %s\r\n" % kind.encode()
    head = b"HTTP/1.1 200 OK\r\n%stransfer-encoding: chunked\r\n\r\n" % label
    parts = [http_chunk(before[i : i + 1]) for i in range(len(before))]
    answer = Exchange(head, *parts, chunks(*WHOLE), http_chunk(b""))
    with ScriptedServer([answer]) as server:
        assert read(connect(api_key=KEY, base_url=server.base_url))


@pytest.mark.parametrize("kind", ["application/json", "text/plain", None])
def test_a_whole_message_is_one_whatever_its_label(connect: Connect, kind: str | None) -> None:
    label = b"" if kind is None else b"content-type: %s\r\n" % kind.encode()
    body = b" \n" + msgspec.json.encode(START["message"])
    head = b"HTTP/1.1 200 OK\r\n%scontent-length: %d\r\n\r\n" % (label, len(body))
    with ScriptedServer([Exchange(head, body[:1], body[1:])] * 2) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        assert client.messages.create(**{**LEAST, "max_tokens": 64_000}).id == "msg_1"
        with pytest.raises(APIResponseError, match="a whole message came") as caught:
            read_all(client)
    assert caught.value.partial is not None
    assert caught.value.retries == 0


@pytest.mark.usefixtures("quick")
def test_an_answer_that_cannot_be_read_says_how_many_tries_came_before(connect: Connect) -> None:
    busy = json_response(503, OVERLOADED)
    unreadable = [
        json_response(200, {"id": 1}),
        json_response(200, START["message"] | {"content": [{"type": 1}]}),
    ]
    for body in unreadable:
        with ScriptedServer([busy, busy, body]) as server:
            client = connect(api_key=KEY, base_url=server.base_url)
            with pytest.raises(APIResponseError) as caught:
                client.messages.create(**LEAST)
        assert caught.value.retries == 2
    whole: Any = json_response(200, START["message"])
    for answer in (whole, streamed(START, sse_event({"type": "content_block_stop", "index": 3}))):
        with ScriptedServer([busy, answer]) as server:
            client = connect(api_key=KEY, base_url=server.base_url)
            with pytest.raises(APIResponseError) as caught:
                read_all(client)
        assert caught.value.retries == 1
