# Generated from src/apertis/aio/injected.py by tools/generate_sync.py (make format). Do not edit.
"""A transport over a client that the caller brings: `httpx2.Client` or its like."""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING, Any

from apertis.errors import ApertisError, ConfigurationError
from apertis.sansio.injection import (
    Failures,
    expect_body,
    looks_like_client,
    package_of,
    request_arguments,
)

if TYPE_CHECKING:
    from apertis.sansio.outcome import Failure
    from apertis.sansio.request import Origin
    from apertis.sansio.timeouts import Limits


class InjectedAnswer:
    """A response that the caller's client reads."""

    __slots__ = ("_failures", "_parts", "_response", "headers", "status")

    def __init__(self, response: Any, failures: Failures) -> None:
        self.status: int = response.status_code
        self.headers: list[tuple[bytes, bytes]] = response.headers.raw
        self._response = response
        self._failures = failures
        self._parts = response.iter_bytes()

    def read(self) -> bytes | Failure:
        """Return the next bytes of the body."""
        now = time.monotonic()
        if self._failures.over(now):
            self.close()
            return self._failures.late("total", now)
        try:
            for part in self._parts:
                if part:
                    return bytes(part)
        except ApertisError:
            self.close()
            raise
        except Exception as error:  # noqa: BLE001 - whatever a transport of the caller's raises.
            self.close()
            return self._failures.failure(error, "idle", time.monotonic())
        except BaseException:
            self.close()
            raise
        self.close()
        return b""

    def whole(self) -> None:
        """Return nothing: the body must be read."""

    def drain(self) -> None:
        """Read the end of the body."""
        self.read()
        self.close()

    def interrupt(self) -> None:
        """Do nothing: a read of the caller's client ends with the next bytes, or at a deadline."""

    def close(self) -> None:
        """Give the connection back to the client."""
        self._response.close()


class InjectedTransport:
    """A transport over the caller's client; closing it stays the caller's."""

    def __init__(self, client: Any) -> None:
        if not looks_like_client(client, asynchronous=False):
            raise ConfigurationError(
                f"http_client must be an httpx2.Client; it is {type(client).__name__}"
            )
        self._client = client
        # The client's own package has its exceptions: httpx2, or httpx.
        self._package = importlib.import_module(package_of(client))

    def open(
        self, origin: Origin, method: str, head: bytes, body: bytes, limits: Limits
    ) -> InjectedAnswer | Failure:
        """Send the request and wait for the head of the response."""
        if getattr(self._client, "is_closed", False):
            raise ConfigurationError("http_client is closed; it is its owner's to keep open")
        package = self._package
        where = f"{origin.host}:{origin.port}"
        failures = Failures(package, where, limits)
        arguments = request_arguments(origin, method, head, body, limits, time.monotonic())
        try:
            timeout = package.Timeout(**arguments.pop("timeout"))
            request = self._client.build_request(**arguments, timeout=timeout)
            response = self._client.send(request, stream=True, follow_redirects=False)
        except ApertisError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a transport of the caller's raises.
            return failures.failure(error, "response", time.monotonic())
        expect_body(request, limits, time.monotonic())
        return InjectedAnswer(response, failures)

    def close(self) -> None:
        """Do nothing: the client is the caller's."""

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
