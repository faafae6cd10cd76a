"""The same bytes through httpx2 and through ours: the same status, headers and body, or two errors.

Where the two are meant to differ, the script of the server says so, and the difference is asserted.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apertis.sansio.call import Call
from apertis.sansio.outcome import Failure
from apertis.sansio.settings import settings_from
from apertis.sansio.timeouts import Timeout
from apertis.sync.wire import Wire, read_all
from apertis.testing import Close, Exchange, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apertis.testing import RecordedRequest

# Status, headers with names in lower case, body; None is an error.
Seen = tuple[int, list[tuple[bytes, bytes]], bytes] | None


class Both:
    """One server, and the two clients that ask it for the same bytes."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.server = ScriptedServer(self._answer).start()
        given = {"base_url": self.server.base_url, "api_key": "k"}
        self._settings = settings_from({}, given, "1")
        self._call: Call[Any] = Call("GET", "/v1/models", lambda _: None)
        self._wire = Wire(proxy="", tls=None, max_connections=1)
        self._other = httpx2.Client(timeout=5.0, trust_env=False)

    def _answer(self, _: RecordedRequest) -> Exchange:
        return Exchange(*self.pieces, Close)

    def ours(self) -> Seen:
        limits = Timeout(5.0, 5.0, 5.0).limits(0.0)
        head = self._settings.head(self._call)
        answer = self._wire.open(self._settings.origin, "GET", head, b"", limits)
        outcome = answer if isinstance(answer, Failure) else read_all(answer)
        if isinstance(outcome, Failure):
            return None
        raw = [(k.encode(), v.encode("latin-1")) for k, v in outcome.headers.multi_items()]
        return outcome.status, comparable(raw), outcome.body

    def theirs(self) -> Seen:
        try:
            answer = self._other.get(self.server.base_url + "/v1/models")
        except httpx2.HTTPError:
            return None
        return answer.status_code, comparable(answer.headers.raw), answer.content

    def close(self) -> None:
        self._wire.close()
        self._other.close()
        self.server.stop()


def comparable(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers in one order; h11, within httpx2, rewrites this one value."""
    lowered = [(name.lower(), value) for name, value in headers]
    return sorted((n, v.lower() if n == b"transfer-encoding" else v) for n, v in lowered)


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    pair = Both()
    yield pair
    pair.close()


@dataclass(frozen=True)
class Script:
    """What the server sends, piece by piece, and where we are stricter by choice."""

    pieces: tuple[bytes, ...]
    # A compressed body that ends early is an error; httpx2 hands out what it could read of it.
    half_of: bytes | None = None
    # httpx2 recognizes a bare deflate stream only when its first piece is long enough.
    bare: bytes | None = None


TOKENS = st.text("!#$%&'*+-.^_`|~09AZaz", min_size=1, max_size=12)
# Any octet of a field value (RFC 9110, section 5.5).
VALUES = st.binary(max_size=20).map(
    lambda raw: bytes(c for c in raw if c == 9 or 32 <= c < 127 or c >= 128).strip(b" \t")
)
SPACES = st.sampled_from([b"", b" ", b"\t", b"  "])
RESERVED = {"content-length", "transfer-encoding", "content-encoding", "connection", "upgrade"}


@st.composite
def fields(draw: st.DrawFn) -> bytes:
    names = draw(st.lists(TOKENS.filter(lambda name: name.lower() not in RESERVED), max_size=4))
    lines = [
        b"%s:%s%s%s\r\n" % (name.encode(), draw(SPACES), draw(VALUES), draw(SPACES))
        for name in names
    ]
    return b"".join(lines)


@st.composite
def interim(draw: st.DrawFn) -> bytes:
    status = draw(st.sampled_from([b"100 Continue", b"102 Processing", b"103 Early Hints"]))
    return b"HTTP/1.1 %s\r\n%s\r\n" % (status, draw(fields()))


@st.composite
def chunked(draw: st.DrawFn, body: bytes) -> bytes:
    cuts = sorted(draw(st.sets(st.integers(1, max(len(body) - 1, 1)), max_size=4)))
    parts = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    extension = draw(st.sampled_from([b"", b";x", b";x=y", b';x="y z"', b";a=1;b=2"]))
    zeros = draw(st.sampled_from([b"", b"0", b"000"]))
    case = draw(st.sampled_from([b"%x", b"%X"]))
    framed = [
        b"%s%s%s\r\n%s\r\n" % (zeros, case % len(part), extension, part) for part in parts if part
    ]
    trailers = draw(st.sampled_from([b"", b"x-late: 1\r\n", b"x-late: 1\r\nx-later:\r\n"]))
    return b"".join([*framed, zeros, b"0", extension, b"\r\n", trailers, b"\r\n"])


def bare_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


CODINGS: dict[bytes, Callable[[bytes], bytes]] = {
    b"": lambda body: body,
    b"identity": lambda body: body,
    b"gzip": gzip.compress,
    b"GZip": gzip.compress,
    b"deflate": zlib.compress,
    b"Deflate": bare_deflate,
}


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0"]))
    # 101 is an error of ours: nobody asked for another protocol.
    status = draw(st.one_of(st.sampled_from([200, 204, 304, 413, 529]), st.integers(200, 599)))
    reason = draw(st.sampled_from([b" OK", b" ", b"", b" Not  At\tAll", b" \xe4\xf6"]))
    plain = draw(st.binary(max_size=60))
    coding = draw(st.sampled_from([b"", b"", *CODINGS]))
    body = CODINGS[coding](plain)
    whole = True
    if coding.lower() in {b"gzip", b"deflate"} and draw(st.booleans()):
        body, whole = body[: draw(st.integers(1, len(body) - 1))], False
    head = draw(fields())
    if coding:
        head += b"Content-Encoding: %s\r\n" % coding
    if draw(st.booleans()):
        head += b"connection: %s\r\n" % draw(st.sampled_from([b"close", b"keep-alive"]))
    match draw(st.sampled_from(["length", "chunked", "close"])):
        case "length":
            head += b"Content-Length: %d\r\n" % len(body)
        case "chunked" if version == b"1.1":
            head += b"Transfer-Encoding: %s\r\n" % draw(st.sampled_from([b"chunked", b"Chunked"]))
            body = draw(chunked(body))
        case _:
            pass
    sent = b"".join(draw(st.lists(interim(), max_size=2))) if version == b"1.1" else b""
    sent += b"HTTP/%s %d%s\r\n%s\r\n%s" % (version, status, reason, head, body)
    if draw(st.integers(0, 3)) == 0:
        sent, whole = sent[: draw(st.integers(0, len(sent)))], False
    cuts = sorted(draw(st.sets(st.integers(0, len(sent)), max_size=4)))
    pieces = tuple(sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True))
    compressed = coding.lower() in {b"gzip", b"deflate"}
    half_of = plain if compressed and not whole else None
    return Script(pieces, half_of, plain if coding == b"Deflate" else None)


OK = b"HTTP/1.1 200 OK\r\n"


@settings(max_examples=300, deadline=None)
@given(script=scripts())
@example(Script((OK + b"content-length: 5\r\n\r\nhell",)))
@example(Script((OK + b"content-length: -5\r\n\r\nhello",)))
@example(Script((OK + b"content-length: 5, 6\r\n\r\nhello",)))
@example(Script((OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",)))
@example(Script((OK + b"transfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",)))
@example(Script((OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhelloworld",)))
@example(Script((OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",)))
@example(Script((OK + b"no colon\r\n\r\nhello",)))
@example(Script((OK + b": no name\r\n\r\nhello",)))
@example(Script((OK + b"na me: x\r\n\r\nhello",)))
@example(Script((OK + b"x: a\0b\r\n\r\nhello",)))
@example(Script((b"HTTP/1.1 099 OK\r\n\r\nhello",)))
@example(Script((b"HTTP/1.1 700 OK\r\n\r\nhello",)))
@example(Script((b"HTTP/1.1 101 OK\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",)))
@example(Script((b"HTTP/1.1 20 OK\r\n\r\nhello",)))
@example(Script((b"HTTP/1.1 two OK\r\n\r\nhello",)))
@example(Script((b"<html>",)))
@example(Script((b"\r\n",)))
@example(Script((b"",)))
def test_the_same_bytes_mean_the_same(both: Both, script: Script) -> None:
    both.pieces = list(script.pieces)
    ours, theirs = both.ours(), both.theirs()
    if script.half_of is not None and ours is None:
        assert theirs is None or script.half_of.startswith(theirs[2])
    elif script.bare is not None and theirs is None and ours is not None:
        assert ours[2] in {script.bare, b""}
    else:
        assert ours == theirs


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/3.7 200 OK\r\n\r\nhello", id="a version that is none"),
        pytest.param(b"HTTP/1.1 200 OK\nx: y\n\nhello", id="line feeds alone"),
        pytest.param(OK + b"x: a\r\n b\r\n\r\nhello", id="a folded line"),
        pytest.param(OK + b"x: \x01\r\n\r\nhello", id="a control character"),
        pytest.param(
            OK + b"content-length: 5\r\ncontent-length: 5\r\n\r\nhello", id="a length, twice"
        ),
        pytest.param(
            OK + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            id="a length and chunks",
        ),
        pytest.param(
            OK + b"transfer-encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n",
            id="a space after a chunk's size",
        ),
        pytest.param(
            OK + b"content-encoding: gzip\r\n\r\n" + gzip.compress(b"hello") + b"more",
            id="more than the compressed body",
        ),
    ],
)
def test_what_two_readers_could_take_for_two_things_is_refused(both: Both, answer: bytes) -> None:
    both.pieces = [answer]
    assert both.theirs() is not None
    assert both.ours() is None


def test_all_members_of_a_gzip_body_are_read(both: Both) -> None:
    both.pieces = [OK + b"content-encoding: gzip\r\n\r\n", gzip.compress(b"one") * 2]
    ours, theirs = both.ours(), both.theirs()
    assert ours is not None
    assert theirs is not None
    assert (ours[2], theirs[2]) == (b"oneone", b"one")
