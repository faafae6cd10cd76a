"""Which models may stand in for the one that was asked for, and for how long it is waited for.

Each field comes from the request, else from the key, else from the settings, on its own: a key
can name the models, and a request switch them on. Without the word `fallback_enabled` anywhere,
fallback is off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec

from apertis.gateway.errors import Refusal, invalid_parameter

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.config import RoutingSettings

__all__ = [
    "BOUND_HEADER",
    "NO_FALLBACK",
    "FallbackDefaults",
    "FallbackFields",
    "FallbackPlan",
    "fallback_plan",
]

# `allow` lets the request's own `fallback_models` stand in for a conversation that is bound.
BOUND_HEADER: Final = "x-apertis-fallback-bound"

_MOST_MODELS = 5
_LONGEST_MODEL = 256
_SHORTEST_MS, _LONGEST_MS = 5_000, 300_000

T = TypeVar("T")


class FallbackFields(NamedTuple):
    """The fields of a request as the bytes of their JSON; None for one that is not there."""

    models: bytes | None = None
    timeout: bytes | None = None
    enabled: bytes | None = None
    # What the request's header `x-apertis-fallback-bound` says.
    bound: str | None = None


class FallbackDefaults(NamedTuple):
    """What the key says; None where it leaves it to the settings."""

    models: tuple[str, ...] = ()
    timeout_ms: int | None = None
    enabled: bool | None = None


class FallbackPlan(NamedTuple):
    """The models that stand in, in their order; none when fallback is off."""

    models: tuple[str, ...] = ()
    timeout_seconds: float = 30.0
    # Below this, silence is the caller's impatience rather than the upstream's fault.
    patience_seconds: float = 30.0
    moves_bound: bool = False

    def only(self, usable: Callable[[str], bool]) -> FallbackPlan:
        """The plan without the models that the caller cannot use here.

        Those are passed over rather than refused, so that one program serves keys of many rights.
        """
        if not self.models:
            return self
        return self._replace(models=tuple(model for model in self.models if usable(model)))


NO_FALLBACK: Final = FallbackPlan()
_NOTHING: Final = FallbackFields()


def fallback_plan(
    model: str,
    asked: FallbackFields,
    key: FallbackDefaults,
    settings: RoutingSettings,
    model_id: Callable[[str], str] = str,
) -> FallbackPlan | Refusal:
    """What stands in for a model, or which field of the request cannot be.

    A value is checked also where it has no effect. Models that stand there twice, and the one that
    was asked for, are dropped; `model_id` tells two names of one model.
    """
    if asked == _NOTHING and not key.models:
        return NO_FALLBACK
    models = _models(asked.models)
    if isinstance(models, Refusal):
        return models
    timeout_ms = _timeout(asked.timeout)
    if isinstance(timeout_ms, Refusal):
        return timeout_ms
    enabled = _decoded(asked.enabled, bool)
    if isinstance(enabled, Refusal):
        return _invalid("fallback_enabled", "true or false")
    if asked.bound not in {None, "allow"}:
        return invalid_parameter(
            BOUND_HEADER, f"Invalid value for header '{BOUND_HEADER}': only 'allow' is possible"
        )
    if not _first(enabled, key.enabled, settings.fallback_enabled):
        return NO_FALLBACK
    own = models is not None
    return FallbackPlan(
        _others(model, key.models if models is None else models, model_id),
        _first(timeout_ms, key.timeout_ms, settings.fallback_timeout_ms) / 1000,
        settings.fallback_timeout_ms / 1000,
        own and asked.bound == "allow",
    )


def _others(model: str, models: tuple[str, ...], model_id: Callable[[str], str]) -> tuple[str, ...]:
    seen = {model_id(model)}
    others: list[str] = []
    for other in models:
        known_as = model_id(other)
        if known_as not in seen:
            seen.add(known_as)
            others.append(other)
    return tuple(others)


def _first(value: T | None, second: T | None, last: T) -> T:
    if value is not None:
        return value
    return last if second is None else second


def _models(raw: bytes | None) -> tuple[str, ...] | Refusal | None:
    models = _decoded(raw, tuple[str, ...])
    if models is None:
        return None
    if isinstance(models, Refusal) or not all(0 < len(name) <= _LONGEST_MODEL for name in models):
        return _invalid("fallback_models", "an array of names of models")
    if len(models) > _MOST_MODELS:
        return _invalid(
            "fallback_models", f"at most {_MOST_MODELS} models are possible, not {len(models)}"
        )
    return models


def _timeout(raw: bytes | None) -> int | Refusal | None:
    timeout = _decoded(raw, int)
    if timeout is None:
        return None
    if isinstance(timeout, Refusal) or not _SHORTEST_MS <= timeout <= _LONGEST_MS:
        return _invalid(
            "fallback_timeout",
            f"a whole number of milliseconds from {_SHORTEST_MS} to {_LONGEST_MS}",
        )
    return timeout


def _decoded(raw: bytes | None, kind: type[T]) -> T | Refusal | None:
    """The value of a field; null is a field that is not there, as many clients write it."""
    if raw is None or raw == b"null":
        return None
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError:
        return _invalid("", "")


def _invalid(param: str, expected: str) -> Refusal:
    return invalid_parameter(param, f"Invalid value for parameter '{param}': {expected}")
