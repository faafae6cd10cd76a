"""The models that exist, for callers who may use them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from apertis.accounting.prices import LIST_PRICES
from apertis.gateway.catalogue.entries import (
    Entry,
    configured_entry,
    document_of,
    listed_entry,
    page,
)
from apertis.gateway.errors import Refusal, model_not_found, service_unavailable
from apertis.gateway.request.forward import WholeAnswer
from apertis.gateway.upstreams.contract import NO_LIST, UpstreamFailure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

FRESH_SECONDS = 300.0
# An upstream in trouble is not asked by every caller.
_RETRY_SECONDS = 30.0
# Claude Code gives a list of models three seconds; what comes later serves the next caller.
_PATIENCE_SECONDS = 2.5


class Kept(Generic[T]):
    """A value that is fetched when it is asked for, and old.

    One fetch serves all callers, and goes on when they leave. When it fails the old value stays.
    """

    __slots__ = ("_fetch", "_fetching", "_known", "_next_at", "_patience_seconds")

    def __init__(
        self,
        fetch: Callable[[], Awaitable[T | UpstreamFailure]],
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._fetch = fetch
        self._patience_seconds = patience_seconds
        self._fetching: asyncio.Task[None] | None = None
        self._known: tuple[T] | UpstreamFailure | None = None
        self._next_at = 0.0

    async def get(self, now: float) -> T | UpstreamFailure | None:
        """Return the value, as old as it may have to be; None when it does not come in time.

        `now` is in seconds. A failure is told when there was never a value.
        """
        if now >= self._next_at or self._known is None:
            if self._fetching is None:
                # Whoever comes meanwhile gets the old value, if there is one, without waiting.
                self._next_at = now + _RETRY_SECONDS
                self._fetching = asyncio.get_running_loop().create_task(self._renew(now))
            fetching = self._fetching
            done, _ = await asyncio.wait({fetching}, timeout=self._patience_seconds)
            for task in done:
                if not task.cancelled():
                    task.result()
        return self._known[0] if isinstance(self._known, tuple) else self._known

    async def _renew(self, now: float) -> None:
        try:
            value = await self._fetch()
        finally:
            self._fetching = None
        if not isinstance(value, UpstreamFailure):
            self._known = (value,)
            self._next_at = now + FRESH_SECONDS
        elif not isinstance(self._known, tuple):
            self._known = value

    def close(self) -> None:
        """Stop asking."""
        if self._fetching is not None:
            self._fetching.cancel()


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from apertis.gateway.config import ModelSettings, UpstreamSettings
    from apertis.gateway.upstreams.contract import Document, Upstream

    Allows = Callable[[str], bool]
    from collections.abc import Callable

    from apertis.gateway.config import Settings
    from apertis.gateway.keys.directory import Key
    from apertis.gateway.request.context import Progress
    from apertis.gateway.routing.router import Router
    from apertis.gateway.upstreams.contract import Request

# Callers choose the names that are looked up: the table must not grow with them.
_MAX_NAMES = 256
_MAX_NAME_LENGTH = 256


class Catalogue:
    """The models of all upstreams, those of a lower priority number first.

    A model that several upstreams have is shown once. What an upstream says of its models is kept
    for five minutes, and for longer while it cannot be asked. `usual` are the models of an
    upstream that passes every name and has no list.
    """

    def __init__(
        self,
        settings: Iterable[UpstreamSettings],
        upstreams: Mapping[str, Upstream],
        usual: Iterable[str] = (),
    ) -> None:
        ordered = sorted(settings, key=lambda own: own.priority)
        documents = {name: document_of(name) for name in usual}
        self._sources = [_Source(own.models, upstreams[own.name], documents) for own in ordered]

    async def list(self, query: str, allows: Allows, now: float) -> bytes | Refusal:
        """Return the page of models that a query asks for, as JSON, or why it cannot be answered.

        Only models that `allows` admits by their id or an alias are there. `now` is in seconds.
        """
        entries: dict[str, Entry] = {}
        failed = False
        for known, found in await asyncio.gather(*[s.entries(now) for s in self._sources]):
            failed = failed or not known
            for entry in found:
                if _is_visible(entry, allows):
                    entries.setdefault(entry.id, entry)
        if failed and not entries:
            return _unknown()
        return page([*entries.values()], query)

    async def retrieve(self, name: str, allows: Allows, now: float) -> bytes | Refusal:
        """Return one model by its id or an alias, as JSON, or why there is none for this caller."""
        failed = False
        for source in self._sources:
            found = await source.find(name, now)
            if isinstance(found, UpstreamFailure):
                failed = True
            elif found is not None and (allows(name) or _is_visible(found, allows)):
                return msgspec.json.encode(found.document)
        return _unknown() if failed and allows(name) else model_not_found(name)

    def close(self) -> None:
        """Stop asking upstreams."""
        for source in self._sources:
            source.close()


class _Source:
    def __init__(
        self, models: tuple[ModelSettings, ...], upstream: Upstream, usual: Mapping[str, Document]
    ) -> None:
        self._models = models
        self._usual = usual
        self._by_name = {name: m for m in reversed(models) for name in (m.id, *m.aliases)}
        self._upstream = upstream
        self._list = Kept(upstream.models)
        self._looked_up: dict[str, tuple[float, Document | None]] = {}

    async def entries(self, now: float) -> tuple[bool, list[Entry]]:
        """Return all models, and whether these are known to be all."""
        known = await self._list.get(now)
        if self._models:
            return True, [_configured(model, known) for model in self._models]
        if isinstance(known, dict):
            shown = self._usual if known is NO_LIST else known
            return True, list(_listed(shown.values()))
        return False, []

    async def find(self, name: str, now: float) -> Entry | UpstreamFailure | None:
        """Return the model of this name."""
        model = self._by_name.get(name)
        if self._models and model is None:
            return None
        known = await self._list.get(now)
        if model is not None:
            return _configured(model, known)
        document = known.get(name) if isinstance(known, dict) else None
        if document is None:
            # The list has ids only; an upstream also knows its own aliases.
            looked_up = await self._look_up(name, now)
            if looked_up is None and known is NO_LIST:
                looked_up = self._usual.get(name)
            if looked_up is None or isinstance(looked_up, UpstreamFailure):
                return looked_up
            document = looked_up
        return listed_entry(document)

    async def _look_up(self, name: str, now: float) -> Document | UpstreamFailure | None:
        if len(name) > _MAX_NAME_LENGTH:
            return None
        until, document = self._looked_up.get(name, (now, None))
        if now < until:
            return document
        found = await self._upstream.model(name)
        if not isinstance(found, UpstreamFailure):
            self._looked_up.pop(name, None)
            if len(self._looked_up) >= _MAX_NAMES:
                del self._looked_up[next(iter(self._looked_up))]
            self._looked_up[name] = (now + FRESH_SECONDS, found)
        return found

    def close(self) -> None:
        self._list.close()


def _configured(model: ModelSettings, known: dict[str, Document] | UpstreamFailure | None) -> Entry:
    name = model.upstream_model or model.id
    document = known.get(name) if isinstance(known, dict) else None
    return configured_entry(model.id, model.aliases, document)


def _listed(documents: Iterable[Document]) -> Iterator[Entry]:
    for document in documents:
        entry = listed_entry(document)
        if entry is not None:
            yield entry


def _is_visible(entry: Entry, allows: Allows) -> bool:
    return allows(entry.id) or any(map(allows, entry.aliases))


def _unknown() -> Refusal:
    return service_unavailable("The upstream's list of models cannot be read at the moment")


class ModelRoutes:
    """The list of models. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        settings: Settings,
        upstreams: Mapping[str, Upstream],
        router: Router,
        clock: Callable[[], float],
    ) -> None:
        self._router = router
        self._clock = clock
        self._catalogue = _catalogue(settings, upstreams)

    def reconfigure(
        self, settings: Settings, upstreams: Mapping[str, Upstream], router: Router
    ) -> None:
        """Go on with other settings; what upstreams said is asked anew."""
        self._catalogue.close()
        self._router = router
        self._catalogue = _catalogue(settings, upstreams)

    async def __call__(
        self, _progress: Progress, key: Key, request: Request, name: str
    ) -> WholeAnswer | Refusal:
        """Answer with a page of models, or with the one of this name."""
        router = self._router

        def allows(model: str) -> bool:
            return key.record.models is None or key.allows(model, (router.model_id(model),))

        if name:
            answer = await self._catalogue.retrieve(name, allows, self._clock())
        else:
            answer = await self._catalogue.list(request.query, allows, self._clock())
        if isinstance(answer, Refusal):
            return answer
        return WholeAnswer(200, [(b"content-type", b"application/json")], answer)

    def close(self) -> None:
        """Stop asking upstreams."""
        self._catalogue.close()


def _catalogue(settings: Settings, upstreams: Mapping[str, Upstream]) -> Catalogue:
    # An upstream without a list still serves models; those that have a price can be named.
    return Catalogue(settings.upstreams, upstreams, (*settings.prices, *LIST_PRICES))
