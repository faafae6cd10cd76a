"""Accounts and leases as the store has them, and what may become of them.

All amounts are units, all times Unix milliseconds of the store's clock. Of an account

    spent       grows by records of usage, and by what a lease that was closed had lost
    leased      is what replicas may still spend: of each lease that is not closed what was granted
                and neither returned nor spent, and nothing where more was spent
    held        is what batches may cost

The limit is kept where money is handed out, in `grant`, and only there. Whatever has happened is
booked, above the limit too: an account above its limit grants nothing. The sums of a lease only
grow, and a replica says totals of them, so that what is said twice, or late, changes nothing.

The functions take an account and a lease of it and return both as they are then.
"""

from __future__ import annotations

import msgspec

from apertis.gateway.budgets.limit import Limit  # noqa: TC001 - msgspec reads it.
from apertis.gateway.budgets.periods import Span  # noqa: TC001 - msgspec reads it.


class AccountSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An account to open, made where there is none: of a limit in one period, or one session."""

    account_id: str
    limit: Limit
    span: Span
    scope: str = ""


class AccountRow(msgspec.Struct, frozen=True, kw_only=True):
    """An account as it stands in the store."""

    account_id: str
    limit_units: int
    spent: int
    leased: int
    held: int


class Want(msgspec.Struct, frozen=True, kw_only=True):
    """Money that a replica needs of an account, and what it would rather have."""

    spec: AccountSpec
    needed: int
    wanted: int


class LeaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """A replica's lease of an account, with the account as it stands.

    The sums of the lease only grow. `spent` is what was booked of it, and so a part of
    `account_spent`.
    """

    account_id: str
    granted: int
    returned: int
    spent: int
    limit_units: int
    account_spent: int
    leased: int
    held: int
    # Somebody closed it behind the replica's back, which may spend nothing of it for now.
    is_closed: bool = False


class Acquired(msgspec.Struct, frozen=True, kw_only=True):
    """The leases after a question for more."""

    now_ms: int
    rows: tuple[LeaseRow, ...]


class LeaseReport(msgspec.Struct, frozen=True, kw_only=True):
    """A replica's word on its lease: totals, and what requests under way have reserved."""

    account_id: str
    granted: int
    returned: int
    open: int


class Renewed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a replica's reports.

    `sequence_before` is the number of its last renewal that the store knew; an older one than it
    has said means that the store was restored.
    """

    now_ms: int
    sequence_before: int
    rows: tuple[LeaseRow, ...]


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Units of an account that a batch holds."""

    account_id: str
    units: int


class AccountChange(msgspec.Struct, frozen=True, kw_only=True):
    """The change of an account by a batch: given back from what it held, and booked."""

    account_id: str
    released_units: int = 0
    cost_units: int = 0


class HeldLease(msgspec.Struct, frozen=True, kw_only=True):
    """A replica's lease of an account as the store has it.

    The first three sums only grow. `open` is what its requests under way had reserved when it last
    said so; that much was booked as `lost` if it was closed behind its back.
    """

    account_id: str
    replica: str
    epoch: int
    granted: int = 0
    returned: int = 0
    spent: int = 0
    open: int = 0
    lost: int = 0
    expires_ms: int = 0
    closed_ms: int | None = None

    @property
    def balance(self) -> int:
        """Units that may still be spent of it; below zero where more was spent than granted."""
        return self.granted - self.returned - self.spent

    @property
    def leased(self) -> int:
        """The part of the account's `leased` that is this lease's."""
        return max(0, self.balance) if self.closed_ms is None else 0


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """A lease that was closed: what of it counts as spent, and what others can spend again."""

    account_id: str
    replica: str
    epoch: int
    lost_units: int
    freed_units: int


def remaining(account: AccountRow) -> int:
    """Return what can be handed out of an account; below zero when it is overspent."""
    return account.limit_units - account.spent - account.leased - account.held


def grant(
    account: AccountRow, lease: HeldLease, *, needed: int, wanted: int, replicas: int, expires: int
) -> tuple[AccountRow, HeldLease]:
    """Grant what is needed, and more while there is plenty; nothing if that cannot be met.

    A lease that was closed is granted nothing before its replica has reported.
    """
    if lease.closed_ms is not None:
        return account, lease
    left = remaining(account)
    # What the lease has overspent was counted as spent already.
    room = left + max(0, -lease.balance)
    more = 0
    if left >= 0 and needed <= room:
        more = max(needed, min(room // (2 * max(replicas, 1)), wanted), 0)
    after = _replace(lease, granted=lease.granted + more, expires_ms=max(lease.expires_ms, expires))
    return _followed(account, lease, after), after


def report(
    account: AccountRow, lease: HeldLease, said: LeaseReport, *, expires: int
) -> tuple[AccountRow, HeldLease]:
    """Take over what a replica says of its lease.

    It knows of a larger grant where the store was restored since. One whose lease was closed
    behind its back lives after all: its requests are no longer lost, and the rest of the money is
    others' by now.
    """
    granted = max(lease.granted, said.granted)
    returned = max(lease.returned, said.returned)
    if lease.closed_ms is not None:
        returned = max(returned, granted - lease.spent - said.open)
        account = _replace(account, spent=account.spent - lease.lost)
    after = _replace(
        lease,
        granted=granted,
        returned=returned,
        open=said.open,
        lost=0,
        expires_ms=max(lease.expires_ms, expires),
        closed_ms=None,
    )
    return _followed(account, lease, after), after


def spend(
    account: AccountRow, lease: HeldLease | None, units: int
) -> tuple[AccountRow, HeldLease | None]:
    """Book what a request cost, whatever is left; of a lease, where it was reserved on one."""
    account = _replace(account, spent=account.spent + units)
    if lease is None:
        return account, None
    after = _replace(lease, spent=lease.spent + units)
    return _followed(account, lease, after), after


def hold(
    account: AccountRow, lease: HeldLease | None, units: int
) -> tuple[AccountRow, HeldLease | None]:
    """Hold what a batch may cost; of a lease, where it was reserved on one."""
    account = _replace(account, held=account.held + units)
    if lease is None:
        return account, None
    after = _replace(lease, returned=lease.returned + units)
    return _followed(account, lease, after), after


def release(account: AccountRow, units: int) -> AccountRow:
    """Hold so much no longer."""
    return _replace(account, held=account.held - units)


def close(
    account: AccountRow, lease: HeldLease, at: int, *, lost: bool
) -> tuple[AccountRow, HeldLease]:
    """Close a lease: what is left of it is the account's again.

    With `lost` nobody knows what became of the requests that were under way, and what they had
    reserved counts as spent.
    """
    if lease.closed_ms is not None:
        return account, lease
    units = lease.open if lost else 0
    after = _replace(lease, lost=units, closed_ms=at)
    return _followed(_replace(account, spent=account.spent + units), lease, after), after


def row_of(account: AccountRow, lease: HeldLease) -> LeaseRow:
    """Return what a replica hears of its lease."""
    return LeaseRow(
        account_id=account.account_id,
        granted=lease.granted,
        returned=lease.returned,
        spent=lease.spent,
        limit_units=account.limit_units,
        account_spent=account.spent,
        leased=account.leased,
        held=account.held,
        is_closed=lease.closed_ms is not None,
    )


_replace = msgspec.structs.replace


def _followed(account: AccountRow, before: HeldLease, after: HeldLease) -> AccountRow:
    change = after.leased - before.leased
    return _replace(account, leased=account.leased + change) if change else account
