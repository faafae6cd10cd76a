# Generated from src/apertis/aio/client.py by tools/generate_sync.py (make format). Do not edit.
"""`Apertis`: the blocking client."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from apertis import logs
from apertis.endpoints import raw
from apertis.endpoints.parameters import takes
from apertis.sansio.call import NOT_GIVEN, NotGiven
from apertis.sansio.settings import MAX_CONNECTIONS, ClientSettings, settings_from
from apertis.sync.resources import Messages, Models
from apertis.sync.sender import Sender
from apertis.sync.wire import Transport, Wire
from apertis.version import __version__

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self, Unpack

    from apertis.params import OptionParams
    from apertis.sansio.timeouts import Timeout


class Apertis:
    """A client of Claude's Messages API that is safe to share between threads, and after a fork.

    Args:
        api_key: Else `APERTIS_API_KEY`. Without either the first call fails, and says how to go on.
        base_url: Else `APERTIS_BASE_URL`, else the hosted service; with or without `/v1`.
        timeout: Seconds, or a `Timeout` of four deadlines. A number limits every wait, and a call
            that is not streamed as a whole. None lifts all limits.
        max_retries: How often a call is retried, before anything of it was delivered.
        max_retry_after: The longest wait in seconds that a service may ask for; above it the error
            is raised at once.
        default_headers: Sent with every request. None as a value leaves a header out.
        anthropic_version: The version of the API; the default takes `temperature`, `top_p` and
            `top_k`, which later ones refuse.
        http_client: An `httpx2.Client` to send over instead of the built-in connections.
        proxy: `http://[user:password@]host:port`, else what `HTTPS_PROXY`, `HTTP_PROXY` and
            `NO_PROXY` say; an empty string for none.
        ssl_context: Else the system's trust, or `SSL_CERT_FILE`.
        max_connections: How many may be open at once; further calls wait their turn.
    """

    if TYPE_CHECKING:
        messages: Messages
        models: Models
    else:
        # Each client has its own; `Mock(spec=Apertis)` looks here.
        messages = Messages
        models = Models

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float | Timeout | NotGiven | None = NOT_GIVEN,
        max_retries: int = 2,
        max_retry_after: float = 60.0,
        default_headers: Mapping[str, str | None] | None = None,
        anthropic_version: str | NotGiven = NOT_GIVEN,
        http_client: Any = None,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        logs.configure(os.environ)
        given = {
            "api_key": api_key,
            "base_url": base_url,
            "timeout": timeout,
            "max_retries": max_retries,
            "max_retry_after": max_retry_after,
            "default_headers": default_headers,
            "anthropic_version": anthropic_version,
        }
        settings = settings_from(os.environ, given, __version__)
        transport: Transport
        if http_client is None:
            transport = Wire(proxy=proxy, tls=ssl_context, max_connections=max_connections)
        else:
            from apertis.sansio.injection import refuse_options
            from apertis.sync.injected import InjectedTransport

            refuse_options(proxy=proxy, ssl_context=ssl_context, max_connections=max_connections)
            transport = InjectedTransport(http_client)
        self._use(settings, transport)

    def _use(self, settings: ClientSettings, transport: Transport) -> None:
        self._sender = Sender(settings, transport)
        self.messages = Messages(self._sender)
        self.models = Models(self._sender)

    def __repr__(self) -> str:
        origin = self._sender.settings.origin
        return f"<Apertis {origin.url}{origin.prefix}>"

    def __deepcopy__(self, memo: object) -> Self:
        # What may be shared between clients is shared: settings that cannot change, connections.
        return self.with_options()

    @property
    def base_url(self) -> str:
        """The URL that requests go to, without `/v1`."""
        origin = self._sender.settings.origin
        return origin.url + origin.prefix

    def with_options(
        self,
        *,
        api_key: str | NotGiven = NOT_GIVEN,
        base_url: str | NotGiven = NOT_GIVEN,
        timeout: float | Timeout | NotGiven | None = NOT_GIVEN,
        max_retries: int | NotGiven = NOT_GIVEN,
        max_retry_after: float | NotGiven = NOT_GIVEN,
        default_headers: Mapping[str, str | None] | NotGiven = NOT_GIVEN,
        anthropic_version: str | NotGiven = NOT_GIVEN,
    ) -> Self:
        """Return a copy with other settings that shares the connections; headers are added."""
        changes = {name: value for name, value in locals().items() if name != "self"}
        copy = object.__new__(type(self))
        copy._use(self._sender.settings.changed(**changes), self._sender.transport)
        return copy

    @takes("OptionParams")
    def request(
        self, method: str, path: str, *, json: Any = None, **options: Unpack[OptionParams]
    ) -> Any:
        """Call an endpoint that has no method yet, such as `/v1/files`; return the decoded JSON."""
        return self._sender.send(raw.request(method, path, json, options))

    def close(self) -> None:
        """Close the connections that are kept; the client opens new ones when it is used again."""
        self._sender.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
