"""Which paths and methods the server has."""

from __future__ import annotations

import enum
import re

from apertis.gateway.errors import Refusal, endpoint_not_found, method_not_allowed

__all__ = ["Endpoint", "resolve"]


class Endpoint(enum.Enum):
    """What is behind a path."""

    API = enum.auto()
    """Answered by an upstream; needs a key."""
    HEALTH = enum.auto()
    """Says that the process is alive; open to everybody."""
    HELLO = enum.auto()
    """The probe that Claude Code sends before its first request; open to everybody."""


_ROUTES: tuple[tuple[re.Pattern[str], tuple[str, ...], Endpoint], ...] = tuple(
    (re.compile(pattern), methods, endpoint)
    for pattern, methods, endpoint in (
        (r"/v1/messages", ("POST",), Endpoint.API),
        (r"/v1/messages/count_tokens", ("POST",), Endpoint.API),
        (r"/v1/messages/batches", ("GET", "POST"), Endpoint.API),
        (r"/v1/messages/batches/[^/]+", ("GET", "DELETE"), Endpoint.API),
        (r"/v1/messages/batches/[^/]+/cancel", ("POST",), Endpoint.API),
        (r"/v1/messages/batches/[^/]+/results", ("GET",), Endpoint.API),
        (r"/v1/models", ("GET",), Endpoint.API),
        (r"/v1/models/.+", ("GET",), Endpoint.API),
        (r"/healthz", ("GET", "HEAD"), Endpoint.HEALTH),
        (r"/api/hello", ("GET", "HEAD"), Endpoint.HELLO),
    )
)


def resolve(method: str, path: str) -> tuple[Endpoint, str] | Refusal:
    """Find what is behind a path, and the path in its one canonical form.

    Clients whose base URL already ends in `/v1` ask for `/v1/v1/messages`; they get the same.
    """
    canonical = path.removeprefix("/v1") if path.startswith("/v1/v1/") else path
    for pattern, methods, endpoint in _ROUTES:
        if pattern.fullmatch(canonical):
            if method in methods:
                return endpoint, canonical
            return method_not_allowed(method, path, methods)
    return endpoint_not_found(method, path)
