"""The journal keeps every record in real files, and gives each one out until it was moved."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apertis.accounting.record import UsageRecord
from apertis.accounting.tokens import Tokens
from apertis.errors import ConfigurationError
from apertis.gateway.store.journal import Journal

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


def before(one: UsageRecord, **fields: object) -> bytes:
    """The line of a record as earlier versions wrote it: with all their fields, no checksum."""
    names = UsageRecord.__struct_fields__
    known = names[: names.index("interrupted") + 1]
    everything = {name: getattr(one, name) for name in known} | fields
    if "tokens" not in fields:
        everything["tokens"] = msgspec.to_builtins(one.tokens)
    return b'{"end":%b}\n' % json.dumps(everything, separators=(",", ":")).encode()


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
    content = files(tmp_path)[0].read_bytes().rstrip(b"\0")
    assert content.count(b"req_1") == 1
    assert content.endswith(b"}\n")


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
    journal.close()
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
    journal = Journal.open(tmp_path, segment_bytes=800)
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
    journal.close()
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
    journal.close()
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
    journal.close()
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


def lift(limit: int | None = None) -> None:
    """Let no file grow beyond a size: the system itself cuts writes and refuses more."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if limit is None else limit, hard))


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may grow beyond 1,000 bytes."""
    # The signal would end the process before the write can fail.
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    lift(1000)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, handler)


class Told:
    """What a journal says of itself."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.facts: list[dict[str, object]] = []

    def __call__(self, level: str, text: str, **facts: object) -> None:
        self.said.append((level, text))
        self.facts.append(facts)


CANNOT = ("error", "the usage journal cannot be written")
CAN_AGAIN = ("info", "the usage journal can be written again")


def test_what_a_full_disk_does_not_take_is_given_out_all_the_same(
    tmp_path: Path, small_disk: None
) -> None:
    told = Told()
    journal = Journal.open(tmp_path, tell=told)
    written = [record(n) for n in range(9)]
    for one in written:
        journal.begin(one)
        journal.append(one)
    assert files(tmp_path)[0].stat().st_size <= 1000
    assert journal.trouble() == "the usage journal cannot be written"
    assert journal.lag()[0] == 9
    assert 0 < journal.unwritten < 9
    assert drained(journal, limit=2) == written
    assert journal.lag() == (0, 0.0)
    assert (journal.unwritten, journal.skipped) == (0, 0)
    assert journal.trouble() is not None
    assert told.said == [CANNOT]
    assert journal.close() == (0, 0)
    assert files(tmp_path) == []


def test_a_disk_with_room_again_is_written_to_and_both_changes_are_told_once(
    tmp_path: Path, small_disk: None
) -> None:
    told = Told()
    journal = Journal.open(tmp_path, tell=told)
    written = [record(n) for n in range(9)]
    for one in written[:8]:
        journal.append(one)
    lift()
    chunk = journal.read(500)
    assert journal.trouble() is None
    assert journal.unwritten == 0
    assert chunk is not None
    assert list(chunk.records) == written[:8]
    journal.append(written[8])
    assert told.said == [CANNOT, CAN_AGAIN]
    journal.close()
    assert drained(Journal.open(tmp_path)) == written


def test_a_journal_with_nothing_to_write_notices_that_the_disk_has_room(
    tmp_path: Path, small_disk: None
) -> None:
    journal = Journal.open(tmp_path)
    for n in range(9):
        journal.append(record(n))
    drained(journal)
    assert journal.trouble() is not None
    lift()
    assert journal.read(1) is None or drained(journal) == []
    assert journal.trouble() is None


def test_what_is_written_while_the_ledger_books_it_counts_once(
    tmp_path: Path, small_disk: None
) -> None:
    journal = Journal.open(tmp_path)
    for n in range(9):
        journal.append(record(n))
    on_disk = journal.read(500)
    assert on_disk is not None
    journal.moved(on_disk)
    from_memory = journal.read(500)
    assert from_memory is not None
    assert from_memory.part is None
    lift()
    again = journal.read(500)
    assert again is not None
    assert again.records == from_memory.records
    journal.moved(from_memory)
    assert journal.lag()[0] == len(again.records)
    assert drained(journal) == list(again.records)
    assert journal.lag() == (0, 0.0)


def test_a_stream_that_begins_on_the_disk_and_ends_in_memory_is_over(
    tmp_path: Path, small_disk: None
) -> None:
    journal = Journal.open(tmp_path, segment_bytes=1)
    journal.begin(record("s"))
    drained(journal)
    while not journal.unwritten:
        lift(1)
        journal.append(record(0))
        journal.append(record("s", cost_units=77))
    assert record("s", cost_units=77) in drained(journal)
    lift()
    journal.close()
    assert files(tmp_path) == []


def test_what_is_in_memory_is_bounded_and_earlier_for_keys_with_a_quota(
    tmp_path: Path, small_disk: None
) -> None:
    journal = Journal.open(tmp_path, max_unwritten=20)
    lift(1)
    fullness = []
    for n in range(200):
        fullness.append((journal.is_full(limited=True), journal.is_full(limited=False)))
        journal.append(record(n))
    assert fullness == [(n >= 20, False) for n in range(200)]
    assert journal.is_full(limited=False)
    assert len(drained(journal)) == 200
    assert not journal.is_full(limited=True)


def test_closing_says_what_nobody_can_book_any_more(tmp_path: Path, small_disk: None) -> None:
    journal = Journal.open(tmp_path)
    for n in range(9):
        journal.append(record(n))
    waiting = journal.unwritten
    assert journal.close() == (waiting, waiting * 12)
    lift()
    assert len(drained(Journal.open(tmp_path))) == 9 - waiting


def test_closing_writes_what_it_can(tmp_path: Path, small_disk: None) -> None:
    journal = Journal.open(tmp_path)
    for n in range(9):
        journal.append(record(n))
    lift()
    assert journal.close() == (0, 0)
    assert drained(Journal.open(tmp_path)) == [record(n) for n in range(9)]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system takes no room ahead")
def test_a_file_has_its_room_before_it_is_needed_and_gives_the_rest_back(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    journal.append(record(1))
    found = files(tmp_path)[0].stat()
    assert found.st_blocks * 512 >= 5 * 2**20
    journal.close()
    assert files(tmp_path)[0].stat().st_size < 1000


def test_lines_have_a_checksum_and_those_of_earlier_versions_have_none(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    journal.append(record(1))
    journal.close()
    path = files(tmp_path)[0]
    line = path.read_bytes()
    assert re.search(rb',"crc32":\d+}}\n\Z', line)
    assert json.loads(line)["end"]["request_id"] == "req_1"
    path.write_bytes(before(record(0)) + line)
    assert drained(Journal.open(tmp_path)) == [record(0), record(1)]


@pytest.mark.parametrize("kind", ["begin", "end"])
@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_changed_byte_of_a_line_is_booked(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal.open(folder)
    (journal.begin if kind == "begin" else journal.append)(record(1))
    journal.close()
    path = files(folder)[0]
    line = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(line) - 2))
    line[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != line[place]))
    path.write_bytes(line)
    assert drained(Journal.open(folder)) == []


def test_a_damaged_line_is_told_and_its_file_is_kept(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    for n in (1, 2):
        journal.append(record(n))
    journal.close()
    path = files(tmp_path)[0]
    content = path.read_bytes().replace(b'"cost_units":12', b'"cost_units":99', 1)
    path.write_bytes(content)
    told = Told()
    journal = Journal.open(tmp_path, tell=told)
    assert drained(journal) == [record(2)]
    assert [level for level, _ in told.said] == ["error"]
    kept = path.with_suffix(".damaged")
    assert told.facts == [{"file": kept.name, "lines": 1}]
    assert kept.read_bytes() == content
    journal.close()
    assert files(tmp_path) == []
    # It is no file of the journal any more.
    assert drained(Journal.open(tmp_path)) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"cost_units": -1},
        {"cost_units": 10**15 + 1},
        {"cost_units": 2**64},
        {"tokens": {"input": -1}},
        {"tokens": {"output": 10**17}},
        {"at_ms": -5},
    ],
)
def test_what_no_request_can_have_used_is_not_booked(
    tmp_path: Path, fields: dict[str, object]
) -> None:
    path = tmp_path / "usage-000000000001.jsonl"
    path.write_bytes(before(record(1), **fields) + before(record(2), cost_units=10**15))
    journal = Journal.open(tmp_path)
    assert drained(journal) == [record(2, cost_units=10**15)]
    assert journal.skipped == 1
    assert path.with_suffix(".damaged").exists()


def test_a_second_one_is_refused_the_same_folder(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    with pytest.raises(ConfigurationError, match="another gateway uses the usage journal"):
        Journal.open(tmp_path)
    journal.close()
    Journal.open(tmp_path).close()


def test_a_folder_of_a_folder_is_made_anew_as_long_as_the_data_is_there(tmp_path: Path) -> None:
    data = tmp_path / "data"
    folder, told = data / "usage-journal" / "0", Told()
    journal = Journal.open(folder, data=data, tell=told)
    journal.append(record(1))
    shutil.rmtree(folder.parent)
    journal.append(record(2))
    assert drained(journal) == [record(1), record(2)]
    assert told.said == [("error", "the usage journal was deleted in use, and begun anew")]
    data.rename(tmp_path / "away")
    journal.append(record(3))
    assert drained(journal) == [record(3)]
    assert not data.exists()
    assert journal.trouble() == "the usage journal cannot be written"
    journal.abandon()


def test_a_folder_that_is_deleted_in_use_is_made_anew_and_nothing_is_lost(tmp_path: Path) -> None:
    folder, told = tmp_path / "journal", Told()
    journal = Journal.open(folder, tell=told)
    journal.append(record(1))
    shutil.rmtree(folder)
    journal.append(record(2))
    assert drained(journal) == [record(1), record(2)]
    assert told.said == [("error", "the usage journal was deleted in use, and begun anew")]
    journal.append(record(3))
    assert b"req_3" in files(folder)[0].read_bytes()
    assert drained(journal) == [record(3)]
    assert journal.trouble() is None
    assert journal.close() == (0, 0)


def test_a_data_directory_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    data = tmp_path / "data"
    journal = Journal.open(data / "journal")
    journal.append(record(1))
    data.rename(tmp_path / "elsewhere")
    assert drained(journal) == [record(1)]
    assert journal.trouble() == "the usage journal cannot be written"
    journal.append(record(2))
    data.mkdir()
    assert drained(journal) == [record(2)]
    assert list(data.iterdir()) == []
    data.rmdir()
    (tmp_path / "elsewhere").rename(data)
    assert drained(journal) == []
    assert journal.trouble() is None
    assert journal.close() == (0, 0)


def test_files_that_are_gone_with_unread_records_are_counted_as_lost(tmp_path: Path) -> None:
    told = Told()
    journal = Journal.open(tmp_path, segment_bytes=1, tell=told)
    for n in range(3):
        journal.append(record(n))
    files(tmp_path)[0].unlink()
    assert drained(journal) == [record(1), record(2)]
    assert told.facts == [{"file": "usage-000000000001.jsonl", "records": 1, "cost_units": 12}]
    assert journal.lag() == (0, 0.0)
    assert journal.close() == (1, 12)


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


def test_what_was_booked_can_be_booked_once_more_for_a_while(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, keep_seconds=3600, segment_bytes=2_000)
    written = [record(n) for n in range(30)]
    for one in written[:20]:
        journal.append(one)
    assert drained(journal) == written[:20]
    assert len(list(tmp_path.glob("usage-*.moved"))) >= 2
    for one in written[20:]:
        journal.append(one)
    journal.resend()
    assert journal.lag()[0] == 10
    assert drained(journal, 7) == written
    assert drained(journal) == []
    assert (journal.lag(), journal.skipped) == ((0, 0.0), 0)
    # And again, by a later process.
    journal.close()
    assert files(tmp_path) == []
    later = Journal.open(tmp_path, keep_seconds=3600, segment_bytes=2_000)
    assert drained(later) == []
    later.resend()
    assert drained(later) == written
    assert later.lag() == (0, 0.0)
    later.close()


def test_a_chunk_that_is_being_booked_does_not_keep_what_is_before_it_from_being_sent_again(
    tmp_path: Path,
) -> None:
    journal = Journal.open(tmp_path, keep_seconds=3600)
    written = [record(n) for n in range(6)]
    for one in written:
        journal.append(one)
    first = journal.read(4)
    assert first is not None
    journal.resend()
    journal.moved(first)
    assert drained(journal) == written
    assert journal.lag() == (0, 0.0)
    journal.close()


def test_interrupted_requests_of_an_earlier_process_are_sent_again_too(tmp_path: Path) -> None:
    killed = Journal.open(tmp_path)
    killed.begin(record("begun"))
    killed.begin(record("ended"))
    killed.append(record("ended"))
    killed.abandon()
    journal = Journal.open(tmp_path, keep_seconds=3600)
    booked = drained(journal)
    assert [one.request_id for one in booked] == ["req_ended", "req_begun"]
    journal.begin(record("own"))
    assert drained(journal) == []
    journal.resend()
    assert drained(journal) == booked
    journal.append(record("own"))
    assert drained(journal) == [record("own")]
    assert journal.lag() == (0, 0.0)
    journal.close()


def test_what_is_kept_is_deleted_when_it_is_old_or_too_much(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, keep_seconds=3600, segment_bytes=2_000, max_kept_bytes=5_000)
    for n in range(40):
        journal.append(record(n))
    drained(journal)
    kept = sorted(tmp_path.glob("usage-*.moved"))
    assert 0 < sum(path.stat().st_size for path in kept) <= 5_000
    journal.close()
    kept = list(tmp_path.glob("usage-*.moved"))
    assert kept
    for path in kept:
        os.utime(path, (1, 1))
    Journal.open(tmp_path, keep_seconds=3600).close()
    assert not any(path.exists() for path in kept)
    # One that keeps nothing leaves nothing.
    Journal.open(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_damaged_lines_are_told_of_once_however_often_they_are_read(tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / "usage-000000000001.jsonl").write_bytes(b'{"end":{"x":1}}\n' + before(record(1)))
    journal = Journal.open(
        tmp_path, keep_seconds=3600, tell=lambda _, text, **__: told.append(text)
    )
    assert drained(journal) == [record(1)]
    journal.resend()
    assert drained(journal) == [record(1)]
    assert (journal.skipped, len(told)) == (1, 1)
    journal.close()
    assert [path.suffix for path in tmp_path.iterdir()] == [".damaged"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from(["append", "begin", "move", "resend", "restart"]), max_size=30))
def test_whatever_is_sent_again_all_is_booked_and_nothing_waits(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal.open(folder, keep_seconds=3600, segment_bytes=700)
    written: list[str] = []
    booked: set[str] = set()

    def take(chunk: Any) -> None:
        booked.update(one.request_id for one in chunk.records)
        journal.moved(chunk)

    for number, step in enumerate(steps):
        if step == "append":
            journal.append(record(number))
            written.append(f"req_{number}")
        elif step == "begin":
            journal.begin(record(number))
            journal.append(record(number))
            written.append(f"req_{number}")
        elif step == "move" and (chunk := journal.read(2)) is not None:
            take(chunk)
        elif step == "resend":
            journal.resend()
        elif step == "restart":
            journal.abandon()
            journal = Journal.open(folder, keep_seconds=3600, segment_bytes=700)
    booked.clear()
    journal.resend()
    while (chunk := journal.read(3)) is not None:
        take(chunk)
    assert booked == set(written)
    assert journal.lag() == (0, 0.0)
    journal.close()
