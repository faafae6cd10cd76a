"""A page of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Generic, NamedTuple, TypeVar

from apertis.models.model import Model, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T", bound=Model)


class Span(NamedTuple):
    """The places of a page in a list; `has_more` counts in the direction of the paging."""

    start: int
    end: int
    has_more: bool


def span(
    ids: Sequence[str], limit: int, after_id: str | None = None, before_id: str | None = None
) -> Span:
    """Find a page: the first one, or the one next to an id; `ValueError` if that is not there."""
    if before_id is not None:
        end = ids.index(before_id)
        return Span(max(0, end - limit), end, end > limit)
    start = 0 if after_id is None else ids.index(after_id) + 1
    end = min(start + limit, len(ids))
    return Span(start, end, end < len(ids))


class Page(Result, Generic[T]):
    """A page of a list: its items, and where the next one begins."""

    data: list[T]
    has_more: bool = False
    first_id: str | None = None
    last_id: str | None = None
    _keeping: ClassVar[frozenset[str]] = frozenset({"data"})
