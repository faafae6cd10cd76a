"""Tokens a minute: reserved by an estimate before a request, corrected by what it really used."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict

from apertis.limiting.status import LimitStatus
from apertis.limiting.windows import MonotonicMicroseconds

_MICROSECONDS = 1_000_000
_LENGTH = 60 * _MICROSECONDS
# From this many entries on, what comes within this time of each other becomes one entry.
_MANY_ENTRIES = 128
_CLOSE = _LENGTH // _MANY_ENTRIES
_SWEPT_PER_RESERVATION = 2


class Reservation:
    """Tokens counted for a request; `correct` it afterwards."""

    __slots__ = ("_standing", "_window", "allowed", "at", "tokens", "who")

    def __init__(
        self,
        window: TokenWindow,
        who: str,
        at: int,
        tokens: int,
        standing: LimitStatus | tuple[int, int, int],
    ) -> None:
        self._window = window
        self.who = who
        self.at = at
        self.tokens = tokens
        # Of one that is allowed the limit, what is left of it, and when it rises: rarely asked for.
        self._standing = standing
        self.allowed = isinstance(standing, tuple)

    @property
    def standing(self) -> LimitStatus:
        """The decision, and what was left of the limit after it."""
        standing = self._standing
        if isinstance(standing, tuple):
            limit, remaining, reset = standing
            return LimitStatus(True, limit, remaining, self._window.clock_seconds(reset))
        return standing

    def correct(self, tokens: int, now: float) -> None:
        """Put the real number of tokens in place of the estimate, as `TokenWindow.correct` does."""
        self._window.correct(self, tokens, now)


class _Log:
    """Tokens by the time at which they were counted, oldest first."""

    __slots__ = ("amounts", "times", "total")

    def __init__(self) -> None:
        self.times: list[int] = []
        self.amounts: list[int] = []
        self.total = 0


class TokenWindow:
    """Never lets in more than `limit` tokens of a party in any minute, by what is known then.

    A request is counted with its estimate from the moment it is allowed. When its real number is
    known, `correct` puts that in place of the estimate: less makes room at once; what was used
    above the estimate counts too, and keeps later requests out. So the limit is passed by at most
    what the estimates were too low by.

    Where others count tokens of the same parties, `share` says among how many they are shared, and
    `caps` how many tokens in all may be let in here.
    """

    def __init__(self) -> None:
        self.caps: dict[str, int] | None = None
        self._parts = 1
        self._asked: dict[str, int] = {}
        # The largest request of each party that was rejected since then: a part must hold it whole.
        self._needs: dict[str, int] = {}
        # The limits of parties, where they are shared.
        self._limits: dict[str, int] = {}
        self._time = MonotonicMicroseconds(_LENGTH // _MICROSECONDS)
        # Ordered by the newest entry: the first party is the first to become idle.
        self._logs: OrderedDict[str, _Log] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of remembered parties."""
        return len(self._logs)

    def reserve(self, who: str, tokens: int, limit: int, now: float) -> Reservation:
        """Count an estimate for a request, or refuse it and count nothing.

        Look at `standing.allowed`. A request that alone needs more than `limit` is rejected
        whenever it comes; its `retry_after_seconds` is a minute. `now` is the clock at the
        moment of the call, in Unix seconds.
        """
        clock = self._time
        time = round(now * _MICROSECONDS) + clock.ahead
        if time < clock.latest:
            time = clock.at(now)
        clock.latest = time
        if len(self._logs) > 1:
            self._sweep(time)
        log = self._logs.get(who)
        if log is None:
            log = self._logs[who] = _Log()
        elif log.times and log.times[0] <= time - _LENGTH:
            _expire(log, time - _LENGTH)
        if self.caps is not None and tokens <= limit:
            self._limits[who] = limit
            self._asked[who] = self._asked.get(who, 0) + tokens
            cap = self.caps.get(who, max(limit // self._parts, tokens))
            if cap < limit and log.total + tokens > cap:
                self._needs[who] = max(self._needs.get(who, 0), tokens)
                reset = clock.clock_seconds(time)
                told = LimitStatus(False, limit, max(cap - log.total, 0), reset, 1, who)
                return Reservation(self, who, time, 0, told)
        if log.total + tokens > limit:
            return Reservation(self, who, time, 0, self._refused(log, tokens, limit, time))
        _add(log, time, tokens)
        self._logs.move_to_end(who)
        left = (limit, max(0, limit - log.total), log.times[0] + _LENGTH)
        return Reservation(self, who, time, tokens, left)

    def clock_seconds(self, time: int) -> int:
        """Return the clock's time in whole Unix seconds, rounded up."""
        return self._time.clock_seconds(time)

    def share(self, parts: int) -> None:
        """Share all limits with others that count alike, so many in all; 1 is not to share."""
        self._parts = parts
        if parts == 1:
            self.caps = None
            self._asked.clear()
            self._needs.clear()
            self._limits.clear()
        elif self.caps is None:
            self.caps = {}
            # What was let in before is told, too.
            self._asked = dict.fromkeys(self._logs, 0)

    def take_asked(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return the tokens of each party that were asked for since the last call.

        Beside them, of those that lacked some, the tokens that must be had at once.
        """
        asked, needs = self._asked, self._needs
        self._asked, self._needs = {}, {}
        return asked, needs

    def used(self, who: str, now: float) -> int:
        """Return the number of a party's tokens that count in the minute."""
        log = self._logs.get(who)
        if log is None:
            self._limits.pop(who, None)
            return 0
        _expire(log, self._time.at(now) - _LENGTH)
        return log.total

    def limit(self, who: str) -> int:
        """Return the number of a party's tokens that all together let in."""
        return self._limits.get(who, 0)

    def correct(self, reservation: Reservation, tokens: int, now: float) -> None:
        """Put the real number in place of what the request is counted with.

        It may be called more than once while the number grows. An excess that becomes known when
        the estimate has left the minute is counted now. A rejected reservation is not counted.
        """
        excess = tokens - reservation.tokens
        if not reservation.allowed or excess == 0:
            return
        if self.caps is not None:
            self._asked.setdefault(reservation.who, 0)
        clock = self._time
        time = round(now * _MICROSECONDS) + clock.ahead
        if time < clock.latest:
            time = clock.at(now)
        clock.latest = time
        reservation.tokens = tokens
        log = self._logs.get(reservation.who)
        if log is not None and reservation.at > time - _LENGTH:
            # Entries that were joined carry the time of the last: the first at or after ours.
            log.amounts[bisect_left(log.times, reservation.at)] += excess
            log.total += excess
        elif excess > 0:
            log = self._logs.setdefault(reservation.who, _Log())
            _expire(log, time - _LENGTH)
            _add(log, time, excess)
            self._logs.move_to_end(reservation.who)

    def _refused(self, log: _Log, tokens: int, limit: int, time: int) -> LimitStatus:
        if tokens > limit:
            return self._standing(log, limit, time, _LENGTH)
        room = limit - log.total
        for at, amount in zip(log.times, log.amounts, strict=True):
            room += amount
            if room >= tokens:
                return self._standing(log, limit, time, at + _LENGTH - time)
        return self._standing(log, limit, time, _LENGTH)

    def _standing(self, log: _Log, limit: int, time: int, wait: int) -> LimitStatus:
        reset = log.times[0] + _LENGTH if log.times else time
        return LimitStatus(
            wait == 0,
            limit,
            max(0, limit - log.total),
            self._time.clock_seconds(reset),
            -(-wait // _MICROSECONDS),
        )

    def _sweep(self, time: int) -> None:
        logs = self._logs
        edge = time - _LENGTH
        for _ in range(min(_SWEPT_PER_RESERVATION, len(logs))):
            who = next(iter(logs))
            times = logs[who].times
            if times and times[-1] > edge:
                return
            del logs[who]


def _expire(log: _Log, edge: int) -> None:
    times = log.times
    if times and times[0] <= edge:
        gone = bisect_right(times, edge)
        log.total -= sum(log.amounts[:gone])
        del times[:gone], log.amounts[:gone]


def _add(log: _Log, time: int, tokens: int) -> None:
    times = log.times
    joins = len(times) >= _MANY_ENTRIES and time - times[-2] < _CLOSE
    if joins or (times and times[-1] == time):
        times[-1] = time
        log.amounts[-1] += tokens
    else:
        times.append(time)
        log.amounts.append(tokens)
    log.total += tokens
