"""Choice of an upstream, retries and failover. Pure: time and randomness are arguments."""

from __future__ import annotations

from apertis.gateway.routing.affinity import AffinityTable, affinity_of
from apertis.gateway.routing.attempts import RouteAttempts, Stop, Try, may_change_model, may_move
from apertis.gateway.routing.breaker import BreakerState, Cause
from apertis.gateway.routing.fallback import (
    BOUND_HEADER,
    NO_FALLBACK,
    FallbackDefaults,
    FallbackFields,
    FallbackPlan,
    FallbackReason,
    fallback_headers,
    fallback_plan,
    is_bound,
)
from apertis.gateway.routing.router import Router, UpstreamState
from apertis.gateway.routing.targets import Target
from apertis.gateway.upstreams.outcome import (
    Outcome,
    outcome_of_error,
    outcome_of_fault,
    outcome_of_status,
)

__all__ = [
    "BOUND_HEADER",
    "NO_FALLBACK",
    "AffinityTable",
    "BreakerState",
    "Cause",
    "FallbackDefaults",
    "FallbackFields",
    "FallbackPlan",
    "FallbackReason",
    "Outcome",
    "RouteAttempts",
    "Router",
    "Stop",
    "Target",
    "Try",
    "UpstreamState",
    "affinity_of",
    "fallback_headers",
    "fallback_plan",
    "is_bound",
    "may_change_model",
    "may_move",
    "outcome_of_error",
    "outcome_of_fault",
    "outcome_of_status",
]
