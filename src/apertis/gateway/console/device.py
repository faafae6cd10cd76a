"""Claude Code's sign-in over HTTP: the endpoints it asks, the page that approves, the list.

The endpoints are open to everybody and answer in OAuth's own words (RFC 6749, 7009, 8414, 8628);
fields that they do not know are passed over, as those ask for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from apertis.gateway.console.pages import Done, Page, Place
from apertis.gateway.errors import Refusal, StoreUnavailableError
from apertis.gateway.keys.matching import is_loopback
from apertis.gateway.serving.asgi import ADDRESS
from apertis.gateway.signin import device
from apertis.gateway.signin.device_flow import Begun, Denied, Granted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from apertis.gateway.config import Settings
    from apertis.gateway.console.pages import Asked, Parts
    from apertis.gateway.console.pages import Response as Answer
    from apertis.gateway.store.sign_ins import DeviceCode, SignIn

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_METADATA = "/.well-known/oauth-authorization-server"
_BEGIN = "/oauth/device_authorization"
_TOKEN = "/oauth/token"
_REVOKE = "/oauth/revoke"
OPEN_PATHS = frozenset((_METADATA, _BEGIN, _TOKEN, _REVOKE))
"""The endpoints: programs come to them by any name and from anywhere."""
_MAX_FORM_BYTES = 2**16
_HEADERS = {"cache-control": "no-store", "pragma": "no-cache", "x-content-type-options": "nosniff"}
_NOT_OFFERED = Denied(
    "invalid_request",
    "This gateway does not offer /login: it needs sign_in.enabled, the console, and an https:// "
    "server.public_url where others than its own machine can reach it.",
    404,
)
_AWAY = Denied("temporarily_unavailable", "The gateway's store does not answer right now.", 503)
_OF_A_PAGE = Denied("invalid_request", "Only programs ask here, no page in a browser.", 403)
_NO_FORM = Denied("invalid_request", "Send a form, application/x-www-form-urlencoded.")


class Endpoints:
    """The endpoints of OAuth. `base_url` tells where the gateway is reached."""

    def __init__(
        self, parts: Parts, base_url: Callable[[Settings, Mapping[str, Any]], str]
    ) -> None:
        self._parts = parts
        self._base_url = base_url

    def routes(self) -> list[Route]:
        """Return them with their paths."""
        post = ["POST"]
        return [
            Route(_METADATA, self.metadata, methods=["GET"]),
            Route(_BEGIN, self._asked(self.begin), methods=post),
            Route(_TOKEN, self._asked(self.token), methods=post),
            Route(_REVOKE, self._asked(self.revoke), methods=post),
        ]

    async def metadata(self, request: Request) -> Response:
        """Say where the others are (RFC 8414)."""
        settings = self._parts.settings()
        if not settings.has_device_sign_in:
            return _told(_NOT_OFFERED)
        url = self._base_url(settings, request.scope)
        return _json(
            {
                "issuer": url,
                "device_authorization_endpoint": url + _BEGIN,
                "token_endpoint": url + _TOKEN,
                "revocation_endpoint": url + _REVOKE,
                "grant_types_supported": [DEVICE_GRANT, "refresh_token"],
                "response_types_supported": [],
                "token_endpoint_auth_methods_supported": ["none"],
                "revocation_endpoint_auth_methods_supported": ["none"],
            }
        )

    async def begin(self, request: Request, form: Mapping[str, str]) -> Response:
        """Give a client the codes of a new sign-in (RFC 8628, section 3.2)."""
        client = device.client_of(
            request.headers.get("user-agent", ""), form.get("surface", form.get("client_id", ""))
        )
        begun = await self._parts.sign_ins.begin(client, request.scope[ADDRESS])
        if not isinstance(begun, Begun):
            return _told(begun)
        settings = self._parts.settings()
        page = f"{self._base_url(settings, request.scope)}/device"
        shown = device.shown_user_code(begun.user_code)
        notice = settings.sign_in.login_notice
        return _json(
            {
                "device_code": begun.device_code,
                "user_code": shown,
                "verification_uri": page,
                "verification_uri_complete": f"{page}?user_code={shown}",
                "expires_in": device.CODE_SECONDS,
                "interval": device.INTERVAL_SECONDS,
                **({} if notice is None else {"login_notice": notice}),
            }
        )

    async def token(self, _request: Request, form: Mapping[str, str]) -> Response:
        """Give tokens for a code that was approved, or for a refresh token."""
        kind = form.get("grant_type", "")
        if kind == DEVICE_GRANT:
            code = form.get("device_code", "")
            if not code:
                return _told(Denied("invalid_request", "The form has no device_code."))
            return _tokens(await self._parts.sign_ins.poll(code))
        if kind == "refresh_token":
            token = form.get("refresh_token", "")
            if not token:
                return _told(Denied("invalid_request", "The form has no refresh_token."))
            return _tokens(await self._parts.sign_ins.refresh(token))
        return _told(
            Denied("unsupported_grant_type", f"grant_type is {DEVICE_GRANT} or refresh_token.")
        )

    async def revoke(self, _request: Request, form: Mapping[str, str]) -> Response:
        """End the sign-in of a token; one that is none is as good as ended (RFC 7009)."""
        token = form.get("token", "")
        if not token:
            return _told(Denied("invalid_request", "The form has no token."))
        await self._parts.sign_ins.revoke(token)
        return Response(b"", 200, dict(_HEADERS))

    def _asked(
        self, answer: Callable[[Request, Mapping[str, str]], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            if not self._parts.settings().has_device_sign_in:
                return _told(_NOT_OFFERED)
            # Programs send neither; a page in a browser has nothing to ask here, whatever its name.
            if "origin" in request.headers or "sec-fetch-site" in request.headers:
                return _told(_OF_A_PAGE)
            form = _form(await request.body(), request.headers.get("content-type", ""))
            if form is None:
                return _told(_NO_FORM)
            try:
                return await answer(request, form)
            except StoreUnavailableError:
                return _told(_AWAY)

        return endpoint


def _form(body: bytes, content_type: str) -> dict[str, str] | None:
    kind = content_type.partition(";")[0].strip().lower()
    # The form of a client that has nothing to say may come without a type.
    if len(body) > _MAX_FORM_BYTES or (body and kind != "application/x-www-form-urlencoded"):
        return None
    try:
        form = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        return None
    return {name: values[-1] for name, values in form.items()}


def _tokens(result: Granted | Denied) -> Response:
    if isinstance(result, Denied):
        return _told(result)
    answer: dict[str, Any] = {
        "access_token": result.tokens.access,
        "token_type": "Bearer",
        "expires_in": result.expires_in,
        "refresh_token": result.tokens.refresh,
    }
    if result.email:
        answer["email"] = result.email
    return _json(answer)


def _told(denied: Denied) -> Response:
    body = {"error": denied.error, "error_description": denied.description}
    return _json(body, denied.status)


def _json(value: Mapping[str, Any], status: int = 200) -> Response:
    return Response(
        msgspec.json.encode(value), status, dict(_HEADERS), media_type="application/json"
    )


async def see(parts: Parts, asked: Asked) -> Answer:
    """Ask for a code, or show the sign-in that waits with it; nothing is decided by looking."""
    entered = asked.query.get("user_code", "")
    if not entered:
        return _page(parts, asked, "", None)
    found = await parts.sign_ins.look_up(entered, asked.address)
    if isinstance(found, Refusal):
        return _page(parts, asked, entered, None, found)
    return _page(parts, asked, entered, found)


async def decide(parts: Parts, asked: Asked) -> Answer:
    """Approve or deny."""
    entered, decision = asked.form.get("user_code", ""), asked.form.get("decision", "")
    if decision not in ("approve", "deny"):
        return _page(parts, asked, entered, None, Refusal(400, "", "", "Approve it, or deny it."))
    result = await parts.sign_ins.decide(
        asked.viewer, entered, asked.address, approve=decision == "approve"
    )
    if isinstance(result, Refusal):
        return _page(parts, asked, entered, None, result)
    if decision == "deny":
        return Done("/console/sign-ins", "Denied: Claude Code was not signed in.")
    return Done("/console/sign-ins", "Approved: Claude Code signs in within a few seconds.")


def _page(
    parts: Parts,
    asked: Asked,
    entered: str,
    code: DeviceCode | None,
    refusal: Refusal | None = None,
) -> Page:
    barred = parts.sign_ins.refuses(asked.viewer)
    settings = parts.settings()
    context: dict[str, Any] = {
        "entered": entered,
        "code": code,
        "shown": "" if code is None else _shown(entered),
        "is_elsewhere": code is not None and not _is_same(code.address, asked.address),
        "address": asked.address,
        "barred": barred,
        "name": asked.viewer.name,
        "is_offered": settings.has_device_sign_in,
        "token_days": settings.sign_in.refresh_days,
    }
    status = 200 if refusal is None else refusal.status
    error = "" if refusal is None else refusal.message
    return Page("device.html", "Sign in Claude Code", context, status, error)


def _shown(entered: str) -> str:
    read = device.read_user_code(entered)
    return entered if read is None else device.shown_user_code(read)


def _is_same(one: str, other: str) -> bool:
    return one == other or (is_loopback(one) and is_loopback(other))


async def see_sign_ins(parts: Parts, asked: Asked) -> Answer:
    """List the sign-ins that somebody may see."""
    return await _list(parts, asked)


async def end_sign_in(parts: Parts, asked: Asked) -> Answer:
    """End one of them."""
    result = await parts.sign_ins.end(asked.viewer, asked.form.get("id", ""))
    if isinstance(result, Refusal):
        return await _list(parts, asked, result)
    return Done("/console/sign-ins", "The sign-in has ended: its token works no more.")


async def _list(parts: Parts, asked: Asked, refusal: Refusal | None = None) -> Page:
    found = await parts.sign_ins.list(asked.viewer)
    viewer = asked.viewer
    rows = [_row(parts, one, ends=parts.sign_ins.may_end(viewer, one)) for one in found]
    url = f"{urlsplit(asked.base_url).scheme}://{urlsplit(asked.base_url).netloc}"
    settings = parts.settings()
    context = {
        "rows": rows,
        "sees_others": viewer.sees_all or bool(viewer.group_ids),
        "url": url,
        "is_offered": settings.has_device_sign_in,
    }
    status = 200 if refusal is None else refusal.status
    error = "" if refusal is None else refusal.message
    return Page("sign_ins.html", "Sign-ins of Claude Code", context, status, error)


def _row(parts: Parts, one: SignIn, *, ends: bool) -> dict[str, Any]:
    person = parts.organization.people.get(one.person_id or "")
    approver = parts.directory.get(one.approved_by_key_id or "")
    name = "" if approver is None else approver.record.name
    return {
        "id": one.id,
        "key_id": one.key_id,
        "name": name if person is None else person.name,
        "person_id": one.person_id,
        "client": one.client,
        "address": one.address,
        "created_at": one.created_at,
        "refreshed_at": one.refreshed_at,
        "expires_at": one.expires_at,
        "ends": ends,
    }


# A short path, for people may have to type it.
AT_ROOT = (Place("/device", "me", see, decide),)
PLACES = (Place("/sign-ins", "me", see_sign_ins, end_sign_in),)
