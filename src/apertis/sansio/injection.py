"""The interface to a caller's own HTTP client, and the meaning of its failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from apertis.errors import ConfigurationError
from apertis.sansio.outcome import Failure
from apertis.sansio.settings import MAX_CONNECTIONS

if TYPE_CHECKING:
    from apertis.sansio.request import Origin
    from apertis.sansio.timeouts import Limits


def request_arguments(
    origin: Origin, method: str, head: bytes, body: bytes, limits: Limits, now: float
) -> dict[str, Any]:
    """Return the arguments of `build_request`; `timeout` stands for those of `Timeout`."""
    start, *lines = head[:-4].split(b"\r\n")
    # The client sets its own: the length as it sends the body, the host as HTTP/2 needs it.
    own = {b"content-length: %d" % len(body), b"host: " + origin.authority.encode("ascii")}
    headers = [tuple(line.split(b": ", 1)) for line in lines if line not in own]
    return {
        "method": method,
        "url": origin.url + start.split(b" ")[1].decode("ascii"),
        "headers": headers,
        "content": body or None,
        "timeout": {
            "connect": limits.remaining(limits.connect, now)[0],
            "read": limits.remaining(limits.response, now)[0],
            "write": limits.remaining(limits.response, now)[0],
            "pool": limits.remaining(limits.connect, now)[0],
        },
    }


def expect_body(request: Any, limits: Limits, now: float) -> None:
    """Wait for chunks of the body from now on, each for as long as `idle` allows."""
    # The client looks this up when the reading of the body begins.
    timeout = request.extensions.get("timeout")
    if isinstance(timeout, dict):
        timeout["read"] = limits.remaining(limits.idle, now)[0]


class Failures(msgspec.Struct, frozen=True):
    """The meaning of a client's exceptions for one attempt; `package` has their classes."""

    package: Any
    where: str
    limits: Limits

    def failure(self, error: Exception, waiting_for: str, now: float) -> Failure:
        """Return the failure for an exception; `waiting_for` names the wait's deadline."""
        package = self.package
        text = str(error) or type(error).__name__
        if isinstance(error, package.TimeoutException):
            if isinstance(error, package.ConnectTimeout | package.PoolTimeout):
                waiting_for = "connect"
            return self.late(waiting_for, now, error)
        if isinstance(error, package.ConnectError):
            reason = f"cannot connect to {self.where}: {text} (`apertis serve` runs a server)"
            return Failure(reason, self.where, cause=error)
        if isinstance(error, TimeoutError):
            return self.late(waiting_for, now, error)
        if isinstance(error, package.TransportError | package.DecodingError):
            reason = f"the connection to {self.where} broke: {text}"
            permanent = isinstance(error, package.UnsupportedProtocol)
        else:
            reason = f"http_client raised {type(error).__name__}: {text}"
            # The package's own are no trouble of the connection, but of settings and hooks.
            permanent = isinstance(error, package.HTTPError | package.InvalidURL)
        return Failure(reason, self.where, permanent=permanent, cause=error)

    def late(self, waiting_for: str, now: float, error: Exception | None = None) -> Failure:
        """Return the failure of a deadline that passed: that of the whole call, if it is over."""
        name = "total" if self.over(now) else waiting_for
        what = "cannot connect" if name == "connect" else "it did not answer in time"
        reason = f"{self.where}: {what} (timeout: {name})"
        return Failure(reason, self.where, name, cause=error)

    def over(self, now: float) -> bool:
        """Return whether the time of the whole call is up."""
        return self.limits.remaining(None, now)[0] == 0


def looks_like_client(client: object, *, asynchronous: bool) -> bool:
    """Return whether the object has what `httpx2.Client` or `httpx2.AsyncClient` has."""
    names = ("build_request", "send", "aclose" if asynchronous else "close")
    instance = not isinstance(client, type)
    return instance and all(callable(getattr(client, name, None)) for name in names)


def package_of(client: object) -> str:
    """Return the package that the client comes from, which has its exceptions: httpx2, or httpx."""
    for kind in type(client).__mro__:
        package = kind.__module__.partition(".")[0]
        if package in {"httpx2", "httpx"}:
            return package
    raise ConfigurationError(f"{type(client).__name__} is not a client of httpx2 or httpx")


def refuse_options(*, proxy: object, ssl_context: object, max_connections: int) -> None:
    """Reject settings that only the built-in connections could heed."""
    given = {
        "proxy": proxy is not None,
        "ssl_context": ssl_context is not None,
        "max_connections": max_connections != MAX_CONNECTIONS,
    }
    names = [name for name, is_given in given.items() if is_given]
    if names:
        raise ConfigurationError(
            f"{' and '.join(names)}: with http_client this is for the client that you bring to know"
        )
