"""The attempts of one request: what to try, and what to do after each outcome.

The loop around it sends, waits and reports; this decides. Targets of the model come first, each of
them once; a connection that was never made is tried a second time when there is no other target;
then come the fallback models. Nothing moves once the response is committed, which is at its first
content event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from apertis.gateway.errors import (
    Refusal,
    credential_refused,
    model_not_found,
    model_overloaded,
    upstream_error,
    upstream_timeout,
)
from apertis.gateway.routing.fallback import FallbackReason, fallback_headers, reason_of
from apertis.gateway.upstreams.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.routing.fallback import FallbackPlan
    from apertis.gateway.routing.targets import Target

_PAUSE_SECONDS: Final = 0.1

# The upstream found fault with the request, or nobody waits any more.
_STAYS = frozenset({Outcome.OK, Outcome.CLIENT_FAULT, Outcome.LEFT})
# A rule was violated, be it by the gateway's own account there. Another account may do; another
# model is not what would fix it.
_KEEPS_MODEL = _STAYS | {Outcome.BAD_KEY, Outcome.UNPAID, Outcome.FORBIDDEN}


def may_move(outcome: Outcome) -> bool:
    """Return whether another upstream of the model may be tried after this.

    What the upstream refuses for the request's own sake (400, 413, ...) stays. A rejected
    credential (401, 402, 403) is the gateway's own, so it may move like a broken upstream.
    """
    return outcome not in _STAYS


def may_change_model(outcome: Outcome) -> bool:
    """Return whether another model may answer after this: not after a rule violation (400-403)."""
    return outcome not in _KEEPS_MODEL


class Try(msgspec.Struct, frozen=True):
    """Send the request to this target, after so many seconds."""

    target: Target
    # The name that the caller used for it: the model asked for, or one of `fallback_models`.
    model: str
    delay_seconds: float = 0.0


class Stop(msgspec.Struct, frozen=True):
    """A stop: answer with this refusal, or pass on the response that is at hand."""

    refusal: Refusal | None


class RouteAttempts:
    """Drive it with `start`, then with `after` for each outcome, and `commit` at the first content.

    `targets_of` gives the targets of a model, best first; empty passes over the model. `is_bound`
    is asked only when there are models to fall back to. `first` are the targets of the first model,
    where they are known by now. `cheaper` is asked in place of a model that no budget can pay for.
    Times are Unix seconds.
    """

    def __init__(
        self,
        model: str,
        plan: FallbackPlan,
        targets_of: Callable[[str], tuple[Target, ...]],
        is_bound: Callable[[], bool],
        first: tuple[Target, ...] | None = None,
        cheaper: str | None = None,
    ) -> None:
        self.asked = model
        self.model = cheaper or model
        # What is being tried, and why the model that was asked for was given up.
        self.target: Target | None = None
        self.reason: FallbackReason | None = None if cheaper is None else FallbackReason.OVER_BUDGET
        # The time by which the first content must have come for the model to keep its turn. None
        # when no other model is left: then the gateway's own timeouts hold alone.
        self.deadline: float | None = None
        self._targets: tuple[Target, ...] = ()
        self._tried: tuple[Target, ...] = ()
        self._retried = False
        self._committed = False
        self._sent = 0.0
        self._plan = plan
        self._targets_of = targets_of
        self._first = first
        # They are used up from the front.
        self._models = plan.models
        if self._models and not plan.moves_bound and is_bound():
            self._models = ()

    @property
    def has_more(self) -> bool:
        """True if another target is left that could answer in place of the current one."""
        return bool(self._targets or self._models)

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers that tell the caller which model answered, and why."""
        answered = self.target.id if self.target else self.model
        return fallback_headers(self.asked, answered, self.reason)

    def start(self, now: float) -> Try | Stop:
        """Return the first thing to do."""
        first = self._first
        self._targets = self._targets_of(self.model) if first is None else first
        self._enter(now)
        if not self._targets:
            return self._next_model(Outcome.MODEL_MISSING, now) or Stop(model_not_found(self.model))
        return self._next_target(now) or Stop(None)

    def after(self, outcome: Outcome, now: float) -> Try | Stop:
        """Decide the next step after the current attempt's outcome."""
        if self._committed or not may_move(outcome):
            return Stop(None)
        deadline = self.deadline
        if deadline is None or now < deadline:
            step = self._next_target(now) or self._once_more(outcome, now)
            if step is not None:
                return step
        other = self._next_model(outcome, now) if may_change_model(outcome) else None
        return other or Stop(_refusal(outcome, self.model))

    def late(self, now: float) -> Outcome:
        """Return the outcome of an attempt that missed its deadline, for `after` and the router."""
        waited = now - self._sent
        return Outcome.TIMEOUT if waited >= self._plan.patience_seconds else Outcome.LATE

    def commit(self) -> None:
        """Note that the caller has seen content: no other response can follow, only an error."""
        self._committed = True

    def _next_target(self, now: float) -> Try | None:
        while self._targets:
            target, self._targets = self._targets[0], self._targets[1:]
            if target not in self._tried:
                self._tried += (target,)
                self.target, self._sent = target, now
                return Try(target, self.model)
        return None

    def _once_more(self, outcome: Outcome, now: float) -> Try | None:
        # Only what never left can be sent again without being paid for twice.
        if outcome is not Outcome.UNREACHABLE or self._retried or self.target is None:
            return None
        self._retried, self._sent = True, now
        return Try(self.target, self.model, _PAUSE_SECONDS)

    def _next_model(self, outcome: Outcome, now: float) -> Try | None:
        while self._models:
            model, self._models = self._models[0], self._models[1:]
            self._targets = self._targets_of(model)
            left = self.model
            self.model = model
            step = self._next_target(now)
            if step is not None:
                self.reason = self.reason or reason_of(outcome)
                self._enter(now)
                return step
            self.model = left
        self.deadline = None
        return None

    def _enter(self, now: float) -> None:
        """Give a model its turn from now on."""
        self.deadline = now + self._plan.timeout_seconds if self._models else None


def _refusal(outcome: Outcome, model: str) -> Refusal | None:
    """Return the gateway's own error; None where the upstream's response is passed on."""
    if outcome is Outcome.BUSY:
        return model_overloaded(model)
    if outcome is Outcome.BAD_KEY:
        return credential_refused()
    if outcome is Outcome.UNREACHABLE:
        return upstream_error("no connection could be made")
    if outcome is Outcome.MALFORMED:
        return upstream_error("its response was truncated or malformed")
    if outcome in {Outcome.TIMEOUT, Outcome.LATE}:
        return upstream_timeout("there was no response")
    return None
