"""Budgets of a running gateway: the chain that each request is paid from, and the money in it.

Theory of operation. `chain` gives the leases of a request without waiting; they are made once for
a key and kept until a period ends, or a key, person, group or limit changes. Where a lease lacks
what a request may cost, `refill` asks the store. How much the store gives depends on who else is
there:

    alone       The gateway has the store to itself (`seat` is None). Each lease is the whole
                account, read once, when it is first needed; nothing is renewed. Accounts follow by
                the records of usage.
    replicas    The store grants a part, so that others find some. `run` tells it each second what
                is open and what was given back, and gets more in advance. A lease can be used for
                as long as the last word of the store allows, by a clock that goes on while the
                machine sleeps, counted from before the word was asked for. Then a request is let
                in only by what a limit allows for that case (`store_loss_units`).

A request that was let in counts on its lease whatever comes: its cost is booked by its record, and
a lease that nobody renewed keeps its money from others until its records are booked.
"""

from __future__ import annotations

import asyncio
import contextlib
from hashlib import blake2s
from typing import TYPE_CHECKING, NamedTuple

from apertis.gateway.budgets.accounts import AccountSpec, LeaseReport, Want
from apertis.gateway.budgets.lease import Chain, Lease
from apertis.gateway.budgets.limit import account_id, quota_limit
from apertis.gateway.budgets.periods import span_of
from apertis.gateway.budgets.telling import (
    last_to_reset,
    shortage_refusal,
    store_away_refusal,
    subject,
    usage_headers,
)
from apertis.gateway.errors import StoreSilentError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from apertis.gateway.budgets.accounts import LeaseRow
    from apertis.gateway.budgets.limit import Limit
    from apertis.gateway.budgets.periods import Span
    from apertis.gateway.errors import Refusal
    from apertis.gateway.keys.directory import Key
    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.people.organization import Organization
    from apertis.gateway.people.record import Person
    from apertis.gateway.store.accounts import StoredAccounts

MAX_SESSIONS = 1000
"""Sessions of a key and day with an account of their own; all others share one."""

OTHER_SESSIONS = "(other)"
MAX_CHAINS = 100_000

# When a request that the store refused asks again, while others give back what they need not.
_RECALL_SECONDS = (0.05, 0.1, 0.2, 0.4)
# How long it is remembered that others have nothing left.
_EMPTY_SECONDS = 1.0
# How long nobody waits again for a store that did not answer in time: `run` asks it all the same.
_SILENCE_SECONDS = 15.0
# Half of the time whose spending says how much is asked for in advance.
_RECENT_SECONDS = 15.0


class LeaseTimes(NamedTuple):
    """Times of leases in seconds; shorter ones are for tests.

    A lease ends `expiry` after the store's last word, and is used until `margin` before. The store
    is told each `renewal`.
    """

    expiry: float = 60.0
    margin: float = 10.0
    renewal: float = 1.0


USUAL_TIMES = LeaseTimes()


def lease_times(expiry_seconds: float) -> LeaseTimes:
    """Return the times of leases that end so long after the store's last word."""
    return LeaseTimes(expiry_seconds, expiry_seconds / 6, min(1.0, expiry_seconds / 10))


class Seat(NamedTuple):
    """The place of a replica among others: no other process has the same name and epoch."""

    name: str
    epoch: int
    # Asks the others to give back what they need not of an account.
    recall: Callable[[str], None]
    # How many replicas there are, this one included.
    replicas: Callable[[], int]


class Standing(NamedTuple):
    """A budget as it stands: what is spent of it, and set aside for what is under way.

    With several replicas, what the others have under way is not known.
    """

    limit: Limit
    span: Span
    spent: int
    set_aside: int

    @property
    def left(self) -> int:
        """Units that can still be reserved; below zero after an overshoot."""
        return self.limit.most_units - self.spent - self.set_aside


class Budgets:
    """The money of all keys in this process.

    `on_restored` is called when the store turns out to be older than it was: what was booked
    since must be sent again. `on_change` is told the error when the store begins to fail, and None
    when it works again.
    """

    def __init__(
        self,
        organization: Organization,
        store: StoredAccounts,
        *,
        wall_clock: Callable[[], float],
        # One that goes on while the machine sleeps, where there is such a clock.
        steady_clock: Callable[[], float],
        seat: Seat | None = None,
        times: LeaseTimes = USUAL_TIMES,
        on_restored: Callable[[], None] = lambda: None,
        on_change: Callable[[Exception | None], None] = lambda _: None,
    ) -> None:
        self.organization = organization
        self._store = store
        self._wall_clock = wall_clock
        self._steady_clock = steady_clock
        self._seat = seat
        self._times = times
        self._on_restored = on_restored
        self._on_change = on_change
        self._leases: dict[str, Lease] = {}
        # By key, and the person behind it where it does not say that itself.
        self._chains: dict[tuple[str, str | None], tuple[KeyRecord, Chain]] = {}
        # Keys that have their chain at hand.
        self._cached: dict[str, Key] = {}
        self._asking = asyncio.Lock()
        # Accounts of a gateway alone that requests wait for.
        self._unopened: set[Lease] = set()
        self._wake = asyncio.Event()
        # The chains that have headers to be made anew.
        self._told: list[Chain] = []
        # Sessions of a day by key, where a limit is per session.
        self._sessions: dict[tuple[str, int], set[str]] = {}
        # The store's clock less this machine's, in seconds.
        self._offset = 0.0
        self._started = 0.0
        self._marked = 0.0
        self._failing = False
        self._silent_until = 0.0
        self._frozen = False
        # Of replicas alone.
        self._sequence = 0
        self._usable_until = float("inf")

    @property
    def lease_name(self) -> str:
        """The name under which records are booked: `name#epoch`, or empty without replicas."""
        return "" if self._seat is None else f"{self._seat.name}#{self._seat.epoch}"

    @property
    def seat(self) -> tuple[str, int] | None:
        """The name and the epoch of its leases; None without replicas."""
        return None if self._seat is None else (self._seat.name, self._seat.epoch)

    def now(self) -> float:
        """Return the store's time, in Unix seconds."""
        return self._wall_clock() + self._offset

    def seconds_left(self) -> float | None:
        """Return for how long leases can be used without the store; None: they need no renewal."""
        if self._seat is None:
            return None
        return max(0.0, self._usable_until - self._steady_clock())

    def units_left(self) -> int:
        """Return what can be spent without the store, over all leases that are used now."""
        return sum(max(lease.free, 0) for lease in self._leases.values())

    async def start(self) -> None:
        """Take a seat among the replicas, where there may be some."""
        self._started = self.now()
        if self._seat is not None:
            # What its earlier process left is in the store: its journal was booked before.
            await self._store.close_earlier(self._seat.name, self._seat.epoch)
            self._usable_until = self._steady_clock() + self._times.expiry - self._times.margin

    def chain(self, key: Key, person: Person | None = None, session: str | None = None) -> Chain:
        """Return the chain of a request with this key.

        `person` is who stands behind a key that several people share. A gateway that has its store
        to itself leaves the chain at the key, as `key.chain`, for as long as it holds.
        """
        if self._seat is not None and not self._is_usable():
            self._freeze()
        name = (key.record.id, None if person is None else person.id)
        record, chain = self._chains.get(name, (None, None))
        if chain is None or record is not key.record or self._wall_clock() >= chain.until:
            if len(self._chains) >= MAX_CHAINS:
                self._chains.clear()
            chain = self._made(key, person)
            self._chains[name] = key.record, chain
        if chain.sessions is not None:
            return self._of_session(chain, key, session)
        if self._seat is None and person is None:
            key.chain = chain
            self._cached[key.record.id] = key
        return chain

    def changed(self) -> None:
        """Make chains anew: people, groups or limits are not what they were."""
        self._chains.clear()
        for key in self._cached.values():
            key.chain = None
        self._cached.clear()

    def _made(self, key: Key, person: Person | None) -> Chain:
        record, organization, now = key.record, self.organization, self.now()
        who = organization.person_of(record) if person is None else person
        limits = list(organization.limits_on(record, who))
        quota = quota_limit(record)
        if quota is not None:
            limits.insert(0, quota)
        groups = organization.groups_of(record, who)
        return Chain(
            [self._lease(limit, now) for limit in limits if not limit.per_session],
            person_id=None if who is None else who.id,
            group_id=groups[0].id if groups else None,
            sessions=tuple(limit for limit in limits if limit.per_session),
            clock_offset=self._offset,
        )

    def _of_session(self, chain: Chain, key: Key, session: str | None) -> Chain:
        """Return the chain with the accounts of one session, which its caller has named."""
        now = self.now()
        name = self._session_name(key, session, now)
        scope = blake2s(name.encode(), digest_size=8).hexdigest()
        own = [self._lease(limit, now, name, scope) for limit in chain.sessions or ()]
        return Chain(
            (*chain.leases, *own),
            person_id=chain.person_id,
            group_id=chain.group_id,
        )

    def _session_name(self, key: Key, session: str | None, now: float) -> str:
        if not session:
            return OTHER_SESSIONS
        day = int(now) // 86_400
        known = self._sessions.get((key.record.id, day))
        if known is None:
            if len(self._sessions) > MAX_SESSIONS:
                self._sessions = {of: names for of, names in self._sessions.items() if of[1] == day}
            known = self._sessions[key.record.id, day] = set()
        if session in known or len(known) < MAX_SESSIONS:
            known.add(session)
            return session
        return OTHER_SESSIONS

    def _lease(self, limit: Limit, now: float, session: str = "", scope: str = "") -> Lease:
        span = span_of(limit.period, limit.zone, now)
        name = account_id(limit, span.start, scope)
        lease = self._leases.get(name)
        if lease is None:
            lease = self._leases[name] = Lease(name, limit, span, session)
            if self._seat is None and limit.created_at < span.start and self._started < span.start:
                # A period that has begun while this process was alone: nobody spent of it.
                self._open_whole(lease, 0, 0)
        elif lease.limit is not limit:
            self._change(lease, limit)
        return lease

    def _change(self, lease: Lease, limit: Limit) -> None:
        lowered = limit.most_units < lease.limit.most_units
        lease.limit = limit
        if lease.is_whole:
            lease.grant(limit.most_units)
        elif lowered:
            # The store hands out by the new amount; what is free goes back to it.
            lease.give_back()
            self._wake.set()

    async def standings(self, chain: Chain) -> tuple[Standing, ...]:
        """Return how the budgets of a chain stand.

        `StoreUnavailableError` when the store has to be asked and does not answer.
        """
        if self._seat is None:
            await self.refill(chain, 0)
            return tuple(
                Standing(lease.limit, lease.span, lease.spent, lease.open + lease.returned)
                for lease in chain.leases
            )
        rows = await self._store.whole([_spec(lease) for lease in chain.leases])
        by_id = {row.account_id: row for row in rows}
        return tuple(
            Standing(
                lease.limit,
                lease.span,
                # Neither is ever too much: all that is booked, and all that is known here. What was
                # booked since the last word of the store would count twice in their sum.
                max(by_id[lease.account_id].spent, lease.total_spent),
                by_id[lease.account_id].held + lease.open,
            )
            for lease in chain.leases
        )

    def headers(self, chain: Chain) -> list[tuple[bytes, bytes]]:
        """Return what responses say of a chain, until the next settlement."""
        headers = chain.headers
        if headers is None:
            headers = chain.headers = usage_headers(chain.leases)
            self._told.append(chain)
        return headers

    def refusal(
        self, key: Key, chain: Chain, lacking: Lease, units: int, *, fits_alone: bool = False
    ) -> Refusal:
        """Say why a request of so many units is rejected that one budget lacks the money for."""
        if self._seat is not None and self._failing and not self._is_usable():
            # It is not that the budget is used up: nobody knows how much there is.
            return store_away_refusal(lacking.limit, self._subject(lacking, key))
        lease = last_to_reset(chain, lacking, units)
        return shortage_refusal(
            lease, units, self._subject(lease, key), now=self.now(), fits_alone=fits_alone
        )

    def _subject(self, lease: Lease, key: Key) -> str:
        return subject(lease.limit, key.record, self.organization)

    def lease(self, name: str) -> Lease | None:
        """Return the lease of an account, where this process has one."""
        return self._leases.get(name)

    async def refill(self, chain: Chain, units: int) -> Lease | None:
        """Get what lacks from the store; the lease that still lacks it, None when all can pay.

        Errors of the store are raised where no limit allows to go on without it.
        """
        seat = self._seat
        if seat is None:
            await self._open(chain)
            return chain.lacking(units)
        lacking = [lease for lease in chain.leases if lease.free < units]
        if any(self._is_known_empty(lease, units) for lease in lacking):
            return chain.lacking(units)
        short = lacking
        for lease in lacking:
            lease.wanted += units
        try:
            for pause in (0.0, *_RECALL_SECONDS):
                if pause:
                    await asyncio.sleep(pause)
                # Whoever asks a silent store meanwhile is not waited for either.
                async with contextlib.nullcontext() if self._is_silent() else self._asking:
                    lacking = [lease for lease in chain.leases if lease.free < units]
                    if not lacking or not await self._acquire(seat, lacking, units):
                        return chain.lacking(units)
                    short = [lease for lease in lacking if lease.free < units]
                    if not short:
                        return chain.lacking(units)
                if any(_most(lease) < units for lease in short):
                    break
                if not pause:
                    for lease in short:
                        seat.recall(lease.account_id)
            else:
                # What others have, they need.
                for lease in short:
                    lease.others = 0
        finally:
            for lease in chain.leases:
                lease.wanted = max(0, lease.wanted - units)
        until = self._steady_clock() + _EMPTY_SECONDS
        for lease in short:
            lease.empty_until = until
        return chain.lacking(units)

    def _is_known_empty(self, lease: Lease, units: int) -> bool:
        if self._steady_clock() >= lease.empty_until:
            return False
        return lease.free + lease.left + lease.others < units

    async def _acquire(self, seat: Seat, lacking: Sequence[Lease], units: int) -> bool:
        """Ask for more of these; False when it was given without the store."""
        wants = [
            Want(
                spec=_spec(lease),
                needed=units - lease.free if lease.is_open else units,
                wanted=max(2 * lease.recent, lease.wanted, units),
            )
            for lease in lacking
        ]
        try:
            if self._is_silent():
                raise StoreUnavailableError("the store does not answer")
            await self._ask(seat, wants)
        except StoreUnavailableError as error:
            self._tell(error)
            if self._is_usable() or not all(_may_lend(lease) for lease in lacking):
                raise
            for lease in lacking:
                lease.lend((lease.limit.store_loss_units or 0) // seat.replicas())
            return False
        self._tell(None)
        return True

    async def _ask(self, seat: Seat, wants: Sequence[Want]) -> None:
        ttl_ms = int(self._times.expiry * 1000)
        acquired = await self._store.acquire(seat.name, seat.epoch, wants, seat.replicas(), ttl_ms)
        self._heard(acquired.now_ms)
        for row in acquired.rows:
            self._take(row)

    def _is_silent(self) -> bool:
        return self._steady_clock() < self._silent_until

    def _is_usable(self) -> bool:
        return self._steady_clock() < self._usable_until

    def _freeze(self) -> None:
        """Keep back what others may hold for lost by now."""
        if not self._frozen:
            self._frozen = True
            for lease in self._leases.values():
                lease.freeze()

    def settling(self) -> contextlib.AbstractAsyncContextManager[None]:
        """No account is read within: the store books in it, and its lease follows, as one."""
        return self._asking if self._seat is None else contextlib.nullcontext()

    async def _open(self, chain: Chain) -> None:
        """Open the whole accounts of a chain, and of others that wait for theirs, at once."""
        own = [lease for lease in chain.leases if not lease.is_open]
        self._unopened.update(own)
        async with self._asking:
            # Whoever was there before may have opened them, or failed.
            leases = [lease for lease in {*self._unopened, *own} if not lease.is_open]
            self._unopened.clear()
            rows = await self._store.whole([_spec(lease) for lease in leases]) if leases else ()
        for row in rows:
            lease = self._leases.get(row.account_id)
            if lease is not None and not lease.is_open:
                self._open_whole(lease, row.spent, row.held)

    def _open_whole(self, lease: Lease, spent: int, held: int) -> None:
        lease.is_whole = True
        lease.spent = lease.settled = lease.account_spent = spent
        lease.mark = lease.older_mark = spent
        lease.returned = held
        lease.grant(lease.limit.most_units)

    def _heard(self, now_ms: int) -> None:
        self._offset = now_ms / 1000 - self._wall_clock()

    def _take(self, row: LeaseRow) -> None:
        lease = self._leases.get(row.account_id)
        if lease is None:
            return
        lease.account_spent, lease.settled = row.account_spent, row.spent
        # A batch that was kept without our knowing has its part already.
        lease.returned = max(lease.returned, row.returned)
        lease.left = row.limit_units - row.account_spent - row.leased - row.held
        lease.others = row.leased - max(0, row.granted - row.returned - row.spent)
        # An answer that was overtaken says less than is known.
        lease.grant(max(row.granted, lease.granted))

    def _tell(self, error: Exception | None) -> None:
        if error is None:
            self._silent_until = 0.0
        elif isinstance(error, StoreSilentError):
            self._silent_until = self._steady_clock() + _SILENCE_SECONDS
        if (error is not None) != self._failing:
            self._failing = error is not None
            self._on_change(error)

    async def run(self) -> None:
        """Keep the store and the leases in step until canceled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._times.renewal):
                    await self._wake.wait()
            self._wake.clear()
            await self.settle()

    async def settle(self) -> None:
        """Tell the store what became of the leases, and get more in advance where it is due."""
        told, self._told = self._told, []
        for chain in told:
            chain.headers = None
        now = self._steady_clock()
        if now >= self._marked + _RECENT_SECONDS:
            self._marked = now
            for lease in self._leases.values():
                lease.pass_mark()
        self._drop_ended()
        seat = self._seat
        if seat is None:
            return
        if not self._is_usable():
            self._freeze()
        try:
            async with self._asking:
                await self._renew(seat, now)
                await self._fill_ahead(seat)
        except StoreUnavailableError as error:
            self._tell(error)
        else:
            self._tell(None)

    async def _renew(self, seat: Seat, sent: float) -> None:
        reports: list[LeaseReport] = []
        renewed_before = sent - self._times.expiry / 4
        for lease in self._leases.values():
            if not lease.is_open:
                continue
            if lease.open == 0 and lease.recent == 0 and lease.wanted == 0 and not lease.frozen:
                # Nobody here needs it; somebody else may.
                lease.give_back()
            is_known = lease.reported[:2] == (lease.open, lease.returned)
            if is_known and (lease.reported[2] > renewed_before or _is_done(lease)):
                continue
            lease.reported = (lease.open, lease.returned, sent)
            reports.append(
                LeaseReport(
                    account_id=lease.account_id,
                    granted=lease.granted,
                    returned=lease.returned,
                    open=lease.open,
                )
            )
        sequence = self._sequence + 1
        ttl_ms = int(self._times.expiry * 1000)
        try:
            renewed = await self._store.renew(seat.name, seat.epoch, sequence, reports, ttl_ms)
        except StoreUnavailableError:
            # Nobody knows whether they arrived: they are said again.
            self._say_again([self._leases[report.account_id] for report in reports])
            raise
        if renewed.sequence_before < self._sequence:
            self._say_again(self._leases.values())
            self._on_restored()
        self._sequence = sequence
        self._heard(renewed.now_ms)
        # The store lets leases hold that would end within 7/8 of their time.
        self._usable_until = sent + self._times.expiry * 7 / 8 - self._times.margin
        if self._frozen:
            self._frozen = False
            for lease in self._leases.values():
                lease.thaw()
        for row in renewed.rows:
            self._take(row)

    async def _fill_ahead(self, seat: Seat) -> None:
        """Get more of what is half used up, as long as there is more, and nobody lacks it."""
        now = self._steady_clock()
        low = [
            lease
            for lease in self._leases.values()
            if lease.recent > 0
            and lease.left > 0
            and lease.free < lease.recent
            and now >= lease.recalled_until
        ]
        if low:
            await self._ask(
                seat,
                [Want(spec=_spec(lease), needed=0, wanted=2 * lease.recent) for lease in low],
            )

    def _say_again(self, leases: Iterable[Lease]) -> None:
        for lease in leases:
            lease.reported = (-1, -1, 0.0)

    def recalled(self, name: str) -> None:
        """Give back what is free of an account, since another replica needs it."""
        lease = self._leases.get(name)
        if lease is not None and not lease.is_whole:
            lease.recalled_until = self._steady_clock() + _EMPTY_SECONDS
            if lease.give_back():
                self._wake.set()

    def _drop_ended(self) -> None:
        now = self.now()
        for lease in list(self._leases.values()):
            end = lease.span.end
            # One that a request waits for is still wanted.
            is_idle = lease.open == 0 and lease.wanted == 0
            if end is not None and end <= now and is_idle and _is_done(lease):
                del self._leases[lease.account_id]

    async def stop(self) -> None:
        """Give all leases back. No request may be under way any more."""
        if self._seat is not None:
            await self._store.leave(self._seat.name, self._seat.epoch)


def _may_lend(lease: Lease) -> bool:
    return lease.limit.store_loss_units is not None


def _most(lease: Lease) -> int:
    """Return what a lease may have soon, if all that is under way costs nothing."""
    return lease.free + lease.open + max(lease.left, 0) + lease.others


def _spec(lease: Lease) -> AccountSpec:
    return AccountSpec(
        account_id=lease.account_id, limit=lease.limit, span=lease.span, scope=lease.scope
    )


def _is_done(lease: Lease) -> bool:
    """Return whether nothing of a lease is open or free."""
    return lease.is_whole or (lease.open == 0 and lease.granted <= lease.returned + lease.spent)
