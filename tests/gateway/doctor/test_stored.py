from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.config import StoreSettings
from apertis.gateway.doctor import Finding, State
from apertis.gateway.doctor.stored import store_findings
from apertis.gateway.store.database import Store
from apertis.gateway.store.schema import HEAD
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
    assert f"{store.sqlite_file}, schema {HEAD}, 0.2 MB, writable" in stored.message


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
        stored, _ = findings(store)
        assert f"the next start brings its tables to schema {HEAD}" in stored.message
        make(server.url)
        stored, _ = findings(store)
    assert stored.state is State.OK
    assert f", schema {HEAD}, " in stored.message
    assert " MB, writable" in stored.message
