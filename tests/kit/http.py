"""A plain HTTP client that knows nothing of the service, and what it gets."""

from __future__ import annotations

import contextlib
import http.client
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT_SECONDS = 20


def question(model: str = "claude-sonnet-4.5", **fields: Any) -> bytes:
    """The body of a small request, with fields added or replaced."""
    asked = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}
    return json.dumps({**asked, **fields}).encode()


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes
    raw_headers: Sequence[tuple[str, str]] = field(default=(), repr=False)

    @classmethod
    def read_from(cls, connection: http.client.HTTPConnection) -> Self:
        response = connection.getresponse()
        raw = [(name.lower(), value) for name, value in response.getheaders()]
        return cls(response.status, dict(raw), response.read(), raw)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error that the body has, whose envelope is checked on the way."""
        document = self.json
        assert document["type"] == "error"
        assert document["request_id"] == self.headers["request-id"]
        error: dict[str, Any] = document["error"]
        return error

    @property
    def fallback(self) -> tuple[str | None, ...]:
        names = ("x-fallback-used", "x-fallback-from", "x-actual-model", "x-fallback-reason")
        return tuple(self.headers.get(name) for name in names)


class Stream:
    """A response that is read event by event."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection
        self._response = connection.getresponse()
        self.status = self._response.status
        self.headers = {name.lower(): value for name, value in self._response.getheaders()}

    def event(self) -> bytes:
        """The next event with its blank line; b"" at the end."""
        lines = b""
        while line := self._response.readline():
            lines += line
            if line == b"\n":
                break
        return lines

    def rest(self) -> bytes:
        """Everything up to the regular end of the body."""
        return self._response.read()

    def leave(self) -> None:
        """Close the connection, with a response under way or without."""
        self._response.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.leave()


@dataclass
class Client:
    """Asks a server on the loopback address, with a key."""

    port: int
    api_key: str = ""

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)

    @property
    def headers(self) -> dict[str, str]:
        return {"x-api-key": self.api_key, "content-type": "application/json"}

    def call(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Response:
        """Send one request, with these headers in place of the usual ones."""
        with contextlib.closing(self.connect()) as connection:
            sent = self.headers if headers is None else headers
            connection.request(method, target, body or None, sent)
            return Response.read_from(connection)

    def ask(self, *model: str, **fields: Any) -> Response:
        """Ask, and read the whole response, streamed or not."""
        return self.call("POST", "/v1/messages", question(*model, **fields))

    def begin(self, *model: str, **fields: Any) -> http.client.HTTPConnection:
        """Ask without waiting for the response."""
        connection = self.connect()
        self.post(connection, *model, **fields)
        return connection

    def post(self, connection: http.client.HTTPConnection, *model: str, **fields: Any) -> None:
        """Ask over a connection that is there."""
        connection.request("POST", "/v1/messages", question(*model, **fields), self.headers)

    def stream(self, *model: str, **fields: Any) -> Stream:
        return Stream(self.begin(*model, stream=True, **fields))
