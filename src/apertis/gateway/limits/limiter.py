"""All limits of the gateway in one place: of addresses, keys, people and groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from apertis.gateway.limits.shares import Shares
from apertis.limiting.rates import parse_rate
from apertis.limiting.status import stricter
from apertis.limiting.tokens import Reservation, TokenWindow
from apertis.limiting.windows import Windows, party_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from apertis.gateway.config.settings import LimitSettings
    from apertis.gateway.limits.shares import Counter, Heard, Report
    from apertis.limiting.rates import Rate
    from apertis.limiting.status import LimitStatus


class PartyRates(Protocol):
    """The limits of a person or a group; None for no limit."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def requests_limit(self) -> str | None:
        """Rate of requests."""
        ...

    @property
    def tokens_per_minute(self) -> int | None:
        """Tokens a minute."""
        ...

    @property
    def in_flight(self) -> int | None:
        """Requests under way."""
        ...


# Who else is counted with a key's request: `person:<id>` and `group:<id>`, the innermost first.
Parties = tuple[tuple[str, PartyRates], ...]


def subject_of(who: str, parties: Parties = ()) -> str:
    """Name whose limit it is, for an error: the key's, the person's, or the group's."""
    if who.startswith("person:"):
        return "this person"
    for party, rates in parties:
        if party == who:
            return f"the group '{rates.name}'"
    return "this API key"


class InFlight:
    """Counters of requests in progress; an idle party costs nothing.

    `caps`, `share` and what follows are those of `apertis.limiting.windows.Windows`.
    """

    __slots__ = ("_asked", "_counts", "_limits", "_parts", "caps", "total")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        # Requests of all parties together.
        self.total = 0
        self.caps: dict[str, int] | None = None
        self._parts = 1
        self._asked: dict[str, int] = {}
        self._limits: dict[str, int] = {}

    def enter(self, who: str, limit: int) -> bool:
        """Count a request in, unless `limit` are under way already; 0 is no limit.

        Requests without a limit are counted too: the party may get one while they are under way.
        """
        count = self._counts.get(who, 0)
        if limit and count >= (limit if self.caps is None else self._cap(who, limit)):
            return False
        self._counts[who] = count + 1
        self.total += 1
        return True

    def _cap(self, who: str, limit: int) -> int:
        self._limits[who] = limit
        self._asked[who] = self._asked.get(who, 0) + 1
        return min((self.caps or {}).get(who, max(limit // self._parts, 1)), limit)

    def share(self, parts: int) -> None:
        """Share all limits with others that count alike, so many in all; 1 is not to share."""
        self._parts = parts
        if parts == 1:
            self.caps = None
            self._asked.clear()
            self._limits.clear()
        elif self.caps is None:
            self.caps = {}

    def take_asked(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return the requests of each party that came since the last call; none needs others."""
        asked, self._asked = self._asked, {}
        return asked, {}

    def used(self, who: str, _: float) -> int:
        """Return the number of a party's requests in flight, if it has a limit."""
        count = self.count(who)
        if not count:
            self._limits.pop(who, None)
        return count

    def limit(self, who: str) -> int:
        """Return the number of a party's requests that all together let in."""
        return self._limits.get(who, 0)

    def leave(self, who: str) -> bool:
        """Count a request out; False, and nothing changes, if none of this party is under way."""
        count = self._counts.get(who, 0)
        if count == 0:
            return False
        if count == 1:
            del self._counts[who]
        else:
            self._counts[who] = count - 1
        self.total -= 1
        return True

    def count(self, who: str) -> int:
        """Return the number of a party's requests in flight."""
        return self._counts.get(who, 0)

    def is_full(self, who: str, limit: int) -> bool:
        """Return whether a party has as many in flight as it may have now."""
        cap = limit if self.caps is None else min(self.caps.get(who, limit), limit)
        return self.count(who) >= cap


class Limiter:
    """The limiter of requests by the configured limits, or a key's own in their place.

    None in a response: no such limit. A key's own limit is None for "as configured", and "0" or 0
    for none. `now` is the clock at the moment of the call, in Unix seconds: a moment that was
    kept from before a wait would make old requests of new ones.
    """

    def __init__(self, settings: LimitSettings, replica: str = "") -> None:
        self._settings = settings
        self._shares = Shares(replica)
        # How many gateways count the same parties.
        self._parts = 1
        self._per_address = _windows(settings.per_address)
        self._per_key: dict[Rate, Windows] = {}
        # By what a key's record says, so that no request reads a rate twice.
        self._by_override: dict[str | None, Windows | None] = {}
        self._tokens = TokenWindow()
        self.in_flight = InFlight()

    def reconfigure(self, settings: LimitSettings) -> None:
        """Go on with other limits; what was counted for a rate that stays is kept."""
        if settings.per_address != self._settings.per_address:
            self._per_address = _windows(settings.per_address)
        self._settings = settings
        self._by_override.clear()

    def admit(
        self,
        address: str | None,
        key_id: str | None,
        now: float,
        requests_limit: str | None = None,
        parties: Parties = (),
    ) -> tuple[LimitStatus | None, LimitStatus | None]:
        """Count a request of a client address, and of a key where the address admits it.

        The second of the standings is the strictest of the key's and those of `parties`; `who` says
        whose it is, empty for the key's. A request that one of them rejects counts in none of them.

        An IPv6 client has a /64 at least (RFC 6177), so its /64 is what is counted.
        `requests_limit` is what the key's record says; when a key's rate changes, its requests are
        counted anew.
        """
        standing, windows = None, self._per_address
        if address is not None and windows is not None:
            standing = windows.take(party_of(address) if ":" in address else address, now)
            if not standing.allowed:
                return standing, None
        if key_id is None:
            return standing, None
        try:
            windows = self._by_override[requests_limit]
        except KeyError:
            windows = self._windows_of(requests_limit, now)
        own = None if windows is None else windows.take(key_id, now)
        if not parties or (own is not None and not own.allowed):
            return standing, own
        return standing, self._admit_parties(parties, now, own, windows, key_id)

    def _admit_parties(
        self,
        parties: Parties,
        now: float,
        own: LimitStatus | None,
        windows: Windows | None,
        key_id: str,
    ) -> LimitStatus | None:
        counted = [] if windows is None else [(windows, key_id)]
        for who, rates in parties:
            if rates.requests_limit is None:
                continue
            limit = rates.requests_limit
            known = limit in self._by_override
            windows = self._by_override[limit] if known else self._windows_of(limit, now)
            if windows is None:
                continue
            standing = msgspec.structs.replace(windows.take(who, now), who=who)
            if not standing.allowed:
                for counter, party in counted:
                    counter.give_back(party)
                return standing
            counted.append((windows, who))
            own = stricter(own, standing)
        return own

    def admit_address(self, address: str, now: float) -> LimitStatus | None:
        """Count a request of a client address alone."""
        return self.admit(address, None, now)[0]

    def admit_key(
        self, key_id: str, now: float, requests_limit: str | None = None
    ) -> LimitStatus | None:
        """Count a request of a key alone."""
        return self.admit(None, key_id, now, requests_limit)[1]

    def reserve_tokens(
        self,
        key_id: str,
        tokens: int,
        now: float,
        tokens_per_minute: int | None = None,
        parties: Parties = (),
    ) -> Reservation | JointReservation | None:
        """Count the estimated tokens of a request; `tokens_per_minute` is what its record says.

        With `parties` they count in all of them, or after a rejection, whose `who` says by which,
        in none.
        """
        own = tokens_per_minute
        limit = self._settings.tokens_per_minute if own is None else own
        reservation = self._tokens.reserve(key_id, tokens, limit, now) if limit else None
        if not parties or (reservation is not None and not reservation.allowed):
            return reservation
        made = [] if reservation is None else [reservation]
        for who, rates in parties:
            if not rates.tokens_per_minute:
                continue
            one = self._tokens.reserve(who, tokens, rates.tokens_per_minute, now)
            if not one.allowed:
                for other in made:
                    other.correct(0, now)
                return one
            made.append(one)
        return JointReservation(made) if made else None

    def enter(self, key_id: str, in_flight: int | None = None, parties: Parties = ()) -> bool:
        """Count a request as under way, or refuse it; `in_flight` is what the record says.

        After True, call `leave` exactly once, with the same parties; after False, not at all.
        """
        limit = self._settings.in_flight if in_flight is None else in_flight
        if not self.in_flight.enter(key_id, limit):
            return False
        for place, (who, rates) in enumerate(parties):
            if not self.in_flight.enter(who, rates.in_flight or 0):
                self.leave(key_id, parties[:place])
                return False
        return True

    def crowded(self, key_id: str, in_flight: int | None = None, parties: Parties = ()) -> str:
        """Return who has too many under way, after `enter` has refused: the key or a party."""
        limit = self._settings.in_flight if in_flight is None else in_flight
        if limit and self.in_flight.is_full(key_id, limit):
            return key_id
        full = (
            who for who, of in parties if of.in_flight and self.in_flight.is_full(who, of.in_flight)
        )
        return next(full, key_id)

    def leave(self, key_id: str, parties: Parties = ()) -> None:
        """Count a request as over."""
        self.in_flight.leave(key_id)
        for who, _ in parties:
            self.in_flight.leave(who)

    def share_among(self, parts: int) -> None:
        """Share all limits of keys, people and groups with other gateways: so many with this one.

        Addresses are counted by each gateway alone.
        """
        if parts != self._parts:
            self._parts = parts
            self._shares.among(parts, (counter for _, counter, _ in self._counters()))

    def reports(self, now: float) -> tuple[list[Report], list[str]]:
        """Return what the others are to be told: of parties that are busy, and of idle ones."""
        if self._parts == 1:
            return [], []
        return self._shares.reports(((name, one) for name, one, _ in self._counters()), now)

    def last_reports(self) -> list[Report]:
        """Return what was reported last of each busy party, for those that heard nothing of it."""
        return self._shares.last()

    @property
    def is_shared(self) -> bool:
        """True if there is something that the others have to say to this one."""
        return self._parts > 1 and self._shares.is_busy

    def report_again(self, told: Iterable[Report]) -> None:
        """Say once more, with the next reports, what did not arrive."""
        self._shares.again(told)

    def heard(
        self, told: Iterable[Report], rows: Iterable[Heard], now_ms: int, live: Collection[str]
    ) -> None:
        """Take over what the others say, by the store's clock; `live` are those that are there."""
        if self._parts > 1:
            self._shares.heard(self._counters(), told, rows, now_ms, live)

    def _counters(self) -> Iterator[tuple[str, Counter, float]]:
        for rate, windows in self._per_key.items():
            yield str(rate), windows, rate.seconds
        yield "tokens", self._tokens, 60.0
        yield "in-flight", self.in_flight, 0.0

    def _windows_of(self, requests_limit: str | None, now: float) -> Windows | None:
        own = requests_limit
        rate = self._settings.per_key if own is None else parse_rate(own)
        windows = None
        if rate is not None:
            # A new rate is rare: the moment to drop those that nobody has used for a while.
            self._drop_idle_rates(now)
            windows = self._per_key.get(rate)
            if windows is None:
                windows = self._per_key[rate] = Windows(rate)
                windows.share(self._parts)
        self._by_override[own] = windows
        return windows

    def _drop_idle_rates(self, now: float) -> None:
        for rate, windows in list(self._per_key.items()):
            windows.sweep(now)
            if not len(windows):
                del self._per_key[rate]
        kept = list(self._per_key.values())
        self._by_override = {
            own: windows
            for own, windows in self._by_override.items()
            if windows is None or windows in kept
        }


class JointReservation:
    """The tokens of one request, reserved for its key, its person and their groups."""

    __slots__ = ("_made",)

    allowed = True

    def __init__(self, made: list[Reservation]) -> None:
        self._made = made

    @property
    def who(self) -> str:
        """Key or party whose limit has least left."""
        return min(self._made, key=lambda one: one.standing.remaining).who

    @property
    def standing(self) -> LimitStatus:
        """The strictest of the decisions."""
        return min((one.standing for one in self._made), key=lambda standing: standing.remaining)

    def correct(self, tokens: int, now: float) -> None:
        """Put the real number of tokens in place of the estimate, in all limits."""
        for one in self._made:
            one.correct(tokens, now)


def _windows(rate: Rate | None) -> Windows | None:
    return None if rate is None else Windows(rate)
