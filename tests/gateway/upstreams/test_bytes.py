"""Bytes in are bytes out, in both directions and however they are cut."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apertis.gateway.upstreams.anthropic import AnthropicUpstream
from apertis.gateway.upstreams.contract import UpstreamFailure, UpstreamRequest, UpstreamTimeouts

if TYPE_CHECKING:
    from tests.kit.asking import Asker

Header = tuple[bytes, bytes]

# RFC 9110, section 5.5: visible characters and what is no ASCII, with blanks and tabs between.
VISIBLE = [*range(0x21, 0x7F), *range(0x80, 0x100)]
VALUE = st.lists(st.sampled_from([*VISIBLE, 0x20, 0x09])).map(lambda v: bytes(v).strip(b" \t"))
TOKEN = st.text("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+.^_`|~-", min_size=1, max_size=20)
# The prefix keeps the names apart from those that stay at a hop.
NAME = TOKEN.map(lambda token: b"x-a-" + token.encode())
HEADERS = st.lists(st.tuples(NAME, VALUE), max_size=8)
QUERY = st.text(st.sampled_from([chr(c) for c in VISIBLE if c != 0x23]), max_size=30)
BODY = st.binary(max_size=300) | st.integers(0, 70_000).map(lambda size: b"\0\xff\r\n" * size)
PIECES = st.lists(st.binary(min_size=1, max_size=200), max_size=8)


@dataclass
class Upstream:
    """A server that keeps what it got, and says what it is told."""

    requests: list[tuple[bytes, bytes]] = field(default_factory=list)
    answer: list[bytes] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            length = int(head.lower().split(b"\r\ncontent-length: ")[1].split(b"\r\n")[0])
            self.requests.append((head, await reader.readexactly(length)))
            for piece in self.answer:
                writer.write(piece)
                await asyncio.sleep(0)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self.ended.set()


def fields_of(head: bytes) -> list[Header]:
    lines = head[:-4].split(b"\r\n")[1:]
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=HEADERS, query=QUERY, body=BODY, returned=HEADERS, pieces=PIECES, cut=st.integers(1, 99)
)
def test_bytes_in_are_bytes_out(
    asker: Asker,
    sent: list[Header],
    query: str,
    body: bytes,
    returned: list[Header],
    pieces: list[bytes],
    cut: int,
) -> None:
    lines = b"".join(b"%b: %b\r\n" % header for header in returned)
    wire = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n" + lines + b"\r\n"
    wire += b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    upstream = Upstream(answer=[wire[i : i + cut] for i in range(0, len(wire), cut)])

    async def once() -> tuple[list[Header], bytes]:
        server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        through = AnthropicUpstream("a", f"http://127.0.0.1:{port}", api_key="k")
        request = UpstreamRequest("POST", f"/v1/messages?{query}", list(sent), body)
        answer = await through.open(request, UpstreamTimeouts(5, 5, 5))
        assert not isinstance(answer, UpstreamFailure), answer
        got = b""
        while data := await answer.read():
            assert not isinstance(data, UpstreamFailure), data
            got += data
        await through.close()
        await upstream.ended.wait()
        server.close()
        await server.wait_closed()
        return list(answer.headers), got

    headers, got = asker.run(once())
    [(head, received)] = upstream.requests
    assert received == body
    assert head.partition(b"\r\n")[0] == f"POST /v1/messages?{query} HTTP/1.1".encode("latin-1")
    own = {b"host", b"accept-encoding", b"x-api-key", b"content-length", b"anthropic-version"}
    assert [header for header in fields_of(head) if header[0] not in own] == sent
    assert headers == returned
    assert got == b"".join(pieces)
