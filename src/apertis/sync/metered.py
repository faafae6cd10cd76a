# Generated from src/apertis/aio/metered.py by tools/generate_sync.py (make format). Do not edit.
"""A transport that counts what is sent over it, and keeps it within a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apertis.sansio.outcome import Failure

if TYPE_CHECKING:
    from apertis.sansio.request import Origin
    from apertis.sansio.timeouts import Limits
    from apertis.spending import BatchCall, Budget, Hold
    from apertis.sync.wire import Answer, Transport


class MeteredTransport:
    """A transport over another one: each attempt is reserved before it is sent."""

    def __init__(self, transport: Transport, budget: Budget, prices: Any) -> None:
        self.transport = transport
        self._budget = budget
        self._prices = prices

    def open(
        self, origin: Origin, method: str, head: bytes, body: bytes, limits: Limits
    ) -> Answer | Failure:
        """Reserve, send, and settle what failed."""
        hold = self._budget.reserve(head, body, self._prices)
        if hold is None:
            return self.transport.open(origin, method, head, body, limits)
        try:
            answer = self.transport.open(origin, method, head, body, limits)
        except BaseException:
            hold.fail(None)
            raise
        if isinstance(answer, Failure):
            hold.fail(answer)
            return answer
        return MeteredAnswer(answer, hold)

    def close(self) -> None:
        """Close the connections that are kept."""
        self.transport.close()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self.transport.sleep(seconds)


class MeteredAnswer:
    """A response that is settled at its end, however it ends."""

    def __init__(self, answer: Answer, hold: Hold | BatchCall) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self._answer = answer
        self._hold = hold
        hold.begin(answer.status, answer.headers)

    def read(self) -> bytes | Failure:
        """Return the next bytes of the body."""
        try:
            data = self._answer.read()
        except BaseException:
            self._hold.end(complete=False)
            raise
        if isinstance(data, Failure) or not data:
            self._hold.end(complete=not data)
        else:
            self._hold.feed(data)
        return data

    def whole(self) -> bytes | None:
        """Return the rest of the body if all of it is here; None if it must be read."""
        data = self._answer.whole()
        if data is not None:
            self._hold.feed(data)
            self._hold.end(complete=True)
        return data

    def drain(self) -> None:
        """Read the end of the body, if it comes at once, so that the connection can be kept."""
        self._answer.drain()

    def close(self) -> None:
        """Settle, and give the connection back if the response is whole, else close it."""
        self._hold.end(complete=False)
        self._answer.close()

    def interrupt(self) -> None:
        """Let a `read` end that somebody else waits in, if that can be done."""
        self._answer.interrupt()

    def __del__(self) -> None:
        self._hold.drop()
