"""What a whole answer says of itself: model, id, why it stopped, and what it used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from apertis.gateway.slices import UNREADABLE, Shape, read_or_none, slices
from apertis.gateway.usage.counts import USAGE, UsageCounts

if TYPE_CHECKING:
    from apertis.gateway.usage.tokens import Tokens, Use

__all__ = ["UNREADABLE", "Reading", "read_message"]


class Reading(msgspec.Struct, frozen=True):
    """The facts of an answer; None where it does not say.

    `use` is what the model that answered used, None where nothing of it can be read; `others` are
    other models that were run on the way, each billed at its own price. `output_estimate` is about
    how many tokens the content has: four bytes of JSON for each. `is_error`: it is an error, and
    no message, whatever its status.
    """

    use: Use | None = None
    model: str | None = None
    id: str | None = None
    stop_reason: str | None = None
    others: tuple[Use, ...] = ()
    output_estimate: int = 0
    is_error: bool = False
    # All tokens of the conversation as it was at the end; 0 where that is not said.
    context: int = 0

    @property
    def tokens(self) -> Tokens | None:
        """What the model that answered used, as the answer counts it."""
        return None if self.use is None else self.use.tokens


# Any value, so that one that is no text does not hide what another one says.
class _Message(msgspec.Struct):
    type: Any = None
    id: Any = None
    model: Any = None
    stop_reason: Any = None
    content: msgspec.Raw = msgspec.Raw()
    usage: Any = None


_SHAPE: Final[Shape] = {
    **dict.fromkeys(("type", "id", "model", "stop_reason")),
    "usage": USAGE,
}
_MESSAGE = msgspec.json.Decoder(_Message)
_UNREAD = Reading()


def read_message(body: bytes) -> Reading:
    """Read the body of a whole answer; what is no JSON object has no facts."""
    message = read_or_none(_MESSAGE, body, _SHAPE)
    if message is None:
        return _UNREAD
    counts = UsageCounts()
    counts.update(message.usage)
    return Reading(
        counts.use() if counts.seen else None,
        _text(message.model),
        _text(message.id),
        _text(message.stop_reason),
        counts.others(),
        -(-len(message.content or _content(body)) // 4),
        message.type == "error",
        counts.context(),
    )


def _content(body: bytes) -> bytes:
    return (slices(body, ("content",)) or {}).get("content", b"")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
