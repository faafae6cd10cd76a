"""Where load goes, and the bytes that it sends there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.wire import StreamOrder, request_body


@dataclass(frozen=True, slots=True)
class Target:
    """A server on this machine, with the headers that its requests need.

    `secrets` are the keys that requests take in turns, each sent as `x-api-key`.
    """

    port: int
    path: str
    headers: tuple[tuple[str, str], ...]
    secrets: tuple[str, ...]

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Target:
        headers = tuple((name, value) for name, value in fields["headers"])
        return cls(fields["port"], fields["path"], headers, tuple(fields["secrets"]))

    def requests(self, size: int) -> list[bytes]:
        """One request of this body for each secret."""
        body = request_body(size)
        return [self._head(secret, len(body)) + body for secret in self.secrets]

    def stream_request(self, size: int, order: StreamOrder) -> bytes:
        body = request_body(size, order)
        return self._head(self.secrets[order.number % len(self.secrets)], len(body)) + body

    def _head(self, secret: str, length: int) -> bytes:
        lines = (
            f"POST {self.path} HTTP/1.1",
            f"host: 127.0.0.1:{self.port}",
            "content-type: application/json",
            "anthropic-version: 2023-06-01",
            f"x-api-key: {secret}",
            *(f"{name}: {value}" for name, value in self.headers),
            f"content-length: {length}",
        )
        return "\r\n".join((*lines, "", "")).encode()
