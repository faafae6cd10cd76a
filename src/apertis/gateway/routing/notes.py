"""What an answer's headers say about fallback."""

from __future__ import annotations

import enum
from typing import Final
from urllib.parse import quote

from apertis.gateway.routing.outcome import Outcome

__all__ = ["FallbackReason", "fallback_headers", "reason_of"]

# What may stand in a header's value as it is; the percent sign itself stands for an escape.
_PLAIN: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_LONGEST_NAME: Final = 256


class FallbackReason(enum.Enum):
    """Why the model that was asked for did not answer: all words that the header can hold."""

    NOT_FOUND = "primary_model_not_found"
    TIMEOUT = "primary_model_timeout"
    UNREACHABLE = "primary_model_unreachable"
    RATE_LIMITED = "primary_model_rate_limited"
    OVERLOADED = "primary_model_overloaded"
    FAILED = "primary_model_failed"


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
    """Why another model was tried after this."""
    return _REASONS.get(outcome, FallbackReason.FAILED)


def fallback_headers(
    asked: str, answered: str, reason: FallbackReason | None
) -> tuple[tuple[bytes, bytes], ...]:
    """The header pairs of every answer; the reason is there only when another model was tried.

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
    name = name[:_LONGEST_NAME]
    if name.isascii() and name.isprintable() and name == name.strip():
        return name.encode()
    return quote(name.strip(), safe=_PLAIN).encode()
