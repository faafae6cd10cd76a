"""Pages of a list of batches, newest first.

https://docs.claude.com/en/api/listing-message-batches
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import parse_qs

from apertis.gateway.errors import Refusal, invalid_parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Page", "page_of"]

_USUAL = 20
_MOST = 1000


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_HasId)


class Page(NamedTuple, Generic[T]):
    """A part of a list."""

    entries: Sequence[T]
    has_more: bool
    """Whether there are more in the direction that was asked for."""

    @property
    def first_id(self) -> str | None:
        """The `before_id` of the page before this one."""
        return self.entries[0].id if self.entries else None

    @property
    def last_id(self) -> str | None:
        """The `after_id` of the page after this one."""
        return self.entries[-1].id if self.entries else None


def page_of(entries: Sequence[T], query: str) -> Page[T] | Refusal:
    """Cut the page that a query asks for: `limit` (1 to 1,000, else 20), `after_id`, `before_id`.

    An id that is not in the list is refused: whoever goes on from there would miss something.
    """
    given = {name: values[-1] for name, values in parse_qs(query).items()}
    limit = _limit(given.get("limit"))
    if isinstance(limit, Refusal):
        return limit
    after, before = given.get("after_id"), given.get("before_id")
    if after is not None and before is not None:
        return invalid_parameter(
            "before_id", "Invalid value for parameter 'before_id': 'after_id' is there already"
        )
    start = 0
    if after is not None or before is not None:
        name, cursor = ("after_id", after) if before is None else ("before_id", before)
        places = (place for place, entry in enumerate(entries) if entry.id == cursor)
        place = next(places, None)
        if place is None:
            return invalid_parameter(
                name, f"Invalid value for parameter '{name}': there is no batch {cursor!r:.200}"
            )
        if before is not None:
            start = max(0, place - limit)
            return Page(entries[start:place], start > 0)
        start = place + 1
    return Page(entries[start : start + limit], start + limit < len(entries))


def _limit(text: str | None) -> int | Refusal:
    if text is None:
        return _USUAL
    if text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= _MOST:
        return int(text)
    return invalid_parameter(
        "limit", f"Invalid value for parameter 'limit': a whole number from 1 to {_MOST}"
    )
