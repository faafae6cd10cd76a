"""Headers that pass through the gateway, and the head of an outgoing request.

Both directions are open lists: what is not named here passes, unknown headers included. Names come
in lower case. Hop-by-hop headers are those of RFC 9110, section 7.6.1.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from apertis.gateway.upstreams.contract import TOLD_BY_PROXIES, SharedHeaders

if TYPE_CHECKING:
    from collections.abc import Sequence

Header = tuple[bytes, bytes]

_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
# The caller's credentials are for the gateway alone.
_CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"cookie"})
# They are the connection's to say.
_FRAMING = frozenset({b"host", b"content-length", b"expect", b"accept-encoding"})
# A page is allowed here, or not; the upstream would take it for one that calls it itself.
_PAGE = frozenset({b"origin", b"referer"})
_NEVER_UP = _PAGE | _HOP_BY_HOP | _CREDENTIALS | _FRAMING | TOLD_BY_PROXIES | {b"x-response-cache"}
# Who is behind a request is for the gateway to know, and not for every caller to say.
_NEVER_UP_PREFIXES = (b"proxy-", b"x-forwarded-", b"x-apertis-", b"x-claude-gateway-")
# They speak of the upstream's own address, which is not the one that the caller asked.
_NEVER_DOWN = _HOP_BY_HOP | {b"set-cookie", b"alt-svc", b"strict-transport-security"}
_PLAIN_CONNECTION = frozenset({b"keep-alive", b"close"})

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LINE_END = re.compile(rb"[\r\n\0]")
_TARGET = re.compile(r"[!-~\x80-\xff]+")
_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


# Real traffic has a few dozen names, and nobody who makes up more fills the memory.
_MAX_NAMES = 1024


@lru_cache(_MAX_NAMES)
def _passes_up(name: bytes) -> bool:
    lowered = name.lower()
    if lowered in _NEVER_UP or lowered.startswith(_NEVER_UP_PREFIXES):
        return False
    return _TOKEN.fullmatch(name) is not None


class _NamesDown(dict[bytes, bytes]):
    """The name in lower case of each header that comes; nothing for one that stays here."""

    def __missing__(self, name: bytes) -> bytes:
        lowered = name.lower()
        stays = lowered in _NEVER_DOWN or lowered.startswith(b"proxy-")
        if len(self) >= _MAX_NAMES:
            self.clear()
        found = self[name] = b"" if stays else lowered
        return found


_NAMES_DOWN = _NamesDown()


# A target can be as long as a head: few are kept.
@lru_cache(maxsize=64)
def request_line(method: str, target: str) -> bytes:
    """Return the first line of a request, with its end."""
    return b"%b %b HTTP/1.1\r\n" % (method.encode("ascii"), request_target(target))


def request_target(target: str) -> bytes:
    """Return the path and query, legal in a request line; legal ones are unchanged."""
    if _TARGET.fullmatch(target):
        return target.encode("latin-1")
    return quote(target or "/", safe=_VISIBLE).encode("ascii")


def request_head(
    method: str, target: str, own: bytes, headers: Sequence[Header], default: bytes, length: int
) -> bytes:
    """Write the head of a request: its line, the `own` lines, and the allowed `headers`.

    `default` is one line, `name: value` with its line end, that is left out where the caller
    sends the header. A header that could be read as more than one is not sent at all.
    """
    if isinstance(headers, SharedHeaders):
        lines = headers.passed_up
        if lines is None:
            lines = headers.passed_up = passed_up(headers)
    else:
        lines = passed_up(headers)
    if lines.find(b"\r\n" + default[: default.find(b":") + 1]) < 0:
        lines += default
    framing = b"content-length: %d\r\n" % length if length or method in _WITH_BODY else b""
    return b"".join((request_line(method, target), own, framing, lines[2:], b"\r\n"))


def passed_up(headers: Sequence[Header]) -> bytes:
    """Write the headers that go to an upstream, each a line, behind the end of one."""
    parts = [b"\r\n"]
    named = False
    for name, value in headers:
        if _passes_up(name):
            parts += (name, b": ", value, b"\r\n")
        elif name == b"connection" and value.lower() not in _PLAIN_CONNECTION:
            named = True
    lines = b"".join(parts)
    number = len(parts) // 4 + 1
    if named or lines.count(b"\n") != number or lines.count(b"\r") != number or 0 in lines:
        # Nobody but an attacker, or a client with a defect, gets here.
        kept = [b"%b: %b\r\n" % header for header in _unnamed(headers) if _is_sound(*header)]
        lines = b"\r\n" + b"".join(kept)
    return lines


def _is_sound(name: bytes, value: bytes) -> bool:
    return _passes_up(name) and not _LINE_END.search(value)


def passed_down(headers: Sequence[Header]) -> list[Header]:
    """Return the response headers that are passed to the caller, names in lower case."""
    passed = [(lowered, value) for name, value in headers if (lowered := _NAMES_DOWN[name])]
    if len(passed) < len(headers):
        for name, value in headers:
            if name.lower() == b"connection" and value.lower() not in _PLAIN_CONNECTION:
                lowered_all = [(name.lower(), value) for name, value in headers]
                return [header for header in _unnamed(lowered_all) if _NAMES_DOWN[header[0]]]
    return passed


def _unnamed(headers: Sequence[Header]) -> list[Header]:
    """Return the headers that no `connection` header names."""
    named = {
        word.strip().lower()
        for name, value in headers
        if name == b"connection"
        for word in value.split(b",")
    }
    return [header for header in headers if header[0] not in named]
