"""All limits of the gateway in one place: per address, per key, tokens, requests in flight."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv6Address
from typing import TYPE_CHECKING

from apertis.limiting.rates import parse_rate
from apertis.limiting.tokens import Reservation, TokenWindow
from apertis.limiting.windows import Windows

if TYPE_CHECKING:
    from apertis.gateway.config.settings import LimitSettings
    from apertis.limiting.rates import Rate
    from apertis.limiting.status import LimitStatus


class InFlight:
    """Counters of requests in progress; an idle party costs nothing."""

    __slots__ = ("_counts", "total")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        # Requests of all parties together.
        self.total = 0

    def enter(self, who: str, limit: int) -> bool:
        """Count a request in, unless `limit` are under way already; 0 is no limit.

        Requests without a limit are counted too: the party may get one while they are under way.
        """
        count = self._counts.get(who, 0)
        if limit and count >= limit:
            return False
        self._counts[who] = count + 1
        self.total += 1
        return True

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


class Limiter:
    """The limiter of requests by the configured limits, or a key's own in their place.

    None in a response: no such limit. A key's own limit is None for "as configured", and "0" or 0
    for none. `now` is the clock at the moment of the call, in Unix seconds: a moment that was
    kept from before a wait would make old requests of new ones.
    """

    def __init__(self, settings: LimitSettings) -> None:
        self._settings = settings
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
        self, address: str | None, key_id: str | None, now: float, requests_limit: str | None = None
    ) -> tuple[LimitStatus | None, LimitStatus | None]:
        """Count a request of a client address, and of a key where the address admits it.

        An IPv6 client has a /64 at least (RFC 6177), so its /64 is what is counted.
        `requests_limit` is what the key's record says; when a key's rate changes, its requests are
        counted anew.
        """
        standing, windows = None, self._per_address
        if address is not None and windows is not None:
            standing = windows.take(_party(address) if ":" in address else address, now)
            if not standing.allowed:
                return standing, None
        if key_id is None:
            return standing, None
        try:
            windows = self._by_override[requests_limit]
        except KeyError:
            windows = self._windows_of(requests_limit, now)
        return standing, None if windows is None else windows.take(key_id, now)

    def admit_address(self, address: str, now: float) -> LimitStatus | None:
        """Count a request of a client address alone."""
        return self.admit(address, None, now)[0]

    def admit_key(
        self, key_id: str, now: float, requests_limit: str | None = None
    ) -> LimitStatus | None:
        """Count a request of a key alone."""
        return self.admit(None, key_id, now, requests_limit)[1]

    def reserve_tokens(
        self, key_id: str, tokens: int, now: float, tokens_per_minute: int | None = None
    ) -> Reservation | None:
        """Count the estimated tokens of a request; `tokens_per_minute` is what its record says."""
        own = tokens_per_minute
        limit = self._settings.tokens_per_minute if own is None else own
        return self._tokens.reserve(key_id, tokens, limit, now) if limit else None

    def enter(self, key_id: str, in_flight: int | None = None) -> bool:
        """Count a request as under way, or refuse it; `in_flight` is what the record says.

        After True, call `leave` exactly once; after False, not at all.
        """
        limit = self._settings.in_flight if in_flight is None else in_flight
        return self.in_flight.enter(key_id, limit)

    def leave(self, key_id: str) -> None:
        """Count a request as over."""
        self.in_flight.leave(key_id)

    def _windows_of(self, requests_limit: str | None, now: float) -> Windows | None:
        own = requests_limit
        rate = self._settings.per_key if own is None else parse_rate(own)
        windows = None
        if rate is not None:
            # A new rate is rare: the moment to drop those that nobody has used for a while.
            self._drop_idle_rates(now)
            windows = self._per_key.setdefault(rate, Windows(rate))
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


def _windows(rate: Rate | None) -> Windows | None:
    return None if rate is None else Windows(rate)


def _party(address: str) -> str:
    """Return who is counted where the address is of IPv6."""
    try:
        parsed = IPv6Address(address)
    except AddressValueError:
        return address
    mapped = parsed.ipv4_mapped
    return f"{int(parsed) >> 64:x}/64" if mapped is None else str(mapped)
