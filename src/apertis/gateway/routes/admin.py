"""The admin API, `/admin/v1`: keys, usage, upstreams and the response cache, as JSON.

`create_admin` gives the ASGI application. All of it needs an administrator's key; all errors come
in the envelope of `apertis.gateway.errors`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from apertis.gateway.asgi import CALLER, REQUEST_ID
from apertis.gateway.errors import (
    ADMINISTRATORS_ONLY,
    Refusal,
    endpoint_not_found,
    internal_error,
    method_not_allowed,
    not_found,
    service_unavailable,
)
from apertis.gateway.routes.admin_api import AdminApi, Result
from apertis.gateway.store.errors import StoreUnavailableError, UnknownKeyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

    from apertis.gateway.routes.admin_ports import Cache, Caller, Directory, Store, Upstreams

__all__ = ["create_admin"]

_KEY = "/admin/v1/keys/{key_id}"

_Work = Callable[[Request], Awaitable[Result]]


def create_admin(
    *,
    store: Store,
    directory: Directory,
    upstreams: Upstreams,
    cache: Cache,
    now: Callable[[], float] = time.time,
) -> Starlette:
    """Build the ASGI application of `/admin/v1`.

    Whose key a request carries was decided before: `scope[CALLER]` is that key, and here it must be
    an administrator's besides. A request's id is taken from `scope[REQUEST_ID]`; without it a new
    one is made. `now` gives Unix seconds.
    """
    api = AdminApi(store, directory, upstreams, cache, now)
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
        ("GET", "/admin/v1/upstreams", api.list_upstreams),
        ("DELETE", "/admin/v1/cache", api.purge_cache),
    )
    methods: dict[str, dict[str, _Work]] = {}
    for method, path, work in routes:
        methods.setdefault(path, {})[method] = work
    app = Starlette(
        routes=[Route(path, _Resource(works)) for path, works in methods.items()],
        exception_handlers={HTTPException: _no_route, Exception: _defect},
    )
    # A redirect would make a client repeat a POST as a GET.
    app.router.redirect_slashes = False
    return app


class _Resource:
    """The methods of one path, as an ASGI application: gate first, then the work, then JSON."""

    def __init__(self, works: Mapping[str, _Work]) -> None:
        self._works = works

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        try:
            result = await self._answer(request)
        except ClientDisconnect:
            return
        except StoreUnavailableError as error:
            result = service_unavailable(f"The store does not answer: {error}")
        except UnknownKeyError as error:
            # Another process took the key away between two steps.
            result = not_found(str(error))
        await _response(request, result)(scope, receive, send)

    async def _answer(self, request: Request) -> Result:
        caller: Caller = request.scope[CALLER]
        if not caller.record.admin:
            return ADMINISTRATORS_ONLY
        method = "GET" if request.method == "HEAD" else request.method
        work = self._works.get(method)
        if work is None:
            return method_not_allowed(request.method, request.url.path, tuple(self._works))
        return await work(request)


def _response(request: Request, result: Result) -> Response:
    known: str | None = request.scope.get(REQUEST_ID)
    request_id = known or f"req_{secrets.token_hex(12)}"
    # A key's secret is in some of the answers: no cache may keep any of them.
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
