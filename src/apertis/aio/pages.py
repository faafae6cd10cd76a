"""Lists that come a page at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from apertis.endpoints.paging import PageFacts
from apertis.models import Model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Mapping

    from apertis.aio.sender import Sender
    from apertis.models import Page as PageData
    from apertis.sansio.call import Call

T = TypeVar("T", bound=Model)

if TYPE_CHECKING:
    Endpoint = Callable[[Mapping[str, Any]], Call[PageData[T]]]


class AsyncPage(PageFacts[T]):
    """One page of a list: `data`, `has_more`, `first_id`, `last_id`.

    Iterating gives the items of this page and of all that follow, which are fetched on the way.
    """

    def __init__(
        self, sender: Sender, endpoint: Endpoint[T], params: Mapping[str, Any], page: PageData[T]
    ) -> None:
        super().__init__(params, page)
        self._sender = sender
        self._endpoint = endpoint

    async def get_next_page(self) -> AsyncPage[T]:
        """Return the page after this one."""
        return await first_page(self._sender, self._endpoint, self._following())

    async def iter_pages(self) -> AsyncIterator[AsyncPage[T]]:
        """Give this page and all that follow."""
        page = self
        yield page
        while page.has_next_page():
            page = await page.get_next_page()
            yield page

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.iter_pages():
            for item in page.data:
                yield item


async def first_page(
    sender: Sender, endpoint: Endpoint[T], params: Mapping[str, Any]
) -> AsyncPage[T]:
    """Return the page that these parameters ask for."""
    return AsyncPage(sender, endpoint, params, await sender.send(endpoint(params)))


class AsyncPages(Generic[T]):
    """A list: awaited, its first page; iterated over, the items of all pages."""

    def __init__(self, sender: Sender, endpoint: Endpoint[T], params: Mapping[str, Any]) -> None:
        self._sender = sender
        self._endpoint = endpoint
        self._params = params

    def __await__(self) -> Generator[Any, None, AsyncPage[T]]:
        return first_page(self._sender, self._endpoint, self._params).__await__()

    async def __aiter__(self) -> AsyncIterator[T]:
        async for item in await self:
            yield item
