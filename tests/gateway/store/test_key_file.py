from __future__ import annotations

import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from apertis.errors import ConfigurationError
from apertis.gateway.keys.secret import hash_secret
from apertis.gateway.store.key_file import FILE_NAME, load_keys, open_keys

if TYPE_CHECKING:
    from pathlib import Path


def test_the_first_start_makes_a_key_and_tells_it(tmp_path: Path) -> None:
    opened = open_keys(tmp_path / "new" / "data")
    assert opened.new_secret is not None
    assert [record.sha256 for record in opened.records] == [hash_secret(opened.new_secret)]


def test_a_second_start_keeps_the_key_and_does_not_know_it(tmp_path: Path) -> None:
    first = open_keys(tmp_path)
    second = open_keys(tmp_path)
    assert second.new_secret is None
    assert second.records == first.records == load_keys(tmp_path)


def test_a_new_key_replaces_the_old_one(tmp_path: Path) -> None:
    first = open_keys(tmp_path)
    second = open_keys(tmp_path, replace=True)
    assert second.new_secret not in (None, first.new_secret)
    assert load_keys(tmp_path) == second.records
    assert len(second.records) == 1


def test_the_secret_is_not_on_the_disk_nor_in_a_repr(tmp_path: Path) -> None:
    opened = open_keys(tmp_path)
    assert opened.new_secret is not None
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in files] == [FILE_NAME]
    assert opened.new_secret.encode() not in files[0].read_bytes()
    assert opened.new_secret not in repr(opened)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")
def test_only_its_owner_can_read_the_file(tmp_path: Path) -> None:
    data = tmp_path / "data"
    open_keys(data)
    assert stat.S_IMODE((data / FILE_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_servers_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: open_keys(tmp_path), range(8)))
    made = [keys.new_secret for keys in opened if keys.new_secret is not None]
    assert len(made) == 1
    assert {keys.records for keys in opened} == {opened[0].records}


def test_no_keys_yet_is_not_an_error(tmp_path: Path) -> None:
    assert load_keys(tmp_path / "nothing") is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"version":1,"keys":[{"sha256":1}]}', b'{"version":1,"keys":"\xff"}'],
)
def test_a_damaged_file_is_named_with_the_way_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"keys\.json is damaged.*--new-key"):
        open_keys(tmp_path)
    assert open_keys(tmp_path, replace=True).new_secret is not None


def test_a_file_of_another_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b'{"version":2,"keys":[]}')
    with pytest.raises(ConfigurationError, match="another version"):
        open_keys(tmp_path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="file"):
        open_keys(tmp_path / "file" / "data")
