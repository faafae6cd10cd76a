"""Limits that several gateways count together: what this one may let in until it hears more.

Theory of operation. Each gateway counts on its own, without asking anybody. About each second it
tells the others, of each party, how much it has let in that still counts (`used`) and how much was
asked of it lately (`demand`), and reads the same of them. What nobody has used of the limit is then
divided by demand, and the part that is this one's, on top of what it has used, is its cap until the
next time. So a gateway that is alone with a party has all of its limit, and where the traffic of a
party moves on, the limit moves with it.

The bound: all together let in at most the limit, and of each other gateway the part that it had to
itself when it heard of the rest last: one second's share. For with the newest word of everybody,
what all have used and what is left are the limit; only those whose word is older may divide
something that was used since. A party that is new here begins with an equal part of the limit until
everybody has spoken; who needs more at once than any part takes turns.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

# What was told is told again when it is no more true; not all at once.
_STALE_SECONDS = 5.0
_CHECKED_AT_ONCE = 200
_SWEEP_MS = 60_000
# A database's integers have 64 bits, and demands are added up.
_MOST = 2**60
MAX_REPORTS: Final = 2000


class Counter(Protocol):
    """A counter of many parties, that can count a part of a limit."""

    caps: dict[str, int] | None

    def share(self, parts: int) -> None:
        """Share the limits among so many; 1 is not to share."""
        ...

    def take_asked(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return what was asked of each party since the last call, and what must be had whole."""
        ...

    def used(self, who: str, now: float, /) -> int:
        """Return what counts of a party now."""
        ...

    def limit(self, who: str, /) -> int:
        """Return the limit of a party, of all gateways together."""
        ...


class Report(NamedTuple):
    """The count of what one gateway has let in of a party, and of what it was asked lately."""

    party: str
    used: int
    demand: int


class Heard(NamedTuple):
    """The report of another one. The time is the store's, in milliseconds."""

    party: str
    replica: str
    used: int
    demand: int
    seen_ms: int


# The part of what is left that does not go by what was asked for.
_ALIKE = 10


def cap_of(limit: int, own: Report, others: Sequence[tuple[int, int]], need: int = 0) -> int:
    """Return how much of a limit may be let in here, by what all have used and were asked for.

    `others` has used and demand of each. `need` must be had at once, where it is this one's turn.
    """
    used = own.used + sum(used for used, _ in others)
    free = limit - used
    if free <= 0:
        # What was let in beyond the limit is not let in again.
        return own.used * limit // used
    demand = own.demand + sum(demand for _, demand in others)
    gateways = 1 + len(others)
    # A tenth goes to all alike: who was asked for nothing may be asked for much in a moment.
    part = free // (_ALIKE * gateways)
    rest = free - part * gateways
    part += rest * own.demand // demand if demand else rest // gateways
    return own.used + max(part, min(need, free))


class Shares:
    """The shares of one gateway in the limits of its counters.

    `counters` have the name that is put before their parties, and how long what they count counts,
    in seconds; 0: for as long as the gateway that counts it is there.
    """

    def __init__(self, own: str) -> None:
        self._own = own
        # By party: the last report, and when it was made. The oldest is the first.
        self._reports: OrderedDict[str, tuple[Report, float]] = OrderedDict()
        # Of parties that wait for the next report.
        self._asked: dict[str, int] = {}
        self._needs: dict[str, int] = {}
        # Parties that were not told of before the last report.
        self._new: set[str] = set()
        # By party and gateway.
        self._others: dict[str, dict[str, Heard]] = {}
        self._swept_ms = 0

    def among(self, parts: int, counters: Iterable[Counter]) -> None:
        """Take note of how many gateways there are, this one among them."""
        for counter in counters:
            counter.share(parts)
        if parts == 1:
            for known in (self._reports, self._asked, self._others):
                known.clear()

    @property
    def is_busy(self) -> bool:
        """True if there are parties that the others were told of."""
        return bool(self._reports)

    def last(self) -> list[Report]:
        """Return what was told last of each party that is busy."""
        newest = [report for report, _ in reversed(self._reports.values())]
        return newest[:MAX_REPORTS]

    def again(self, told: Iterable[Report]) -> None:
        """Say once more what did not arrive, with the next report."""
        for report in told:
            self._asked.setdefault(report.party, 0)

    def reports(
        self, counters: Iterable[tuple[str, Counter]], now: float
    ) -> tuple[list[Report], list[str]]:
        """Return what is to be told of which parties, and which are idle now."""
        told: list[Report] = []
        idle: list[str] = []
        by_prefix = dict(counters)
        asked, self._asked = self._asked, {}
        self._needs.clear()
        self._new.clear()
        for prefix, counter in by_prefix.items():
            more, needs = counter.take_asked()
            for who, count in more.items():
                party = f"{prefix}:{who}"
                asked[party] = asked.get(party, 0) + count
            self._needs |= {f"{prefix}:{who}": need for who, need in needs.items()}
        for party in self._stale(now):
            asked.setdefault(party, 0)
        for party, count in asked.items():
            if len(told) == MAX_REPORTS:
                self._asked[party] = count
                continue
            prefix, _, who = party.partition(":")
            known = by_prefix.get(prefix)
            used = 0 if known is None else known.used(who, now)
            before = self._reports.pop(party, None)
            if before is None:
                self._new.add(party)
            demand = count + (before[0].demand // 2 if before is not None else 0)
            if used or count:
                report = Report(party, used, min(demand, _MOST))
                told.append(report)
                self._reports[party] = report, now
                continue
            idle.append(party)
            if known is not None and known.caps is not None:
                known.caps.pop(who, None)
        return told, idle

    def _stale(self, now: float) -> list[str]:
        found: list[str] = []
        for party, (_, at) in self._reports.items():
            if at > now - _STALE_SECONDS or len(found) == _CHECKED_AT_ONCE:
                break
            found.append(party)
        return found

    def heard(
        self,
        counters: Iterable[tuple[str, Counter, float]],
        told: Iterable[Report],
        rows: Iterable[Heard],
        now_ms: int,
        live: Collection[str],
    ) -> None:
        """Take over what others say, and set the caps of the parties that it concerns."""
        concerned = {report.party for report in told}
        for row in rows:
            if row.replica == self._own:
                continue
            self._others.setdefault(row.party, {})[row.replica] = row
            concerned.add(row.party)
        by_prefix = {prefix: (counter, seconds) for prefix, counter, seconds in counters}
        order = sorted({*live, self._own})
        turn = order[now_ms // 1000 % len(order)] == self._own
        for party in concerned:
            prefix, _, who = party.partition(":")
            counter, seconds = by_prefix.get(prefix, (None, 0.0))
            others = self._still(party, seconds, now_ms, live)
            known = self._reports.get(party)
            if counter is None or counter.caps is None or known is None:
                continue
            limit = counter.limit(who)
            if limit <= 0:
                # Nothing of it is under way here any more, and its limit is told with the next one.
                counter.caps.pop(who, None)
                continue
            if party in self._new:
                # Others may have begun with it as well, and not said so yet.
                silent = len(order) - 1 - len(self._others.get(party, ()))
                others += [(limit // len(order), 0)] * silent
            need = self._needs.get(party, 1) if turn else 0
            counter.caps[who] = cap_of(limit, known[0], others, need)
        if now_ms > self._swept_ms + _SWEEP_MS:
            self._swept_ms = now_ms
            for party in list(self._others):
                _, seconds = by_prefix.get(party.partition(":")[0], (None, 0.0))
                self._still(party, seconds, now_ms, live)

    def _still(
        self, party: str, seconds: float, now_ms: int, live: Collection[str]
    ) -> list[tuple[int, int]]:
        """Return what others have used of a party that still counts; what does not is forgotten."""
        rows = self._others.get(party)
        if rows is None:
            return []
        kept = {
            name: row
            for name, row in rows.items()
            if (row.seen_ms + seconds * 1000 > now_ms if seconds else name in live)
            and (row.used or row.demand)
        }
        if kept:
            self._others[party] = kept
        else:
            del self._others[party]
        return [(row.used, row.demand if name in live else 0) for name, row in kept.items()]
