"""What a plain answer says of itself: model, id, why it stopped, and what it used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from apertis.gateway.usage.counts import UsageCounts

if TYPE_CHECKING:
    from apertis.gateway.usage.tokens import Tokens

__all__ = ["UNREADABLE", "Reading", "output_estimate", "read_message"]

# Deep nesting ends in a RecursionError.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Reading(msgspec.Struct, frozen=True):
    """The facts of an answer; None where it does not say.

    `advisors` are other models that were asked on the way, with what they used: it is billed at
    their own prices, and is not part of `tokens`.
    """

    tokens: Tokens | None = None
    model: str | None = None
    id: str | None = None
    stop_reason: str | None = None
    advisors: tuple[tuple[str, Tokens], ...] = ()


class _Message(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    usage: Any = None


class _Said(msgspec.Struct):
    content: msgspec.Raw = msgspec.Raw()


_MESSAGE = msgspec.json.Decoder(_Message)
_UNREAD = Reading()


def read_message(body: bytes) -> Reading:
    """Read the body of a plain answer; what is no message has no facts."""
    try:
        message = _MESSAGE.decode(body)
    except UNREADABLE:
        return _UNREAD
    counts = UsageCounts()
    counts.update(message.usage)
    return Reading(
        counts.tokens() if counts.seen else None,
        message.model,
        message.id,
        message.stop_reason,
        counts.advisors(),
    )


def output_estimate(body: bytes) -> int | None:
    """About how many tokens a message says, where it has no count: four bytes of JSON for each.

    None for what is no message.
    """
    try:
        content = msgspec.json.decode(body, type=_Said).content
    except UNREADABLE:
        return None
    return -(-len(content) // 4) if content else None
