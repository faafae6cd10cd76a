"""One connection of a scripted server: the few lines of HTTP/1.1 that recording needs."""

from __future__ import annotations

import contextlib
import socket
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping


class ClientGoneError(ConnectionError):
    """The client closed the connection."""


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request as received. Header names are lower-case; `raw_headers` has them as sent."""

    method: str
    target: str
    headers: Mapping[str, str]
    raw_headers: tuple[tuple[str, str], ...]
    connection: int
    body: bytes = b""

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query string, not decoded."""
        return self.target.partition("?")[2]

    def json(self) -> object:
        """Read the body as JSON."""
        decoded: object = msgspec.json.decode(self.body)
        return decoded


class ServerConnection:
    """A connection that reads requests from one socket and writes what the script says."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.number = number
        self.fresh = True
        self._sock = sock
        self._buffer = bytearray()

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Go on with TLS, as the server's side."""
        self._sock = context.wrap_socket(
            self._sock, server_side=True, suppress_ragged_eofs=True, do_handshake_on_connect=True
        )

    def send(self, data: bytes) -> None:
        """Write all of `data`."""
        self._sock.sendall(data)

    def read_head(self) -> RecordedRequest:
        """Read the next request without its body."""
        head = self._read_until(b"\r\n\r\n").decode("latin-1")
        request_line, *lines = head[:-4].split("\r\n")
        method, target, _ = request_line.split(" ", 2)
        raw = tuple(
            (name, value.strip()) for name, _, value in (line.partition(":") for line in lines)
        )
        headers = {name.lower(): value for name, value in raw}
        return RecordedRequest(method, target, headers, raw, self.number)

    def read_body(self, head: RecordedRequest) -> RecordedRequest:
        """Read the body of a request whose head was read."""
        if "chunked" in head.headers.get("transfer-encoding", "").lower():
            return replace(head, body=self._read_chunked())
        return replace(head, body=self._read_exactly(int(head.headers.get("content-length", 0))))

    def await_disconnect(self, timeout_seconds: float) -> bool:
        """Drop what comes until the client is gone; whether it went in time."""
        self._sock.settimeout(timeout_seconds)
        try:
            while self._sock.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def close(self, *, reset: bool = False) -> None:
        """Close the connection; `reset` aborts it. A closed one stays closed."""
        with contextlib.suppress(OSError):
            if reset:
                # A linger time of zero makes close() send RST instead of FIN.
                linger = struct.pack("ii", 1, 0)
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            else:
                self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def interrupt(self) -> None:
        """Wake a thread that waits for this connection; it then sees the end of input."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _read_chunked(self) -> bytes:
        body = bytearray()
        while True:
            size = int(self._read_until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                # Trailers, if any, end with an empty line.
                while self._read_until(b"\r\n") != b"\r\n":
                    pass
                return bytes(body)
            body += self._read_exactly(size)
            self._read_exactly(2)

    def _read_until(self, delimiter: bytes) -> bytes:
        searched = 0
        while (found := self._buffer.find(delimiter, searched)) < 0:
            searched = max(0, len(self._buffer) - len(delimiter) + 1)
            self._fill()
        return self._take(found + len(delimiter))

    def _read_exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        return self._take(size)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _fill(self) -> None:
        data = self._sock.recv(65536)
        if not data:
            raise ClientGoneError
        self._buffer += data
