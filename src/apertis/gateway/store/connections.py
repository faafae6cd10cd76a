"""Connections to the database: how they are set up, and the two ways to use one."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import URL, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from apertis.errors import ConfigurationError
from apertis.gateway.store.held_directory import identity, leads_elsewhere
from apertis.gateway.store.records import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from pathlib import Path

    import asyncpg
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
    from sqlalchemy.pool import ConnectionPoolEntry

# How long one process waits while another one (the command line beside the gateway) writes.
_BUSY_SECONDS = 5.0
_CONNECT_SECONDS = 10.0
_READERS = 4
# Those that insert many rows at once are large: with the usual 128, they would fill 40 MB.
_PREPARED = 16
_BEGIN = "apertis_begin"
_WRITES = "BEGIN IMMEDIATE"

_Result = TypeVar("_Result")


class Database:
    """An open database. Readers never wait for the writer; writers take turns."""

    def __init__(
        self,
        readers: AsyncEngine,
        writer: AsyncEngine,
        bulk_writer: Engine | None = None,
        *,
        is_lost: Callable[[], bool] = lambda: False,
    ) -> None:
        self._readers = readers
        self._writer = writer
        # Where the asyncio driver hands each statement to a thread: does all of them in one.
        self._bulk_writer = bulk_writer
        self._turn = asyncio.Lock()
        # Whether what is open is not what a new connection would open.
        self._is_lost = is_lost

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """Lend a connection for one statement that only reads.

        `StoreUnavailableError` when the database fails.
        """
        with self._failures():
            async with self._readers.connect() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncConnection]:
        """Lend a connection for one transaction: all of it is kept, or after an error nothing.

        `StoreUnavailableError` when the database fails.
        """
        with self._failures():
            async with self._turn, self._writer.begin() as connection:
                yield connection

    async def write(self, work: Callable[[Connection], _Result]) -> _Result:
        """Do a whole transaction in one go, with one hand-over to another thread at most.

        `StoreUnavailableError` when the database fails.
        """
        writer = self._bulk_writer
        if writer is None:
            async with self.writing() as connection:
                return await connection.run_sync(work)
        with self._failures():
            async with self._turn:
                return await asyncio.to_thread(_in_transaction, writer, work)

    @contextlib.contextmanager
    def _failures(self) -> Generator[None]:
        if self._is_lost():
            raise StoreUnavailableError(
                "the store failed: its file was deleted, moved or replaced since it was opened"
            )
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            raise StoreUnavailableError(f"the store failed: {reason(error)}") from error

    async def close(self) -> None:
        """Close all connections."""
        await self._readers.dispose()
        await self._writer.dispose()
        if self._bulk_writer is not None:
            await asyncio.to_thread(self._bulk_writer.dispose)


def _in_transaction(writer: Engine, work: Callable[[Connection], _Result]) -> _Result:
    with writer.begin() as connection:
        return work(connection)


def reason(error: Exception) -> str:
    """Return the database's message on one line, without the statement and its values."""
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
        _set_up(create_engine(**_sqlite_options(path, "pysqlite", 1, begin=_WRITES))),
        is_lost=lambda: leads_elsewhere(path, opened),
    )


def _sqlite_engine(path: Path, connections: int, *, begin: str | None) -> AsyncEngine:
    engine = create_async_engine(**_sqlite_options(path, "aiosqlite", connections, begin=begin))
    _set_up(engine.sync_engine)
    return engine


def _sqlite_options(
    path: Path, driver: str, connections: int, *, begin: str | None
) -> dict[str, Any]:
    return {
        "url": URL.create(f"sqlite+{driver}", database=str(path)),
        # Without an isolation level the driver begins nothing by itself: a transaction that turns
        # from reading to writing could fail at once, so one that writes says so when it begins.
        "connect_args": {
            "timeout": _BUSY_SECONDS,
            "isolation_level": None,
            "cached_statements": _PREPARED,
            "check_same_thread": False,
        },
        "pool_size": connections,
        "max_overflow": 0,
        "hide_parameters": True,
        "execution_options": {_BEGIN: begin},
    }


def _set_up(engine: Engine) -> Engine:
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


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
    return Database(
        _postgres_engine(url, _READERS, "AUTOCOMMIT"), _postgres_engine(url, 1, "READ COMMITTED")
    )


def _postgres_engine(url: str, connections: int, isolation: str) -> AsyncEngine:
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
    cannot be reached or does not let us in.
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
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        raise StoreUnavailableError(f"no connection to PostgreSQL: {reason(error)}") from error
