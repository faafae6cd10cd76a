"""What a batch's description says that the gateway has to know."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from apertis.gateway.slices import Shape, read_or_none

__all__ = ["Description", "describe"]


class Description(msgspec.Struct, frozen=True):
    """A batch as the API describes it, in part."""

    id: str
    processing_status: str | None = None
    succeeded: int | None = None
    archived_at: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether the batch has ended and nothing of it can be billed any more.

        Either no request of it succeeded, or its results are gone for good.
        """
        if self.processing_status != "ended":
            return False
        return self.archived_at is not None or self.succeeded == 0


# Any values: one that is odd does not hide the id of a batch that exists.
class _Said(msgspec.Struct):
    id: Any = None
    processing_status: Any = None
    request_counts: Any = None
    archived_at: Any = None


_SHAPE: Final[Shape] = {
    **dict.fromkeys(("id", "processing_status", "archived_at")),
    "request_counts": {"succeeded": None},
}
_SAID = msgspec.json.Decoder(_Said)


def describe(body: bytes) -> Description | None:
    """Read a description; None for what is none."""
    said = read_or_none(_SAID, body, _SHAPE)
    if said is None or not isinstance(said.id, str) or not said.id:
        return None
    counts = cast("dict[str, Any]", said.request_counts)
    return Description(
        said.id,
        _text(said.processing_status),
        # Without the count of those that succeeded there are none.
        _count(counts.get("succeeded", 0)) if isinstance(said.request_counts, dict) else None,
        _text(said.archived_at),
    )


def _count(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if type(value) is int else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
