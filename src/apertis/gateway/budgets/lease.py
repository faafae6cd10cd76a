"""Leases of accounts, and the chain of those that one request must be paid from.

Theory of operation. An account is what a limit allows in one of its periods; the store keeps it. A
process spends of it by a lease, in memory: the store grants it money in advance, and hears later
what became of it. Three sums of a lease only grow, so that saying them twice changes nothing:

    granted     by the store, in all
    returned    given back unspent, in all, or handed on to batches, which hold it themselves
    spent       by requests that have ended

`open` is what requests under way have reserved. The rest is `free`. A cost above what was reserved
is spent all the same: then `free` is below zero until more is granted, and nothing else is let in.

A process that has its store to itself is granted the whole account (`is_whole`), with nothing to
renew. A request reserves on all leases of its chain or on none, and settles once on those on which
it reserved, whatever limits and periods have begun since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.gateway.keys.matching import compile_models

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from apertis.gateway.budgets.limit import Limit
    from apertis.gateway.budgets.periods import Span
    from apertis.gateway.keys.matching import ModelList


class Lease:
    """Money of one account that this process may spend. All amounts are units.

    `account_spent` is what the store last said of the account, and `settled` how much of that this
    lease had told it.
    """

    __slots__ = (
        "account_id",
        "account_spent",
        "empty_until",
        "free",
        "frozen",
        "granted",
        "is_open",
        "is_whole",
        "left",
        "lent",
        "limit",
        "mark",
        "models",
        "older_mark",
        "open",
        "others",
        "recalled_until",
        "reported",
        "returned",
        "scope",
        "settled",
        "span",
        "spent",
        "wanted",
    )

    def __init__(self, account_id: str, limit: Limit, span: Span, scope: str = "") -> None:
        self.account_id = account_id
        self.limit = limit
        self.span = span
        self.scope = scope
        self.models: ModelList | None = (
            None if limit.models is None else compile_models(limit.models)
        )
        # Whether the store has been asked for it.
        self.is_open = False
        self.is_whole = False
        self.granted = 0
        self.returned = 0
        self.spent = 0
        self.open = 0
        # Below zero: not even a request that costs nothing is let in before the store was asked.
        self.free = -1
        # What of `free` is kept back while nobody knows whether the lease still holds, and what
        # may be spent in place of it.
        self.frozen = 0
        self.lent = 0
        self.account_spent = 0
        self.settled = 0
        # What the store last said it could still hand out, and had handed out to others; and until
        # when it is believed that there is no more.
        self.left = 0
        self.others = 0
        self.empty_until = 0.0
        # What requests are waiting for.
        self.wanted = 0
        # Until when no more is asked for in advance: somebody else lacks it.
        self.recalled_until = 0.0
        # What was spent up to two earlier moments, to know how much that is lately.
        self.mark = 0
        self.older_mark = 0
        # `open` and `returned` as the store knows them, and since when.
        self.reported: tuple[int, int, float] = (0, 0, 0.0)

    def grant(self, total: int) -> None:
        """Take over what the store has granted in all."""
        self.is_open = True
        self.granted = total
        kept = self.frozen - self.lent
        self.free = total - self.returned - self.spent - self.open - kept

    def give_back(self) -> int:
        """Return all that is free, in favor of others; how much that was."""
        units = max(self.free, 0)
        self.returned += units
        self.free -= units
        return units

    def freeze(self) -> None:
        """Let nothing more be spent of it for now."""
        units = max(self.free, 0)
        self.frozen += units
        self.free -= units

    def lend(self, units: int) -> None:
        """Let so much be spent in all while it is frozen."""
        self.free += units - self.lent
        self.lent = units

    def thaw(self) -> None:
        """Let it be spent again; what was lent ends."""
        self.free += self.frozen - self.lent
        self.frozen = self.lent = 0

    def hand_on(self, units: int) -> None:
        """Let what a request reserved be held by what it made, in the store."""
        self.open -= units
        self.returned += units

    def takes_back(self, units: int) -> None:
        """Take back what was handed on, where this lease is the whole account."""
        self.returned -= units
        self.free += units

    def book(self, units: int) -> None:
        """Spend without a reservation."""
        self.spent += units
        self.free -= units

    def pass_mark(self) -> None:
        """Take note of what is spent by now."""
        self.older_mark, self.mark = self.mark, self.spent

    @property
    def recent(self) -> int:
        """Units spent since the mark before the last one."""
        return self.spent - self.older_mark

    @property
    def total_spent(self) -> int:
        """Units spent of the account, as far as this process knows."""
        return self.account_spent + self.spent - self.settled


class Chain:
    """The leases that a request is paid from: of the key, its person, their groups, the gateway.

    They are those of one period each: from `until` on (Unix seconds of this machine's clock, which
    the store's is `clock_offset` seconds ahead of) there is another chain. `charges` names their
    accounts for records.
    """

    __slots__ = (
        "_by_models",
        "charges",
        "group_id",
        "headers",
        "is_plain",
        "leases",
        "person_id",
        "sessions",
        "until",
    )

    def __init__(
        self,
        leases: Iterable[Lease],
        *,
        person_id: str | None = None,
        group_id: str | None = None,
        sessions: tuple[Limit, ...] = (),
        clock_offset: float = 0.0,
    ) -> None:
        self.leases = tuple(leases)
        ends = [lease.span.end for lease in self.leases if lease.span.end is not None]
        self.until = min(ends, default=float("inf")) - clock_offset
        self.person_id = person_id
        self.group_id = group_id
        # Limits that each session has to itself: a request's chain has their leases too.
        self.sessions = sessions or None
        # Whether every model counts in every lease.
        self.is_plain = all(lease.models is None for lease in self.leases)
        self.charges = ",".join(lease.account_id for lease in self.leases)
        # What responses say of it, until the next settlement.
        self.headers: list[tuple[bytes, bytes]] | None = None
        self._by_models: dict[tuple[str, ...], Chain] = {}

    def of_models(self, models: tuple[str, ...]) -> Chain:
        """Return the chain of a request that any of these models may answer."""
        if self.is_plain:
            return self
        chain = self._by_models.get(models)
        if chain is None:
            chain = Chain(
                [lease for lease in self.leases if _counts(lease, models)],
                person_id=self.person_id,
                group_id=self.group_id,
            )
            if len(self._by_models) < _MAX_MODELS:
                self._by_models[models] = chain
        return chain

    def lacking(self, units: int) -> Lease | None:
        """Return the first lease that cannot pay for so much; None when all can."""
        for lease in self.leases:
            if lease.free < units:
                return lease
        return None

    def cheaper_models(self, units: int) -> tuple[str, ...]:
        """Return the models that may answer where so much cannot be paid for."""
        short = [lease.limit for lease in self.leases if lease.free < units]
        models = [limit.cheaper_model for limit in short if limit.cheaper_model is not None]
        return tuple(dict.fromkeys(models))

    def reserve(self, units: int) -> bool:
        """Reserve on all leases; False, and nothing is reserved, if one of them lacks it.

        A reservation of 0 is granted as long as none is overspent.
        """
        for lease in self.leases:
            if lease.free < units:
                return False
        for lease in self.leases:
            lease.free -= units
            lease.open += units
        return True

    def settle(self, reserved: int, cost: int) -> str:
        """Give a reservation back and book what the request cost; what its record says of it.

        A `ValueError` means that more was given back than is reserved: a reservation was settled
        twice. Nothing is booked then.
        """
        for lease in self.leases:
            if lease.open < reserved:
                raise ValueError(_TWICE.format(reserved, lease.open))
        for lease in self.leases:
            lease.open -= reserved
            lease.spent += cost
            lease.free += reserved - cost
        return self.charges

    def settle_by_model(self, reserved: int, costs: Sequence[tuple[str, int]]) -> str:
        """Settle likewise where each model's cost counts in its own limits only."""
        self.settle(reserved, 0)
        cost = sum(units for _, units in costs)
        charges: list[str] = []
        for lease in self.leases:
            own = cost
            if lease.models is not None:
                own = sum(units for model, units in costs if lease.models.allows(model))
            lease.book(own)
            charges.append(lease.account_id if own == cost else f"{lease.account_id}={own}")
        return ",".join(charges)

    def hand_on(self, units: int) -> None:
        """Let a request's reservation become the hold of the batch that it made."""
        for lease in self.leases:
            lease.hand_on(units)


_MAX_MODELS = 1000
_TWICE = "cannot give back {} reserved units: {} are reserved"


def _counts(lease: Lease, models: tuple[str, ...]) -> bool:
    return lease.models is None or any(map(lease.models.allows, models))
