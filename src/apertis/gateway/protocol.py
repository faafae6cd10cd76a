"""uvicorn's HTTP/1.1 protocol with additions: answers can be cut, errors are JSON, no upgrades."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from apertis.gateway.asgi import ABORT
from apertis.gateway.errors import invalid_request

if TYPE_CHECKING:
    from apertis.gateway.asgi import Scope

__all__ = ["HttpProtocol"]


# The parser itself would keep a head of any length, before any key has been seen.
_MOST_HEAD_BYTES = 256 * 1024
_UPGRADE = re.compile(rb"\r\nupgrade(?=\s*:)", re.IGNORECASE)


class HttpProtocol(HttpToolsProtocol):
    """One client's connection."""

    _within_message = False
    _within_head = False
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Read on. An offer to upgrade is hidden from the parser, which would lose the body.

        Java's own client offers HTTP/2 in every request that it sends without TLS; a server may
        ignore the offer (RFC 9110, section 7.8). It is found when the head comes in one piece.
        """
        if not self._within_message:
            head, end, rest = data.partition(b"\r\n\r\n")
            data = _UPGRADE.sub(b"\r\nx-ignored-upgrade", head) + end + rest
        super().data_received(data)
        if self._within_head:
            self._head_bytes += len(data)
            if self._head_bytes > _MOST_HEAD_BYTES:
                self.send_400_response(f"The request's head exceeds {_MOST_HEAD_BYTES} bytes.")

    def on_headers_complete(self) -> None:
        """Start the request; its body is limited by the application."""
        self._within_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that what comes next is a head."""
        super().on_message_complete()
        self._within_message = False

    def on_message_begin(self) -> None:
        """Offer the application a way to drop the connection, as a scope extension."""
        super().on_message_begin()
        self._within_message = self._within_head = True
        self._head_bytes = 0
        scope = cast("Scope", self.scope)
        # close() delivers what was written before, and then ends the connection.
        scope["extensions"] = {ABORT: self.transport.close}

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP in the envelope of all other errors, and hang up."""
        request_id = f"req_{secrets.token_hex(12)}"
        body = invalid_request(msg.strip()).body(request_id)
        head = [
            STATUS_LINE[400],
            *(b"%s: %s\r\n" % header for header in self.server_state.default_headers),
            b"content-type: application/json\r\n",
            b"content-length: %d\r\n" % len(body),
            b"request-id: %s\r\n" % request_id.encode(),
            b"connection: close\r\n\r\n",
        ]
        self.transport.write(b"".join(head) + body)
        self.transport.close()
