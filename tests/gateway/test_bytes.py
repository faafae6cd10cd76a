"""What goes in comes out: bodies, headers and streams, byte for byte, through real sockets."""

from __future__ import annotations

import contextlib
import json
import string
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.testing import Exchange, ScriptedServer, http_chunk, json_response

if TYPE_CHECKING:
    import http.client
    from collections.abc import Callable, Iterator, Sequence

    from apertis.testing import RecordedRequest

    Pairs = list[tuple[str, str]]

CONFIG = """
[limits]
per_address = "0"
per_key = "0"
[[upstreams]]
name = "stub"
kind = "anthropic"
base_url = "{}"
api_key_env = "STUB_KEY"
[[upstreams.models]]
id = "plain"
[[upstreams.models]]
id = "renamed"
aliases = ["other-name"]
upstream_model = "real-\\u00e9"
"""
# What the gateway sets itself on the way up, and on the way down.
OWN_UP = {"host", "accept-encoding", "x-api-key", "content-length"}
OWN_DOWN = {
    "content-length",
    "date",
    "transfer-encoding",
    "x-actual-model",
    "x-apertis-request-id",
    "x-fallback-from",
    "x-fallback-used",
}
OK = json_response(200, {"type": "message", "usage": {"input_tokens": 1, "output_tokens": 1}})
EXAMPLES = settings(max_examples=60, deadline=None)


class Pipe:
    """A gateway between a caller on one connection and an upstream that answers what it is told."""

    def __init__(self, start_gateway: Callable[..., Any], upstream: ScriptedServer) -> None:
        self.answer = Exchange(OK)
        self.upstream = upstream
        running = start_gateway(CONFIG.format(upstream.base_url), STUB_KEY="sk-of-the-gateway")
        self._key = running.client.api_key
        self._connection: http.client.HTTPConnection = running.client.connect()

    def send(
        self,
        body: bytes,
        headers: Sequence[tuple[str, str]] = (),
        target: str = "/v1/messages",
    ) -> tuple[int, Pairs, bytes]:
        """Make a call; give status, headers and body of its answer."""
        connection = self._connection
        connection.putrequest("POST", target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", "gateway.example")
        connection.putheader("Authorization", f"Bearer {self._key}")
        for name, value in headers:
            connection.putheader(name, value.encode("latin-1"))
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        pairs = [(name.lower(), value) for name, value in response.getheaders()]
        return response.status, pairs, response.read()

    @property
    def received(self) -> RecordedRequest:
        return self.upstream.requests[-1]

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def pipe(start_gateway: Callable[..., Any]) -> Iterator[Pipe]:
    pipes: list[Pipe] = []
    with ScriptedServer(lambda _: pipes[0].answer) as upstream:
        pipes.append(Pipe(start_gateway, upstream))
        with contextlib.closing(pipes[0]):
            yield pipes[0]


# Text with all that has ever been lost in gateways.
characters = st.one_of(
    st.sampled_from(
        ["\u2028", "\u2029", "\x85", "\U0001f600", "\u00e9", '"', "\\", "/", "\x7f", "\t"]
    ),
    st.characters(codec="utf-8"),
)
texts = st.text(characters, max_size=12)
numbers = st.sampled_from(
    [b"0", b"-0.0", b"1e400", b"1E-2", b"123456789012345678901234567890", b"0.10"]
)
spaces = st.sampled_from([b"", b"", b" ", b"\n  ", b"\t", b"\r\n"])


@st.composite
def raw_values(draw: st.DrawFn, depth: int = 2) -> bytes:
    """A JSON value in bytes that no encoder would give again."""
    kinds = ["text", "number", "word"] + (["array", "object"] if depth else [])
    kind = draw(st.sampled_from(kinds))
    if kind == "text":
        return json.dumps(draw(texts), ensure_ascii=draw(st.booleans())).encode()
    if kind == "number":
        return draw(numbers)
    if kind == "word":
        return draw(st.sampled_from([b"true", b"false", b"null"]))
    items = draw(st.lists(raw_values(depth - 1), max_size=3))
    space = draw(spaces)
    if kind == "array":
        return b"[" + (space + b",").join(items) + space + b"]"
    return b"{" + (b"," + space).join(b'"a"' + space + b":" + item for item in items) + b"}"


@st.composite
def bodies(draw: st.DrawFn, models: list[str]) -> tuple[list[tuple[str, bytes, bytes]], bytes]:
    """The members of a body, each with what leads to its value and the value, and the end."""
    fields: dict[str, bytes] = {
        "model": json.dumps(draw(st.sampled_from(models))).encode(),
        "messages": draw(raw_values()),
        "max_tokens": b"7",
    }
    names = st.text(string.ascii_lowercase + "\u00e9\u2028", min_size=1, max_size=6)
    unknown = names.map("x_".__add__)
    fields |= draw(st.dictionaries(unknown, raw_values(), max_size=3))
    members: list[tuple[str, bytes, bytes]] = []
    for name in draw(st.permutations(list(fields))):
        key = json.dumps(name, ensure_ascii=draw(st.booleans())).encode()
        lead = draw(spaces) + key + draw(spaces) + b":" + draw(spaces)
        members.append((name, lead, fields[name] + draw(spaces)))
    return members, b"}" + draw(spaces)


def join(members: list[tuple[str, bytes, bytes]], end: bytes) -> bytes:
    return b"{" + b",".join(lead + value for _, lead, value in members) + end


def test_a_body_goes_up_as_it_came(pipe: Pipe) -> None:
    @EXAMPLES
    @given(bodies(["plain", "renamed", "other-name"]))
    def check(parts: tuple[list[tuple[str, bytes, bytes]], bytes]) -> None:
        members, end = parts
        body = join(members, end)
        assert pipe.send(body)[0] == 200
        # The one edit: the name that the model has upstream, in the place of the caller's.
        for asked in (b'"renamed"', b'"other-name"'):
            members = [
                (name, lead, value.replace(asked, b'"real-\xc3\xa9"') if name == "model" else value)
                for name, lead, value in members
            ]
        assert pipe.received.body == join(members, end)
        assert pipe.received.headers["content-length"] == str(len(pipe.received.body))

    check()


own_fields = st.dictionaries(
    st.sampled_from(
        [
            ("fallback_models", b'["plain"]'),
            ("fallback_timeout", b"5000"),
            ("fallback_enabled", b"false"),
            ("compression", b'{"enabled": false}'),
            ("n", b"1"),
            ("seed", b"null"),
            ("logit_bias", b"{ }"),
        ]
    ),
    st.integers(0, 9),
    min_size=1,
)


def test_only_the_gateways_own_fields_are_taken_out(pipe: Pipe) -> None:
    @EXAMPLES
    @given(bodies(["plain"]), own_fields)
    def check(
        parts: tuple[list[tuple[str, bytes, bytes]], bytes], own: dict[tuple[str, bytes], int]
    ) -> None:
        members, end = parts
        mixed = list(members)
        for (name, value), place in own.items():
            mixed.insert(min(place, len(mixed)), (name, b' "%b" : ' % name.encode(), value))
        assert pipe.send(join(mixed, end))[0] == 200
        sent = pipe.received.body
        # White space between members may go with them; all else stands, in its order.
        position = 0
        for _, lead, value in members:
            member = lead.lstrip(b" \n\t\r") + value.rstrip(b" \n\t\r")
            position = sent.index(member, position) + len(member)
        assert list(json.loads(sent)) == [name for name, _, _ in members]

    check()


name_characters = string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~"
header_names = st.one_of(
    st.sampled_from(
        [
            "User-Agent",
            "Accept",
            "X-App",
            "X-Stainless-Lang",
            "anthropic-beta",
            "Anthropic-Version",
            "anthropic-workspace-id",
            "x-claude-code-session-id",
            "traceparent",
            "Accept-Language",
        ]
    ),
    st.text(name_characters, min_size=1, max_size=12).map("anthropic-".__add__),
    st.text(name_characters, min_size=1, max_size=12).map("x-t-".__add__),
)
visible = [chr(code) for code in (*range(0x21, 0x7F), *range(0xA1, 0x100))]
header_values = st.text(st.sampled_from([*visible, " ", "\t"]), max_size=20).map(str.strip)
header_lists = st.lists(st.tuples(header_names, header_values), max_size=8)
targets = st.text([c for c in visible[:94] if c != "#"], max_size=20).map("/v1/messages?".__add__)
PLAIN = b'{"model":"plain","max_tokens":7,"messages":[]}'


def test_headers_and_query_go_up_as_they_came(pipe: Pipe) -> None:
    @EXAMPLES
    @given(header_lists, targets)
    def check(headers: Pairs, target: str) -> None:
        assert pipe.send(PLAIN, headers, target)[0] == 200
        received = pipe.received
        # A question mark with nothing behind it asks for nothing.
        path, _, query = target.partition("?")
        assert received.target == (f"{path}?{query}" if query else path)
        passed = [(name, value) for name, value in received.raw_headers if name not in OWN_UP]
        sent = [(name.lower(), value) for name, value in headers]
        if not any(name == "anthropic-version" for name, _ in sent):
            sent.append(("anthropic-version", "2023-06-01"))
        assert passed == sent
        assert received.headers["x-api-key"] == "sk-of-the-gateway"
        assert received.headers["host"] != "gateway.example"

    check()


def test_what_is_the_callers_or_the_connections_stays_below(pipe: Pipe) -> None:
    stays = [
        ("x-api-key", "sk-caller"),
        ("Cookie", "a=b"),
        ("Proxy-Authorization", "Basic x"),
        ("Keep-Alive", "timeout=5"),
        ("TE", "trailers"),
        ("Connection", "keep-alive, X-Hop"),
        ("X-Hop", "1"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("Forwarded", "for=192.0.2.1"),
        ("X-Real-IP", "192.0.2.1"),
        ("X-Response-Cache", "off"),
        ("X-Apertis-Fallback-Bound", "allow"),
    ]
    assert pipe.send(PLAIN, [*stays, ("x-t", "1")])[0] == 200
    names = {name.lower() for name, _ in pipe.received.raw_headers}
    assert names == {*OWN_UP, "anthropic-version", "x-t"}
    assert "sk-caller" not in pipe.received.headers.values()


@st.composite
def cut(draw: st.DrawFn, data: st.SearchStrategy[bytes]) -> list[bytes]:
    """Bytes in any pieces, none of them empty."""
    whole = draw(data)
    places = sorted(draw(st.sets(st.integers(1, max(len(whole) - 1, 1)), max_size=8)))
    starts = [0, *places]
    pieces = [whole[a:b] for a, b in zip(starts, [*places, len(whole)], strict=True)]
    return [piece for piece in pieces if piece]


statuses = st.sampled_from([200, 202, 400, 402, 403, 404, 409, 413, 418, 429, 500, 503, 529])
down_names = st.one_of(
    st.sampled_from(
        [
            "Request-Id",
            "Retry-After",
            "X-Should-Retry",
            "Anthropic-Organization-Id",
            "anthropic-ratelimit-unified-reset",
            "CF-Ray",
            "Server",
        ]
    ),
    st.text(name_characters, min_size=1, max_size=12).map("x-t-".__add__),
)
down_lists = st.lists(st.tuples(down_names, header_values), max_size=8)


def head(status: int, headers: Pairs) -> bytes:
    lines = [f"HTTP/1.1 {status} Any Words", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def test_a_plain_answer_comes_down_as_it_was_sent(pipe: Pipe) -> None:
    json_bodies = raw_values().map(lambda value: b' {"x":' + value + b"}\n")

    @EXAMPLES
    @given(
        statuses,
        down_lists,
        cut(st.one_of(json_bodies, st.binary(max_size=40))),
        cut(json_bodies),
        st.booleans(),
    )
    def check(
        status: int, headers: Pairs, any_body: list[bytes], good: list[bytes], chunked: bool
    ) -> None:
        pieces = good if status < 300 else any_body
        body = b"".join(pieces)
        framing = (
            ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(body)))
        )
        typed = [*headers, ("Content-Type", "application/json")]
        steps = [head(status, [*typed, framing])]
        steps += [http_chunk(piece) for piece in [*pieces, b""]] if chunked else pieces
        pipe.answer = Exchange(*steps)
        received_status, received, received_body = pipe.send(PLAIN)
        assert (received_status, received_body) == (status, body)
        held_against(received, typed, body)

    check()


def held_against(received: Pairs, sent: Pairs, body: bytes | None) -> None:
    """What came down is what was sent, in its order, and beside it what is the gateway's own."""
    lowered = [(name.lower(), value) for name, value in sent]
    own = set(OWN_DOWN)
    if not any(name == "request-id" for name, _ in lowered):
        own.add("request-id")
    assert [pair for pair in received if pair[0] not in own] == lowered
    names = [name for name, _ in received if name in own]
    assert len(names) == len(set(names))
    if body is not None:
        assert dict(received)["content-length"] == str(len(body))


def event(name: str, fields: dict[str, Any], text: str = "") -> bytes:
    data = {"type": name, **fields}
    if text:
        data["delta"] = {"type": "text_delta", "text": text}
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


interludes = st.sampled_from(
    [
        b"",
        b"event: ping\ndata: {}\n\n",
        b": a comment\n\n",
        b"\n",
        b"event: of_next_year\ndata: not even JSON\nid: 1\n\n",
    ]
)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A whole message in events, with texts and line ends of all kinds."""
    message = {"id": "m", "type": "message", "usage": {"input_tokens": 1, "output_tokens": 1}}
    events = [
        event("message_start", {"message": message}),
        event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
    ]
    for text in draw(st.lists(texts.filter(bool), max_size=6)):
        events += [draw(interludes), event("content_block_delta", {"index": 0}, text)]
    events += [
        event("content_block_stop", {"index": 0}),
        event(
            "message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}
        ),
        draw(interludes),
        event("message_stop", {}),
    ]
    return b"".join(events).replace(b"\n", draw(st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"])))


def test_a_stream_comes_down_as_it_was_sent(pipe: Pipe) -> None:
    @EXAMPLES
    @given(down_lists, cut(streams()))
    def check(headers: Pairs, pieces: list[bytes]) -> None:
        typed = [*headers, ("Content-Type", "text/event-stream; charset=utf-8")]
        chunks = [http_chunk(piece) for piece in [*pieces, b""]]
        pipe.answer = Exchange(head(200, [*typed, ("Transfer-Encoding", "chunked")]), *chunks)
        body = PLAIN[:-1] + b',"stream":true}'
        status, received, received_body = pipe.send(body)
        assert (status, received_body) == (200, b"".join(pieces))
        held_against(received, typed, None)

    check()


@pytest.mark.parametrize("character", ["\u2028", "\u0085", "\U0001f600"])
def test_a_character_cut_at_any_byte_arrives_whole(pipe: Pipe, character: str) -> None:
    whole = b"".join(
        [
            event("message_start", {"message": {"id": "m", "usage": {"input_tokens": 1}}}),
            event("content_block_start", {"index": 0}),
            event("content_block_delta", {"index": 0}, f"a{character}b"),
            event("content_block_stop", {"index": 0}),
            event("message_stop", {}),
        ]
    )
    start = whole.index(character.encode())
    for place in range(start, start + len(character.encode()) + 1):
        pieces = [http_chunk(whole[:place]), http_chunk(whole[place:]), http_chunk(b"")]
        headers = [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")]
        pipe.answer = Exchange(head(200, headers), *pieces)
        assert pipe.send(PLAIN[:-1] + b',"stream":true}')[2] == whole


def test_a_large_body_goes_up_and_down_whole(pipe: Pipe) -> None:
    text = "caf\u00e9 \U0001f600\u2028" * 300_000
    body = PLAIN[:-1] + b',"x":' + json.dumps(text, ensure_ascii=False).encode() + b"}"
    pipe.answer = Exchange(head(200, [("content-length", str(len(body)))]) + body)
    status, _, received = pipe.send(body)
    assert (status, received == body) == (200, True)
    assert pipe.received.body == body
