"""Sliding windows: so many requests in any stretch of so many seconds, for each of many parties."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import OrderedDict
from ipaddress import AddressValueError, IPv6Address
from typing import TYPE_CHECKING

from apertis.limiting.status import LimitStatus

if TYPE_CHECKING:
    from apertis.limiting.rates import Rate

_MICROSECONDS = 1_000_000


class MonotonicMicroseconds:
    """Whole microseconds, so that sums and comparisons are exact, and never less than before.

    When the clock steps back, time stands still until the clock has caught up; if it steps back
    by more than `patience_seconds`, time goes on from where it was, at the clock's new pace. So a
    clock that is set back opens no window early, and keeps none closed for hours.

    `latest` is the time as it was read last, `ahead` by how much it is ahead of the clock since the
    clock was set back. Who is asked with each request reads them itself, and asks `at` only where
    the clock stepped back.
    """

    __slots__ = ("_patience", "ahead", "latest")

    def __init__(self, patience_seconds: int) -> None:
        self._patience = patience_seconds * _MICROSECONDS
        self.latest = 0
        self.ahead = 0

    def at(self, now: float) -> int:
        """Return the time, when the clock shows `now` (Unix seconds)."""
        time = round(now * _MICROSECONDS) + self.ahead
        if time >= self.latest:
            self.latest = time
            return time
        if self.latest - time > self._patience:
            self.ahead += self.latest - time
        return self.latest

    def clock_seconds(self, time: int) -> int:
        """Return the clock's time in whole Unix seconds, rounded up."""
        return -((self.ahead - time) // _MICROSECONDS)


_MAX_BLOCKS = 4096
# More than one for each that comes in, so that the idle become fewer while others come.
_SWEPT_PER_TAKE = 2


class _Log:
    """The times of a party's accepted requests: in blocks, each with its last request's time."""

    __slots__ = ("ends", "filled")

    def __init__(self) -> None:
        self.ends = array("q")
        # Requests in the newest block; all others are full.
        self.filled = 0


class Windows:
    """Never lets in more than `rate.count` requests of a party in any window of `rate.seconds`.

    Every request that was allowed is remembered until it leaves the window, so nothing is allowed
    twice at the border of two fixed windows, and nothing drifts. Up to 4,096 requests a window
    the response is exact to the microsecond. Above, requests are remembered in blocks of
    `count / 4096`, and a block leaves the window with its last request: a party may then miss up
    to one request less than a block, and never gets one too many.

    A party costs 8 bytes a remembered block; it is forgotten when all of them have left. `now` is
    the clock at the moment of the call, in Unix seconds.

    Where others let requests of the same parties in, `share` says among how many they are shared:
    then `caps` has how many requests in all may be let in here, and `newcomers` is that number for
    a party of which nothing is known yet.
    """

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.caps: dict[str, int] | None = None
        self.newcomers = rate.count
        # Requests of each party that came since `take_asked`, let in or not.
        self._asked: dict[str, int] = {}
        self._count = rate.count
        self._length = rate.seconds * _MICROSECONDS
        self._block = -(-rate.count // _MAX_BLOCKS)
        self._time = MonotonicMicroseconds(rate.seconds)
        # Ordered by the last request that was allowed: the first is the first to become idle.
        self._logs: OrderedDict[str, _Log] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of remembered parties."""
        return len(self._logs)

    def take(self, who: str, now: float) -> LimitStatus:
        """Let a request of this party in and count it, or refuse it and count nothing."""
        clock = self._time
        time = round(now * _MICROSECONDS) + clock.ahead
        if time < clock.latest:
            time = clock.at(now)
        clock.latest = time
        logs = self._logs
        if len(logs) > 1:
            self._sweep(time, _SWEPT_PER_TAKE)
        log = logs.get(who)
        if log is None:
            log = logs[who] = _Log()
        ends, edge = log.ends, time - self._length
        if ends and ends[0] <= edge:
            del ends[: bisect_right(ends, edge)]
        block, count = self._block, self._count
        used = (len(ends) - 1) * block + log.filled if ends else 0
        if self.caps is not None:
            count = min(self.caps.get(who, self.newcomers), count)
            self._asked[who] = self._asked.get(who, 0) + 1
        if used >= count:
            return self._standing(False, log, used, time, count)
        if ends and log.filled < block:
            ends[-1] = time
            log.filled += 1
        else:
            ends.append(time)
            log.filled = 1
        logs.move_to_end(who)
        # As `clock_seconds` rounds.
        reset = -((clock.ahead - ends[0] - self._length) // _MICROSECONDS)
        return LimitStatus(True, self._count, count - used - 1, reset)

    def give_back(self, who: str) -> None:
        """Let the newest request of a party be none, since another limit rejected it."""
        log = self._logs.get(who)
        if log is None or not log.ends:
            return
        log.filled -= 1
        if not log.filled:
            log.ends.pop()
            log.filled = self._block

    def share(self, parts: int) -> None:
        """Share the limit with others that count alike, so many in all; 1 is not to share."""
        if parts == 1:
            self.caps = None
            self._asked.clear()
        elif self.caps is None:
            self.caps = {}
            # What was let in before is told, too.
            self._asked = dict.fromkeys(self._logs, 0)
        self.newcomers = max(self._count // parts, 1)

    def take_asked(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return the requests of each party that came since the last call; none needs others."""
        asked, self._asked = self._asked, {}
        return asked, {}

    def used(self, who: str, now: float) -> int:
        """Return the number of a party's requests that count in the window."""
        log = self._logs.get(who)
        return 0 if log is None else self._used(log, self._time.at(now))

    def limit(self, _: str) -> int:
        """Return the number of a party's requests that all together let in."""
        return self._count

    def peek(self, who: str, now: float) -> LimitStatus:
        """Say what `take` would answer now, with what remains before it; nothing is counted."""
        time = self._time.at(now)
        log = self._logs.get(who) or _Log()
        used = self._used(log, time)
        count = self._count
        if self.caps is not None:
            count = min(self.caps.get(who, self.newcomers), count)
        return self._standing(used < count, log, used, time, count)

    def sweep(self, now: float) -> None:
        """Forget all parties that are idle; `take` forgets two of them each time by itself."""
        self._sweep(self._time.at(now), len(self._logs))

    def _used(self, log: _Log, time: int) -> int:
        ends = log.ends
        edge = time - self._length
        if ends and ends[0] <= edge:
            del ends[: bisect_right(ends, edge)]
        return (len(ends) - 1) * self._block + log.filled if ends else 0

    def _standing(self, allowed: bool, log: _Log, used: int, time: int, count: int) -> LimitStatus:
        reset = log.ends[0] + self._length if log.ends else time
        retry_after = 0
        if not allowed and count < self._count:
            # The part that is let in here may be another one in a second.
            retry_after = 1
        elif not allowed:
            # Rounded up: a client that waits the whole seconds is not rejected again.
            retry_after = max(-((time - reset) // _MICROSECONDS), 1)
        return LimitStatus(
            allowed,
            self._count,
            max(count - used, 0),
            self._time.clock_seconds(reset),
            retry_after,
        )

    def _sweep(self, time: int, most: int) -> None:
        logs = self._logs
        edge = time - self._length
        for _ in range(min(most, len(logs))):
            who = next(iter(logs))
            ends = logs[who].ends
            if ends and ends[-1] > edge:
                return
            del logs[who]


def party_of(address: str) -> str:
    """Return who is counted for a client's address.

    A client of IPv6 has a /64 at least (RFC 6177), so that is one; what is no address counts as it
    is written.
    """
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address)
    except AddressValueError:
        return address
    mapped = parsed.ipv4_mapped
    return f"{int(parsed) >> 64:x}/64" if mapped is None else str(mapped)
