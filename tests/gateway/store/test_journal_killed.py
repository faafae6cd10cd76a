"""A process that is killed while it appends loses no record whose append had returned."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.store.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

# Says each id after its append has returned, until it is killed.
WRITER = """
import os, sys
from itertools import count
from pathlib import Path
from apertis.gateway.store.journal import Journal
from apertis.accounting.record import UsageRecord

journal = Journal.open(Path(sys.argv[1]), segment_bytes=20_000)
for n in count():
    record = UsageRecord(
        request_id=f"req_{n}", at_ms=n, key_id="k", model="m", requested_model="m", status=200,
        cost_units=n, session="s" * (n % 300),
    )
    journal.begin(record)
    os.write(1, b"begun %d\\n" % n)
    if n % 7:
        journal.append(record)
        os.write(1, b"ended %d\\n" % n)
    if n % 50 == 0 and n % 100:
        # Some of it is moved already, and its files are gone.
        chunk = journal.read(20)
        for moved in chunk.records:
            os.write(1, b"moved %s\\n" % moved.request_id[4:].encode())
        journal.moved(chunk)
"""


def heard(process: subprocess.Popen[bytes], lines: int) -> list[tuple[str, int]]:
    """What the writer said until it had said so many lines, and until it was dead."""
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(lines)]
    process.kill()
    said += process.stdout.readlines()
    process.wait()
    words = [line.split() for line in said if line.endswith(b"\n")]
    return [(word.decode(), int(number)) for word, number in words]


@pytest.mark.parametrize("lines", [1, 2, 40, 333, 1500])
def test_what_was_appended_survives_kill_9(tmp_path: Path, lines: int) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        said = heard(process, lines)
    assert process.returncode == -9
    ended = {n for word, n in said if word == "ended"}
    moved = {n for word, n in said if word == "moved"}
    begun = {n for word, n in said if word == "begun"}

    journal = Journal.open(tmp_path)
    whole: set[int] = set()
    cut: set[int] = set()
    while (chunk := journal.read(100)) is not None:
        for record in chunk.records:
            number = int(record.request_id.removeprefix("req_"))
            assert record.cost_units == number
            assert number not in whole | cut
            (cut if record.interrupted else whole).add(number)
        journal.moved(chunk)

    assert ended <= whole | moved
    assert begun <= whole | cut | moved
    # It died at most one step after what it said last.
    assert len((whole | moved) - ended) <= 1
    assert all(n % 7 == 0 for n in cut - {max(begun), max(begun) + 1})
    assert journal.lag() == (0, 0.0)
    journal.close()
    # The system may end a write between two of its pages: such a line had not been appended yet.
    for damaged in tmp_path.iterdir():
        assert damaged.suffix == ".damaged"
        assert not damaged.read_bytes().endswith(b"\n")
        assert journal.skipped == 1
