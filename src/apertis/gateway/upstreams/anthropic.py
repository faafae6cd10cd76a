"""An upstream that speaks the Messages API itself: Anthropic, or whoever is compatible."""

from __future__ import annotations

import ipaddress
import os
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from apertis.aio.wire import Wire
from apertis.errors import ConfigurationError, ParameterError
from apertis.gateway.config.settings import ANTHROPIC_URL
from apertis.gateway.finding import fail, ok, warn
from apertis.gateway.upstreams.asking import ask
from apertis.gateway.upstreams.contract import UpstreamFailure, UpstreamTimeouts, redirect_target
from apertis.gateway.upstreams.headers import passed_down, request_head
from apertis.gateway.upstreams.messages_api import MessagesApi
from apertis.gateway.upstreams.outcome import Fault
from apertis.sansio.outcome import Failure
from apertis.sansio.proxy import choose_proxy
from apertis.sansio.request import checked_value, parse_base_url
from apertis.sansio.slices import items, slices
from apertis.sansio.timeouts import Limits
from apertis.tls import SERVER_HINT

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from apertis.aio.wire import ArrivedAnswer, WireAnswer
    from apertis.gateway.config import Settings, UpstreamSettings
    from apertis.gateway.finding import Finding
    from apertis.gateway.upstreams.contract import UpstreamRequest

_SLOW_SECONDS = 2.0
# A list of models is far smaller; more than this is something else.
_MAX_LIST_BYTES = 2**20
# Whoever looks how an upstream is does not wait for long.
_MAX_CHECK_SECONDS = 15.0


class AnthropicAnswer:
    """A response on a connection of the wire: its head as callers get it, its failures by kind.

    A task that is canceled in `read` drops the connection, and so does `close` before the end.
    """

    __slots__ = ("_answer", "headers", "status")

    def __init__(self, answer: WireAnswer | ArrivedAnswer) -> None:
        self._answer = answer
        self.status = answer.status
        self.headers = passed_down(answer.headers)

    async def read(self) -> bytes | UpstreamFailure:
        """Return the next bytes of the body at the moment they come, b"" at its regular end."""
        data = await self._answer.read()
        return _failed(data) if isinstance(data, Failure) else data

    async def pour(
        self, take: Callable[[bytes], bool], seconds: float | None = None
    ) -> bool | UpstreamFailure:
        """Give each piece of the body to `take` in the turn in which it comes, while it says so."""
        ended = await self._answer.pour(take, seconds)
        return _failed(ended) if isinstance(ended, Failure) else ended

    def whole(self) -> bytes | None:
        """Return the rest of the body, if all of it is here already."""
        return self._answer.whole()

    def close(self) -> None:
        """Keep the connection if the response is whole, else drop it at once."""
        self._answer.hang_up()


class AnthropicUpstream(MessagesApi):
    """An upstream that gets requests unchanged, with its own key in place of the caller's.

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
            base_url or ANTHROPIC_URL,
            name=f"the base_url of the upstream {name!r}",
        )
        # The gateway reads usage from the bytes, so they must not be compressed.
        self._wire = Wire(proxy=None, tls=tls, max_connections=max_connections, codings=frozenset())
        self._origin = origin
        self._prefix = origin.prefix
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

    @classmethod
    def of(cls, own: UpstreamSettings, settings: Settings) -> AnthropicUpstream:
        """Make the upstream of its settings."""
        return cls(
            own.name,
            own.base_url,
            api_key=None if own.api_key is None else own.api_key.reveal(),
            auth=own.auth,
            anthropic_version=settings.server.anthropic_version,
            max_connections=own.max_connections,
        )

    def __repr__(self) -> str:
        return f"AnthropicUpstream({self.name!r})"

    async def open(
        self, request: UpstreamRequest, timeouts: UpstreamTimeouts
    ) -> AnthropicAnswer | UpstreamFailure:
        """Send one request, and wait for the head of its response.

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
            self._prefix + request.target,
            self._own,
            request.headers,
            self._default_version,
            len(body),
        )
        answer = await self._wire.open(self._origin, request.method, head, body, self._limits)
        return _failed(answer) if isinstance(answer, Failure) else AnthropicAnswer(answer)

    async def check(
        self, own: UpstreamSettings, connect_seconds: float, clock: Callable[[], float]
    ) -> Finding:
        """Say how it is, by one real request for a list of models."""
        subject = f"upstream {own.name}"
        timeouts = UpstreamTimeouts(
            min(connect_seconds, _MAX_CHECK_SECONDS), _MAX_CHECK_SECONDS, _MAX_CHECK_SECONDS
        )
        began = clock()
        said = await ask(self, "/v1/models?limit=1", "apertis-doctor", timeouts, _MAX_LIST_BYTES)
        if isinstance(said, UpstreamFailure):
            advice = f"check that {own.base_url} is its address, and that this machine reaches it"
            return fail(subject, said.reason, advice)
        return _judged(subject, own, *said) or _timed(subject, own, clock() - began)

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


def _judged(
    subject: str,
    upstream: UpstreamSettings,
    status: int,
    headers: Sequence[tuple[bytes, bytes]],
    body: bytes,
) -> Finding | None:
    """Return the problem with the response; None if it is a list of models."""
    where = upstream.base_url
    if status in {401, 403}:
        return _refused(subject, upstream, status)
    if 300 <= status < 400:
        to = redirect_target(headers)
        advice = "make that the upstream's base_url: redirects are not followed"
        return fail(subject, f"{where} redirects to {to} ({status})", advice)
    if status >= 500:
        advice = "try again; if it stays, ask those who run it"
        return fail(subject, f"{where} fails with status {status}", advice)
    if status == 429:
        advice = "wait, or raise the limits of its key"
        return warn(subject, f"{where} limits the requests of its key just now (429)", advice)
    if status != 200:
        advice = "check base_url; if it has no such list, a real request tells whether it works"
        return warn(subject, f"{where} answers GET /v1/models with status {status}", advice)
    if not _is_list(body):
        advice = "check base_url: a page or another API may be there"
        return fail(subject, f"{where} answers with something other than a list of models", advice)
    return None


def _refused(subject: str, upstream: UpstreamSettings, status: int) -> Finding:
    if upstream.api_key is None:
        message = f"{upstream.base_url} wants a key, and none is configured ({status})"
        return fail(subject, message, "name one by api_key_env or api_key_file")
    where = f"{upstream.api_key.setting} = {upstream.api_key.source}"
    return fail(
        subject,
        f"{upstream.base_url} rejects the key ({status})",
        f"replace the key ({where}), or set auth to the header that it is meant for; now: "
        f"{upstream.auth}",
    )


def _is_list(body: bytes) -> bool:
    page = slices(body, ("data",))
    return page is not None and items(page.get("data", b"")) is not None


def _timed(subject: str, upstream: UpstreamSettings, seconds: float) -> Finding:
    message = f"{upstream.base_url} accepts the key and answers in {seconds * 1000:.0f} ms"
    if upstream.api_key is None:
        message = f"{upstream.base_url} answers without a key in {seconds * 1000:.0f} ms"
    if seconds > _SLOW_SECONDS:
        return warn(subject, message, "look for what is slow: the network, a proxy, or it")
    parts = urlsplit(upstream.base_url or "")
    if parts.scheme == "http" and upstream.api_key and not _is_local(parts.hostname or ""):
        return warn(subject, f"{message}, and the key travels in the clear", "use https://")
    return ok(subject, message)


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        # Names without a dot are those of containers and of this machine.
        return "." not in host
