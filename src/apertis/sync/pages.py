# Generated from src/apertis/aio/pages.py by tools/generate_sync.py (make format). Do not edit.
"""Lists that come a page at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from apertis.endpoints.paging import PageFacts
from apertis.models import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from apertis.models import Page as PageData
    from apertis.sansio.call import Call
    from apertis.sync.sender import Sender

T = TypeVar("T", bound=Model)

if TYPE_CHECKING:
    Endpoint = Callable[[Mapping[str, Any]], Call[PageData[T]]]


class Page(PageFacts[T]):
    """One page of a list: `data`, `has_more`, `first_id`, `last_id`.

    Iterating gives the items of this page and of all that follow, which are fetched on the way.
    """

    def __init__(
        self, sender: Sender, endpoint: Endpoint[T], params: Mapping[str, Any], page: PageData[T]
    ) -> None:
        super().__init__(params, page)
        self._sender = sender
        self._endpoint = endpoint

    def get_next_page(self) -> Page[T]:
        """Return the page after this one."""
        return first_page(self._sender, self._endpoint, self._following())

    def iter_pages(self) -> Iterator[Page[T]]:
        """Give this page and all that follow."""
        page = self
        yield page
        while page.has_next_page():
            page = page.get_next_page()
            yield page

    def __iter__(self) -> Iterator[T]:
        for page in self.iter_pages():
            yield from page.data


def first_page(sender: Sender, endpoint: Endpoint[T], params: Mapping[str, Any]) -> Page[T]:
    """Return the page that these parameters ask for."""
    return Page(sender, endpoint, params, sender.send(endpoint(params)))
