"""A page of a list."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from apertis.models.model import Model, Result

T = TypeVar("T", bound=Model)


class Page(Result, Generic[T]):
    """A page of a list: its items, and where the next one begins."""

    data: list[T]
    has_more: bool = False
    first_id: str | None = None
    last_id: str | None = None
    _keeping: ClassVar[frozenset[str]] = frozenset({"data"})
