"""The gateway's paths and methods."""

from __future__ import annotations

import enum
import re

from apertis.gateway.errors import Refusal, endpoint_not_found, method_not_allowed


class Endpoint(enum.Enum):
    """The handler of a path; the value is its name in logs and metrics."""

    MESSAGES = "messages"
    COUNT_TOKENS = "count_tokens"
    MODELS = "models"
    BATCHES = "batches"
    USER_TOKEN = "user_token"
    """The calling key's own quota."""
    OAUTH_USAGE = "oauth_usage"
    """The same as Claude Code asks for it."""
    OWN_USAGE = "own_usage"
    """The caller's own limits and usage."""
    ADMIN = "admin"
    """Keys and usage, for an administrator's key."""
    CONSOLE = "console"
    """The pages in the browser, and signing in."""
    SIGN_IN = "sign_in"
    """The endpoints of Claude Code's `/login`; open to everybody."""
    MANAGED = "managed_settings"
    """Settings of Claude Code that the caller's group has."""
    TELEMETRY = "telemetry"
    """Metrics, logs and traces of Claude Code, as OpenTelemetry."""
    CHAT = "chat"
    """Requests of the console's chat, with the console's session in the place of a key."""
    HEALTH = "healthz"
    """The process is alive; open to everybody."""
    READY = "readyz"
    """Requests can be served; open to everybody."""
    HELLO = "hello"
    """The probe that Claude Code sends before its first request; open to everybody."""
    HOME = "home"
    """A description of the gateway; open to everybody."""
    METRICS = "metrics"
    OPENAPI = "openapi"


# What was found, the path in its one canonical form, and the part of it that names an object.
Resolved = tuple[Endpoint, str, str]

_GET = ("GET", "HEAD")
_ROUTES: tuple[tuple[re.Pattern[str], tuple[str, ...], Endpoint], ...] = tuple(
    (re.compile(pattern), methods, endpoint)
    for pattern, methods, endpoint in (
        (r"/v1/messages", ("POST",), Endpoint.MESSAGES),
        (r"/v1/messages/count_tokens", ("POST",), Endpoint.COUNT_TOKENS),
        (r"/v1/messages/batches", ("GET", "POST"), Endpoint.BATCHES),
        (r"/v1/messages/batches/([^/]+)", ("GET", "DELETE"), Endpoint.BATCHES),
        (r"/v1/messages/batches/([^/]+)/cancel", ("POST",), Endpoint.BATCHES),
        (r"/v1/messages/batches/([^/]+)/results", ("GET",), Endpoint.BATCHES),
        (r"/v1/models", _GET, Endpoint.MODELS),
        (r"/v1/models/(.+)", _GET, Endpoint.MODELS),
        (r"/v1/me/usage", _GET, Endpoint.OWN_USAGE),
        (r"/api/user/token", _GET, Endpoint.USER_TOKEN),
        (r"/api/oauth/usage", _GET, Endpoint.OAUTH_USAGE),
        (r"/api/hello", _GET, Endpoint.HELLO),
        (r"/\.well-known/oauth-authorization-server", _GET, Endpoint.SIGN_IN),
        (r"/oauth/(?:device_authorization|token|revoke)", ("POST",), Endpoint.SIGN_IN),
        (r"/managed/settings", _GET, Endpoint.MANAGED),
        (r"/v1/(metrics|logs|traces)", ("POST",), Endpoint.TELEMETRY),
        (r"/healthz", _GET, Endpoint.HEALTH),
        (r"/readyz", _GET, Endpoint.READY),
        (r"/metrics", _GET, Endpoint.METRICS),
        (r"/openapi\.json", _GET, Endpoint.OPENAPI),
        # Older versions of Claude Code ask here, by HEAD, whether anybody is there.
        (r"/", _GET, Endpoint.HOME),
    )
)
_ADMIN = "/admin/v1/"
_CONSOLE = "/console/"
_OF_CONSOLE = frozenset(("/console", "/device"))
# What the chat asks for, by its own path, and the same below `/v1`.
_OF_CHAT: dict[tuple[str, str], Resolved] = {
    ("POST", "/console/chat/messages"): (Endpoint.CHAT, "/v1/messages", ""),
    ("GET", "/console/chat/models"): (Endpoint.CHAT, "/v1/models", ""),
}
_MAX_PATH_LENGTH = 300
# What is asked for by clients whose base URL ends in `/v1`.
_TWICE = ("/v1/v1/", "/v1/api/")
USUAL: dict[tuple[str, str], Resolved] = {
    ("POST", path): (endpoint, path, "")
    for path, endpoint in (
        ("/v1/messages", Endpoint.MESSAGES),
        ("/v1/messages/count_tokens", Endpoint.COUNT_TOKENS),
    )
}
"""The requests that nearly every client sends, by method and path: found without patterns."""


def resolve(method: str, path: str) -> Resolved | Refusal:
    """Find what is behind a path.

    Clients whose base URL already ends in `/v1` ask for `/v1/v1/messages`, or, if they add no
    version themselves, for `/messages` below it; they get the same.
    """
    usual = USUAL.get((method, path))
    if usual is not None:
        return usual
    canonical = path.removeprefix("/v1") if path.startswith(_TWICE) else path
    if canonical.startswith(_ADMIN):
        return Endpoint.ADMIN, canonical, ""
    if path.startswith(_CONSOLE) or path in _OF_CONSOLE:
        return _OF_CHAT.get((method, path), (Endpoint.CONSOLE, path, ""))
    for pattern, methods, endpoint in _ROUTES:
        found = pattern.fullmatch(canonical)
        if found is not None:
            if method in methods:
                return endpoint, canonical, found[1] if pattern.groups else ""
            return method_not_allowed(method, path, methods)
    return endpoint_not_found(method, path, _hint(path))


# What other APIs have in the place of this one.
_OTHER_APIS = ("/complete", "/chat/completions", "/completions", "/responses")


def _hint(path: str) -> str:
    tidy = re.sub(r"/{2,}", "/", path[:_MAX_PATH_LENGTH]).rstrip("/")
    if tidy.endswith(_OTHER_APIS):
        return "; this is Claude's Messages API: POST /v1/messages"
    below = "/v1" + tidy.rpartition("/v1")[2]
    if not any(pattern.fullmatch(below) for pattern, _, _ in _ROUTES):
        return ""
    if tidy == below:
        why = "the path has a slash too many"
    elif tidy == below.removeprefix("/v1"):
        why = "let the client's base URL end in /v1"
    else:
        why = "the client's base URL has a path that is not here"
    return f"; {below} does: {why}"
