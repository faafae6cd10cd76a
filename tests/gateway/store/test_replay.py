"""The journal of a gateway that is gone is booked by whoever has its disk, and frees its money."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apertis.errors import ConfigurationError
from apertis.gateway.budgets.accounts import AccountSpec, LeaseReport, Want
from apertis.gateway.budgets.limit import Limit
from apertis.gateway.budgets.periods import TOTAL
from apertis.gateway.store.journal import OWNER, Journal
from apertis.gateway.store.replay import replay

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from apertis.accounting.record import UsageRecord

ACCOUNT = "lim_a@0"


@pytest.fixture
def leased(opened: Any) -> Any:
    """A store in which replica `a` has 80 of 100 units, of which 25 were open when it died."""
    of = Limit(id="lim_a", level="gateway", subject_id="", amount_units=100)
    opened.run(opened.store.organization.insert(of))
    spec = AccountSpec(account_id=ACCOUNT, limit=of, span=TOTAL)
    wants = [Want(spec=spec, needed=80, wanted=80)]
    said = LeaseReport(account_id=ACCOUNT, granted=80, returned=0, open=25)
    for name in ("a", "a/1"):
        opened.run(opened.store.accounts.acquire(name, 7, wants, 1, 60_000))
        wants = [Want(spec=spec, needed=20, wanted=20)]
    opened.run(opened.store.accounts.renew("a", 7, 1, [said], 60_000))
    return opened


def sums(opened: Any) -> tuple[int, int]:
    of = Limit(id="lim_a", level="gateway", subject_id="", amount_units=100)
    spec = AccountSpec(account_id=ACCOUNT, limit=of, span=TOTAL)
    (row,) = opened.run(opened.store.accounts.whole([spec]))
    return row.spent, row.leased


@pytest.mark.parametrize("of_data", [False, True])
def test_a_journal_is_booked_and_its_leases_are_closed_once(
    leased: Any, tmp_path: Path, make_usage: Callable[..., UsageRecord], of_data: bool
) -> None:
    folder = tmp_path / "old" / "usage-journal"
    killed = Journal.open(folder)
    killed.name_owner("a#7")
    for _ in range(3):
        killed.append(make_usage(accounts=ACCOUNT, lease="a#7", cost_units=10))
    killed.begin(make_usage(accounts=ACCOUNT, lease="a#7", cost_units=2))
    killed.abandon()
    path = folder.parent if of_data else folder
    done = leased.run(replay(leased.store, path, actor="cli:me@here"))
    assert (done.records, done.booked, done.damaged, done.replicas) == (4, 4, 0, ("a",))
    assert [(one.lost_units, one.freed_units) for one in done.closed] == [(25, 23)]
    # 32 booked and 25 lost; the other replica's 20 are its own.
    assert sums(leased) == (57, 20)
    assert list(folder.iterdir()) == []
    with pytest.raises(ConfigurationError, match="no usage journal"):
        leased.run(replay(leased.store, path, actor="cli:me@here"))


def test_one_that_had_nothing_left_to_book_is_known_by_its_owner_file(
    leased: Any, tmp_path: Path
) -> None:
    killed = Journal.open(tmp_path / "old")
    killed.name_owner("a#7")
    killed.abandon()
    done = leased.run(replay(leased.store, tmp_path / "old", actor="cli:me@here"))
    assert (done.records, done.replicas, sums(leased)) == (0, ("a",), (25, 20))


def test_the_journals_of_all_workers_are_found(
    leased: Any, tmp_path: Path, make_usage: Callable[..., UsageRecord]
) -> None:
    for folder, lease in (
        (tmp_path / "usage-journal", "a#7"),
        (tmp_path / "usage-journal" / "1", "a/1#7"),
    ):
        killed = Journal.open(folder)
        killed.append(make_usage(accounts=ACCOUNT, lease=lease, cost_units=10))
        killed.abandon()
    done = leased.run(replay(leased.store, tmp_path, actor="cli:me@here"))
    assert done.replicas == ("a", "a/1")
    assert sums(leased) == (45, 0)


def test_a_gateway_that_runs_keeps_its_journal(leased: Any, tmp_path: Path) -> None:
    running = Journal.open(tmp_path / "old")
    running.name_owner("a#7")
    with pytest.raises(ConfigurationError, match="another gateway"):
        leased.run(replay(leased.store, tmp_path / "old", actor="cli:me@here"))
    assert sums(leased) == (0, 100)
    assert (tmp_path / "old" / OWNER).read_text() == "a#7\n"
    running.close()


def test_a_lease_that_was_closed_before_its_journal_was_booked_comes_to_the_same_sum(
    leased: Any, tmp_path: Path, make_usage: Callable[..., UsageRecord]
) -> None:
    killed = Journal.open(tmp_path / "old")
    killed.append(make_usage(accounts=ACCOUNT, lease="a#7", cost_units=30))
    killed.abandon()
    leased.run(leased.store.accounts.close_gone("a", 7))
    leased.run(replay(leased.store, tmp_path / "old", actor="cli:me@here"))
    assert sums(leased) == (55, 20)
