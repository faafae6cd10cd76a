"""What a caller's own HTTP client is told, and what its failures mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apertis.errors import ConfigurationError
from apertis.sansio.outcome import Failure

if TYPE_CHECKING:
    from apertis.sansio.call import Call
    from apertis.sansio.settings import Settings
    from apertis.sansio.timeouts import Limits


def request_arguments(
    call: Call[Any], settings: Settings, limits: Limits, now: float
) -> dict[str, Any]:
    """The arguments of `build_request`; `timeout` stands for those of `Timeout`."""
    headers = settings.request_headers(call)
    del headers["host"]
    return {
        "method": call.method,
        "url": settings.origin.url + settings.request_target(call),
        "headers": headers,
        "content": call.body,
        "timeout": {
            "connect": limits.remaining(limits.connect, now)[0],
            "read": limits.remaining(limits.response, now)[0],
            "write": limits.remaining(limits.response, now)[0],
            "pool": limits.remaining(limits.connect, now)[0],
        },
    }


def failure_of(error: Exception, errors: Any, deadline: str) -> Failure:
    """The failure that one of the client's own exceptions stands for; `errors` is its package."""
    text = str(error) or type(error).__name__
    if isinstance(error, errors.ConnectTimeout | errors.PoolTimeout):
        return Failure(f"cannot connect: {text}", deadline="connect", connecting=True, cause=error)
    if isinstance(error, errors.TimeoutException):
        return Failure(f"no answer in time: {text}", deadline=deadline, cause=error)
    connecting = isinstance(error, errors.ConnectError | errors.ProxyError)
    permanent = isinstance(error, errors.UnsupportedProtocol | errors.InvalidURL)
    verb = "cannot connect" if connecting else "the connection broke"
    return Failure(f"{verb}: {text}", connecting=connecting, permanent=permanent, cause=error)


def looks_like_client(client: object, *, asynchronous: bool) -> bool:
    """Whether the object has what `httpx2.Client` or `httpx2.AsyncClient` has."""
    closing = "aclose" if asynchronous else "close"
    return all(callable(getattr(client, name, None)) for name in ("build_request", "send", closing))


def package_of(client: object) -> str:
    """The package that the client comes from, which has its exceptions: httpx2, or httpx."""
    for kind in type(client).__mro__:
        package = kind.__module__.partition(".")[0]
        if package in {"httpx2", "httpx"}:
            return package
    raise ConfigurationError(f"{type(client).__name__} is no client of httpx2 or httpx")
