"""What a batch's description says that the gateway has to know."""

from __future__ import annotations

import msgspec

__all__ = ["Description", "describe"]


class _Counts(msgspec.Struct):
    succeeded: int = 0


class Description(msgspec.Struct, frozen=True):
    """A batch as the API describes it, in part."""

    id: str
    processing_status: str | None = None
    request_counts: _Counts | None = None
    archived_at: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether the batch has ended and nothing of it can be billed any more.

        Either no request of it succeeded, or its results are gone for good.
        """
        if self.processing_status != "ended":
            return False
        counts = self.request_counts
        return self.archived_at is not None or (counts is not None and counts.succeeded == 0)


_DESCRIPTION = msgspec.json.Decoder(Description)


def describe(body: bytes) -> Description | None:
    """Read a description; None for what is none."""
    try:
        description = _DESCRIPTION.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return description if description.id else None
