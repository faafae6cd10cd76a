"""A real HTTP server that takes webhooks, and answers as it is told."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from standardwebhooks import Webhook

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "whsec_c2l4dGVlbiBieXRlcyBhcmUgbm90IGVub3VnaA=="


@dataclass
class Receiver:
    """What came, and the statuses to answer with; 200 when there are none left."""

    port: int = 0
    statuses: deque[int] = field(default_factory=deque)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    # Set: answers are held back until it is cleared.
    holding: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook/token-in-the-path"

    def take(self, headers: dict[str, str], path: str, body: bytes) -> None:
        # It raises if the signature is wrong, or the time is.
        message: dict[str, Any] = Webhook(SECRET).verify(body, headers)
        self.messages.append(message)
        self.headers.append(headers)
        self.paths.append(path)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server that verifies each webhook's signature; a wrong one is answered with 401."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = found.statuses.popleft() if found.statuses else 200
            try:
                found.take({k.lower(): v for k, v in self.headers.items()}, self.path, body)
            except Exception:  # noqa: BLE001 - whatever the verifier finds is a refusal.
                status = 401
            if found.holding.is_set():
                found.released.wait(30)
            self.send_response(status)
            self.send_header("content-length", "3")
            if 300 <= status < 400:
                self.send_header("location", f"http://127.0.0.1:{found.port}/elsewhere")
            self.end_headers()
            self.wfile.write(b"yes")

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.released.set()
        server.shutdown()
        thread.join()
