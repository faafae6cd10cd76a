"""The journal keeps every record in real files, and gives each one out until it was moved."""

from __future__ import annotations

import contextlib
import resource
import signal
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from apertis.errors import ConfigurationError
from apertis.gateway.store.journal import Journal
from apertis.gateway.usage.record import UsageRecord
from apertis.gateway.usage.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Iterator


def record(name: object, **fields: object) -> UsageRecord:
    given = {
        "request_id": f"req_{name}",
        "at_ms": 1_700_000_000_000,
        "key_id": "key_1",
        "model": "claude-opus-4-5",
        "requested_model": "claude-opus-4-5",
        "status": 200,
        "tokens": Tokens(input=3, output=4, cache_write_1h=5),
        "cost_units": 12,
    }
    return msgspec.convert({**given, **fields}, UsageRecord)


def drained(journal: Journal, limit: int = 500) -> list[UsageRecord]:
    """Everything that the journal has, moved."""
    records: list[UsageRecord] = []
    while (chunk := journal.read(limit)) is not None:
        assert len(chunk.records) <= limit
        records += chunk.records
        journal.moved(chunk)
    return records


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("usage-*.jsonl"))


def test_records_come_back_as_they_were_and_in_their_order(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "new" / "journal")
    written = [record(n, session="s\n\u2028", agent="ü", first_byte_ms=7) for n in range(12)]
    for one in written:
        journal.append(one)
    assert drained(journal, limit=5) == written
    assert journal.read(5) is None


@pytest.mark.parametrize("limit", [1, 2, 500])
def test_beginnings_between_ends_do_not_disturb_them(tmp_path: Path, limit: int) -> None:
    journal = Journal.open(tmp_path)
    written = [record(n) for n in range(5)]
    for one in written:
        journal.begin(one)
        journal.append(one)
    assert drained(journal, limit) == written
    assert journal.skipped == 0


def test_a_record_is_in_its_file_when_append_returns(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    journal.append(record(1))
    assert files(tmp_path)[0].read_bytes().count(b"req_1") == 1
    assert files(tmp_path)[0].read_bytes().endswith(b"}\n")


def test_only_its_owner_can_read_the_journal(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    Journal.open(folder).append(record(1))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in files(folder)] == [0o600]


def test_what_was_not_moved_comes_again(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    journal.append(record(1))
    first = journal.read(10)
    journal.append(record(2))
    assert first is not None
    assert first.records == (record(1),)
    assert drained(journal) == [record(1), record(2)]


def test_another_process_goes_on_where_one_ended(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    for n in range(3):
        journal.append(record(n))
    second = Journal.open(tmp_path)
    second.append(record(3))
    assert second.lag()[0] == 4
    assert drained(second) == [record(n) for n in range(4)]
    assert second.lag() == (0, 0.0)
    assert len(files(tmp_path)) == 1


def test_a_journal_that_was_moved_as_a_whole_leaves_no_file(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    journal.begin(record(1))
    journal.append(record(1))
    drained(journal)
    journal.close()
    assert files(tmp_path) == []


def test_a_journal_with_something_left_keeps_its_file(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    journal.append(record(1))
    journal.close()
    assert drained(Journal.open(tmp_path)) == [record(1)]


def test_full_files_are_closed_and_deleted_when_all_of_them_is_moved(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, segment_bytes=2000)
    written = [record(n) for n in range(40)]
    for one in written:
        journal.append(one)
    many = len(files(tmp_path))
    assert many > 8
    chunk = journal.read(500)
    assert chunk is not None
    assert len(files(tmp_path)) == many
    journal.moved(chunk)
    assert len(files(tmp_path)) == many - 1
    assert [*chunk.records, *drained(journal)] == written
    assert len(files(tmp_path)) == 1


def test_a_request_that_never_ended_is_interrupted(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    for n in range(4):
        journal.begin(record(n, cost_units=n))
    journal.append(record(1, cost_units=100))
    second = Journal.open(tmp_path)
    second.append(record(9))
    cut = [record(n, cost_units=n, interrupted=True, estimated=True) for n in (0, 2, 3)]
    assert drained(second, limit=2) == [record(1, cost_units=100), *cut, record(9)]
    assert second.lag() == (0, 0.0)
    second.close()
    assert files(tmp_path) == []


def test_a_request_that_runs_is_not_interrupted_and_its_file_stays(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, segment_bytes=1)
    journal.begin(record(1))
    journal.append(record(2))
    assert drained(journal) == [record(2)]
    assert files(tmp_path)[0].read_bytes().count(b"req_1") == 1
    journal.append(record(1, cost_units=99))
    assert drained(journal) == [record(1, cost_units=99)]
    assert len(files(tmp_path)) == 1


def test_a_request_that_runs_when_the_process_dies_is_booked_by_the_next(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    journal.begin(record(1))
    drained(journal)
    journal.close()
    assert drained(Journal.open(tmp_path)) == [record(1, interrupted=True, estimated=True)]


@pytest.mark.parametrize("cut", range(1, 30))
def test_a_torn_last_line_costs_that_line_only(tmp_path: Path, cut: int) -> None:
    journal = Journal.open(tmp_path)
    for n in range(3):
        journal.append(record(n))
    path = files(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-cut])
    second = Journal.open(tmp_path)
    second.append(record(7))
    assert drained(second) == [record(0), record(1), record(7)]
    assert second.skipped == 1
    assert second.lag() == (0, 0.0)


@pytest.mark.parametrize(
    "rubbish", [b"\0" * 50, b"[]", b"{}", b'{"end":{}}', b'{"end":null}', b'{"begin":7}', b"\xff"]
)
def test_a_damaged_line_costs_that_line_only(tmp_path: Path, rubbish: bytes) -> None:
    journal = Journal.open(tmp_path)
    journal.append(record(1))
    path = files(tmp_path)[0]
    path.write_bytes(rubbish + b"\n" + path.read_bytes() + rubbish + b"\n")
    second = Journal.open(tmp_path)
    assert drained(second) == [record(1)]
    assert second.skipped == 2


def test_a_line_longer_than_a_read_is_read(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    long = record(1, session="s" * 700_000)
    journal.append(long)
    journal.append(record(2))
    assert drained(journal) == [long, record(2)]


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "usage-1.jsonl.bak"
    other.write_text("mine")
    Journal.open(tmp_path).close()
    assert other.read_text() == "mine"


def test_a_name_that_no_database_can_keep_is_cleaned(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    journal.append(record(1, requested_model="a\0b"))
    assert drained(journal) == [record(1, requested_model="a\ufffdb")]


def test_lag_says_how_many_records_wait(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    assert journal.lag() == (0, 0.0)
    for n in range(5):
        journal.append(record(n))
    waiting, seconds = journal.lag()
    assert waiting == 5
    assert seconds >= 0
    chunk = journal.read(3)
    assert chunk is not None
    journal.moved(chunk)
    assert journal.lag()[0] == 2


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot open the usage journal in"):
        Journal.open(tmp_path / "file" / "journal")


@pytest.fixture
def small_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No file may grow beyond 1,000 bytes: the system itself cuts writes and refuses more."""
    # The signal would end the process before the write can fail.
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_said_and_nothing_is_lost_when_there_is_room_again(
    tmp_path: Path, small_disk: None
) -> None:
    journal = Journal.open(tmp_path)
    journal.append(record(0))
    # The second or third line is cut, and none is taken after that.
    with contextlib.suppress(OSError):
        journal.append(record(1))
    for n in (2, 3, 4):
        with pytest.raises(OSError, match=r"full|too large"):
            journal.append(record(n))
    assert files(tmp_path)[0].stat().st_size <= 1000
    assert journal.lag()[0] == 5
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert drained(journal) == [record(n) for n in range(5)]
    journal.append(record(5))
    assert drained(journal) == [record(5)]
    assert journal.lag() == (0, 0.0)
    # The next process reads the same, the torn line apart.
    journal.append(record(6))
    assert drained(Journal.open(tmp_path))[-1] == record(6)


def open_files() -> int:
    here = Path("/proc/self/fd")
    return sum(1 for _ in here.iterdir()) if here.is_dir() else 0


def test_closing_gives_the_file_back(tmp_path: Path) -> None:
    before = open_files()
    for _ in range(5):
        journal = Journal.open(tmp_path, segment_bytes=1)
        journal.append(record(1))
        journal.append(record(2))
        drained(journal)
        journal.close()
    assert open_files() == before
