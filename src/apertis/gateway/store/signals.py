"""Signals between gateways of one PostgreSQL database, by LISTEN and NOTIFY."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from typing import TYPE_CHECKING, Literal

from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.store.connections import connect_postgres

if TYPE_CHECKING:
    from collections.abc import Callable

    import asyncpg
    from sqlalchemy import Connection

    Signal = Literal["recall", "keys", "breaker", "cache"]

_KINDS: dict[str, Signal] = {
    "recall": "recall",
    "keys": "keys",
    "breaker": "breaker",
    "cache": "cache",
}
# A server takes 8000 bytes.
_MAX_BYTES = 7000
_MAX_WAITING = 100
# A connection that nobody says anything on may be gone without a word.
_CHECK_SECONDS = 10.0
_ANSWER_SECONDS = 5.0
_RETRY_SECONDS = 1.0
# Channels are those of a whole database, and schemas of it may have a store each.
_CHANNEL = "'apertis_' || md5(current_schema())"
_SEND = f"SELECT pg_notify({_CHANNEL}, $1)"
_SEND_KEYS = f"SELECT pg_notify({_CHANNEL}, 'keys ')"


def tell_of_keys(connection: Connection) -> None:
    """Tell all gateways of a change of keys, people, groups or limits, once it is committed."""
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql(_SEND_KEYS)


class PostgresSignals:
    """One connection that listens, and is made again whenever it is lost.

    `tell` is given the error when it cannot be made, and None when it works again.
    """

    def __init__(self, url: str, tell: Callable[[Exception | None], None]) -> None:
        self.on_signal: Callable[[Signal, str], None] = lambda _, __: None
        self._url = url
        self._tell = tell
        self._session: asyncpg.Connection[asyncpg.Record] | None = None
        self._waiting: deque[str] = deque(maxlen=_MAX_WAITING)
        self._wake = asyncio.Event()
        self._failing = False

    def send(self, kind: Signal, text: str = "") -> None:
        """Tell all others, soon; where they cannot be reached, nothing happens."""
        payload = f"{kind} {text}"
        if self._session is not None and len(payload.encode()) <= _MAX_BYTES:
            self._waiting.append(payload)
            self._wake.set()

    async def run(self) -> None:
        """Send and receive until canceled."""
        import asyncpg

        while True:
            try:
                await self._connected()
            except (
                StoreUnavailableError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                OSError,
            ) as error:
                if not self._failing:
                    self._tell(error)
                self._failing = True
            await asyncio.sleep(_RETRY_SECONDS)

    async def _connected(self) -> None:
        session = await connect_postgres(self._url)
        try:
            session.add_termination_listener(lambda _: self._wake.set())
            async with asyncio.timeout(_ANSWER_SECONDS):
                channel = await session.fetchval(f"SELECT {_CHANNEL}")
                await session.add_listener(channel, self._heard)
            self._session = session
            if self._failing:
                self._tell(None)
            self._failing = False
            # Something may have been said before it listened.
            self.on_signal("keys", "")
            await self._speak(session)
        finally:
            self._session = None
            self._waiting.clear()
            session.terminate()

    async def _speak(self, session: asyncpg.Connection[asyncpg.Record]) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            if session.is_closed():
                raise StoreUnavailableError("the connection that listens was lost")
            if not self._waiting:
                await session.execute("SELECT 1", timeout=_ANSWER_SECONDS)
            while self._waiting:
                await session.execute(_SEND, self._waiting.popleft(), timeout=_ANSWER_SECONDS)

    def _heard(
        self,
        session: object,
        pid: int,
        _: str,
        payload: object,
    ) -> None:
        own = self._session
        if own is None or session is not own or pid == own.get_server_pid():
            return
        kind, _, text = str(payload).partition(" ")
        known = _KINDS.get(kind)
        if known is not None:
            self.on_signal(known, text)


async def carries_signals(url: str, patience_seconds: float = 2.0) -> bool:
    """Return whether what one session says reaches another that listens.

    A pooler that shares sessions per transaction loses it.
    """
    heard = asyncio.Event()

    def hear(_: object, __: int, ___: str, ____: object) -> None:
        heard.set()

    channel = f"apertis_doctor_{secrets.token_hex(8)}"
    listener, speaker = await connect_postgres(url), await connect_postgres(url)
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            await listener.add_listener(channel, hear)
            await speaker.execute("SELECT pg_notify($1, '')", channel)
        async with asyncio.timeout(patience_seconds):
            await heard.wait()
    except TimeoutError:
        return False
    finally:
        for session in (listener, speaker):
            session.terminate()
    return True
