"""From one page of a list to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from apertis.errors import ApertisError
from apertis.models import Model
from apertis.sansio.marks import without_absent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.models import Page, ResponseInfo

T = TypeVar("T", bound=Model)


def following(params: Mapping[str, Any], page: Page[Any]) -> dict[str, Any] | None:
    """Return the parameters of the page after this one; None after the last.

    A list that was asked for with `before_id` goes on backwards. A service that does not heed the
    place it was asked for gives the same page again: that one is the last.
    """
    params = without_absent(params)
    backwards = params.get("before_id") is not None
    cursor = page.first_id if backwards else page.last_id
    if not page.has_more or not page.data or cursor is None:
        return None
    if cursor == params.get("before_id" if backwards else "after_id"):
        return None
    rest = {k: v for k, v in params.items() if k not in {"after_id", "before_id"}}
    return {**rest, "before_id" if backwards else "after_id": cursor}


class PageFacts(Generic[T]):
    """One page of a list: its items, and what is known of the page after it."""

    def __init__(self, params: Mapping[str, Any], page: Page[T]) -> None:
        self._params = params
        self._page = page
        self.data: list[T] = list(page.data)
        self.has_more = page.has_more
        self.first_id = page.first_id
        self.last_id = page.last_id

    def __repr__(self) -> str:
        more = "more follow" if self.has_more else "the last"
        return f"<{type(self).__name__} of {len(self.data)}, {more}>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # A page is dumped and copied as its data.
            if name.startswith("_") and name != "_request_id":
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return getattr(self._page, name)

    @property
    def response(self) -> ResponseInfo:
        """Status, headers and timing of the response that held this page."""
        return self._page.response

    def has_next_page(self) -> bool:
        """Return whether another page follows."""
        return following(self._params, self._page) is not None

    def next_page_info(self) -> dict[str, Any] | None:
        """Return the parameters that ask for the page after this one; None when it is the last."""
        return following(self._params, self._page)

    def _following(self) -> dict[str, Any]:
        params = following(self._params, self._page)
        if params is None:
            raise ApertisError("there is no page after this one; has_next_page() tells")
        return params
