"""Where a store is kept, told from its path or its URL."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from apertis.errors import ConfigurationError
from apertis.gateway.config.settings import FILE_NAME, sqlite_file
from apertis.gateway.store.location import (
    PostgresDatabase,
    SQLiteFile,
    location_of,
)


@pytest.mark.parametrize(
    ("data", "file"),
    [
        ("data", f"data/{FILE_NAME}"),
        ("data.d", f"data.d/{FILE_NAME}"),
        ("x.db", "x.db"),
        ("x.sqlite", "x.sqlite"),
        ("a/x.sqlite3", "a/x.sqlite3"),
    ],
)
def test_a_path_is_a_folder_unless_it_ends_as_files_do(data: str, file: str) -> None:
    assert sqlite_file(Path(data)) == Path(file)
    location = location_of(data)
    assert (location.name, location.is_shared) == (file, False)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_a_url_is_a_database_whose_password_is_not_shown(scheme: str) -> None:
    location = location_of(f"{scheme}://ann:hidden@db.example.com:5432/shop")
    assert isinstance(location, PostgresDatabase)
    assert location.name == "the PostgreSQL database 'shop' on db.example.com"
    assert location.is_shared
    assert "hidden" not in location.explain("no route")


def test_a_url_may_leave_out_host_and_database() -> None:
    assert location_of("postgresql://").name == "the PostgreSQL database 'postgres' on this machine"


def test_another_scheme_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must begin with postgresql://, not with mysql"):
        location_of("mysql://db/x")


def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / FILE_NAME
    SQLiteFile(path).prepare()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"cannot open .*/file/x\.db"):
        SQLiteFile(tmp_path / "file" / "x.db").prepare()


def test_a_copy_is_whole_and_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table t (x)")
    SQLiteFile(path).copy("0001")
    copy = tmp_path / f"{FILE_NAME}.backup-0001"
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("select name from sqlite_master").fetchall() == [("t",)]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == [FILE_NAME, copy.name]


def test_what_cannot_be_copied_leaves_nothing_behind_it(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(b"no database" * 100)
    with pytest.raises(ConfigurationError, match="cannot copy"):
        SQLiteFile(path).copy("0001")
    assert not (tmp_path / f"{FILE_NAME}.backup-0001").exists()


def test_a_file_that_is_damaged_is_told_from_one_out_of_reach(tmp_path: Path) -> None:
    location = SQLiteFile(tmp_path / "x.db")
    assert "it is damaged" in location.explain("file is not a database")
    assert location.explain("disk I/O error").endswith("x.db: disk I/O error")


async def both_taken(path: Path, other: Path) -> tuple[bool, bool]:
    first, second = SQLiteFile(path).lock(), SQLiteFile(other).lock()
    taken = await first.take(), await second.take()
    await first.release()
    await second.release()
    return taken


def test_every_name_of_a_file_has_one_lock(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    (one / "x.db").write_bytes(b"")
    (other / "link.db").symlink_to(one / "x.db")
    assert asyncio.run(both_taken(one / "x.db", other / "link.db")) == (True, False)
    assert asyncio.run(both_taken(one / "x.db", other / "x.db")) == (True, True)
