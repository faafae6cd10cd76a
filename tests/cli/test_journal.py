"""`apertis journal` on a real store: what a gateway left is booked, or given up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from apertis.gateway.budgets.accounts import AccountSpec, LeaseReport, Want
from apertis.gateway.budgets.limit import Limit
from apertis.gateway.budgets.periods import TOTAL
from apertis.gateway.store.database import Store
from apertis.gateway.store.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from apertis.accounting.record import UsageRecord
    from tests.kit.command_line import CommandLine

HALF_DOLLAR = 250_000


def leave(data: Path, ttl_ms: int) -> None:
    """Let a replica die with two dollars leased, half a dollar of it open."""
    of = Limit(id="lim_a", level="gateway", subject_id="", amount_units=10**7)
    spec = AccountSpec(account_id="lim_a@0", limit=of, span=TOTAL)
    said = LeaseReport(account_id="lim_a@0", granted=4 * HALF_DOLLAR, returned=0, open=HALF_DOLLAR)

    async def work() -> None:
        async with await Store.open(data) as store:
            await store.organization.insert(of)
            want = Want(spec=spec, needed=4 * HALF_DOLLAR, wanted=0)
            await store.accounts.acquire("web-3", 7, [want], 1, ttl_ms)
            await store.accounts.renew("web-3", 7, 1, [said], ttl_ms)

    asyncio.run(work())


def test_a_journal_is_replayed_with_what_was_done_in_dollars(
    apertis: CommandLine, tmp_path: Path, make_usage: Callable[..., UsageRecord]
) -> None:
    leave(apertis.data, 60_000)
    folder = tmp_path / "old" / "usage-journal"
    killed = Journal.open(folder)
    killed.append(make_usage(accounts="lim_a@0", lease="web-3#7", cost_units=HALF_DOLLAR))
    killed.abandon()
    told = apertis("journal", "replay", str(folder.parent)).splitlines()
    assert told[0].startswith("1 records read, 1 of them new, into ")
    assert told[1] == (
        "web-3: 1 leases closed, $1 free again, $0.5 of requests that were under way count as spent"
    )
    entry = apertis.json("audit", "--action", "replay")["data"][0]
    assert (entry["subject"], entry["subject_id"]) == ("replica", "web-3")


def test_a_path_without_a_journal_is_refused(apertis: CommandLine, tmp_path: Path) -> None:
    leave(apertis.data, 60_000)
    (tmp_path / "empty").mkdir()
    told = apertis("journal", "replay", str(tmp_path / "empty"), code=3)
    assert told.startswith(f"there is no usage journal in {tmp_path / 'empty'}")


def test_a_replica_is_forgotten_when_it_is_gone(apertis: CommandLine) -> None:
    leave(apertis.data, 0)
    told: Any = apertis.json("journal", "forget", "web-3")
    (closed,) = told["closed"]
    assert (closed["lost_units"], closed["freed_units"]) == (HALF_DOLLAR, 3 * HALF_DOLLAR)
    entry = apertis.json("audit", "--action", "forget")["data"][0]
    assert entry["actor"].startswith("cli:")


def test_one_that_was_there_a_moment_ago_is_not_forgotten(apertis: CommandLine) -> None:
    leave(apertis.data, 60_000)
    told = apertis("journal", "forget", "web-3", code=1)
    assert told.startswith("the replica 'web-3' may still be running")
    told = apertis("journal", "forget", "web-4", code=1)
    assert told == "the store knows no replica 'web-4' that has leases"
