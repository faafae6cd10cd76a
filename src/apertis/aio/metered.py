"""A transport that counts what is sent over it, and keeps it within a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apertis.sansio.outcome import Failure

if TYPE_CHECKING:
    from apertis.aio.wire import Answer, Transport
    from apertis.sansio.request import Origin
    from apertis.sansio.timeouts import Limits
    from apertis.spending import BatchCall, Budget, Hold


class MeteredTransport:
    """A transport over another one: each attempt is reserved before it is sent."""

    def __init__(self, transport: Transport, budget: Budget, prices: Any) -> None:
        self.transport = transport
        self._budget = budget
        self._prices = prices

    async def open(
        self, origin: Origin, method: str, head: bytes, body: bytes, limits: Limits
    ) -> Answer | Failure:
        """Reserve, send, and settle what failed."""
        hold = self._budget.reserve(head, body, self._prices)
        if hold is None:
            return await self.transport.open(origin, method, head, body, limits)
        try:
            answer = await self.transport.open(origin, method, head, body, limits)
        except BaseException:
            hold.fail(None)
            raise
        if isinstance(answer, Failure):
            hold.fail(answer)
            return answer
        return MeteredAnswer(answer, hold)

    async def close(self) -> None:
        """Close the connections that are kept."""
        await self.transport.close()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self.transport.sleep(seconds)


class MeteredAnswer:
    """A response that is settled at its end, however it ends."""

    def __init__(self, answer: Answer, hold: Hold | BatchCall) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self._answer = answer
        self._hold = hold
        hold.begin(answer.status, answer.headers)

    async def read(self) -> bytes | Failure:
        """Return the next bytes of the body."""
        try:
            data = await self._answer.read()
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

    async def drain(self) -> None:
        """Read the end of the body, if it comes at once, so that the connection can be kept."""
        await self._answer.drain()

    async def close(self) -> None:
        """Settle, and give the connection back if the response is whole, else close it."""
        self._hold.end(complete=False)
        await self._answer.close()

    def interrupt(self) -> None:
        """Let a `read` end that somebody else waits in, if that can be done."""
        self._answer.interrupt()

    def __del__(self) -> None:
        self._hold.drop()
