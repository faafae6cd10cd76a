# Generated from src/apertis/aio/client.py by tools/generate_sync.py (make format). Do not edit.
"""`Apertis`: the blocking client."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

from apertis import logs
from apertis.configured import Configured, budget_of, settings_of
from apertis.endpoints import raw
from apertis.endpoints.parameters import takes
from apertis.sansio.marks import NOT_GIVEN, NotGiven, is_absent
from apertis.sansio.settings import MAX_CONNECTIONS, ClientSettings, settings_from
from apertis.spending import Budget
from apertis.sync.resources import (
    Beta,
    HTTPResponses,
    Messages,
    Models,
    WithRawResponse,
    open_events,
)
from apertis.sync.sender import Sender
from apertis.sync.stream import Stream
from apertis.sync.wire import Transport, Wire
from apertis.version import __version__

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence
    from decimal import Decimal
    from typing import Self, Unpack

    from apertis.compat.attributes import ElsewhereParams
    from apertis.compat.middleware import MiddlewareInput
    from apertis.params import OptionParams, VerbParams
    from apertis.sansio.marks import Omit
    from apertis.sansio.timeouts import Timeout


class Apertis(Configured, HTTPResponses):
    """A client of Claude's Messages API that is safe to share between threads, and after a fork.

    Args:
        api_key: Else `APERTIS_API_KEY`, else `ANTHROPIC_API_KEY` or `ANTHROPIC_AUTH_TOKEN`. Without
            any the first call fails, and says how to go on.
        auth_token: In place of a key: what another service gave out, to be sent as Bearer.
        base_url: Else what belongs to the key: for one that begins with `sk-ant-` it is
            `ANTHROPIC_BASE_URL` or Anthropic's API, for others `APERTIS_BASE_URL` or the hosted
            service. With or without `/v1`.
        timeout: Seconds, or a `Timeout` of four deadlines. A number limits every wait, and a call
            that is not streamed as a whole. None lifts all limits.
        max_retries: How often a call is retried, before anything of it was delivered.
        max_retry_after: The longest wait in seconds that a service may ask for; above it the error
            is raised at once.
        default_headers: Sent with every request. None as a value leaves a header out.
        default_query: Query parameters of every request.
        anthropic_version: The version of the API; the default takes `temperature`, `top_p` and
            `top_k`, which later ones refuse.
        http_client: An `httpx2.Client` to send over instead of the built-in connections.
        proxy: `http://[user:password@]host:port`, else what `HTTPS_PROXY`, `HTTP_PROXY` and
            `NO_PROXY` say; an empty string for none.
        ssl_context: Else the system's trust, or `SSL_CERT_FILE`.
        max_connections: How many may be open at once; further calls wait their turn.
        prices: What models cost, in place of the list prices, for `message.cost`: dollars per
            million tokens, `{"model": {"input": 3, "output": 15}}`.
        budget_usd: Dollars that the client's calls may cost together, such as 5 or "0.50". Before
            each the most that it can cost is reserved, and one that could exceed the budget is
            refused. `spent` tells the sum, with and without a budget.
        middleware: Functions `(request, call_next)` around each attempt, the outermost first.
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
        auth_token: str | None = None,
        base_url: str | None = None,
        timeout: float | Timeout | NotGiven | None = NOT_GIVEN,
        max_retries: int = 2,
        max_retry_after: float = 60.0,
        default_headers: Mapping[str, str | Omit | None] | None = None,
        default_query: Mapping[str, Any] | None = None,
        anthropic_version: str | NotGiven = NOT_GIVEN,
        prices: Mapping[str, Mapping[str, Any]] | None = None,
        budget_usd: Decimal | float | str | None = None,
        http_client: Any = None,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        max_connections: int = MAX_CONNECTIONS,
        middleware: Sequence[MiddlewareInput] | None = None,
        **elsewhere: Unpack[ElsewhereParams],
    ) -> None:
        logs.configure(os.environ)
        settings = settings_from(os.environ, settings_of(locals()), __version__)
        transport: Transport
        if http_client is None or is_absent(http_client):
            transport = Wire(proxy=proxy, tls=ssl_context, max_connections=max_connections)
        else:
            from apertis.sansio.injection import refuse_options
            from apertis.sync.injected import InjectedTransport

            refuse_options(proxy=proxy, ssl_context=ssl_context, max_connections=max_connections)
            transport = InjectedTransport(http_client)
        around = () if middleware is None else tuple(middleware)
        self._use(settings, transport, around, budget_of(budget_usd) or Budget())

    def _use(
        self,
        settings: ClientSettings,
        transport: Transport,
        middleware: tuple[Any, ...],
        budget: Budget,
    ) -> None:
        self._budget = budget
        self._connections = transport
        if budget.limit is None and not middleware:
            self._sender: Sender = Sender(settings, transport, budget)
        else:
            from apertis.sync.metered import MeteredTransport

            transport = MeteredTransport(transport, budget, settings.prices)
            self._sender = Sender(settings, transport)
        if middleware:
            from apertis.sync.middleware import MiddlewareSender

            self._sender = MiddlewareSender(settings, transport, middleware)
        self.middleware = middleware
        self._closed = False
        self.messages = Messages(self._sender)
        self.models = Models(self._sender)

    def __repr__(self) -> str:
        origin = self._sender.settings.origin
        return f"<Apertis {origin.url}{origin.prefix}>"

    @cached_property
    def beta(self) -> Beta:
        """The same resources, where `anthropic` has those with beta features."""
        return Beta(self.messages, self.models, self._sender)

    @cached_property
    def with_raw_response(self) -> WithRawResponse:
        """The same resources, whose methods return the HTTP response."""
        return WithRawResponse(self._sender)

    def with_options(
        self,
        *,
        api_key: str | NotGiven | None = NOT_GIVEN,
        auth_token: str | NotGiven | None = NOT_GIVEN,
        base_url: str | NotGiven | None = NOT_GIVEN,
        timeout: float | Timeout | NotGiven | None = NOT_GIVEN,
        max_retries: int | NotGiven | None = NOT_GIVEN,
        max_retry_after: float | NotGiven | None = NOT_GIVEN,
        default_headers: Mapping[str, str | Omit | None] | NotGiven | None = NOT_GIVEN,
        set_default_headers: Mapping[str, str | Omit | None] | NotGiven | None = NOT_GIVEN,
        default_query: Mapping[str, Any] | NotGiven | None = NOT_GIVEN,
        set_default_query: Mapping[str, Any] | NotGiven | None = NOT_GIVEN,
        anthropic_version: str | NotGiven | None = NOT_GIVEN,
        prices: Mapping[str, Mapping[str, Any]] | NotGiven | None = NOT_GIVEN,
        budget_usd: Decimal | float | str | NotGiven | None = NOT_GIVEN,
        http_client: Any = None,
        middleware: Sequence[MiddlewareInput] | NotGiven | None = NOT_GIVEN,
        **elsewhere: Unpack[ElsewhereParams],
    ) -> Self:
        """Return a copy with other settings that shares the connections.

        `default_headers` and `default_query` are added, `set_default_headers` and
        `set_default_query` stand in place of those that were. None changes nothing, but for
        `timeout`. Copies share what is `spent` and its budget; `budget_usd` gives the copy a count
        and a budget of its own.
        """
        given = settings_of(locals())
        changes = {k: v for k, v in given.items() if v is not None or k == "timeout"}
        settings = self._sender.settings.changed(**changes)
        transport: Transport = self._connections
        if http_client is not None and not is_absent(http_client):
            from apertis.sync.injected import InjectedTransport

            transport = InjectedTransport(http_client)
        around = self.middleware
        if not isinstance(middleware, NotGiven) and not is_absent(middleware):
            around = tuple(middleware or ())
        copy = object.__new__(type(self))
        copy._use(settings, transport, around, budget_of(budget_usd) or self._budget)
        return copy

    copy = with_options

    def with_middleware(self, *middleware: MiddlewareInput) -> Self:
        """Return a copy with more middleware, inside that which is there."""
        return self.with_options(middleware=[*self.middleware, *middleware])

    @takes("OptionParams")
    def request(
        self, method: str, path: str, *, json: Any = None, **options: Unpack[OptionParams]
    ) -> Any:
        """Call an endpoint that has no method yet, such as `/v1/files`; return the decoded JSON."""
        return self._sender.send(raw.request(method, path, json, options))

    def get(self, path: str, **options: Unpack[VerbParams]) -> Any:
        """Get what is at a path, as a `cast_to`: a model, `dict`, `str`, `httpx2.Response`."""
        return self._verb("GET", path, options)

    def post(self, path: str, **options: Unpack[VerbParams]) -> Any:
        """Post a body to a path; as `get`. With `stream=True` the response is an event stream."""
        return self._verb("POST", path, options)

    def put(self, path: str, **options: Unpack[VerbParams]) -> Any:
        """Put a body to a path; as `get`."""
        return self._verb("PUT", path, options)

    def patch(self, path: str, **options: Unpack[VerbParams]) -> Any:
        """Patch what is at a path; as `get`."""
        return self._verb("PATCH", path, options)

    def delete(self, path: str, **options: Unpack[VerbParams]) -> Any:
        """Delete what is at a path; as `get`."""
        return self._verb("DELETE", path, options)

    def _verb(self, method: str, path: str, options: Mapping[str, Any]) -> Any:
        call = raw.verb(method, path, options)
        if call.streamed:
            return Stream(open_events(self._sender, call))
        return self._sender.send(call)

    def close(self) -> None:
        """Close the connections that are kept; the client opens new ones when it is used again."""
        self._closed = True
        self._sender.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
