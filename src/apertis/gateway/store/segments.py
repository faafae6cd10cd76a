"""The files of the usage journal, and how their lines are read."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import msgspec

from apertis.gateway.usage.record import UsageRecord

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "BEGIN",
    "END",
    "Part",
    "Segment",
    "create",
    "find_segments",
    "new_segment",
    "read_part",
]

BEGIN, END = b'{"begin":', b'{"end":'

_NAME = re.compile(r"usage-(\d{12})\.jsonl\Z")
# Some hundred lines; one read and one decoding of them keep the event loop for a millisecond.
_READ_BYTES = 256 * 1024
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Segment:
    """One file: how far it was moved to the ledger, and what still begins in it.

    `whole`: no line will be added. `moved`: all its lines are in the ledger. `begun`: how many
    requests that began in it have not ended.
    """

    __slots__ = ("begun", "moved", "number", "path", "read", "whole")

    def __init__(self, path: Path, number: int, *, whole: bool) -> None:
        self.path = path
        self.number = number
        self.whole = whole
        self.read = 0
        self.moved = False
        self.begun = 0


class Part(msgspec.Struct, frozen=True):
    """Some lines of a segment: the requests that begin and end there, up to which byte.

    `last`: nothing follows in this file. `skipped` counts the lines that are no records.
    """

    segment: Segment
    begins: tuple[UsageRecord, ...]
    ends: tuple[UsageRecord, ...]
    skipped: int
    until: int
    last: bool


_RECORD = msgspec.json.Decoder(UsageRecord)


def new_segment(folder: Path, number: int) -> Segment:
    """Name the file of this number; it is not made yet."""
    return Segment(folder / f"usage-{number:012d}.jsonl", number, whole=False)


def create(path: Path) -> int:
    """Make a file for appending that only its owner can read, and open it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
    return os.open(path, flags, 0o600)


def find_segments(folder: Path) -> tuple[list[Segment], int]:
    """Find the files of earlier processes, oldest first, and how many requests end in them."""
    names = ((_NAME.match(path.name), path) for path in folder.iterdir())
    found = sorted((int(match[1]), path) for match, path in names if match)
    ends = 0
    for _, path in found:
        with path.open("rb") as file:
            ends += sum(line.startswith(END) for line in file)
    return [Segment(path, number, whole=True) for number, path in found], ends


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
        elif line != b"\n":
            skipped += 1
    last = segment.whole and at_end and position == len(data)
    until = segment.read + position
    return Part(segment, tuple(records[BEGIN]), tuple(records[END]), skipped, until, last)


def _next_lines(segment: Segment) -> tuple[bytes, bool]:
    """Read whole lines, and whether the file ends there; then a torn last line is one of them."""
    with segment.path.open("rb", buffering=0) as file:
        file.seek(segment.read)
        data = file.read(_READ_BYTES)
        while (end := data.rfind(b"\n") + 1) == 0 and (more := file.read(_READ_BYTES)):
            data += more
        at_end = not file.read(1)
    return (data, True) if segment.whole and at_end else (data[:end], at_end)


def _decode(line: bytes, kind: bytes) -> UsageRecord | None:
    if not line.startswith(kind) or not line.endswith(b"}\n"):
        return None
    try:
        return _RECORD.decode(line[len(kind) : -2])
    except _UNREADABLE:
        return None
