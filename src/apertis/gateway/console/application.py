"""The console's ASGI application: who asks, may they, what do they get.

Theory of operation. In this order: the address and the host by which the browser came (`Host` is
checked here, and never used for a link); static files, which are everybody's; the session of the
cookie, without which only the pages of signing in answer; for a POST the origin, as the browser
says it, and the token of the form; the role. Then the page's own work gives a `Page`, which is
rendered in the frame, or alone where htmx asked for a part; or `Done`, which is a redirect within
the console.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from apertis.gateway.budgets.periods import time_zone
from apertis.gateway.console import (
    account,
    alerts,
    audit,
    budgets,
    chat,
    device,
    doctor,
    keys,
    managed,
    me,
    overview,
    people,
    requests,
    sessions,
    settings,
    sign_in,
    upstreams,
)
from apertis.gateway.console.pages import Asked, Done, Download, Page, Parts, Place
from apertis.gateway.console.rendering import FORM_TOKEN, Renderings, Static, environment, render
from apertis.gateway.errors import (
    Refusal,
    StoreUnavailableError,
    access_denied,
    service_unavailable,
)
from apertis.gateway.keys.matching import compile_networks
from apertis.gateway.serving.asgi import ADDRESS, ServedConsole
from apertis.gateway.signin.oidc import ATTEMPT_SECONDS, CALLBACK, Provider
from apertis.gateway.signin.roles import pages_of, sees_page
from apertis.gateway.store.records import UnknownKeyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from apertis.gateway.config import Settings
    from apertis.gateway.keys.directory import Key
    from apertis.gateway.signin.console_sessions import SignedIn
    from apertis.gateway.signin.roles import Viewer

NOT_SIGNED_IN = Refusal(401, "authentication_error", "not_signed_in", "You are not signed in")
PLACES: tuple[Place, ...] = (
    *overview.PLACES,
    *budgets.PLACES,
    *keys.PLACES,
    *people.PLACES,
    *requests.PLACES,
    *sessions.PLACES,
    *upstreams.PLACES,
    *alerts.PLACES,
    *audit.PLACES,
    *settings.PLACES,
    *doctor.PLACES,
    *managed.PLACES,
    *device.PLACES,
    *chat.PLACES,
    *me.PLACES,
    *account.PLACES,
)

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
# Nothing from elsewhere, nothing inline; images that a viewer drops into a chat are data.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    # Without a referrer to its own pages a browser would say "Origin: null" to them, too.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
_NOTICE = "apertis_notice"
_NOTICE_SECONDS = 20
_ZONE = "apertis_zone"
_ZONE_SECONDS = 31_536_000
# Whose conversations the browser may have kept; longer than any session.
_LAST = "apertis_last"
_LAST_SECONDS = 90 * 86_400
# Of forms that are read before it is known who sends them: the larger, the longer others wait.
_MAX_OPEN_FORM_BYTES = 2**16
# What a browser sends; nothing else that a URL can have before its path.
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_TITLES = {403: "Not allowed", 404: "Not found"}
_ASK = "An administrator can give you another role."
_STATIC_HEADERS = {
    **_HEADERS,
    "cache-control": "public, max-age=31536000, immutable",
}


def create_console(parts: Parts, clock: Callable[[], float]) -> ServedConsole:
    """Build the application of `/console`. `clock` gives monotonic seconds."""
    console = Console(parts, clock)
    routes = [
        Route("/console", console.first, methods=["GET"]),
        Route("/console/static/{name:path}", console.static, methods=["GET"]),
        Route("/console/", console.first, methods=["GET"]),
        Route("/console/sign-in", console.sign_in, methods=["GET", "POST"]),
        Route("/console/sign-in/oidc", console.begin_oidc, methods=["GET"]),
        Route(CALLBACK, console.end_oidc, methods=["GET"]),
        Route("/console/sign-out", console.sign_out, methods=["POST"]),
        *(
            Route(f"/console{place.path}", console.endpoint(place), methods=_methods(place))
            for place in PLACES
        ),
        *(
            Route(place.path, console.endpoint(place), methods=_methods(place))
            for place in device.AT_ROOT
        ),
        *device.Endpoints(parts, base_url).routes(),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(_Barrier, barred=console.barred, open_paths=device.OPEN_PATHS)],
        exception_handlers={
            HTTPException: console.missing,
            StoreUnavailableError: console.away,
            Exception: console.defect,
        },
    )
    app.router.redirect_slashes = False
    return ServedConsole(app, console.chat_key)


def _methods(place: Place) -> list[str]:
    return ["GET"] * (place.see is not None) + ["POST"] * (place.change is not None)


class _Barrier:
    """A gate that no request of a browser gets past; programs ask at the open paths."""

    def __init__(
        self,
        app: ASGIApp,
        barred: Callable[[Request], Response | None],
        open_paths: Collection[str],
    ) -> None:
        self._app = app
        self._barred = barred
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = scope["type"] != "http" or scope["path"] in self._open_paths
        barred = None if is_open else self._barred(Request(scope))
        await (barred or self._app)(scope, receive, send)


class Console:
    """The pages over HTTP."""

    def __init__(self, parts: Parts, clock: Callable[[], float]) -> None:
        self._parts = parts
        self._files = Static()
        self._templates = environment(self._files)
        self._renderings = Renderings(clock)
        self._provider: Provider | None = None
        self._chat_keys = chat.ChatKeys(parts)

    def endpoint(self, place: Place) -> Callable[[Request], Awaitable[Response]]:
        """Return what answers the requests of a place."""

        async def answer(request: Request) -> Response:
            cookie = request.cookies.get(self._cookie_name(request))
            viewer = await self._viewer(request)
            if viewer is None or cookie is None:
                return self._to_sign_in(request)
            if not sees_page(viewer, place.page):
                return await self._error(
                    request, viewer, 403, f"Your role does not include this. {_ASK}"
                )
            return await self._answer(place, request, viewer, cookie)

        return answer

    async def _answer(
        self, place: Place, request: Request, viewer: Viewer, cookie: str
    ) -> Response:
        asked = self._asked(request, viewer)
        work, is_change = place.see, request.method == "POST"
        if is_change:
            form = await _form(request)
            if form is None or not await self._is_own_form(request, cookie, form):
                return await self._error(
                    request, viewer, 403, "The form is not from this session: load the page again."
                )
            last = {name: values[-1] for name, values in form.items()}
            asked = replace(asked, form=last, values=form)
            work = place.change
        if work is None:
            raise HTTPException(405)
        try:
            if place.shared and not is_change:
                key = (asked.path, viewer.scope, asked.zone, *sorted(asked.query.items()))
                response, body = await self._renderings.get(key, lambda: self._made(work, asked))
            else:
                response, body = await self._made(work, asked)
        except StoreUnavailableError:
            return await self._error(request, viewer, 503, "The store does not answer right now.")
        except UnknownKeyError as error:
            return await self._error(request, viewer, 404, str(error))
        if is_change:
            self._renderings.clear()
        return await self._response(request, asked, response, body, cookie)

    async def _made(self, work: Any, asked: Asked) -> tuple[Any, str]:
        response = await work(self._parts, asked)
        if not isinstance(response, Page):
            return response, ""
        # Large pages take tens of milliseconds, in which messages must not wait.
        return response, await asyncio.to_thread(render, self._templates, response, asked)

    async def _response(
        self, request: Request, asked: Asked, response: Any, body: str, cookie: str
    ) -> Response:
        if isinstance(response, Refusal):
            return await self._error(request, asked.viewer, response.status, response.message)
        if isinstance(response, Done):
            redirect = RedirectResponse(within(response.to), 303, dict(_HEADERS))
            if response.notice:
                redirect.set_cookie(
                    _NOTICE,
                    quote(response.notice[:1000]),
                    _NOTICE_SECONDS,
                    path="/console",
                    httponly=True,
                    samesite="strict",
                    secure=self._is_secure(request),
                )
            return redirect
        if isinstance(response, Download):
            name = quote(response.filename)
            headers = {
                **_HEADERS,
                "content-disposition": f"attachment; filename*=UTF-8''{name}",
            }
            return Response(response.body, 200, headers, response.media_type)
        return await self._framed(request, asked, response, body, cookie)

    async def _framed(
        self, request: Request, asked: Asked, page: Page, body: str, cookie: str | None
    ) -> Response:
        token = "" if cookie is None else await self._parts.sessions.form_token(cookie)
        notice = request.cookies.get(_NOTICE)
        chosen = request.query_params.get("zone")
        error = page.error
        if chosen and chosen != asked.zone:
            error = error or (
                f"There is no time zone {chosen[:100]!r}. Write it as Europe/Berlin or UTC."
            )
        is_part = "hx-request" in request.headers
        body = self._templates.get_template("part.html" if is_part else "frame.html").render(
            title=page.title,
            body=body,
            error=error,
            notice=notice,
            viewer=asked.viewer,
            pages=pages_of(asked.viewer),
            path=asked.path,
            query=asked.query,
            zone=asked.zone,
            scripts=page.scripts,
        )
        made = Response(
            body.replace(FORM_TOKEN, token), page.status, dict(_HEADERS), "text/html; charset=utf-8"
        )
        if notice is not None:
            made.delete_cookie(_NOTICE, path="/console")
        if chosen and chosen == asked.zone:
            made.set_cookie(
                _ZONE, chosen, _ZONE_SECONDS, samesite="lax", secure=self._is_secure(request)
            )
        return made

    async def first(self, request: Request) -> Response:
        """Lead to the first page that somebody may see."""
        viewer = await self._viewer(request)
        if viewer is None:
            return self._to_sign_in(request)
        # What a member looks for is their own.
        page = "me" if viewer.role == "member" else pages_of(viewer)[0]
        return RedirectResponse(f"/console/{page}", 303, dict(_HEADERS))

    async def static(self, request: Request) -> Response:
        """Give a script or a style sheet; it is everybody's, and changes with its URL alone."""
        found = self._files.find(request.path_params["name"])
        if found is None:
            return Response("There is no such file.", 404, dict(_HEADERS), "text/plain")
        return Response(found[0], 200, dict(_STATIC_HEADERS), found[1])

    async def chat_key(self, scope: Scope) -> Key | Refusal:
        """Return the key that a request of the chat is booked on, as its session says."""
        request = Request(scope)
        if self.barred(request) is not None:
            return access_denied("This console is not served to your address, or under this name")
        cookie = request.cookies.get(self._cookie_name(request))
        try:
            viewer = await self._viewer(request)
            if viewer is None or cookie is None:
                return NOT_SIGNED_IN
            if not sees_page(viewer, "chat"):
                return access_denied("Your role does not include this")
            if request.method == "POST" and not await self._is_own_form(request, cookie, {}):
                return access_denied("This is not from a page of this session: load the page again")
            return await self._chat_keys.find(viewer)
        except StoreUnavailableError:
            return service_unavailable("The store does not answer right now")

    async def sign_in(self, request: Request) -> Response:
        """Show the page of signing in, or sign somebody in with a key."""
        if request.method != "POST":
            return self._sign_in_page(request, within(request.query_params.get("to", "")))
        form = await _form(request, _MAX_OPEN_FORM_BYTES)
        to = within("" if form is None else _last(form, "to"))
        if form is None or self._is_cross_site(request):
            again = access_denied("Load this page again, and sign in from it.")
            return self._sign_in_page(request, to, again)
        entered = await sign_in.with_key(
            self._parts,
            _last(form, "key"),
            request.scope[ADDRESS],
            request.cookies.get(self._cookie_name(request)),
        )
        if isinstance(entered, Refusal):
            return self._sign_in_page(request, to, entered)
        return await self._signed_in(request, entered, to)

    async def begin_oidc(self, request: Request) -> Response:
        """Lead to the identity provider."""
        to = within(request.query_params.get("to", ""))
        provider = self._oidc()
        if provider is None:
            return self._sign_in_page(request, to, access_denied("No identity provider is set up."))
        own = urlsplit(base_url(self._parts.settings(), request.scope))
        came_by = _name_and_port(request.headers.get("host", ""))
        if came_by != _name_and_port(own.netloc) and "again" not in request.query_params:
            # The cookie of the attempt has to be there when the provider sends the browser back. A
            # proxy may ask by a name of its own all the same.
            here = f"{own.scheme}://{own.netloc}/console/sign-in/oidc"
            query = urlencode({"to": to, "again": "1"})
            return RedirectResponse(f"{here}?{query}", 303, dict(_HEADERS))
        begun = await provider.begin(self._callback(request), to)
        if isinstance(begun, Refusal):
            return self._sign_in_page(request, to, begun)
        redirect = RedirectResponse(begun.url, 303, dict(_HEADERS))
        name = f"{self._cookie_name(request)}-oidc"
        self._set_cookie(request, redirect, name, begun.cookie, ATTEMPT_SECONDS)
        return redirect

    async def end_oidc(self, request: Request) -> Response:
        """Sign in whom the identity provider sends back."""
        provider = self._oidc()
        if provider is None:
            return self._sign_in_page(request, "/console/")
        name = self._cookie_name(request)
        entered = await sign_in.with_provider(
            self._parts,
            provider,
            dict(request.query_params),
            request.cookies.get(f"{name}-oidc"),
            self._callback(request),
            request.scope[ADDRESS],
            request.cookies.get(name),
        )
        if isinstance(entered, Refusal):
            response = self._sign_in_page(request, "/console/", entered)
        else:
            response = await self._signed_in(request, entered[0], within(entered[1]))
        secure = self._is_secure(request)
        response.delete_cookie(f"{name}-oidc", path="/", secure=secure, httponly=True)
        return response

    def _callback(self, request: Request) -> str:
        return f"{base_url(self._parts.settings(), request.scope)}{CALLBACK}"

    def _oidc(self) -> Provider | None:
        settings = self._parts.settings()
        if not settings.has_oidc:
            return None
        if self._provider is None or self._provider.settings != settings.oidc:
            self._provider = Provider(settings.oidc, self._parts.sessions.signing, self._parts.now)
        return self._provider

    async def sign_out(self, request: Request) -> Response:
        """End this session, or all of whoever it is."""
        name, address = self._cookie_name(request), request.scope[ADDRESS]
        cookie = request.cookies.get(name)
        viewer = await self._viewer(request)
        form = await _form(request, _MAX_OPEN_FORM_BYTES)
        if self._is_cross_site(request):
            # Other sites' forms come without the cookie: whoever has one must not lose it by them.
            return RedirectResponse("/console/", 303, dict(_HEADERS))
        redirect = RedirectResponse("/console/sign-in", 303, dict(_HEADERS))
        if viewer is not None and cookie is not None:
            if form is None or not await self._is_own_form(request, cookie, form):
                return await self._error(request, viewer, 403, "Sign out from a page of yours.")
            if _last(form, "everywhere"):
                await self._parts.sessions.end_all(viewer, address)
            else:
                await self._parts.sessions.end(viewer, viewer.session, address)
            # Conversations and all else that the browser kept.
            redirect.headers["clear-site-data"] = '"storage"'
        secure = self._is_secure(request)
        redirect.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")
        return redirect

    async def _viewer(self, request: Request) -> Viewer | None:
        cookie = request.cookies.get(self._cookie_name(request))
        return await self._parts.sessions.find(cookie, request.scope[ADDRESS])

    async def _signed_in(self, request: Request, entered: SignedIn, to: str) -> Response:
        redirect = RedirectResponse(to, 303, dict(_HEADERS))
        own = await self._parts.sessions.signing.mac("last", entered.subject)
        if request.cookies.get(_LAST) != own:
            # Somebody else may have left conversations here without signing out.
            redirect.headers["clear-site-data"] = '"storage"'
        self._set_cookie(request, redirect, _LAST, own, _LAST_SECONDS)
        self._set_cookie(
            request, redirect, self._cookie_name(request), entered.cookie, entered.seconds
        )
        return redirect

    def _set_cookie(
        self, request: Request, response: Response, name: str, value: str, seconds: int
    ) -> None:
        secure = self._is_secure(request)
        response.set_cookie(
            name, value, seconds, path="/", httponly=True, samesite="lax", secure=secure
        )

    async def missing(self, request: Request, error: Exception) -> Response:
        """Answer for a path that is not there, with the other pages for whoever is signed in."""
        status = error.status_code if isinstance(error, HTTPException) else 404
        if status == 404:
            try:
                viewer = await self._viewer(request)
                if viewer is not None:
                    words = f"There is no page {request.url.path[:200]}"
                    return await self._error(request, viewer, status, words)
            except StoreUnavailableError as away:
                return await self.away(request, away)
        return Response("There is nothing here.", status, dict(_HEADERS), "text/plain")

    async def defect(self, _request: Request, _error: Exception) -> Response:
        """Answer for a defect; its trace goes to the log."""
        return Response("Something broke; the log has it.", 500, dict(_HEADERS), "text/plain")

    async def away(self, _request: Request, _error: Exception) -> Response:
        """Answer while the store does not."""
        words = "The store does not answer right now. Try again in a moment."
        return Response(words, 503, dict(_HEADERS), "text/plain")

    def _sign_in_page(self, _: Request, to: str, refusal: Refusal | None = None) -> Response:
        settings = self._parts.settings()
        body = self._templates.get_template("sign_in.html").render(
            error="" if refusal is None else refusal.message,
            keys=settings.has_key_sign_in,
            oidc=settings.oidc.name if settings.has_oidc else "",
            to=to,
        )
        status, told = (200, ()) if refusal is None else (refusal.status, refusal.headers)
        return Response(body, status, {**_HEADERS, **dict(told)}, "text/html; charset=utf-8")

    def _to_sign_in(self, request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        to = "/console/" if request.method == "POST" else f"{request.url.path}{query}"
        where = f"/console/sign-in?to={quote(to, safe='/')}"
        if "hx-request" in request.headers:
            # A part of a page cannot show it: the whole page goes there.
            return Response("", 401, {**_HEADERS, "hx-redirect": where})
        return RedirectResponse(where, 303, dict(_HEADERS))

    async def _error(self, request: Request, viewer: Viewer, status: int, message: str) -> Response:
        asked = self._asked(request, viewer)
        title = _TITLES.get(status, "Not done")
        page = Page("error.html", title, {"status": status}, status, message)
        cookie = request.cookies.get(self._cookie_name(request))
        return await self._framed(
            request, asked, page, render(self._templates, page, asked), cookie
        )

    def _asked(self, request: Request, viewer: Viewer) -> Asked:
        return Asked(
            viewer=viewer,
            zone=_zone(request.query_params.get("zone"), request.cookies.get(_ZONE)),
            base_url=base_url(self._parts.settings(), request.scope),
            address=request.scope[ADDRESS],
            path=request.url.path,
            params={name: _kept(value) for name, value in request.path_params.items()},
            query={
                name: _kept(value) for name, value in request.query_params.items() if name != "zone"
            },
        )

    def barred(self, request: Request) -> Response | None:
        """Reject who may not use the console at all: other addresses, and names of others."""
        settings = self._parts.settings()
        allowed = settings.console.allowed_addresses
        if allowed and request.scope[ADDRESS] not in compile_networks(allowed):
            return Response(
                "Your address may not use the console.", 403, dict(_HEADERS), "text/plain"
            )
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not is_own_host(settings, hosts[0]):
            words = (
                "This console is not served under that name. Its administrator can allow the name "
                "with console.allowed_hosts or server.public_url."
            )
            return Response(words, 421, dict(_HEADERS), "text/plain")
        return None

    async def _is_own_form(
        self, request: Request, cookie: str, form: Mapping[str, list[str]]
    ) -> bool:
        token = request.headers.get("x-form-token") or _last(form, "form_token")
        return not self._is_cross_site(request) and await self._parts.sessions.is_form_token(
            cookie, token
        )

    def _is_cross_site(self, request: Request) -> bool:
        """Return whether a browser says that another site made it send this."""
        site = request.headers.get("sec-fetch-site")
        if site is not None and site not in ("same-origin", "none"):
            return True
        origin = request.headers.get("origin")
        if origin is None:
            return False
        own = {f"{scheme}://{request.headers.get('host', '')}" for scheme in ("http", "https")}
        public = self._parts.settings().server.public_url
        if public is not None:
            # A proxy in front may ask by another name than the browser did.
            own.add("{0.scheme}://{0.netloc}".format(urlsplit(public)))
        return origin.lower() not in {one.lower() for one in own}

    def _is_secure(self, request: Request) -> bool:
        return base_url(self._parts.settings(), request.scope).startswith("https:")

    def _cookie_name(self, request: Request) -> str:
        # The prefix keeps other hosts of the domain from setting it.
        return "__Host-apertis" if self._is_secure(request) else "apertis"


def within(path: str) -> str:
    """Return a path of this console: the one that is given, or its first page if it is none."""
    plain = path.isascii() and path.isprintable() and "\\" not in path and " " not in path
    place = re.split("[?#]", path, maxsplit=1)[0]
    if place != "/device" and not place.startswith("/console/"):
        return "/console/"
    # What a browser would make another path of: `..`, written out or not, and empty parts.
    folded = unquote(place).split("/")
    leads_out = "." in folded or ".." in folded or "//" in place
    return path if plain and not leads_out else "/console/"


def base_url(settings: Settings, scope: Mapping[str, Any]) -> str:
    """Return the URL at which this gateway is reached: as configured, or where it listens."""
    if settings.server.public_url is not None:
        return settings.server.public_url
    host, port = (scope.get("server") or (settings.server.host, settings.server.port))[:2]
    scheme = "https" if settings.server.has_tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def is_own_host(settings: Settings, host: str) -> bool:
    """Return whether a browser came by a name that is this gateway's; `host` may have a port.

    A name that is configured with a port goes with that port alone.
    """
    given = _name_and_port(host)
    if given is None:
        return False
    known = {*settings.console.allowed_hosts, settings.server.host}
    if settings.server.public_url is not None:
        known.add(urlsplit(settings.server.public_url).hostname or "")
    if settings.server.is_loopback:
        known |= _LOCAL
    elif not settings.console.allowed_hosts:
        try:
            # An address is nobody's name: no page of another name comes by it.
            ipaddress.ip_address(given[0])
        except ValueError:
            pass
        else:
            return True
    # The address that is listened on may be of IPv6, without brackets.
    own = {_name_and_port(one) or _name_and_port(f"[{one}]") for one in known}
    return given in own or (given[0], None) in own


def _name_and_port(host: str) -> tuple[str, str | None] | None:
    """Return a host in the one way it is compared: lower case, no brackets, no dot at its end."""
    parts = _HOST.fullmatch(host)
    if parts is None:
        return None
    name = parts[1].lower().removeprefix("[").removesuffix("]").removesuffix(".")
    if ":" in name:
        try:
            name = str(ipaddress.IPv6Address(name))
        except ValueError:
            return None
    return name, parts[2]


def _zone(*names: str | None) -> str:
    """Return the first of the names that is a time zone's."""
    return next((name for name in names if name and _is_zone(name)), "UTC")


def _is_zone(name: str) -> bool:
    try:
        time_zone(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


async def _form(request: Request, max_bytes: int | None = None) -> dict[str, list[str]] | None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return None
    try:
        body = await request.body()
        if max_bytes is not None and len(body) > max_bytes:
            return None
        text = body.decode()
        return parse_qs(text, keep_blank_values=True, max_num_fields=10_000)
    except ValueError:
        return None


def _kept(text: str) -> str:
    # As the store keeps what callers call things: PostgreSQL has no NUL.
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _last(form: Mapping[str, list[str]], name: str) -> str:
    return form.get(name, [""])[-1]
