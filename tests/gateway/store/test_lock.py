"""One gateway for one store, whatever becomes of the files that say so."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from apertis.errors import ConfigurationError
from apertis.gateway.errors import LockLostError, StoreUnavailableError
from apertis.gateway.store.database import Store
from apertis.gateway.store.lock import FileLock


def refused(location: Path) -> str:
    """Why a second gateway may not have the store."""

    async def second() -> None:
        await (await Store.open(location, exclusive=True)).close()

    with pytest.raises(ConfigurationError, match="another gateway") as caught:
        asyncio.run(second())
    return str(caught.value)


def test_deleting_the_lock_file_lets_nobody_in(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        first = runner.run(Store.open(tmp_path, exclusive=True))
        lock = tmp_path / "apertis.sqlite3.lock"
        lock.unlink()
        assert "another process" in refused(tmp_path)
        # The first one makes it anew, and is named again.
        runner.run(first.ping())
        assert lock.read_text() == f"{os.getpid()}\n"
        assert f"process {os.getpid()}" in refused(tmp_path)
        runner.run(first.close())
        runner.run((runner.run(Store.open(tmp_path, exclusive=True))).close())


def test_another_name_of_the_file_is_the_same_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    other = tmp_path / "other"
    other.mkdir()
    with asyncio.Runner() as runner:
        first = runner.run(Store.open(data, exclusive=True))
        (tmp_path / "link").symlink_to(data)
        (other / "team.db").symlink_to(data / "apertis.sqlite3")
        monkeypatch.chdir(data.parent)
        for location in (tmp_path / "link", other / "team.db", data.relative_to(tmp_path)):
            assert f"process {os.getpid()}" in refused(location)
        runner.run(first.close())


def test_a_current_directory_that_changes_does_not_lose_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with asyncio.Runner() as runner:
        first = runner.run(Store.open(Path("data"), exclusive=True))
        monkeypatch.chdir(tmp_path / "elsewhere")
        runner.run(first.ping())
        runner.run(first.close())


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_store_that_was_replaced_is_neither_read_nor_written(tmp_path: Path, what: str) -> None:
    data = tmp_path / "data"
    with asyncio.Runner() as runner:
        first = runner.run(Store.open(data, exclusive=True))
        moved = data if what == "directory" else data / "apertis.sqlite3"
        moved.rename(tmp_path / "moved")
        for _ in range(2):
            with pytest.raises(StoreUnavailableError, match="deleted, moved or replaced"):
                runner.run(first.ping())
            # Whoever makes another one in its place has that alone.
            if what == "directory":
                runner.run(runner.run(Store.open(data, exclusive=True)).close())
            else:
                moved.touch()
        if what == "file":
            moved.unlink()
            (tmp_path / "moved").rename(moved)
            runner.run(first.ping())
        runner.run(first.close())


def test_a_lock_that_an_earlier_version_took_meanwhile_is_noticed(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    with asyncio.Runner() as runner:
        first = runner.run(Store.open(tmp_path, exclusive=True))
        path = tmp_path / "apertis.sqlite3.lock"
        path.unlink()
        with path.open("w") as file:
            # It locks the file alone.
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write("12345\n")
            file.flush()
            with pytest.raises(LockLostError, match="process 12345 has it now"):
                runner.run(first.ping())
        runner.run(first.ping())
        runner.run(first.close())


def test_a_lock_that_is_let_go_can_be_taken(tmp_path: Path) -> None:
    async def run() -> None:
        first, second = (FileLock(tmp_path / "a.lock") for _ in range(2))
        assert await first.take()
        assert await first.is_held()
        assert not await second.take()
        await first.release()
        assert not await first.is_held()
        assert await second.take()
        await second.release()

    asyncio.run(run())
