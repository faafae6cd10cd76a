"""The files of the usage journal, and how their lines are written and read."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

from apertis.gateway.usage.record import MAX_COST_UNITS, UsageRecord

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "BEGIN",
    "DAMAGED",
    "END",
    "Part",
    "Segment",
    "allocate",
    "create",
    "encode",
    "find_segments",
    "new_segment",
    "read_part",
    "write_at",
]

BEGIN, END = b'{"begin":', b'{"end":'
DAMAGED = ".damaged"

_NAME = re.compile(r"usage-(\d{12})\.jsonl\Z")
# Some hundred lines; one read and one decoding of them keep the event loop for a millisecond.
_READ_BYTES = 256 * 1024
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# What stands before the checksum, as the last field of a record. In a text it cannot stand: the
# quotes would be escaped.
_CHECKSUM = b',"crc32":'
# The last field of a record as earlier versions wrote it.
_ENDS_WITHOUT_CHECKSUM = (b',"interrupted":false}', b',"interrupted":true}')
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
    """

    __slots__ = (
        "begun",
        "damaged",
        "ends",
        "file",
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
    if b"\\" in encoded:
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


def read_part(segment: Segment, limit: int) -> Part | None:
    """Read the next lines, of which at most `limit` are ends; None when there are none yet."""
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
        record = _decode(line, kind)
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
    while end == 0:
        start = segment.read + len(data)
        more = _read_at(file, min(_READ_BYTES, segment.size - start), start)
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
    try:
        record = _RECORD.decode(encoded)
    except _UNREADABLE:
        return None
    return record if _is_possible(record) else None


def _is_possible(record: UsageRecord) -> bool:
    tokens = record.tokens
    counts = (
        record.at_ms,
        record.total_ms,
        tokens.input,
        tokens.output,
        tokens.cache_read,
        tokens.cache_write_5m,
        tokens.cache_write_1h,
        tokens.web_search_requests,
    )
    return 0 <= record.cost_units <= MAX_COST_UNITS and all(0 <= n <= _MAX_COUNT for n in counts)


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
