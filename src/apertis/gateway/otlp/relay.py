"""Telemetry on its way to a collector: a bounded queue, a few connections, failures counted.

Whoever puts something in never waits. What does not fit is dropped, and so is what the collector
does not take: clients were told that it was accepted, as their protocol asks for.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from apertis.aio.wire import Wire
from apertis.sansio.outcome import Failure
from apertis.sansio.request import Origin
from apertis.sansio.timeouts import Limits
from apertis.version import __version__

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from apertis.gateway.config import OtlpSettings

_PORTS = {"https": 443, "http": 80}
_SENDERS: Final = 4
_MAX_WAITING: Final = 10_000


class Export(NamedTuple):
    """One request of a client's exporter, as it goes on."""

    signal: str
    content_type: str
    body: bytes
    headers: Mapping[str, str]

    # What clients send is in no representation.
    def __repr__(self) -> str:
        """Say how large it is."""
        return f"Export({self.signal}, {len(self.body)} bytes)"


class Relay:
    """The way to one collector. `outcomes` counts what became of what was put in."""

    def __init__(self, settings: OtlpSettings, tls: ssl.SSLContext | None = None) -> None:
        if settings.endpoint is None:
            raise ValueError("there is no collector")
        parts = urlsplit(settings.endpoint)
        self.settings = settings
        self.outcomes: Counter[str] = Counter()
        self._origin = Origin(
            parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]
        )
        self._path = parts.path.rstrip("/")
        self._wire = Wire(proxy=None, tls=tls, max_connections=_SENDERS)
        self._waiting: deque[Export] = deque()
        self._bytes = 0
        self._senders: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"Relay({self._origin.host!r})"

    def put(self, export: Export) -> None:
        """Send something on as soon as there is a turn for it."""
        size = len(export.body)
        full = self._bytes + size > self.settings.max_queue_bytes
        if full or len(self._waiting) >= _MAX_WAITING:
            self.outcomes["overflow"] += 1
            return
        self._waiting.append(export)
        self._bytes += size
        if len(self._senders) < _SENDERS:
            task = asyncio.get_running_loop().create_task(self._send_all())
            self._senders.add(task)
            task.add_done_callback(self._senders.discard)

    async def close(self) -> None:
        """Send what waits, within the time of one attempt, and close the connections."""
        if self._senders:
            await asyncio.wait(self._senders, timeout=self.settings.timeout_seconds)
        for task in self._senders:
            task.cancel()
        self.outcomes["overflow"] += len(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        await self._wire.close(for_good=True)

    async def _send_all(self) -> None:
        while self._waiting:
            export = self._waiting.popleft()
            try:
                sent = await self._send(export)
            finally:
                self._bytes -= len(export.body)
            self.outcomes["relayed" if sent else "failed"] += 1

    async def _send(self, export: Export) -> bool:
        seconds = self.settings.timeout_seconds
        until = asyncio.get_running_loop().time() + seconds
        limits = Limits(seconds, seconds, seconds, until)
        head = self._head(export)
        answer = await self._wire.open(self._origin, "POST", head, export.body, limits)
        if isinstance(answer, Failure):
            return False
        while True:
            # Read to its end, so that the connection can be used again.
            data = await answer.read()
            if isinstance(data, Failure):
                return False
            if not data:
                return 200 <= answer.status < 300

    def _head(self, export: Export) -> bytes:
        authorization = self.settings.authorization
        headers = {
            "host": self._origin.authority,
            "user-agent": f"apertis/{__version__}",
            "content-type": export.content_type,
            "accept-encoding": "identity",
            "content-length": str(len(export.body)),
            **export.headers,
        }
        if authorization is not None:
            headers["authorization"] = authorization.reveal()
        lines = [f"POST {self._path}/v1/{export.signal} HTTP/1.1"]
        lines += [f"{name}: {text}" for name, text in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")
