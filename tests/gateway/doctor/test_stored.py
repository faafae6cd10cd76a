from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from apertis.gateway.config import StoreSettings
from apertis.gateway.doctor import Finding, State
from apertis.gateway.doctor.stored import clock_finding, pooler_finding, store_findings
from apertis.gateway.replicas import presence
from apertis.gateway.store.database import Store
from apertis.gateway.store.schema import HEAD
from apertis.gateway.store.signals import carries_signals
from apertis.version import __version__
from tests.kit.postgresql import postgresql_server

if TYPE_CHECKING:
    from pathlib import Path


def findings(store: StoreSettings) -> tuple[Finding, ...]:
    return asyncio.run(store_findings(store))


def make(location: Path | str) -> None:
    async def opened() -> None:
        async with await Store.open(location):
            pass

    asyncio.run(opened())


def test_a_store_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    stored, disk = findings(StoreSettings(tmp_path / "state" / "x"))
    assert (stored.state, disk.state) == (State.OK, State.OK)
    assert "is not there yet" in stored.message
    assert f"free at {tmp_path}" in disk.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["data", "own.db"])
def test_a_store_is_told_with_its_schema_and_size(tmp_path: Path, name: str) -> None:
    make(tmp_path / name)
    store = StoreSettings(tmp_path / name)
    stored, _ = findings(store)
    assert stored.state is State.OK
    told = rf"{re.escape(str(store.sqlite_file))}, schema {HEAD}, 0\.[1-9] MB, writable"
    assert re.fullmatch(told, stored.message)


def test_the_doctor_looks_beside_a_running_gateway(tmp_path: Path) -> None:
    async def beside() -> tuple[Finding, ...]:
        async with await Store.open(tmp_path, exclusive=True):
            return await store_findings(StoreSettings(tmp_path))

    assert asyncio.run(beside())[0].state is State.OK


def test_an_older_store_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "apertis.sqlite3"
    file.touch(0o600)
    stored, _ = findings(StoreSettings(tmp_path))
    assert stored.state is State.OK
    assert f"the next start brings its tables to schema {HEAD}" in stored.message
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)


def test_a_store_of_a_newer_version_is_a_failure(tmp_path: Path) -> None:
    make(tmp_path)
    with closing(sqlite3.connect(tmp_path / "apertis.sqlite3")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    stored, _ = findings(StoreSettings(tmp_path))
    assert stored.state is State.FAIL
    assert "newer version" in stored.message


def test_what_is_no_database_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("a diary, and no database at all; " * 40)
    stored, _ = findings(StoreSettings(tmp_path / "x.db"))
    assert stored.state is State.FAIL
    assert "not a database" in stored.message


@pytest.mark.skipif(os.name != "posix", reason="files have no modes there")
def test_a_store_that_other_users_can_read_is_a_warning(tmp_path: Path) -> None:
    make(tmp_path)
    file = tmp_path / "apertis.sqlite3"
    file.chmod(0o644)
    stored, _ = findings(StoreSettings(tmp_path))
    assert (stored.state, stored.advice) == (State.WARN, f"chmod 600 {file}")


@pytest.mark.parametrize(
    ("free", "state"), [(2 * 10**9, State.OK), (10**9 - 1, State.WARN), (10**6, State.FAIL)]
)
def test_a_full_disk_is_told_before_it_matters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: State
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert findings(StoreSettings(tmp_path))[1].state is state


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert findings(StoreSettings(tmp_path / "x"))[1].state is State.FAIL


def test_a_database_server_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    pytest.importorskip("asyncpg")
    url = "postgresql://ann:hidden@127.0.0.1:1/x"
    stored, _ = findings(StoreSettings(tmp_path, url))
    assert stored.state is State.FAIL
    assert "'x' on 127.0.0.1: no connection to PostgreSQL" in stored.message
    assert "hidden" not in repr(stored)


def test_a_database_server_is_told_with_its_schema_and_size(tmp_path: Path) -> None:
    with postgresql_server() as server:
        store = StoreSettings(tmp_path, server.url)
        stored, *_ = findings(store)
        assert f"the next start brings its tables to schema {HEAD}" in stored.message
        make(server.url)
        stored, *_ = findings(store)
    assert stored.state is State.OK
    assert f", schema {HEAD}, " in stored.message
    assert " MB, writable" in stored.message


def test_gateways_of_a_database_are_told_with_what_they_need(
    postgres_schema: str, tmp_path: Path
) -> None:
    async def start() -> None:
        async with await Store.open(postgres_schema) as store:
            await store.replicas.start(
                "web-1", presence.encode_state(presence.State(version=__version__))
            )
            await store.replicas.stop(await store.replicas.start("web-2", "{}"))

    asyncio.run(start())
    found = findings(StoreSettings(tmp_path, url=postgres_schema))
    told = {finding.subject: (finding.state, finding.message) for finding in found}
    assert told["gateways"] == (State.OK, "1 there: web-1")
    assert told["store signals"][0] is told["store clock"][0] is State.OK

    async def start_another() -> None:
        async with await Store.open(postgres_schema) as store:
            await store.replicas.start("web-3", '{"version":"0.0.1"}')

    asyncio.run(start_another())
    found = findings(StoreSettings(tmp_path, url=postgres_schema))
    (gateways,) = (finding for finding in found if finding.subject == "gateways")
    assert gateways.state is State.WARN
    assert "web-3 is 0.0.1" in gateways.message


@pytest.mark.parametrize(("ahead", "state"), [(-4.9, State.OK), (90.0, State.WARN)])
def test_clocks_that_are_apart_are_told(ahead: float, state: State) -> None:
    assert clock_finding(ahead).state is state


def test_a_pooler_that_loses_signals_is_told(postgres: str) -> None:
    """It forgets notifications, as one that shares sessions per transaction does."""
    socket = str(parse_qs(urlsplit(postgres).query)["host"][0])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(f"{socket}/.s.PGSQL.5432")

        async def up() -> None:
            while data := await reader.read(65536):
                server_writer.write(data)
            server_writer.close()

        async def down() -> None:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = await server_reader.readexactly(5)
                    body = await server_reader.readexactly(int.from_bytes(head[1:], "big") - 4)
                    if head[:1] != b"A":
                        writer.write(head + body)
            writer.close()

        await asyncio.gather(up(), down(), return_exceptions=True)

    async def run() -> tuple[bool, bool]:
        pooler = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = pooler.sockets[0].getsockname()[1]
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable"
        through = await carries_signals(url, 0.3)
        pooler.close()
        return await carries_signals(postgres), through

    assert asyncio.run(run()) == (True, False)
    assert pooler_finding(is_heard=False).state is State.WARN
