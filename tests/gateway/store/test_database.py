"""The store opens ready for use, for one gateway at a time, or says in a line why it does not."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from apertis.errors import ConfigurationError
from apertis.gateway.config.settings import FILE_NAME, sqlite_file
from apertis.gateway.errors import StoreSilentError, StoreUnavailableError
from apertis.gateway.store import connections
from apertis.gateway.store.connections import open_postgres
from apertis.gateway.store.database import Store
from apertis.gateway.store.lock import AdvisoryLock
from tests.kit.databases import new_database

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection

    from tests.kit.postgresql import PostgreSQL


def open_and_close(location: Path | str, **options: Any) -> None:
    async def work() -> None:
        async with await Store.open(location, **options):
            pass

    asyncio.run(work())


def refusal(location: Path | str, **options: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        open_and_close(location, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_was_kept_is_there_when_it_is_opened_again(
    location: Path | str, make_key: Callable[..., Any]
) -> None:
    key = make_key()

    async def keep() -> Any:
        async with await Store.open(location, exclusive=True) as store:
            return await store.keys.insert(key)

    async def read() -> Any:
        async with await Store.open(location, exclusive=True) as store:
            return await store.keys.list()

    kept = asyncio.run(keep())
    assert asyncio.run(read()) == (kept,)


def test_a_second_gateway_is_refused_and_a_command_line_tool_is_not(tmp_path: Path) -> None:
    async def work() -> str:
        async with await Store.open(tmp_path, exclusive=True):
            async with await Store.open(tmp_path) as tool:
                await tool.ping()
            with pytest.raises(ConfigurationError) as caught:
                await Store.open(tmp_path, exclusive=True)
            return str(caught.value)

    told = asyncio.run(work())
    assert told.startswith("another gateway (")
    assert "stop it, or give this one a store of its own" in told
    # The lock went with the first one.
    open_and_close(tmp_path, exclusive=True)


def test_a_postgresql_database_has_any_number_of_gateways(
    postgres_schema: str, make_key: Callable[..., Any]
) -> None:
    async def work() -> None:
        opened = [Store.open(postgres_schema, exclusive=True) for _ in range(3)]
        # All at once, on a database that has no tables yet.
        stores = await asyncio.gather(*opened)
        key = await stores[0].keys.insert(make_key())
        for store in stores:
            assert store.is_shared
            assert await store.keys.get(key.id) == key
            await store.ping()
            await store.close()

    asyncio.run(work())


def test_the_refusal_names_the_process_that_has_the_file(tmp_path: Path) -> None:
    async def work() -> str:
        async with await Store.open(tmp_path, exclusive=True):
            with pytest.raises(ConfigurationError) as caught:
                await Store.open(tmp_path, exclusive=True)
            return str(caught.value)

    assert f"process {os.getpid()}) is running on {tmp_path / FILE_NAME}" in asyncio.run(work())


def test_a_gateway_that_was_killed_leaves_no_lock(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from apertis.gateway.store.database import Store\n"
        "async def main():\n"
        "    store = await Store.open(sys.argv[1], exclusive=True)\n"
        "    print('open', flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout is not None
        assert gateway.stdout.readline() == "open\n"
        assert f"process {gateway.pid}" in refusal(tmp_path, exclusive=True)
        gateway.send_signal(signal.SIGKILL)
        gateway.wait()
    open_and_close(tmp_path, exclusive=True)


def test_all_who_open_a_new_store_at_once_can_use_it(location: Path | str) -> None:
    async def work() -> list[int]:
        stores = await asyncio.gather(*(Store.open(location) for _ in range(4)))
        versions = [await store.keys.current_version() for store in stores]
        for store in stores:
            await store.close()
        return versions

    assert asyncio.run(work()) == [0, 0, 0, 0]


def test_every_file_is_for_its_owner_only(tmp_path: Path, make_key: Callable[..., Any]) -> None:
    data = tmp_path / "new" / "data"

    async def work() -> dict[str, int]:
        async with await Store.open(data, exclusive=True) as store:
            await store.keys.insert(make_key())
            return {path.name: path.stat().st_mode & 0o777 for path in data.iterdir()}

    before = os.umask(0)
    try:
        modes = asyncio.run(work())
    finally:
        os.umask(before)
    files = {FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm", f"{FILE_NAME}.lock"}
    assert modes == dict.fromkeys(files, 0o600)
    assert data.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["a.db", "a.sqlite", "a.sqlite3"])
def test_a_path_that_ends_like_a_file_is_the_file(tmp_path: Path, name: str) -> None:
    assert sqlite_file(tmp_path / name) == tmp_path / name
    open_and_close(str(tmp_path / name))
    assert (tmp_path / name).is_file()


def test_any_other_path_is_the_folder_of_the_file(tmp_path: Path) -> None:
    assert sqlite_file(tmp_path / "data.d") == tmp_path / "data.d" / FILE_NAME


def test_a_file_that_is_no_database_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_bytes(b"these are notes, and no database\n" * 100)
    content = path.read_bytes()
    told = refusal(path)
    assert told.startswith(f"cannot open {path}: it is damaged, or no SQLite database (")
    assert "file is not a database" in told
    assert path.read_bytes() == content


def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    open_and_close(tmp_path)
    path = tmp_path / FILE_NAME
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * 8000 + content[8100:])
    assert f"cannot open {path}" in refusal(tmp_path)
    assert "damaged" in refusal(tmp_path)


def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken.db").mkdir()
    assert "taken.db: Is a directory" in refusal(tmp_path / "taken.db")
    (tmp_path / "file").write_bytes(b"")
    assert f"cannot open {tmp_path / 'file' / FILE_NAME}" in refusal(tmp_path / "file")


def test_the_database_of_another_program_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
        connection.commit()
    assert "belongs to another program: it has the table 'songs'" in refusal(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]


def test_a_url_of_another_kind_of_database_is_refused() -> None:
    assert "must begin with postgresql://, not with mysql://" in refusal("mysql://localhost/x")


def test_a_postgresql_server_that_is_not_there_is_told_without_the_password() -> None:
    told = refusal("postgresql://ada:secret-word@127.0.0.1:1/ledger")
    assert "cannot open the PostgreSQL database 'ledger' on 127.0.0.1" in told
    assert "secret-word" not in told


def test_a_postgresql_database_that_is_not_there_is_told(postgres: str) -> None:
    url = postgres.replace("/postgres?", "/nothing?")
    assert 'database "nothing" does not exist' in refusal(url)


def test_a_store_that_fails_says_so_and_keeps_all_or_nothing(
    tmp_path: Path, make_key: Callable[..., Any], make_usage: Callable[..., Any]
) -> None:
    async def work() -> tuple[str, int, Any]:
        async with await Store.open(tmp_path) as store:
            key = await store.keys.insert(make_key())
            record = make_usage(key_id=key.id, session="something private")
            with closing(sqlite3.connect(tmp_path / FILE_NAME)) as beside:
                beside.execute("ALTER TABLE usage_sessions RENAME TO elsewhere")
                with pytest.raises(StoreUnavailableError) as caught:
                    await store.usage.add([record])
                assert await store.usage.get(record.request_id) is None
                beside.execute("ALTER TABLE elsewhere RENAME TO usage_sessions")
            added = await store.usage.add([record])
            return str(caught.value), added, await store.keys.get(key.id)

    told, added, key = asyncio.run(work())
    assert told == "the store failed: no such table: usage_sessions"
    assert (added, key.used_units) == (1, 30)


async def cut_sessions(url: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'apertis'"
    )
    await connection.close()


def test_connections_that_the_server_dropped_are_made_again(
    postgres: str, postgres_schema: str, make_key: Callable[..., Any]
) -> None:
    async def work() -> None:
        async with await Store.open(postgres_schema, exclusive=True) as store:
            await cut_sessions(postgres)
            key = await store.keys.insert(make_key())
            assert await store.keys.get(key.id) == key
            await store.ping()

    asyncio.run(work())


def test_a_process_that_stands_still_while_it_writes_keeps_nobody_waiting(
    postgres_schema: str, make_key: Callable[..., Any]
) -> None:
    """As one does on a machine that is paused, whose sessions the server has no reason to end."""
    has_locked, may_go_on = threading.Event(), threading.Event()

    def stand_still(connection: Connection) -> None:
        connection.exec_driver_sql("UPDATE keys SET name = 'other'")
        has_locked.set()
        may_go_on.wait()

    async def sleeper() -> None:
        database = open_postgres(postgres_schema)
        try:
            with pytest.raises(StoreUnavailableError):
                await database.write(stand_still)
            # It works again at once.
            assert await database.read(names) == ["ci"]
        finally:
            await database.close()

    async def work() -> None:
        async with await Store.open(postgres_schema) as store:
            key = await store.keys.insert(make_key())

            async def change() -> None:
                try:
                    await asyncio.to_thread(has_locked.wait)
                    async with asyncio.timeout(30):
                        await store.keys.update(key.id, name="ci")
                finally:
                    may_go_on.set()

            await asyncio.gather(asyncio.to_thread(asyncio.run, sleeper()), change())

    asyncio.run(work())


def names(connection: Connection) -> list[str]:
    return list(connection.exec_driver_sql("SELECT name FROM keys").scalars())


def test_a_database_that_stands_still_is_told_and_works_on_when_it_answers(
    own_postgres: PostgreSQL, request: pytest.FixtureRequest, make_key: Callable[..., Any]
) -> None:
    url = new_database(own_postgres, request.node.name)

    async def work() -> None:
        async with await Store.open(url) as store:
            silent = pytest.raises(StoreSilentError, match="did not answer in time")
            with own_postgres.standing_still(), silent:
                await store.ping()
            key = await store.keys.insert(make_key())
            assert await store.keys.get(key.id) == key
            await store.ping()

    asyncio.run(work())


def test_a_database_that_stands_still_keeps_nobody_from_closing_it(
    own_postgres: PostgreSQL, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    url = new_database(own_postgres, request.node.name)

    async def work() -> None:
        store = await Store.open(url)
        await store.ping()
        lock = AdvisoryLock(url)
        assert await lock.take()
        with own_postgres.standing_still():
            async with asyncio.timeout(10):
                await asyncio.gather(store.close(), lock.release())

    asyncio.run(work())
    assert not caplog.records


def test_a_database_that_stands_still_is_asked_once_by_whoever_opens_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "_CONNECT_SECONDS", 0.2)
    asked: list[asyncio.StreamWriter] = []

    async def work() -> None:
        server = await asyncio.start_server(lambda _, to: asked.append(to), "127.0.0.1", 0)
        port: int = server.sockets[0].getsockname()[1]
        silent = "no connection to PostgreSQL: it did not answer in time$"
        with pytest.raises(ConfigurationError, match=silent):
            await Store.open(f"postgresql://postgres@127.0.0.1:{port}/apertis")
        for writer in asked:
            writer.close()
        server.close()

    asyncio.run(work())
    assert len(asked) == 1
