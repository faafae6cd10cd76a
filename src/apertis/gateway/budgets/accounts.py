"""Accounts and leases as the store has them, and what may be handed out of them.

All amounts are units, all times Unix milliseconds of the store's clock. The money of an account is
its `limit_units`. `spent` grows by records of usage alone. `leased` is what replicas may still
spend: of each lease that is not closed what was granted and neither returned nor spent, or nothing
where more was spent. `held` is what batches may cost. Whatever has happened is booked, above the
limit too; the limit is kept where money is handed out, and only there.
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


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """A lease that was closed behind a replica: what counts as spent, and what is free again."""

    account_id: str
    epoch: int
    lost_units: int
    freed_units: int


class LeaseSums(msgspec.Struct, frozen=True):
    """The sums of a lease, each of which only grows."""

    granted: int = 0
    returned: int = 0
    spent: int = 0

    @property
    def balance(self) -> int:
        """Units that may still be spent of it; below zero where more was spent than granted."""
        return self.granted - self.returned - self.spent

    @property
    def outstanding(self) -> int:
        """The part of the account's `leased` that is of this lease."""
        return max(0, self.balance)

    def reported(self, granted: int, returned: int) -> LeaseSums:
        """Take over what its replica says; a report that was overtaken changes nothing.

        More was granted than is known here where the store was restored since.
        """
        return LeaseSums(max(self.granted, granted), max(self.returned, returned), self.spent)


def remaining(account: AccountRow) -> int:
    """Return what can be handed out of an account; below zero when it is overspent."""
    return account.limit_units - account.spent - account.leased - account.held


def grant(account: AccountRow, lease: LeaseSums, needed: int, wanted: int, replicas: int) -> int:
    """Return how much more is granted to a lease: what it needs, and more while there is plenty.

    Nothing where `needed` is not there. What the lease has overspent was counted already.
    """
    room = remaining(account) + max(0, -lease.balance)
    if needed > room:
        return 0
    share = max(0, room) // (2 * max(replicas, 1))
    return max(needed, min(share, wanted), 0)
