"""Limits of money: how much, of what, for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from apertis.gateway.budgets.periods import Period  # noqa: TC001 - msgspec reads it.

if TYPE_CHECKING:
    from apertis.gateway.keys.record import KeyRecord

Level = Literal["key", "person", "group", "gateway"]
LimitStatus = Literal["enabled", "removed"]
DEFAULT_THRESHOLDS = (50, 75, 95, 100)
# The beginning of the id of the limit that a key's quota is.
QUOTA = "quota-"


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit of what a key, a person, a group or the whole gateway may spend in a period.

    Its amount, overdraft, thresholds, contact and what happens at its end change in place; another
    period, zone, set of models or scope is another limit. Money is in units, times are Unix
    seconds.
    """

    id: str
    level: Level
    # The id of the key, person or group; empty for the gateway.
    subject_id: str
    amount_units: int
    # What a nearly empty budget may be overdrawn, so that a request is tried all the same.
    overdraft_units: int = 0
    period: Period = "total"
    zone: str = "UTC"
    # The models that count in it, with wildcards as in a key's list; None: all.
    models: tuple[str, ...] | None = None
    # Each session has the amount to itself: a guard against agents that run away.
    per_session: bool = False
    # Percents of the amount at which to tell.
    thresholds: tuple[int, ...] = DEFAULT_THRESHOLDS
    # Whom to ask for more, as errors say it.
    contact: str | None = None
    # The model that answers in place of a dearer one when this is used up.
    cheaper_model: str | None = None
    # What may be spent while the store is away and no lease is left, over all replicas.
    store_loss_units: int | None = None
    status: LimitStatus = "enabled"
    created_at: int = 0
    # Set by the store, as for keys.
    sequence: int = 0
    version: int = 0

    @property
    def most_units(self) -> int:
        """Most that may be handed out of it."""
        return self.amount_units + self.overdraft_units


def quota_limit(record: KeyRecord) -> Limit | None:
    """Return the quota of a key as the limit that it is: in total, without an end."""
    if record.quota_units is None:
        return None
    return Limit(
        id=f"{QUOTA}{record.id}",
        level="key",
        subject_id=record.id,
        amount_units=record.quota_units,
        created_at=record.created_at,
    )


def account_id(limit: Limit, start: int, scope_hash: str = "") -> str:
    """Name the account of a limit in the period that starts then, and of a session's hash."""
    # No comma and no equals sign: records name several of them in one text.
    return f"{limit.id}@{start}/{scope_hash}" if scope_hash else f"{limit.id}@{start}"
