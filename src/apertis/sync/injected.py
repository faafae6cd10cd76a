"""A transport over a client that the caller brings: `httpx2.Client` or its like."""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING, Any

from apertis.errors import ConfigurationError
from apertis.models import Headers
from apertis.sansio.injection import failure_of, looks_like_client, package_of, request_arguments
from apertis.sansio.outcome import Failure

if TYPE_CHECKING:
    from apertis.sansio.call import Call
    from apertis.sansio.settings import Settings
    from apertis.sansio.timeouts import Limits


class InjectedAnswer:
    """An answer that the caller's client reads."""

    __slots__ = ("_errors", "_limits", "_parts", "_response", "headers", "status")

    def __init__(self, response: Any, errors: Any, limits: Limits) -> None:
        self.status: int = response.status_code
        self.headers = Headers(response.headers.raw)
        self._response = response
        self._errors = errors
        self._limits = limits
        self._parts = response.iter_bytes()

    def read(self) -> bytes | Failure:
        """The next bytes of the body."""
        if self._limits.remaining(None, time.monotonic())[0] == 0:
            self.close()
            return Failure("the whole call took too long (timeout: total)", deadline="total")
        try:
            for part in self._parts:
                if part:
                    return bytes(part)
        except (self._errors.TransportError, self._errors.DecodingError) as error:
            self.close()
            return failure_of(error, self._errors, "idle")
        except BaseException:
            self.close()
            raise
        self.close()
        return b""

    def drain(self) -> None:
        """Read the end of the body."""
        self.read()
        self.close()

    def close(self) -> None:
        """Give the connection back to the client."""
        self._response.close()


class InjectedTransport:
    """Sends over the caller's client; closing it stays the caller's."""

    def __init__(self, client: Any) -> None:
        if not looks_like_client(client, asynchronous=False):
            raise ConfigurationError(
                f"http_client must be an httpx2.Client; it is {type(client).__name__}"
            )
        self._client = client
        # The client's own package has its exceptions: httpx2, or httpx.
        self._errors = importlib.import_module(package_of(client))

    def open(self, call: Call[Any], settings: Settings, limits: Limits) -> InjectedAnswer | Failure:
        """Send the request and wait for the head of the answer."""
        arguments = request_arguments(call, settings, limits, time.monotonic())
        try:
            timeout = self._errors.Timeout(**arguments.pop("timeout"))
            request = self._client.build_request(**arguments, timeout=timeout)
            response = self._client.send(request, stream=True, follow_redirects=False)
        except (self._errors.TransportError, self._errors.InvalidURL) as error:
            return failure_of(error, self._errors, "response")
        return InjectedAnswer(response, self._errors, limits)

    def close(self) -> None:
        """Nothing: the client is the caller's."""
