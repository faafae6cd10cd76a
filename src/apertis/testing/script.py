"""The words of a script: what a `ScriptedServer` does with a call, step by step."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import ssl


class Gate:
    """The server waits here until the test opens the gate.

    `reached` is set when the server stands before it. A gate that nobody opens within
    `timeout_seconds` fails the script.
    """

    def __init__(self, timeout_seconds: float = 10.0) -> None:
        self.reached = threading.Event()
        self.timeout_seconds = timeout_seconds
        self._opened = threading.Event()

    def open(self) -> None:
        """Let the server go on, now and whenever it comes by again."""
        self._opened.set()

    def pass_through(self) -> bool:
        """Wait, in the server; return whether the gate was opened in time."""
        self.reached.set()
        return self._opened.wait(self.timeout_seconds)


class Close:
    """The server closes the connection in an orderly way (FIN)."""


class Reset:
    """The server aborts the connection: the client sees "connection reset by peer" (RST)."""


@dataclass(frozen=True, slots=True)
class AwaitDisconnect:
    """The server waits until the client has closed the connection.

    Bytes that the client sends meanwhile are dropped; a client that stays longer than
    `timeout_seconds` fails the script.
    """

    timeout_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class StartTLS:
    """The server goes on with TLS on this connection, as behind the response to a CONNECT."""

    context: ssl.SSLContext


Step = bytes | Gate | AwaitDisconnect | StartTLS | Close | Reset | type[Close] | type[Reset]


class Exchange:
    """One call and what is answered to it: `Exchange(json_response(200, {...}), Close)`.

    `read` says how much of the call is read before the first step: the whole `"request"`, its
    `"head"` only (the body stays unread and the connection is closed after the last step), or
    `"nothing"` (the steps run as soon as a client connects). Unless a step closes it, the
    connection stays open for the next call.
    """

    def __init__(
        self, *steps: Step, read: Literal["request", "head", "nothing"] = "request"
    ) -> None:
        self.steps = steps
        self.read = read

    def __repr__(self) -> str:
        return f"Exchange({', '.join(map(repr, self.steps))}, read={self.read!r})"
