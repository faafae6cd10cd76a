"""An upstream that speaks the Messages API itself: Anthropic, or whoever is compatible."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from apertis.aio.wire import Wire
from apertis.errors import ConfigurationError, ParameterError
from apertis.gateway.upstreams.contract import Fault, UpstreamFailure
from apertis.gateway.upstreams.headers import passed_down, request_head, request_target
from apertis.gateway.upstreams.sandbox import SandboxUpstream
from apertis.sansio.outcome import Failure
from apertis.sansio.proxy import choose_proxy
from apertis.sansio.request import checked_value, parse_base_url
from apertis.sansio.timeouts import Limits
from apertis.tls import SERVER_HINT

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from apertis.aio.wire import WireAnswer
    from apertis.gateway.config import Settings, UpstreamSettings
    from apertis.gateway.upstreams.contract import Upstream, UpstreamRequest, UpstreamTimeouts

__all__ = ["ANTHROPIC_URL", "AnthropicAnswer", "AnthropicUpstream", "build_upstreams"]

ANTHROPIC_URL = "https://api.anthropic.com"


class AnthropicAnswer:
    """An answer on a connection of the wire: its head as callers get it, its failures by kind.

    A task that is cancelled in `read` drops the connection, and so does `close` before the end.
    """

    __slots__ = ("_answer", "headers", "status")

    def __init__(self, answer: WireAnswer) -> None:
        self._answer = answer
        self.status = answer.status
        self.headers = passed_down(answer.headers)

    async def read(self) -> bytes | UpstreamFailure:
        """The next bytes of the body at the moment they come, b"" at its regular end."""
        data = await self._answer.read()
        return _failed(data) if isinstance(data, Failure) else data

    def whole(self) -> bytes | None:
        """The rest of the body, if all of it is here already."""
        return self._answer.whole()

    def close(self) -> None:
        """Keep the connection if the answer is whole, else drop it at once."""
        self._answer.hang_up()


class AnthropicUpstream:
    """Passes requests on as they came, with the upstream's own key in place of the caller's.

    `base_url` may end in a path, to which the request's target is added; without one it is
    Anthropic's own. `auth` says in which header the key goes. Without a key none is sent.
    `anthropic_version` stands in for callers who name none. `HTTP_PROXY`, `HTTPS_PROXY`,
    `ALL_PROXY` and `NO_PROXY` are heeded; `tls` replaces the system's trust.

    Raises:
        ConfigurationError: The URL, the key or a number cannot be.
    """

    def __init__(
        self,
        name: str,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        auth: Literal["x-api-key", "bearer"] = "x-api-key",
        anthropic_version: str = "2023-06-01",
        max_connections: int = 1000,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.name = name
        origin = parse_base_url(
            base_url or ANTHROPIC_URL, name=f"the base_url of the upstream {name!r}"
        )
        # The gateway reads usage from the bytes, so they must not be compressed.
        self._wire = Wire(proxy=None, tls=tls, max_connections=max_connections, codings=frozenset())
        self._origin = origin
        # A proxy that cannot be is said now, not with the first request.
        choose_proxy(origin, None, os.environ)
        own = f"host: {origin.authority}\r\naccept-encoding: identity\r\n"
        if api_key is not None:
            own += _credential(name, api_key, auth)
        self._own = own.encode("latin-1")
        version = _checked("anthropic_version", anthropic_version, name)
        self._default_version = f"anthropic-version: {version}\r\n".encode("latin-1")
        self._timeouts: UpstreamTimeouts | None = None
        self._limits = Limits(None, None, None)

    def __repr__(self) -> str:
        return f"AnthropicUpstream({self.name!r})"

    async def open(
        self, request: UpstreamRequest, timeouts: UpstreamTimeouts
    ) -> AnthropicAnswer | UpstreamFailure:
        """Send one request, and wait for the head of its answer.

        Over a kept connection it waits for nothing else, so it needs no task of its own. Ask the
        answer for `whole()` before `read()`: a short one is there with its head.
        """
        if timeouts is not self._timeouts:
            # Nearly every request has the same ones.
            self._timeouts = timeouts
            self._limits = Limits(timeouts.connect, timeouts.first_byte, timeouts.idle)
        body = request.body
        head = request_head(
            request.method,
            request_target(self._origin.prefix + request.target),
            self._own,
            request.headers,
            self._default_version,
            len(body),
        )
        answer = await self._wire.open(self._origin, request.method, head, body, self._limits)
        return _failed(answer) if isinstance(answer, Failure) else AnthropicAnswer(answer)

    async def close(self) -> None:
        """Close the connections that are kept; answers under way come to their end."""
        await self._wire.close(for_good=True)


def _failed(failure: Failure) -> UpstreamFailure:
    kind = Fault.BROKEN
    if failure.busy:
        kind = Fault.BUSY
    elif failure.unsent:
        kind = Fault.CONNECT
    elif failure.deadline is not None:
        kind = Fault.TIMEOUT
    return UpstreamFailure(kind, failure.reason.removesuffix(SERVER_HINT))


def _credential(name: str, api_key: str, auth: Literal["x-api-key", "bearer"]) -> str:
    if auth not in {"x-api-key", "bearer"}:
        raise ConfigurationError(
            f"the auth of the upstream {name!r} must be 'x-api-key' or 'bearer', not {auth!r}"
        )
    key = _checked("api_key", api_key, name)
    if not key:
        raise ConfigurationError(f"the api_key of the upstream {name!r} is empty")
    return f"x-api-key: {key}\r\n" if auth == "x-api-key" else f"authorization: Bearer {key}\r\n"


def _checked(field: str, value: str, upstream: str) -> str:
    try:
        return checked_value(field, value)
    except ParameterError as error:
        raise ConfigurationError(
            f"the {field} of the upstream {upstream!r} cannot be sent: {error}"
        ) from None


def build_upstreams(
    settings: Settings,
    running: Mapping[str, Upstream] | None = None,
    before: Settings | None = None,
) -> dict[str, Upstream]:
    """Make the upstreams by name; those `running` whose settings did not change go on as they are.

    `ConfigurationError` says which setting cannot be.
    """
    same = before is not None and (
        settings.server.anthropic_version == before.server.anthropic_version
        and settings.sandbox == before.sandbox
    )
    unchanged: set[UpstreamSettings] = (
        set(before.upstreams) if before is not None and same else set()
    )
    upstreams: dict[str, Upstream] = {}
    for own in settings.upstreams:
        known = (running or {}).get(own.name)
        upstreams[own.name] = known if known and own in unchanged else _build(own, settings)
    return upstreams


def _build(own: UpstreamSettings, settings: Settings) -> Upstream:
    if own.kind == "sandbox":
        speed = settings.sandbox
        return SandboxUpstream(speed.first_token_seconds, speed.tokens_per_second, name=own.name)
    return AnthropicUpstream(
        own.name,
        own.base_url,
        api_key=None if own.api_key is None else own.api_key.reveal(),
        auth=own.auth,
        anthropic_version=settings.server.anthropic_version,
        max_connections=own.max_connections,
    )
