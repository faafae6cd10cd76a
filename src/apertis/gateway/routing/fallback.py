"""Fallback models: the models that may replace the requested one, and the wait for each.

Each field comes from the request, else from the key, else from the settings, on its own: a key
can name the models, and a request switch them on. Without the word `fallback_enabled` anywhere,
fallback is off.
"""

from __future__ import annotations

import enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast
from urllib.parse import quote

import msgspec

from apertis.gateway.errors import Refusal, invalid_parameter, invalid_value
from apertis.gateway.upstreams.outcome import Outcome
from apertis.models.json import json_or_none

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.config import RoutingSettings

# `allow` lets the request's own `fallback_models` stand in for a conversation that is bound.
BOUND_HEADER: Final = "x-apertis-fallback-bound"

_MAX_MODELS = 5
_MAX_MODEL_LENGTH = 256
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
    """A key's fallback options; None where the settings decide."""

    models: tuple[str, ...] = ()
    timeout_ms: int | None = None
    enabled: bool | None = None


class FallbackPlan(msgspec.Struct, frozen=True):
    """The models that stand in, in their order; none when fallback is off."""

    models: tuple[str, ...] = ()
    timeout_seconds: float = 30.0
    # Below this, silence is the caller's impatience rather than the upstream's fault.
    patience_seconds: float = 30.0
    moves_bound: bool = False

    def only(self, usable: Callable[[str], bool]) -> FallbackPlan:
        """Return the plan without the models that the caller cannot use here.

        Those are passed over rather than rejected, so that one program serves keys of many rights.
        """
        if not self.models:
            return self
        models = tuple(model for model in self.models if usable(model))
        return msgspec.structs.replace(self, models=models)


NO_FALLBACK: Final = FallbackPlan()
_NOTHING: Final = FallbackFields()


def fallback_plan(
    model: str,
    asked: FallbackFields,
    key: FallbackDefaults,
    settings: RoutingSettings,
    model_id: Callable[[str], str] = str,
) -> FallbackPlan | Refusal:
    """Return the fallback plan of a model, or the field of the request that is invalid.

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
        return invalid_value("fallback_enabled", "true or false")
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
    if isinstance(models, Refusal) or not all(
        0 < len(name) <= _MAX_MODEL_LENGTH for name in models
    ):
        return invalid_value("fallback_models", "an array of names of models")
    if len(models) > _MAX_MODELS:
        return invalid_value(
            "fallback_models", f"at most {_MAX_MODELS} models are possible, not {len(models)}"
        )
    return models


def _timeout(raw: bytes | None) -> int | Refusal | None:
    timeout = _decoded(raw, int)
    if timeout is None:
        return None
    if isinstance(timeout, Refusal) or not _SHORTEST_MS <= timeout <= _LONGEST_MS:
        return invalid_value(
            "fallback_timeout",
            f"a whole number of milliseconds from {_SHORTEST_MS} to {_LONGEST_MS}",
        )
    return timeout


def _decoded(raw: bytes | None, kind: type[T]) -> T | Refusal | None:
    """Return the value of a field; null is a field that is not there, as many clients write it."""
    if raw is None or raw == b"null":
        return None
    value = json_or_none(raw, kind)
    return invalid_value("", "") if value is None else value


# What may stand in a header's value as it is; the percent sign itself stands for an escape.
_PLAIN: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_MAX_NAME_LENGTH: Final = 256


class FallbackReason(enum.Enum):
    """The reason that the requested model did not answer: every value that the header can have."""

    NOT_FOUND = "primary_model_not_found"
    TIMEOUT = "primary_model_timeout"
    UNREACHABLE = "primary_model_unreachable"
    RATE_LIMITED = "primary_model_rate_limited"
    OVERLOADED = "primary_model_overloaded"
    FAILED = "primary_model_failed"
    OVER_BUDGET = "primary_model_over_budget"


_REASONS = {
    Outcome.MODEL_MISSING: FallbackReason.NOT_FOUND,
    Outcome.TIMEOUT: FallbackReason.TIMEOUT,
    Outcome.LATE: FallbackReason.TIMEOUT,
    Outcome.UNREACHABLE: FallbackReason.UNREACHABLE,
    Outcome.RATE_LIMITED: FallbackReason.RATE_LIMITED,
    Outcome.OVERLOADED: FallbackReason.OVERLOADED,
    Outcome.BUSY: FallbackReason.OVERLOADED,
}


def reason_of(outcome: Outcome) -> FallbackReason:
    """Return the reason that another model was tried."""
    return _REASONS.get(outcome, FallbackReason.FAILED)


# Nearly all requests ask for one of few models, and are answered by it.
@lru_cache(maxsize=1024)
# Nearly all requests ask for one of few models, and get it.
@lru_cache(maxsize=256)
def fallback_headers(
    asked: str, answered: str, reason: FallbackReason | None
) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of every response; a reason only when another model was tried.

    A name with characters that a header cannot hold is percent-encoded.
    """
    used = b"false" if reason is None else b"true"
    pairs = (
        (b"x-fallback-used", used),
        (b"x-fallback-from", _value(asked)),
        (b"x-actual-model", _value(answered)),
    )
    if reason is None:
        return pairs
    return (*pairs, (b"x-fallback-reason", reason.value.encode()))


def _value(name: str) -> bytes:
    name = name[:_MAX_NAME_LENGTH]
    if name.isascii() and name.isprintable() and name == name.strip():
        return name.encode()
    return quote(name.strip(), safe=_PLAIN).encode()


# Without any of these a body holds no mark. An escape may hide one.
_TRACES = (b"cache_control", b'"signature"', b"redacted_thinking", b"\\u")


def is_bound(body: bytes) -> bool:
    """Return whether a body has signed or redacted thinking, or asks for a cached prefix.

    What a tool's input or schema calls `cache_control` does not count. A body that cannot be read
    counts as bound: it stays where it is.
    """
    if not any(trace in body for trace in _TRACES):
        return False
    document = json_or_none(body, object)
    if not isinstance(document, dict):
        return True
    fields = cast("dict[str, Any]", document)
    if fields.get("cache_control") is not None:
        return True
    messages = [block for turn in _objects(fields.get("messages")) for block in _inside(turn)]
    parts = [*_objects(fields.get("system")), *_objects(fields.get("tools")), *messages]
    return any(_binds(part) for part in parts)


def thinks(body: bytes, thinking: bytes | None) -> bool:
    """Return whether a request asks for thinking, or shows some of its model's earlier one.

    `thinking` is its field of that name. A body that cannot be read counts as one that does.
    """
    if thinking is not None and thinking != b"null":
        asked = json_or_none(thinking, dict[str, Any])
        if asked is None or asked.get("type") != "disabled":
            return True
    if b"thinking" not in body and b"\\u" not in body:
        return False
    document = json_or_none(body, dict[str, Any])
    if document is None:
        return True
    blocks = [block for turn in _objects(document.get("messages")) for block in _inside(turn)]
    return any(block.get("type") in {"thinking", "redacted_thinking"} for block in blocks)


def _binds(block: dict[str, Any]) -> bool:
    if block.get("cache_control") is not None or block.get("type") == "redacted_thinking":
        return True
    return bool(block.get("type") == "thinking" and block.get("signature"))


def _inside(block: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the blocks of a turn, and those inside the results of tools and in documents."""
    blocks: list[dict[str, Any]] = []
    for inner in _objects(block.get("content")):
        blocks += [inner, *_objects(inner.get("content"))]
    return blocks


def _objects(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        return []
    items = cast("list[object]", value)
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]
