"""Connections to the database: how they are set up, and the two ways to use one."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import URL, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from apertis.errors import ConfigurationError
from apertis.gateway.errors import StoreSilentError, StoreUnavailableError
from apertis.gateway.store.held_directory import identity, leads_elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    import asyncpg
    from sqlalchemy import Connection, Engine
    from sqlalchemy.connectors.asyncio import AsyncAdapt_terminate
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import ConnectionPoolEntry

# How long one process waits while another one (the command line beside the gateway) writes.
_BUSY_SECONDS = 5.0
# A process that stands still within a transaction, on a paused machine or behind a lost network,
# keeps others from the rows that it has locked. PostgreSQL ends its session after so long.
_IDLE_SECONDS = 5
# A database may stand still as well. Nothing that the gateway asks takes this long by itself.
_PATIENCE_SECONDS = 30.0
_CONNECT_SECONDS = 10.0
_READERS = 4
# Those that insert many rows at once are large, and come in a few sizes: all of them are kept.
_PREPARED = 64
_BEGIN = "apertis_begin"
_WRITES = "BEGIN IMMEDIATE"
# For one transaction: poolers reject such settings when a session begins, or mix them up.
_BOUND = f"SET LOCAL idle_in_transaction_session_timeout = '{_IDLE_SECONDS}s'"

_Result = TypeVar("_Result")


class Database:
    """An open database. Readers never wait for the writer; writers take turns.

    Work is a function of a connection, done in one transaction: all of it is kept, or after an
    error nothing. `StoreUnavailableError` when the database fails, `StoreSilentError` when it does
    not answer within `seconds`; None: it may take any time. Then nobody knows what it has kept.
    """

    def __init__(
        self, readers: _Engine, writer: _Engine, *, is_lost: Callable[[], bool] = lambda: False
    ) -> None:
        self._readers = readers
        self._writer = writer
        self._turn = asyncio.Lock()
        # Whether what is open is not what a new connection would open.
        self._is_lost = is_lost

    async def read(
        self, work: Callable[[Connection], _Result], *, seconds: float | None = _PATIENCE_SECONDS
    ) -> _Result:
        """Do work that only reads."""
        with self._failures():
            async with asyncio.timeout(seconds):
                return await self._readers.run(work)

    async def write(
        self, work: Callable[[Connection], _Result], *, seconds: float | None = _PATIENCE_SECONDS
    ) -> _Result:
        """Do work that may write."""
        with self._failures():
            async with asyncio.timeout(seconds), self._turn:
                return await self._writer.run(work)

    @contextlib.contextmanager
    def _failures(self) -> Generator[None]:
        if self._is_lost():
            raise StoreUnavailableError(
                "the store failed: its file was deleted, moved or replaced since it was opened"
            )
        try:
            yield
        except TimeoutError as error:
            raise StoreSilentError("the store did not answer in time") from error
        except (SQLAlchemyError, OSError) as error:
            raise StoreUnavailableError(f"the store failed: {reason(error)}") from error

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(self._readers.close(), self._writer.close())


class _ThreadedEngine:
    """SQLite: a whole transaction is handed to a thread at once."""

    def __init__(self, engine: Engine, connections: int) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(connections, "store")

    async def run(self, work: Callable[[Connection], _Result]) -> _Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._transaction, work)

    def _transaction(self, work: Callable[[Connection], _Result]) -> _Result:
        with self._engine.begin() as connection:
            return work(connection)

    async def close(self) -> None:
        # Work that nobody waits for any more ends first.
        await asyncio.to_thread(self._threads.shutdown)
        self._engine.dispose()


class _AsyncioEngine:
    """PostgreSQL, whose driver is made for asyncio."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def run(self, work: Callable[[Connection], _Result]) -> _Result:
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        # The driver waits for the server to say goodbye, for ever where that stands still.
        event.listen(self._engine.sync_engine, "close", _close_soon)
        await self._engine.dispose()


_Engine = _ThreadedEngine | _AsyncioEngine


def reason(error: Exception) -> str:
    """Return the database's message on one line, without the statement and its values."""
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    told: BaseException = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        told = error.orig
    # The driver's own exception is the cause of the one that SQLAlchemy made of it.
    told = told.__cause__ or told
    text = str(told).strip()
    return text.splitlines()[0] if text else type(told).__name__


def open_sqlite(path: Path) -> Database:
    """Prepare connections to a SQLite file that is there; the first use opens it."""
    path = path.absolute()
    opened = identity(path)
    return Database(
        _sqlite_engine(path, _READERS, begin=None),
        _sqlite_engine(path, 1, begin=_WRITES),
        is_lost=lambda: leads_elsewhere(path, opened),
    )


def _sqlite_engine(path: Path, connections: int, *, begin: str | None) -> _ThreadedEngine:
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        # Without an isolation level the driver begins nothing by itself: a transaction that turns
        # from reading to writing could fail at once, so one that writes says so when it begins.
        connect_args={
            "timeout": _BUSY_SECONDS,
            "isolation_level": None,
            "cached_statements": _PREPARED,
            "check_same_thread": False,
        },
        pool_size=connections,
        max_overflow=0,
        hide_parameters=True,
        execution_options={_BEGIN: begin},
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return _ThreadedEngine(engine, connections)


def _set_up_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    # A commit is on the disk before the journal lets go of its records, hence FULL.
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "temp_store = MEMORY",
        "journal_size_limit = 67108864",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    statement = connection.get_execution_options()[_BEGIN]
    if statement is not None:
        connection.exec_driver_sql(statement)


def open_postgres(url: str) -> Database:
    """Prepare connections to a PostgreSQL database; the first use opens one."""
    writer = _postgres_engine(url, 1, "READ COMMITTED")
    event.listen(writer.sync_engine, "begin", _bound_postgres)
    return Database(
        _AsyncioEngine(_postgres_engine(url, _READERS, "AUTOCOMMIT")), _AsyncioEngine(writer)
    )


def _close_soon(connection: AsyncAdapt_terminate, _: ConnectionPoolEntry) -> None:
    connection.terminate()


def _bound_postgres(connection: Connection) -> None:
    connection.exec_driver_sql(_BOUND)


def _postgres_engine(url: str, connections: int, isolation: str) -> AsyncEngine:
    # It loads SQLAlchemy's ORM, which needs 8 MB.
    from sqlalchemy.ext.asyncio import create_async_engine

    async def connect() -> asyncpg.Connection[asyncpg.Record]:
        return await connect_postgres(url)

    return create_async_engine(
        "postgresql+asyncpg://",
        # The driver reads the URL itself: it knows all of libpq's parameters, such as sslmode.
        async_creator=connect,
        isolation_level=isolation,
        pool_size=connections,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,
    )


async def connect_postgres(url: str) -> asyncpg.Connection[asyncpg.Record]:
    """Open one connection.

    `ConfigurationError` when the driver is not installed, `StoreUnavailableError` when the server
    cannot be reached or does not let us in, `StoreSilentError` when it does not answer.
    """
    try:
        # Only those who keep their data in PostgreSQL have the driver.
        import asyncpg
    except ImportError as error:
        from apertis.installation import install_command

        raise ConfigurationError(
            f"PostgreSQL as the store needs its driver: {install_command('postgresql')}"
        ) from error
    _, _, rest = url.partition("://")
    try:
        return await asyncpg.connect(
            f"postgresql://{rest}",
            timeout=_CONNECT_SECONDS,
            server_settings={"application_name": "apertis"},
        )
    except TimeoutError as error:
        raise StoreSilentError(f"no connection to PostgreSQL: {reason(error)}") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        raise StoreUnavailableError(f"no connection to PostgreSQL: {reason(error)}") from error
