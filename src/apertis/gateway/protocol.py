"""uvicorn's HTTP/1.1 protocol with two additions: answers that can be cut, errors in JSON."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from apertis.gateway.asgi import ABORT
from apertis.gateway.errors import invalid_request

if TYPE_CHECKING:
    from apertis.gateway.asgi import Scope

__all__ = ["HttpProtocol"]


class HttpProtocol(HttpToolsProtocol):
    """One client's connection."""

    def on_message_begin(self) -> None:
        """Offer the application a way to drop the connection, as a scope extension."""
        super().on_message_begin()
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
