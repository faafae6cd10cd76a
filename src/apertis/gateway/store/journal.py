"""The usage journal: one line of JSON for each record, written before an answer's last byte.

What is promised: a record whose `append` has returned survives the death of this process at any
moment, `kill -9` included, because it is in the system's hands. A crash of the whole machine loses
at most what the system had not yet written to the disk: no `fsync` is waited for.

Lines go to the newest of a row of files. A file is deleted when all of it, and all before it, is
in the ledger; what is left at the next start is read again from its beginning, and the ledger
books no request twice. A line that a crash tore is skipped.
"""

from __future__ import annotations

import os
from collections import deque
from time import time
from typing import TYPE_CHECKING

import msgspec

from apertis.errors import ConfigurationError
from apertis.gateway.store.segments import (
    BEGIN,
    END,
    Part,
    Segment,
    create,
    find_segments,
    new_segment,
    read_part,
)

if TYPE_CHECKING:
    from pathlib import Path

    from apertis.gateway.usage.record import UsageRecord

__all__ = ["Chunk", "Journal"]

_SEGMENT_BYTES = 4 * 2**20
_MARK_SECONDS = 1.0
_ENCODER = msgspec.json.Encoder()


class Chunk(msgspec.Struct, frozen=True):
    """The next records to book; hand it back to `Journal.moved` when they are.

    `part` is where they stand; None for the interrupted requests of an earlier process.
    """

    records: tuple[UsageRecord, ...]
    part: Part | None


class Journal:
    """Appends records, and gives them out again in the order in which they were appended.

    One process, and one thread of it, uses a folder at a time. `skipped` counts torn lines.
    """

    def __init__(self, folder: Path, old: list[Segment], waiting: int, segment_bytes: int) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._current = new_segment(folder, old[-1].number + 1 if old else 1)
        self._segments = deque((*old, self._current))
        # Files before this one were written by processes that are gone.
        self._first_own = self._current.number
        self._recovered = False
        self._file = create(self._current.path)
        self._size = 0
        # What the disk did not take, line by line.
        self._unwritten = bytearray()
        self._torn = False
        # Requests that began and have not ended: the file of their beginning, and their record.
        self._begun: dict[str, tuple[Segment, UsageRecord]] = {}
        self._appended = waiting
        self._moved = 0
        # How many of them earlier processes left.
        self._inherited = waiting
        # Every second or so: how many records there were, and when the next one came.
        self._marks = deque([(0, time())] if waiting else ())
        self.skipped = 0

    @classmethod
    def open(cls, folder: Path, *, segment_bytes: int = _SEGMENT_BYTES) -> Journal:
        """Open the journal in a folder, which is made if need be.

        `ConfigurationError` when that fails.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            old, waiting = find_segments(folder)
            return cls(folder, old, waiting, segment_bytes)
        except OSError as error:
            raise ConfigurationError(
                f"cannot open the usage journal in {folder}: {error.strerror}"
            ) from error

    def begin(self, record: UsageRecord) -> None:
        """Note a request whose answer starts to leave, with what it has used for certain.

        If the process dies before its `append`, this record is booked, as interrupted.
        `OSError` as for `append`.
        """
        self._write(BEGIN, record)

    def append(self, record: UsageRecord) -> None:
        """Write the record of a request that has ended.

        `OSError` when the disk does not take it: then it is kept in memory, and written before
        the next record or when the journal is read.
        """
        now = time()
        if not self._marks or now - self._marks[-1][1] >= _MARK_SECONDS:
            self._marks.append((self._appended, now))
        self._appended += 1
        self._write(END, record)

    def read(self, limit: int) -> Chunk | None:
        """Give the next records, at most `limit` of them; None when there are no more.

        Until the chunk is handed to `moved`, the same records come again. A chunk may have none:
        then its lines are the beginnings of requests. `OSError` when a file cannot be read.
        """
        if self._unwritten:
            self._write_out(b"")
        for segment in self._segments:
            if segment.number >= self._first_own and not self._recovered:
                if self._begun:
                    return self._interrupted(limit)
                self._recovered = True
                # Torn lines were counted as well when the journal was opened.
                self._moved = self._inherited
            if segment.moved:
                continue
            part = read_part(segment, limit)
            if part is not None:
                return Chunk(part.ends, part)
        return None

    def moved(self, chunk: Chunk) -> None:
        """Take note that the ledger has these records; files that are not needed are deleted."""
        part = chunk.part
        if part is None:
            self._appended += len(chunk.records)
            self._inherited += len(chunk.records)
        else:
            self.skipped += part.skipped
            part.segment.read = part.until
            part.segment.moved = part.last
            for record in part.begins:
                part.segment.begun += 1
                self._begun[record.request_id] = part.segment, record
        self._moved += len(chunk.records)
        for record in chunk.records:
            begun = self._begun.pop(record.request_id, None)
            if begun is not None:
                begun[0].begun -= 1
        self._drop_moved()

    def lag(self) -> tuple[int, float]:
        """How many records the ledger does not have yet, and the age of the oldest in seconds."""
        while len(self._marks) > 1 and self._marks[1][0] <= self._moved:
            self._marks.popleft()
        waiting = self._appended - self._moved
        if waiting <= 0 or not self._marks:
            return 0, 0.0
        return waiting, max(0.0, time() - self._marks[0][1])

    def close(self) -> None:
        """Stop writing; a journal that the ledger has as a whole leaves no file behind."""
        try:
            if self._unwritten:
                self._write_out(b"")
        finally:
            os.close(self._file)
        self._current.whole = True
        if self._current.read == self._size:
            self._current.moved = True
        self._drop_moved()

    def _write(self, kind: bytes, record: UsageRecord) -> None:
        # A database's text cannot hold U+0000, and one such name must not block the ledger.
        line = b"%b%b}\n" % (kind, _ENCODER.encode(record).replace(b"\\u0000", b"\\ufffd"))
        if self._unwritten or self._torn or self._size >= self._segment_bytes:
            self._write_out(line)
            return
        try:
            written = os.write(self._file, line)
        except OSError:
            self._unwritten += line
            raise
        self._size += written
        if written != len(line):
            # The disk filled up in the middle of this line.
            self._torn = True
            self._write_out(line)

    def _write_out(self, line: bytes) -> None:
        """Write what was not taken before, and this line; in a new file when the time has come."""
        self._unwritten += line
        if self._size >= self._segment_bytes:
            self._rotate()
        if self._torn:
            # What a torn line left is ended, so that it damages no other.
            self._size += os.write(self._file, b"\n")
            self._torn = False
        while self._unwritten:
            end = self._unwritten.index(b"\n") + 1
            written = os.write(self._file, self._unwritten[:end])
            self._size += written
            if written != end:
                self._torn = True
                raise OSError("the disk of the usage journal is full")
            del self._unwritten[:end]

    def _rotate(self) -> None:
        following = new_segment(self._folder, self._current.number + 1)
        file = create(following.path)
        os.close(self._file)
        self._file, self._size, self._torn = file, 0, False
        self._current.whole = True
        self._current = following
        self._segments.append(following)

    def _interrupted(self, limit: int) -> Chunk:
        # What an answer used up to its end is unknown: only its beginning was certain.
        records = [record for _, record in self._begun.values()][:limit]
        replace = msgspec.structs.replace
        return Chunk(
            tuple(replace(record, interrupted=True, estimated=True) for record in records), None
        )

    def _drop_moved(self) -> None:
        # Oldest first: the end of a request never goes before its beginning.
        while self._segments and self._segments[0].moved and not self._segments[0].begun:
            self._segments.popleft().path.unlink(missing_ok=True)
