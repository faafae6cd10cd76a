"""Entries of the audit trail: added in order, read by what is asked, forgotten in time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from apertis.gateway.observe.log import Log
from apertis.gateway.store.audit import AuditEntry, AuditQuery, StoredAudit, note, sweep


def add(opened: Any, at: float, subject_id: str, **fields: object) -> None:
    def work(connection: Any) -> None:
        note(
            connection,
            "key_me",
            "change",
            "person",
            subject_id,
            {"name": "Ann", **fields},
            {"email": "x"},
            clock=lambda: at,
        )

    opened.run(opened.store._database.write(work))


def entries(opened: Any, **query: Any) -> list[str]:
    return [entry.subject_id for entry in opened.run(opened.store.audit.list(AuditQuery(**query)))]


def test_entries_are_read_by_time_and_the_newest_first(opened: Any) -> None:
    for second in range(5):
        add(opened, float(second), f"p{second}")
    assert entries(opened) == ["p4", "p3", "p2", "p1", "p0"]
    assert entries(opened, since_ms=1000, until_ms=3000) == ["p2", "p1"]
    assert entries(opened, limit=2) == ["p4", "p3"]
    third = opened.run(opened.store.audit.list(AuditQuery(limit=3)))[-1]
    assert entries(opened, before_id=third.id) == ["p1", "p0"]


def test_what_is_older_is_dropped(opened: Any) -> None:
    for second in range(5):
        add(opened, float(second), f"p{second}")
    opened.run(opened.store.audit.drop(3000))
    assert entries(opened) == ["p4", "p3"]


def test_a_running_gateway_forgets_what_is_older_than_it_is_told(opened: Any) -> None:
    for days_ago in (2.5, 1.5, 0.5):
        add(opened, time.time() - days_ago * 86_400, f"{days_ago} days ago")

    async def swept() -> tuple[AuditEntry, ...]:
        audit: StoredAudit = opened.store.audit
        log = Log(None, asyncio.get_running_loop())
        # Without a limit it ends at once.
        await sweep(audit, 0, log)
        assert len(await audit.list(AuditQuery())) == 3
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            sweeping = group.create_task(sweep(audit, 2, log))
            found = await audit.list(AuditQuery())
            while len(found) == 3:
                found = await audit.list(AuditQuery())
            sweeping.cancel()
        return found

    assert [entry.subject_id for entry in opened.run(swept())] == ["0.5 days ago", "1.5 days ago"]


def test_names_and_addresses_of_one_are_taken_out(opened: Any) -> None:
    for id_ in ("p1", "p2"):
        add(opened, 0.0, id_, in_flight=3)
    opened.run(opened.store.organization.change(lambda turn: turn.forget(["p1"])))
    other, one = opened.run(opened.store.audit.list(AuditQuery()))
    assert msgspec.json.decode(one.before) == {"in_flight": 3}
    assert msgspec.json.decode(one.after) == {}
    assert msgspec.json.decode(other.before) == {"name": "Ann", "in_flight": 3}
