"""The admin API, `/admin/v1`: keys, people, limits, usage, upstreams and cache, as JSON.

`create_admin` gives the ASGI application. All of it needs an administrator's key; all errors come
in the envelope of `apertis.gateway.errors`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from apertis.accounting.prices import PriceTable
from apertis.gateway.admin.cache_report import CacheReportFields, cache_report
from apertis.gateway.admin.key_fields import RotateFields, read_fields
from apertis.gateway.admin.keys import KeyAdministration, Made, find_key
from apertis.gateway.admin.reading import (
    CacheFields,
    ListFields,
    page_of,
    read_body_as,
    read_query_as,
)
from apertis.gateway.admin.resources import Call, Resources
from apertis.gateway.admin.usage_report import UsageFields, report
from apertis.gateway.admin.views import (
    KeyPage,
    KeyView,
    Purged,
    UpstreamList,
    key_view,
    upstream_view,
)
from apertis.gateway.errors import (
    ADMINISTRATORS_ONLY,
    Refusal,
    StoreUnavailableError,
    endpoint_not_found,
    internal_error,
    method_not_allowed,
    not_found,
    request_too_large,
    service_unavailable,
)
from apertis.gateway.serving.asgi import CALLER, REQUEST_ID
from apertis.gateway.store.records import UnknownKeyError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.types import Receive, Scope, Send

    from apertis.accounting.prices import Price
    from apertis.gateway.admin.resources import Work
    from apertis.gateway.cache import ResponseCache
    from apertis.gateway.keys.directory import Directory, Key
    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.routing.router import UpstreamState
    from apertis.gateway.store.database import Store

_T = TypeVar("_T")

_MAX_BODY_BYTES = 2**20


class AdminApi:
    """The admin API's operations: a request in, a JSON object out, or `_Refused`."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        upstreams: Callable[[float], Sequence[UpstreamState]],
        cache: ResponseCache,
        now: Callable[[], float],
        newer: Callable[[], Awaitable[None]] | None = None,
        prices: Callable[[str], Price | None] | None = None,
        on_purge: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._prices = prices or PriceTable().find
        self._newer = newer
        self._on_purge = on_purge
        self._directory = directory
        self._upstreams = upstreams
        self._cache = cache
        self._now = now
        self._keys = KeyAdministration(store.keys, store.organization, now, self._changed)
        self.resources = Resources(store, now, self._changed)

    async def list_keys(self, request: Request) -> msgspec.Struct:
        """List keys in pages."""
        asked = _accepted(read_query_as(request.url.query, ListFields))
        page = _accepted(page_of(await self._everyone(), asked))
        names = await self._names(page.records)
        views = tuple(self._view(record, names) for record in page.records)
        return KeyPage(data=views, has_more=page.has_more, **page.borders)

    async def create_key(self, request: Request) -> msgspec.Struct:
        """Create a key; its secret is in this response only."""
        fields = _accepted(read_fields(await _body(request)))
        return await self._shown(await self._keys.create(fields, _actor(request)))

    async def read_key(self, request: Request) -> msgspec.Struct:
        """Show one key."""
        key_id = _key_id(request)
        record = await self._store.keys.get(key_id)
        return await self._shown(record or not_found(f"There is no key '{key_id[:100]}'"))

    async def change_key(self, request: Request) -> msgspec.Struct:
        """Set the fields that are given."""
        fields = _accepted(read_fields(await _body(request)))
        return await self._shown(await self._keys.change(_key_id(request), fields, _actor(request)))

    async def delete_key(self, request: Request) -> msgspec.Struct:
        """Delete a key for good."""
        return await self._shown(await self._keys.delete(_key_id(request), _actor(request)))

    async def rotate_key(self, request: Request) -> msgspec.Struct:
        """Give a key a new secret, shown in this response only."""
        asked = _accepted(read_body_as(await _body(request) or b"{}", RotateFields))
        return await self._shown(
            await self._keys.rotate(_key_id(request), asked.grace_seconds, _actor(request))
        )

    async def enable_key(self, request: Request) -> msgspec.Struct:
        """Let a key in again."""
        return await self._shown(
            await self._keys.set_status(_key_id(request), "enabled", _actor(request))
        )

    async def disable_key(self, request: Request) -> msgspec.Struct:
        """Keep a key out until it is enabled."""
        return await self._shown(
            await self._keys.set_status(_key_id(request), "disabled", _actor(request))
        )

    async def report_usage(self, request: Request) -> msgspec.Struct:
        """Add usage up."""
        asked = _accepted(read_query_as(request.url.query, UsageFields))
        return _accepted(await report(asked, self._store, self._now())).view()

    async def report_caching(self, request: Request) -> msgspec.Struct:
        """Say what prompt caches saved, and what misses cost."""
        asked = _accepted(read_query_as(request.url.query, CacheReportFields))
        return _accepted(await cache_report(asked, self._store, self._prices, self._now()))

    async def list_upstreams(self, _: Request) -> msgspec.Struct:
        """Show the state of each upstream's breaker."""
        return UpstreamList(data=tuple(map(upstream_view, self._upstreams(self._now()))))

    async def purge_cache(self, request: Request) -> msgspec.Struct:
        """Drop answers that the response cache keeps."""
        asked = _accepted(read_query_as(request.url.query, CacheFields))
        if asked.key is None:
            purged = len(self._cache)
            self._cache.clear()
            self._on_purge("")
            return Purged(purged=purged)
        record = _accepted(find_key(await self._everyone(), asked.key))
        self._on_purge(record.id)
        return Purged(purged=self._cache.purge(record.id))

    async def _catch_up(self) -> None:
        """Bring the directory up to date.

        What was changed elsewhere comes along: a change of our own alone would move the
        directory's version past it.
        """
        self._directory.apply(await self._store.keys.changes_since(self._directory.version))

    async def _everyone(self) -> list[KeyRecord]:
        await self._catch_up()
        return [key.record for key in self._directory.all()]

    async def _changed(self) -> None:
        """Act on a change at once; other processes hear of it within a second."""
        await self._catch_up()
        if self._newer is not None:
            await self._newer()

    async def _names(self, records: Sequence[KeyRecord]) -> dict[str, str]:
        """Read the names of the people and groups whose keys these are."""
        if not any(record.person_id or record.group_id for record in records):
            return {}
        return (await self._store.organization.all()).names()

    async def _shown(self, result: KeyRecord | Made | Refusal) -> KeyView:
        if isinstance(result, Made):
            return self._view(result.record, await self._names([result.record]), result.secret)
        record = _accepted(result)
        return self._view(record, await self._names([record]))

    def _view(
        self, record: KeyRecord, names: Mapping[str, str], secret: str | None = None
    ) -> KeyView:
        live = self._directory.get(record.id)
        # The store hears of usage a moment later than the key's account.
        used = record.used_units if live is None else max(record.used_units, live.used_units)
        return key_view(msgspec.structs.replace(record, used_units=used), names, secret)


def _actor(request: Request) -> str:
    """Name who makes a change, for the audit trail."""
    caller: Key = request.scope[CALLER]
    return caller.record.id


def _key_id(request: Request) -> str:
    key_id: str = request.path_params["key_id"]
    return key_id


class _Refused(Exception):
    """A request was rejected; whoever answers it takes the refusal out."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__()
        self.refusal = refusal


def _accepted(value: _T | Refusal) -> _T:
    if isinstance(value, Refusal):
        raise _Refused(value)
    return value


async def _body(request: Request) -> bytes:
    """Read the body, up to far more than any key needs."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > _MAX_BODY_BYTES:
            raise _Refused(request_too_large(_MAX_BODY_BYTES))
        chunks.append(chunk)
    return b"".join(chunks)


_KEY = "/admin/v1/keys/{key_id}"

_Work = Callable[[Request], Awaitable[msgspec.Struct]]


def create_admin(
    *,
    store: Store,
    directory: Directory,
    upstreams: Callable[[float], Sequence[UpstreamState]],
    cache: ResponseCache,
    now: Callable[[], float] = time.time,
    newer: Callable[[], Awaitable[None]] | None = None,
    prices: Callable[[str], Price | None] | None = None,
    on_purge: Callable[[str], None] = lambda _: None,
) -> Starlette:
    """Build the ASGI application of `/admin/v1`.

    Whose key a request carries was decided before: `scope[CALLER]` is that key, and here it must be
    an administrator's besides. A request's id is taken from `scope[REQUEST_ID]`; without it a new
    one is made. `now` gives Unix seconds; `newer` returns when the gateway knows what was changed
    before; `prices` finds the price of a model, without it in the list; `on_purge` is told the id
    of a key whose cached responses are forgotten, or nothing for those of all.
    """
    api = AdminApi(store, directory, upstreams, cache, now, newer, prices, on_purge)
    routes: tuple[tuple[str, str, _Work], ...] = (
        ("GET", "/admin/v1/keys", api.list_keys),
        ("POST", "/admin/v1/keys", api.create_key),
        ("GET", _KEY, api.read_key),
        ("PATCH", _KEY, api.change_key),
        ("DELETE", _KEY, api.delete_key),
        ("POST", _KEY + "/rotate", api.rotate_key),
        ("POST", _KEY + "/enable", api.enable_key),
        ("POST", _KEY + "/disable", api.disable_key),
        ("GET", "/admin/v1/usage", api.report_usage),
        ("GET", "/admin/v1/usage/cache", api.report_caching),
        ("GET", "/admin/v1/upstreams", api.list_upstreams),
        ("DELETE", "/admin/v1/cache", api.purge_cache),
    )
    methods: dict[str, dict[str, _Work]] = {}
    for method, path, work in routes:
        methods.setdefault(path, {})[method] = work
    for method, path, answer in api.resources.routes():
        methods.setdefault(path, {})[method] = _of_resource(answer)
    app = Starlette(
        routes=[Route(path, _Resource(works)) for path, works in methods.items()],
        exception_handlers={HTTPException: _no_route, Exception: _defect},
    )
    # A redirect would make a client repeat a POST as a GET.
    app.router.redirect_slashes = False
    return app


def _of_resource(answer: Work) -> _Work:
    """Let HTTP make the calls of a resource."""

    async def work(request: Request) -> msgspec.Struct:
        call = Call(
            actor=_actor(request),
            id=request.path_params.get("id", ""),
            query=request.url.query,
            body=await _body(request),
        )
        return _accepted(await answer(call))

    return work


class _Resource:
    """The methods of one path, as an ASGI application: gate first, then the work, then JSON."""

    def __init__(self, works: Mapping[str, _Work]) -> None:
        self._works = works

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        result: Refusal | msgspec.Struct
        try:
            result = await self._answer(request)
        except ClientDisconnect:
            return
        except _Refused as refused:
            result = refused.refusal
        except StoreUnavailableError as error:
            result = service_unavailable(f"The store does not answer: {error}")
        except UnknownKeyError as error:
            # Another process took the key away between two steps.
            result = not_found(str(error))
        await _response(request, result)(scope, receive, send)

    async def _answer(self, request: Request) -> msgspec.Struct:
        caller: Key = request.scope[CALLER]
        if not caller.record.admin:
            raise _Refused(ADMINISTRATORS_ONLY)
        method = "GET" if request.method == "HEAD" else request.method
        work = self._works.get(method)
        if work is None:
            allowed = tuple(self._works)
            raise _Refused(method_not_allowed(request.method, request.url.path, allowed))
        return await work(request)


def _response(request: Request, result: Refusal | msgspec.Struct) -> Response:
    known: str | None = request.scope.get(REQUEST_ID)
    request_id = known or f"req_{secrets.token_hex(12)}"
    # A key's secret is in some of the responses: no cache may keep any of them.
    headers = {"request-id": request_id, "cache-control": "no-store"}
    if isinstance(result, Refusal):
        lines = result.header_lines()
        headers.update((name.decode(), value.decode()) for name, value in lines)
        body, status = result.body(request_id), result.status
    else:
        body, status = msgspec.json.encode(result), 200
    return Response(body, status, headers, media_type="application/json")


def _no_route(request: Request, _: Exception) -> Response:
    return _response(request, endpoint_not_found(request.method, request.url.path))


def _defect(request: Request, _: Exception) -> Response:
    """Answer for a defect; Starlette raises the exception again, for the server's log."""
    return _response(request, internal_error())
