"""Routing: the upstreams of a model, best first.

Priority decides, then whether an upstream names the model, then weight by chance; a conversation
goes first to the upstream that knows it, and a new one where every gateway would send it. An
upstream that is not well goes last, and is never left out: when none is well, the least bad one is
tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from apertis.gateway.routing.affinity import AffinityTable, score_of
from apertis.gateway.routing.breaker import Breaker, BreakerState, Cause
from apertis.gateway.routing.targets import Group, Names, Route
from apertis.gateway.upstreams.outcome import OK, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from apertis.gateway.config import RoutingSettings, UpstreamSettings
    from apertis.gateway.routing.targets import Target

# How long a target rests after a 429 that does not say it, and at most.
_DEFAULT_REST_SECONDS: Final = 1.0
_MAX_REST_SECONDS: Final = 3600.0

# Callers choose the names: neither table may grow with them.
_MAX_GROUPS = 2048
_MAX_RESTS = 1024

_RESTS = frozenset({Outcome.RATE_LIMITED, Outcome.OVERLOADED})


@dataclass(frozen=True, slots=True)
class UpstreamState:
    """The health of an upstream, for metrics and readiness."""

    name: str
    breaker: BreakerState
    cause: Cause | None
    failures: int
    # Until it is tried again, where its breaker is open.
    open_seconds: float = 0.0

    @property
    def usable(self) -> bool:
        """True if requests are sent there before all others have failed."""
        return self.breaker is not BreakerState.OPEN


class Fleet:
    """The gateways that ask the same upstreams; this one is alone."""

    def may_probe(self, upstream: str, overdue_seconds: float) -> bool:  # noqa: ARG002
        """Return whether a probe is this one's to make; after a while it is anyone's."""
        return True

    def tell(self, upstream: str, breaker: Breaker, now: float) -> None:
        """Take note of what a breaker has done."""


ALONE: Final = Fleet()


class _Groups(dict[str, Group]):
    """The group of each model by any of its names; it is empty if no upstream has the model."""

    __slots__ = ("_names",)

    def __init__(self, names: Names) -> None:
        super().__init__()
        self._names = names

    def __missing__(self, model: str) -> Group:
        if len(self) >= _MAX_GROUPS:
            self.clear()
        group = self[model] = self._names.group(model)
        return group


class Router:
    """The router: it chooses upstreams, and learns from the outcomes of attempts.

    `known_ids` are ids of models that upstreams without a list of models know, so that the dotted
    spelling of one finds it. `affinity` is the table of a router before this one, to keep its
    conversations where they are.
    """

    __slots__ = ("_breakers", "_fleet", "_names", "_pins", "_rests", "affinity", "groups")

    def __init__(
        self,
        upstreams: tuple[UpstreamSettings, ...],
        settings: RoutingSettings,
        *,
        known_ids: Iterable[str] = (),
        affinity: AffinityTable | None = None,
        fleet: Fleet = ALONE,
    ) -> None:
        self._names = Names(upstreams, known_ids)
        self._fleet = fleet
        self._breakers = {
            upstream.name: Breaker(settings.breaker_failures, settings.breaker_open_seconds)
            for upstream in upstreams
        }
        self.groups = _Groups(self._names)
        # Until when a target is to be spared, because it said so.
        self._rests: dict[Target, float] = {}
        self._pins = settings.affinity
        self.affinity = affinity or AffinityTable(settings.affinity_seconds)

    def candidates(
        self, model: str, affinity: str | None, now: float, pick: float
    ) -> tuple[Target, ...]:
        """Return all targets of a model, best first; empty when no upstream has it.

        `affinity` is what `affinity_of` gave, `now` is in Unix seconds, `pick` a random number
        from 0 up to 1, without 1. The first target may be the one probe of a breaker that is half
        open, so call this only for a request that is about to be sent.
        """
        group = self.groups[model]
        if len(group.routes) < 2:
            return group.targets
        return tuple([route.target for route in self._ranked(group, affinity, now, pick)])

    def at(self, model: str) -> dict[str, Target]:
        """Return a model's name at each upstream that has it."""
        return {target.upstream: target for target in reversed(self.groups[model].targets)}

    def serves(self, model: str) -> bool:
        """Return whether any upstream has the model."""
        return bool(self.groups[model].routes)

    def model_id(self, model: str) -> str:
        """Return the id of the model that a name stands for; an unknown name is its own id."""
        return self.groups[model].id

    def ids(self, model: str) -> tuple[str, ...]:
        """Return the ids of the models that may answer when a name is asked for: one, as a rule."""
        return self.groups[model].ids

    def names(self, model: str) -> tuple[str, ...]:
        """Return the id of a model, then its upstreams' names for it, in the settings' order."""
        group = self.groups[model]
        return (group.id, *dict.fromkeys(target.model for target in group.targets))

    def chooses(self, model: str) -> bool:
        """Return whether there is more than one upstream, so that affinity makes a difference."""
        return self._pins and len(self.groups[model].routes) > 1

    def report(
        self, target: Target, outcome: Outcome, now: float, retry_after: float | None = None
    ) -> None:
        """Learn from an attempt, once, when it is over: a truncated response is `MALFORMED`.

        `retry_after` is in seconds, as the upstream said it.
        """
        breaker = self._breakers[target.upstream]
        if outcome is OK and breaker.cause is None and not breaker.failures:
            return
        before = breaker.cause, breaker.until, breaker.probing
        breaker.report(outcome, now)
        if before != (breaker.cause, breaker.until, breaker.probing):
            self._fleet.tell(target.upstream, breaker, now)
        if outcome in _RESTS:
            self._rest(target, outcome, now, retry_after)

    def follow(
        self, upstream: str, cause: Cause | None, seconds: float, now: float, *, probing: bool
    ) -> bool:
        """Let a breaker do what that of another gateway did; False if there is none of this name.

        See `Breaker.follow`.
        """
        breaker = self._breakers.get(upstream)
        if breaker is not None:
            breaker.follow(cause, seconds, now, probing=probing)
        return breaker is not None

    def open_breakers(self, now: float) -> dict[str, tuple[Cause, float]]:
        """Return why and for how many seconds breakers are not closed, by their upstreams."""
        return {
            name: (breaker.cause, max(breaker.until - now, 0.0))
            for name, breaker in self._breakers.items()
            if breaker.cause is not None
        }

    def pin(self, affinity: str, model: str, upstream: str, now: float) -> None:
        """Let a conversation stay with the upstream that answered it.

        `model` is the name that `candidates` was asked for. To be called for each response, so that
        a conversation moves on with the upstream that took over from a failed one.
        """
        if self.chooses(model):
            self.affinity.put(affinity, self.model_id(model), upstream, now)

    def unpin(self, affinity: str, model: str) -> None:
        """Let the next request of a conversation choose anew."""
        self.affinity.remove(affinity, self.model_id(model))

    def states(self, now: float) -> tuple[UpstreamState, ...]:
        """Return the health of each upstream, in the order of the settings."""
        return tuple(
            UpstreamState(
                name,
                breaker.state(now),
                breaker.cause,
                breaker.failures,
                0.0 if breaker.cause is None else max(breaker.until - now, 0.0),
            )
            for name, breaker in self._breakers.items()
        )

    def _ranked(
        self, group: Group, affinity: str | None, now: float, pick: float
    ) -> Sequence[Route]:
        ready = [route for route in group.routes if self._is_ready(route, now)]
        ordered: list[Route] = []
        conversation = affinity if self._pins else None
        pinned = conversation and self.affinity.get(conversation, group.id, now)
        for _, tier in groupby(ready, key=lambda route: route.rank):
            if conversation is None or pinned is not None:
                ordered += _by_weight([*tier], pick)
            else:
                ordered += _by_score([*tier], conversation)
        if pinned is not None:
            ordered.sort(key=lambda route: route.target.upstream != pinned)
        # Beyond the first place a half-open breaker gives nothing out: it has one probe.
        first, rest = ordered[:1], ordered[1:]
        for route in first:
            breaker = self._breakers[route.target.upstream]
            if breaker.cause is not None:
                breaker.probe(now)
                self._fleet.tell(route.target.upstream, breaker, now)
        well = [route for route in rest if self._breakers[route.target.upstream].cause is None]
        chosen = {route.target for route in first + well}
        others = [route for route in group.routes if route.target not in chosen]
        return first + well + sorted(others, key=self._badness)

    def _is_ready(self, route: Route, now: float) -> bool:
        upstream = route.target.upstream
        breaker = self._breakers[upstream]
        if breaker.cause is not None and not (
            breaker.is_due(now) and self._fleet.may_probe(upstream, now - breaker.until)
        ):
            return False
        return not self._rests or now >= self._rests.get(route.target, 0.0)

    def _badness(self, route: Route) -> tuple[int, float]:
        breaker = self._breakers[route.target.upstream]
        if breaker.cause is None:
            return 0, self._rests.get(route.target, 0.0)
        return (1 if breaker.cause is Cause.BAD_HOST else 2), breaker.until

    def _rest(
        self, target: Target, outcome: Outcome, now: float, retry_after: float | None
    ) -> None:
        if retry_after is None and outcome is not Outcome.RATE_LIMITED:
            return
        seconds = _DEFAULT_REST_SECONDS if retry_after is None else max(retry_after, 0.0)
        if len(self._rests) >= _MAX_RESTS:
            self._rests = {t: until for t, until in self._rests.items() if until > now}
        if len(self._rests) < _MAX_RESTS:
            self._rests[target] = now + min(seconds, _MAX_REST_SECONDS)


def _by_score(routes: list[Route], conversation: str) -> list[Route]:
    """Return the routes in the order in which every gateway tries them for a conversation."""
    scores = {
        route.target.upstream: score_of(conversation, route.target.upstream, route.weight)
        for route in routes
    }
    return sorted(routes, key=lambda route: scores[route.target.upstream], reverse=True)


def _by_weight(routes: list[Route], pick: float) -> list[Route]:
    """Return the routes in random order by weight; one number decides it all."""
    ordered: list[Route] = []
    while len(routes) > 1:
        point = pick * sum(route.weight for route in routes)
        place = 0
        while point >= routes[place].weight and place < len(routes) - 1:
            point -= routes[place].weight
            place += 1
        # Where the point lies within the share that it hit is as random as it was itself.
        pick = min(point / routes[place].weight, 1.0)
        ordered.append(routes.pop(place))
    return ordered + routes
