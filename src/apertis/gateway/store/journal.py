"""The usage journal: one line of JSON for each record, written before a response's last byte.

What is promised: a record that `append` or `flush` has written survives the death of this process
at any moment, `kill -9` included, because it is in the system's hands. A crash of the whole machine
loses at most what the system had not yet written to the disk: no `fsync` is waited for. Responses
that end in the same turn of the event loop share one write: `add` collects their records, and
`flush` writes them before the first of the responses leaves.

Lines go to the newest of a row of files. A file is deleted when all of it, and all before it, is
in the ledger; what is left at the next start is read again from its beginning, and the ledger
books no request twice. A line that was damaged is not booked; its file is kept.

With several gateways, files are kept for a while after they were booked: a database that was put
back to an earlier state is given their records again (`resend`), and it books no request twice.

What the disk does not take is kept in memory and given out from there, so that it is booked all
the same, and is retried. Each file has room of its own, taken when it is made, so that a disk
that others fill up is not at once the end of writing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from collections import deque
from itertools import islice
from time import time
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

from apertis.accounting.record import MAX_COST_UNITS, UsageRecord
from apertis.accounting.tokens import counts_of
from apertis.errors import ConfigurationError
from apertis.gateway.store.held_directory import HeldDirectory, identity
from apertis.models.json import json_or_none

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Tell = Callable[..., None]

BEGIN, END = b'{"begin":', b'{"end":'
DAMAGED = ".damaged"
MOVED = ".moved"
OWNER = "owner"
"""The file with the lease that the records of a journal are booked on, as `name#epoch`."""

_NAME = re.compile(r"usage-(\d{12})\.jsonl\Z")
_KEPT_NAME = re.compile(r"usage-(\d{12})\.moved\Z")
# Some hundred lines; one read and one decoding of them keep the event loop for a millisecond.
_READ_BYTES = 256 * 1024
# What stands before the checksum, as the last field of a record. In a text it cannot stand: the
# quotes would be escaped.
_CHECKSUM = b',"crc32":'
# The last field of a record as earlier versions wrote it.
_ENDS_WITHOUT_CHECKSUM = (b',"interrupted":false}', b',"interrupted":true}')
# As a number: of bytes `in` asks first whether they are one, and that costs far more than to look.
_BACKSLASH = 0x5C
_SEEDS = {kind: crc32(kind) for kind in (BEGIN, END)}
# More than any request can count; a database's integers have 64 bits.
_MAX_COUNT = 2**53
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))

_ENCODER = msgspec.json.Encoder()
_RECORD = msgspec.json.Decoder(UsageRecord)


class Segment:
    """One file: how far it was moved to the ledger, and what still begins in it.

    `file` is its descriptor where it is read by that: while it is written to, and when its path
    leads to it no more. `size` is where its lines end; room for more may follow. `whole`: no line
    will be added. `moved`: all its lines are in the ledger. `damaged`: it has lines that are not
    booked. `begun`: how many requests that began in it have not ended. `ends` and `units`: how
    many records, and what cost, it has that were not moved, as far as this process wrote them.
    `again`: up to there it is read once more. `kept_since`: when all of it was in the ledger.
    """

    __slots__ = (
        "again",
        "begun",
        "damaged",
        "ends",
        "file",
        "kept_since",
        "moved",
        "number",
        "path",
        "read",
        "size",
        "units",
        "whole",
    )

    def __init__(self, path: Path, number: int, *, size: int = 0, whole: bool = False) -> None:
        self.path = path
        self.number = number
        self.size = size
        self.whole = whole
        self.file: int | None = None
        self.read = 0
        self.again = 0
        self.kept_since = 0.0
        self.moved = False
        self.damaged = False
        self.begun = 0
        self.ends = 0
        self.units = 0

    def close(self) -> None:
        """Close its descriptor, if it has one."""
        if self.file is not None:
            os.close(self.file)
            self.file = None

    def keep(self, now: float) -> None:
        """Put it aside: its records are in the ledger, and may be needed once more."""
        self.close()
        self.kept_since = now
        aside = self.path.with_suffix(DAMAGED if self.damaged else MOVED)
        # Its room on the disk is not needed any more.
        with contextlib.suppress(FileNotFoundError):
            os.truncate(self.path, self.size)
            self.path = self.path.rename(aside)

    def remove(self) -> None:
        """Delete it; with lines that were not booked it is kept, under another name."""
        self.close()
        if self.damaged:
            # This needs no room on the disk.
            with contextlib.suppress(FileNotFoundError):
                self.path.rename(self.path.with_suffix(DAMAGED))
        else:
            self.path.unlink(missing_ok=True)


class Part(msgspec.Struct, frozen=True):
    """Some lines of a segment: the requests that begin and end there, up to which byte.

    `last`: nothing follows in this file. `skipped` counts the lines that are not to be booked.
    """

    segment: Segment
    begins: tuple[UsageRecord, ...]
    ends: tuple[UsageRecord, ...]
    skipped: int
    until: int
    last: bool


def encode(kind: bytes, record: UsageRecord) -> bytes:
    """Make the line of a record."""
    encoded = _ENCODER.encode(record)
    if _BACKSLASH in encoded:
        # A database's text cannot hold U+0000, and one such name must not block the ledger.
        encoded = encoded.replace(b"\\u0000", b"\\ufffd")
    # The checksum is a field of the record: versions that know none pass it over.
    checksum = crc32(encoded, _SEEDS[kind])
    return b"".join((kind, encoded[:-1], b',"crc32":%d}}\n' % checksum))


def new_segment(folder: Path, number: int) -> Segment:
    """Name the file of this number; it is not made yet."""
    return Segment(folder / f"usage-{number:012d}.jsonl", number)


def create(path: Path) -> int:
    """Make a file that only its owner can read, and open it for writing and reading."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)


def allocate(file: int, room_bytes: int) -> None:
    """Take room on the disk before it is needed; `OSError` when the disk is full.

    Where a system or a file system cannot do that, nothing happens.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file, 0, room_bytes)
    except OSError as error:
        if error.errno in _FULL:
            raise


def find_segments(folder: Path) -> tuple[list[Segment], int]:
    """Find the files of earlier processes, oldest first, and how many requests end in them.

    Room that was taken in them and not used is given back.
    """
    names = ((_NAME.match(path.name), path) for path in folder.iterdir())
    found = sorted((int(match[1]), path) for match, path in names if match)
    segments: list[Segment] = []
    ends = 0
    for number, path in found:
        content = path.read_bytes()
        size = len(content.rstrip(b"\0"))
        if size < len(content):
            os.truncate(path, size)
        segment = Segment(path, number, size=size, whole=True)
        segment.ends = sum(line.startswith(END) for line in content[:size].splitlines())
        ends += segment.ends
        segments.append(segment)
    return segments, ends


def find_kept(folder: Path) -> list[Segment]:
    """Find the files that were put aside, oldest first."""
    names = ((_KEPT_NAME.match(path.name), path) for path in folder.iterdir())
    kept: list[Segment] = []
    for number, path in sorted((int(match[1]), path) for match, path in names if match):
        status = path.stat()
        segment = Segment(path, number, size=status.st_size, whole=True)
        segment.read, segment.moved, segment.kept_since = segment.size, True, status.st_mtime
        kept.append(segment)
    return kept


def read_part(segment: Segment, limit: int, known: dict[bytes, UsageRecord]) -> Part | None:
    """Read the next lines, of which at most `limit` are ends; None when there are none yet.

    What some lines say is `known`; those that are read are taken out.
    """
    data, at_end = _next_lines(segment)
    if not data and not (at_end and segment.whole):
        return None
    records: dict[bytes, list[UsageRecord]] = {BEGIN: [], END: []}
    skipped = position = 0
    for line in data.splitlines(keepends=True):
        kind = END if line.startswith(END) else BEGIN
        if kind is END and len(records[END]) == limit:
            break
        position += len(line)
        record = known.pop(line, None) or _decode(line, kind)
        if record is not None:
            records[kind].append(record)
        elif not line.isspace():
            skipped += 1
    last = segment.whole and at_end and position == len(data)
    until = segment.read + position
    return Part(segment, tuple(records[BEGIN]), tuple(records[END]), skipped, until, last)


def _next_lines(segment: Segment) -> tuple[bytes, bool]:
    """Read whole lines, and whether the file ends there; then a torn last line is one of them."""
    if segment.file is not None:
        return _lines_of(segment.file, segment)
    file = os.open(segment.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        return _lines_of(file, segment)
    finally:
        os.close(file)


def _lines_of(file: int, segment: Segment) -> tuple[bytes, bool]:
    data, end = b"", 0
    # What is read once more comes by itself.
    upto = segment.again if segment.read < segment.again else segment.size
    while end == 0:
        start = segment.read + len(data)
        more = _read_at(file, min(_READ_BYTES, upto - start), start)
        data += more
        end = data.rfind(b"\n") + 1
        if not more:
            break
    at_end = segment.read + len(data) >= segment.size
    return (data, True) if segment.whole and at_end else (data[:end], at_end)


def _decode(line: bytes, kind: bytes) -> UsageRecord | None:
    """Read a line; None when it is damaged, or no request can have used what it says."""
    if not line.startswith(kind) or not line.endswith(b"}\n"):
        return None
    encoded = line[len(kind) : -2]
    content, separator, checksum = encoded.rpartition(_CHECKSUM)
    if separator:
        encoded = content + b"}"
        if checksum != b"%d}" % crc32(encoded, _SEEDS[kind]):
            return None
    elif not encoded.endswith(_ENDS_WITHOUT_CHECKSUM):
        return None
    record = json_or_none(encoded, _RECORD)
    return record if record is not None and _is_possible(record) else None


def _is_possible(record: UsageRecord) -> bool:
    counts = (record.at_ms, record.total_ms, *counts_of(record.tokens))
    return (
        0 <= record.cost_units <= MAX_COST_UNITS and 0 <= min(counts) <= max(counts) <= _MAX_COUNT
    )


if sys.platform == "win32":

    def write_at(file: int, data: bytes, position: int) -> int:
        """Write bytes at a place of a file; how many the disk took."""
        os.lseek(file, position, os.SEEK_SET)
        return os.write(file, data)

    def _read_at(file: int, length: int, position: int) -> bytes:
        os.lseek(file, position, os.SEEK_SET)
        return os.read(file, length)
else:
    write_at = os.pwrite
    _read_at = os.pread


_SEGMENT_BYTES = 4 * 2**20
# Room behind that in each file, for when there is none for the next file: some 2,000 records.
_RESERVE_BYTES = 2**20
# How much is written there before the next file is retried.
_RESERVE_STEP_BYTES = 64 * 1024
_MARK_SECONDS = 1.0
_RETRY_SECONDS = 1.0
_MAX_KEPT_BYTES = 256 * 2**20
_RECORDS_AT_ONCE = 2000
# Lines wait for a fraction of a second; while the store fails, far more of them wait.
_MAX_KNOWN_LINES = 4000
# An empty line: a disk that takes it behind what waits has room for some more.
_PROBE = b" " * 16_383 + b"\n"
MAX_UNWRITTEN_RECORDS = 10_000
"""From so many records in memory on, keys with a quota are served no more."""
# From so many times as many on, nobody is: memory is bounded, and nothing is forgotten.
_UNLIMITED_FACTOR = 10


class Chunk(msgspec.Struct, frozen=True):
    """The next records to book; hand it back to `Journal.moved` when they are.

    `part` is where they stand; None for those in memory: what the disk did not take, or the
    `interrupted` requests of an earlier process.
    """

    records: tuple[UsageRecord, ...]
    part: Part | None
    interrupted: bool = False


def hold(folder: Path) -> HeldDirectory:
    """Hold the folder of a journal, which is made if need be.

    `ConfigurationError` when that fails, or another process has it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return HeldDirectory(folder)
    except BlockingIOError as error:
        raise ConfigurationError(
            f"another gateway uses the usage journal in {folder}: stop it, or give this one a "
            "data directory of its own"
        ) from error
    except OSError as error:
        raise ConfigurationError(_unusable(folder, error)) from error


def _unusable(folder: Path, error: OSError) -> str:
    return f"cannot open the usage journal in {folder}: {error.strerror}"


class Journal:
    """A file of records, appended, and read in the same order.

    `others_book`: another process books to the same ledger, since this one lost its lock.

    One process, and one thread of it, uses a folder at a time. `tell` is called with a level, a
    text and facts when the disk fails and when it recovers, once each, and for damaged lines.
    `skipped` counts those.
    """

    def __init__(
        self,
        directory: HeldDirectory,
        *,
        data: Path | None = None,
        segment_bytes: int,
        max_unwritten: int,
        tell: Tell,
        keep_seconds: float = 0.0,
        max_kept_bytes: int = _MAX_KEPT_BYTES,
    ) -> None:
        self._directory = directory
        self._data = (data or directory.path.parent).absolute()
        self._data_identity = identity(self._data)
        self._segment_bytes = segment_bytes
        self._max_unwritten = max_unwritten
        self._tell = tell
        self.others_book = False
        # Files whose records are in the ledger, oldest first, and how many bytes they have.
        self._keep_seconds = keep_seconds
        self._max_kept_bytes = max_kept_bytes
        self._kept = deque(find_kept(directory.path))
        self._kept_bytes = sum(segment.size for segment in self._kept)
        self._wants_all = False
        old, waiting = find_segments(directory.path)
        newest = max((segment.number for segment in (*self._kept, *old)), default=0)
        self._current = self._open_segment(newest + 1, without_room=True)
        self._segments = deque((*old, self._current))
        # Files before this one were written by processes that are gone.
        self._first_own = self._current.number
        self._recovered = False
        # What the next `flush` writes; and lines that need not be decoded when they are read.
        self._added: list[UsageRecord] = []
        self._known: dict[bytes, UsageRecord] = {}
        # What the disk did not take, by request: ends, and beginnings without an end.
        self._unwritten: dict[str, UsageRecord] = {}
        self._unwritten_begins: dict[str, UsageRecord] = {}
        # Why the last write failed; None when it did not.
        self._failure: str | None = None
        self._retry_at = 0.0
        # Requests that began and have not ended: the file of their beginning, and their record.
        self._begun: dict[str, tuple[Segment, UsageRecord]] = {}
        self._appended = waiting
        self._moved = 0
        # How many of them earlier processes left.
        self._inherited = waiting
        # Every second or so: how many records there were, and when the next one came.
        self._marks = deque([(0, time())] if waiting else ())
        self._mark_at = 0.0
        self.skipped = 0
        # Records, and their cost, that neither this nor a later process can book.
        self._lost = [0, 0]

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        data: Path | None = None,
        segment_bytes: int = _SEGMENT_BYTES,
        max_unwritten: int = MAX_UNWRITTEN_RECORDS,
        tell: Tell = lambda *_, **__: None,
        keep_seconds: float = 0.0,
        max_kept_bytes: int = _MAX_KEPT_BYTES,
    ) -> Journal:
        """Open the journal in a folder, which is made if need be.

        If it is deleted in use it is made again, as long as `data` above it (the folder's parent by
        default) is there. What was booked can be booked once more for `keep_seconds`, as long as it
        has no more than `max_kept_bytes`.

        `ConfigurationError` when that fails, or another process has it.
        """
        directory = hold(folder)
        try:
            return cls(
                directory,
                data=data,
                segment_bytes=segment_bytes,
                max_unwritten=max_unwritten,
                tell=tell,
                keep_seconds=keep_seconds,
                max_kept_bytes=max_kept_bytes,
            )
        except OSError as error:
            directory.close()
            raise ConfigurationError(_unusable(folder, error)) from error

    def begin(self, record: UsageRecord) -> None:
        """Note a request whose answer starts to leave, with what it has used for certain.

        If the process dies before its `append`, this record is booked, as interrupted.
        """
        if not self._write(encode(BEGIN, record)):
            self._unwritten_begins[record.request_id] = record

    def append(self, record: UsageRecord) -> None:
        """Write the record of a request that has ended, or keep it until that can be done."""
        self._added.append(record)
        self.flush()

    def add(self, record: UsageRecord) -> None:
        """Take the record of a request that has ended; `flush` before its response leaves."""
        self._added.append(record)

    def flush(self) -> None:
        """Write the records that were added, or keep them until that can be done."""
        added = self._added
        if not added:
            return
        self._added = []
        now = time()
        if now >= self._mark_at:
            self._mark_at = now + _MARK_SECONDS
            self._marks.append((self._appended, now))
        self._appended += len(added)
        lines = [encode(END, record) for record in added]
        if len(self._known) < _MAX_KNOWN_LINES:
            # One with an escape may not be what was encoded.
            self._known.update(
                pair for pair in zip(lines, added, strict=True) if _BACKSLASH not in pair[0]
            )
        if self._write(lines[0] if len(lines) == 1 else b"".join(lines)):
            self._current.ends += len(added)
            for record in added:
                self._current.units += record.cost_units
            return
        for record in added:
            self._unwritten_begins.pop(record.request_id, None)
            self._unwritten[record.request_id] = record
        if now >= self._retry_at:
            self._retry_at = now + _RETRY_SECONDS
            self._catch_up()

    @property
    def unwritten(self) -> int:
        """Records that are in memory only."""
        return len(self._unwritten)

    def is_full(self, *, limited: bool) -> bool:
        """Return whether no more may be added for keys with a quota (`limited`), or for any."""
        most = self._max_unwritten
        return len(self._unwritten) >= (most if limited else most * _UNLIMITED_FACTOR)

    def standstill(self, *, limited: bool) -> str | None:
        """Return the reason that keys with (`limited`) or without a quota are rejected, if any."""
        if self.is_full(limited=limited):
            return "Usage cannot be written, and too much of it waits already"
        if limited and self.others_book:
            return "Another gateway counts what keys with a quota have used"
        return None

    def trouble(self) -> str | None:
        """Return the reason that records cannot be written, or soon cannot; None without one."""
        if self._failure is not None:
            return "the usage journal cannot be written"
        if self._needs_room:
            return "the usage journal has no room left but its reserve: the disk is full"
        return None

    def read(self, limit: int) -> Chunk | None:
        """Give the next records, at most `limit` of them; None when there are no more.

        Until the chunk is handed to `moved`, the same records come again. A chunk may have none:
        then its lines are the beginnings of requests. `OSError` when a file cannot be read.
        """
        self.flush()
        self._catch_up()
        if self._wants_all:
            self._begin_again()
        self._drop_old()
        for segment in list(self._segments):
            if segment.number >= self._first_own and not self._recovered:
                if self._begun:
                    return self._interrupted(limit)
                self._recovered = True
                # Damaged lines were counted as well when the journal was opened.
                self._moved = max(self._moved, self._inherited)
            if segment.moved:
                continue
            try:
                part = read_part(segment, limit, self._known)
            except FileNotFoundError:
                self._lose(segment)
                continue
            if part is not None:
                return Chunk(part.ends, part)
        if self._unwritten:
            return Chunk(tuple(islice(self._unwritten.values(), limit)), None)
        return None

    def name_owner(self, lease: str) -> None:
        """Say on which lease the records are booked, as `name#epoch`, for who replays them."""
        made = self._directory.path / f".{OWNER}"
        try:
            made.write_text(f"{lease}\n", "utf-8")
            made.replace(self._directory.path / OWNER)
        except OSError as error:
            # Each record says it too.
            reason = error.strerror or str(error)
            self._tell("warning", "the usage journal does not say whose it is", reason=reason)

    def resend(self) -> None:
        """Give all records once more that are still kept: the ledger has forgotten some."""
        # Not before a chunk that was read is booked: where it ends is where reading goes on.
        self._wants_all = True

    def _begin_again(self) -> None:
        self._wants_all = False
        self._segments.extendleft(reversed(self._kept))
        self._kept.clear()
        self._kept_bytes = 0
        # A request that began in one of them may have ended in another.
        self._begun.clear()
        self._recovered = False
        for segment in self._segments:
            segment.again = max(segment.again, segment.read)
            segment.read = segment.begun = 0
            segment.moved = False

    def moved(self, chunk: Chunk) -> None:
        """Take note that the ledger has these records; files that are not needed are deleted."""
        part = chunk.part
        if part is not None:
            self._read_on(part)
        elif chunk.interrupted:
            self._appended += len(chunk.records)
            self._inherited += len(chunk.records)
            self._moved += len(chunk.records)
        else:
            # Those that were written meanwhile are read, and counted, again.
            for record in chunk.records:
                if self._unwritten.pop(record.request_id, None) is not None:
                    self._moved += 1
        for record in chunk.records:
            begun = self._begun.pop(record.request_id, None)
            if begun is not None:
                begun[0].begun -= 1
        self._drop_moved()

    def lag(self) -> tuple[int, float]:
        """Return the number of unbooked records, and the age of the oldest in seconds."""
        while len(self._marks) > 1 and self._marks[1][0] <= self._moved:
            self._marks.popleft()
        waiting = self._appended - self._moved
        if waiting <= 0 or not self._marks:
            return 0, 0.0
        return waiting, max(0.0, time() - self._marks[0][1])

    def close(self) -> tuple[int, int]:
        """Stop writing; how many records, and what cost, are lost: nobody can book them any more.

        A journal that the ledger has as a whole leaves no file behind.
        """
        self.flush()
        waiting = -1
        while self._unwritten and len(self._unwritten) != waiting:
            waiting = len(self._unwritten)
            self._catch_up()
        current = self._current
        current.whole = True
        if current.read == current.size:
            current.moved = True
        elif current.file is not None:
            # Room that was not used is given back.
            os.truncate(current.file, current.size)
        gone = None if self._is_in_place() else current
        for segment in self._segments:
            if segment.file is None or segment.moved:
                continue
            if segment is gone or segment is not current:
                self._lose(segment)
        self._drop_moved()
        if not self._segments:
            # Nor has anybody to know whose it was.
            (self._directory.path / OWNER).unlink(missing_ok=True)
        self.abandon()
        records, units = self._lost
        units += sum(record.cost_units for record in self._unwritten.values())
        return records + len(self._unwritten), units

    def abandon(self) -> None:
        """Close all files as they are, as the end of the process would."""
        for segment in self._segments:
            segment.close()
        self._directory.close()

    def _write(self, lines: bytes) -> bool:
        current = self._current
        if current.size >= self._rotate_at:
            self._rotate()
            current = self._current
        file = current.file
        if self._failure is not None or file is None:
            return False
        try:
            written = write_at(file, lines, current.size)
        except OSError as error:
            self._fail(error)
            return False
        if written != len(lines):
            # The next one is written over what the disk took of these.
            self._fail(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            return False
        current.size += written
        return True

    def _fail(self, error: OSError) -> None:
        reason = error.strerror or str(error)
        if self._failure is None:
            self._tell("error", "the usage journal cannot be written", reason=reason)
        self._failure = reason

    def _open_segment(self, number: int, *, without_room: bool = False) -> Segment:
        """Make the next file; where the disk is full only `without_room` makes one all the same."""
        segment = new_segment(self._directory.path, number)
        segment.file = create(segment.path)
        needs_room = False
        try:
            allocate(segment.file, self._segment_bytes + _RESERVE_BYTES)
        except OSError:
            if not without_room:
                segment.remove()
                raise
            needs_room = True
        self._needs_room = needs_room
        self._rotate_at = self._segment_bytes
        return segment

    def _rotate(self) -> None:
        old = self._current
        try:
            self._current = self._open_segment(old.number + 1)
        except OSError as error:
            # This file goes on: it has some room left.
            self._rotate_at = old.size + _RESERVE_STEP_BYTES
            if not self._needs_room:
                self._needs_room = True
                reason = error.strerror or str(error)
                self._tell("error", "no further file of the usage journal", reason=reason)
            return
        if old.file is not None:
            os.truncate(old.file, old.size)
        old.close()
        old.whole = True
        self._segments.append(self._current)

    def _is_in_place(self) -> bool:
        file = self._current.file
        try:
            return file is not None and os.path.samestat(self._current.path.stat(), os.fstat(file))
        except OSError:
            return False

    def _reopen(self) -> None:
        """Begin a new file where the one that is written to was deleted; the old one is still read.

        `OSError` when that cannot be done, or the whole data directory is gone.
        """
        folder = self._directory.path
        if identity(self._data) != self._data_identity:
            raise OSError(f"{self._data} was replaced by another")
        if self._directory.is_lost():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory = HeldDirectory(folder)
            self._directory.close()
            self._directory = directory
        following = self._open_segment(self._current.number + 1, without_room=True)
        self._current.whole = True
        self._current = following
        self._segments.append(following)
        self._tell("error", "the usage journal was deleted in use, and begun anew")

    def _catch_up(self) -> None:
        """Try again what failed: to find the file, to write what waits, to take room."""
        if not self._is_in_place():
            try:
                self._reopen()
            except OSError as error:
                self._fail(error)
                return
        if self._failure is not None:
            self._write_out()
        elif self._needs_room:
            self._take_room()

    def _take_room(self) -> None:
        current = self._current
        if current.size >= self._segment_bytes:
            self._rotate()
        elif current.file is not None:
            try:
                allocate(current.file, self._segment_bytes + _RESERVE_BYTES)
            except OSError:
                return
            self._needs_room = False

    def _write_out(self) -> None:
        if self._current.size >= self._rotate_at:
            self._rotate()
        current = self._current
        begins = list(islice(self._unwritten_begins.values(), _RECORDS_AT_ONCE))
        ends = list(islice(self._unwritten.values(), _RECORDS_AT_ONCE))
        lines = [encode(BEGIN, record) for record in begins]
        lines += [encode(END, record) for record in ends]
        data = b"".join((*lines, _PROBE))
        if current.file is None:
            return
        try:
            written = write_at(current.file, data, current.size)
        except OSError as error:
            self._fail(error)
            return
        whole = data.rfind(b"\n", 0, written) + 1
        current.size += whole
        lines_written = data.count(b"\n", 0, whole)
        for record in begins[:lines_written]:
            del self._unwritten_begins[record.request_id]
        for record in ends[: max(0, lines_written - len(begins))]:
            del self._unwritten[record.request_id]
            current.ends += 1
            current.units += record.cost_units
        if written == len(data) and not self._unwritten and not self._unwritten_begins:
            self._failure = None
            self._tell("info", "the usage journal can be written again")

    def _read_on(self, part: Part) -> None:
        segment = part.segment
        is_again = part.until <= segment.again
        if part.skipped and not is_again:
            self.skipped += part.skipped
            segment.damaged = True
            self._tell(
                "error",
                "lines of the usage journal are damaged: they are not booked, and kept",
                file=segment.path.with_suffix(DAMAGED).name,
                lines=part.skipped,
            )
        segment.read = part.until
        segment.moved = part.last
        if not is_again:
            segment.ends -= len(part.ends)
            segment.units -= sum(record.cost_units for record in part.ends)
            self._moved += len(part.ends)
        for record in part.begins:
            segment.begun += 1
            self._begun[record.request_id] = segment, record

    def _lose(self, segment: Segment) -> None:
        """Take note that a file is gone with records that nobody has read."""
        self._tell(
            "error",
            "a file of the usage journal is gone: what it had is lost",
            file=segment.path.name,
            records=segment.ends,
            cost_units=segment.units,
        )
        self._lost[0] += segment.ends
        self._lost[1] += segment.units
        self._moved += segment.ends
        segment.moved, segment.begun = True, 0
        self._begun = {name: at for name, at in self._begun.items() if at[0] is not segment}

    def _interrupted(self, limit: int) -> Chunk:
        # What a response used up to its end is unknown: only its beginning was certain.
        records = [record for _, record in self._begun.values()][:limit]
        replace = msgspec.structs.replace
        cut = tuple(replace(record, interrupted=True, estimated=True) for record in records)
        return Chunk(cut, None, interrupted=True)

    def _drop_moved(self) -> None:
        # Oldest first: the end of a request never goes before its beginning.
        while self._segments and self._segments[0].moved and not self._segments[0].begun:
            segment = self._segments.popleft()
            if self._keep_seconds and segment.size:
                segment.keep(time())
                self._kept.append(segment)
                self._kept_bytes += segment.size
            else:
                segment.remove()
        self._drop_old()

    def _drop_old(self) -> None:
        """Delete what was kept for long enough, or is too much."""
        while self._kept:
            oldest = self._kept[0]
            is_old = oldest.kept_since < time() - self._keep_seconds
            if not (is_old or self._kept_bytes > self._max_kept_bytes):
                break
            self._kept.popleft().remove()
            self._kept_bytes -= oldest.size
