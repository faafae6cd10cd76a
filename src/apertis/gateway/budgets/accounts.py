"""Accounts and leases as the store has them, as values.

All amounts are units, all times Unix milliseconds of the store's clock.
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


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """A seat among the replicas: no other process has the same name and epoch."""

    epoch: int
    now_ms: int


class Acquired(msgspec.Struct, frozen=True, kw_only=True):
    """The leases after a question for more."""

    now_ms: int
    rows: tuple[LeaseRow, ...]


class LeaseReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a replica says of its lease: totals, and what requests under way have reserved."""

    account_id: str
    granted: int
    returned: int
    open: int


class Renewed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a replica's reports.

    `sequence_before` is the number of its last renewal that the store knew; an older one than it
    has said means that the store was restored. `replicas` is how many are seen now.
    """

    now_ms: int
    sequence_before: int
    replicas: int
    rows: tuple[LeaseRow, ...]


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Units of an account that a batch holds."""

    account_id: str
    units: int


class AccountChange(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an account by a batch: given back from what it held, and booked."""

    account_id: str
    released_units: int = 0
    cost_units: int = 0
