"""The budgets and books of a key, as tests make and read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from apertis.gateway.budgets.budgets import Budgets
from apertis.gateway.budgets.lease import Chain, Lease
from apertis.gateway.budgets.limit import account_id, quota_limit
from apertis.gateway.budgets.periods import TOTAL
from apertis.gateway.people.organization import Organization

if TYPE_CHECKING:
    from apertis.accounting.record import UsageRecord
    from apertis.gateway.keys.directory import Directory, Key
    from apertis.gateway.store.database import Store


class Books:
    """A journal in memory: keeps what is booked."""

    def __init__(self) -> None:
        self.records: list[UsageRecord] = []
        self.trouble: str | None = None
        self.begun: list[UsageRecord] = []

    def begin(self, record: UsageRecord) -> None:
        self.begun.append(record)

    def append(self, record: UsageRecord) -> None:
        self.records.append(record)

    add = append

    def standstill(self, *, limited: bool) -> str | None:  # noqa: ARG002
        return self.trouble


def quota_chain(key: Key) -> Chain:
    """Let the key have its whole quota at hand, as a gateway has it that is alone."""
    leases = []
    limit = quota_limit(key.record)
    if limit is not None:
        lease = Lease(account_id(limit, 0), limit, TOTAL)
        lease.is_whole = True
        lease.spent = key.record.used_units
        lease.grant(limit.most_units)
        leases.append(lease)
    key.chain = Chain(leases)
    return key.chain


def no_budgets(time: float = 1.0) -> Budgets:
    """Budgets without a store, where each key has its chain already."""
    return Budgets(
        Organization(),
        None,  # type: ignore[arg-type]
        wall_clock=lambda: time,
        steady_clock=lambda: time,
    )


async def budgets_of(store: Store, directory: Directory) -> Budgets:
    """The budgets of a gateway that has this store to itself, where each key was used once."""
    budgets = Budgets(
        Organization(await store.organization.all()),
        store.accounts,
        wall_clock=lambda: 1_790_000_000.0,
        steady_clock=lambda: 1.0,
    )
    await budgets.start()
    for key in directory.all():
        await budgets.refill(budgets.chain(key), 0)
    return budgets


@dataclass(frozen=True)
class KeyMoney:
    """The money that a key has used, reserved for requests, and has left; None without a quota."""

    used: int
    reserved: int = 0
    remaining: int | None = None
    held: int = 0

    @property
    def set_aside(self) -> int:
        """Units for requests and batches together."""
        return self.reserved + self.held


def money_of(key: Key, budgets: Budgets | None = None) -> KeyMoney:
    """Read the money of a key that has requests under way, or had some."""
    limit = quota_limit(key.record)
    if limit is None:
        return KeyMoney(key.used_units)
    name = account_id(limit, 0)
    lease = None if budgets is None else budgets.lease(name)
    if lease is None and key.chain is not None:
        lease = next((one for one in key.chain.leases if one.account_id == name), None)
    if lease is None:
        return KeyMoney(key.used_units, 0, limit.amount_units - key.used_units)
    return KeyMoney(lease.spent, lease.open, lease.free, lease.returned)
