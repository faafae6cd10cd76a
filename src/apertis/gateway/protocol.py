"""uvicorn's HTTP/1.1 protocol with additions.

Answers can be cut, a client's departure is told at once, errors are JSON, heads are limited in
size and time, and upgrades are ignored.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from apertis.gateway.asgi import CONNECTION
from apertis.gateway.errors import Refusal, head_too_large, invalid_request, request_timeout
from apertis.gateway.visit import new_request_id

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from apertis.gateway.asgi import Scope

__all__ = ["HttpProtocol"]


# The parser itself would keep a head of any length, before any key has been seen.
_MOST_HEAD_BYTES = 256 * 1024
_HEAD_SECONDS = 30.0
_UPGRADE = re.compile(rb"\r\nupgrade(?=\s*:)", re.IGNORECASE)


class HttpProtocol(HttpToolsProtocol):
    """One client's connection."""

    _within_message = False
    _within_head = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    # What to call when the client leaves; set by the application while it answers.
    on_lost: Callable[[], object] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, but not for ever."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(_HEAD_SECONDS, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application that nobody waits for its answer any more."""
        self._stop_head_timer()
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    @property
    def has_whole_body(self) -> bool:
        """Whether all of the request is there."""
        return not self._within_message

    def drop(self) -> None:
        """Deliver what was written, and end the connection."""
        self.transport.close()

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
                self._refuse(head_too_large(_MOST_HEAD_BYTES))
            elif self._head_timer is None:
                # Armed only when a head did not come in one piece.
                self._head_timer = self.loop.call_later(_HEAD_SECONDS, self._too_slow)
        elif self._head_timer is not None:
            self._stop_head_timer()

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
        scope["extensions"] = {CONNECTION: self}

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP in the envelope of all other errors, and hang up."""
        self._refuse(invalid_request(msg.strip()))

    def _too_slow(self) -> None:
        self._head_timer = None
        if self._within_head and not self.transport.is_closing():
            self._refuse(request_timeout("head", _HEAD_SECONDS))
        else:
            # Nothing came at all: there is nobody to be answered.
            self.transport.close()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, refusal: Refusal) -> None:
        request_id = new_request_id(time.time())
        body = refusal.body(request_id)
        head = [
            STATUS_LINE[refusal.status],
            *(b"%s: %s\r\n" % header for header in self.server_state.default_headers),
            b"content-type: application/json\r\n",
            b"content-length: %d\r\n" % len(body),
            b"request-id: %s\r\n" % request_id.encode(),
            b"connection: close\r\n\r\n",
        ]
        self._within_head = False
        self.transport.write(b"".join(head) + body)
        self.transport.close()
