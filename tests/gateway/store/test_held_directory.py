"""Directories that one process holds, and paths that come to lead elsewhere."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.store.held_directory import (
    HeldDirectory,
    directory_trouble,
    identity,
    leads_elsewhere,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(sys.platform == "win32", reason="Windows locks no directories")
def test_a_directory_has_one_holder_until_it_is_closed(tmp_path: Path) -> None:
    held = HeldDirectory(tmp_path)
    with pytest.raises(BlockingIOError):
        HeldDirectory(tmp_path)
    held.close()
    held.close()
    HeldDirectory(tmp_path).close()


def test_a_directory_that_is_not_there_cannot_be_held(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        HeldDirectory(tmp_path / "nowhere")


def test_the_current_directory_may_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    held = HeldDirectory((tmp_path / "data").relative_to(tmp_path))
    monkeypatch.chdir("/")
    assert not held.is_lost()
    held.close()


def test_what_was_moved_deleted_or_replaced_is_lost(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    held, known = HeldDirectory(data), identity(data)
    assert directory_trouble(data, known) is None
    data.rename(tmp_path / "moved")
    assert held.is_lost()
    assert leads_elsewhere(data, known)
    assert directory_trouble(data, known) == "is gone"
    data.mkdir()
    assert held.is_lost()
    assert directory_trouble(data, known) == "was replaced by another"
    held.close()


def test_a_directory_that_cannot_be_written_is_in_trouble(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    known = identity(tmp_path)
    tmp_path.chmod(0o500)
    assert directory_trouble(tmp_path, known) == "cannot be written"
    tmp_path.chmod(0o700)
