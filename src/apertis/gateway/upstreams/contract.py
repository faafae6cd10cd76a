"""One request and its response, as the parts of the gateway hand them to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from apertis.gateway.config import UpstreamSettings
    from apertis.gateway.finding import Finding
    from apertis.gateway.upstreams.outcome import Fault, Outcome

TOLD_BY_PROXIES = frozenset(
    {
        b"cf-connecting-ip",
        b"cf-connecting-ipv6",
        b"cf-ipcountry",
        b"fastly-client-ip",
        b"forwarded",
        b"true-client-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-envoy-external-address",
        b"x-original-forwarded-for",
        b"x-real-ip",
    }
)
"""Headers in which proxies in front of the gateway identify the client, beside `x-forwarded-*`."""

_MAX_SHOWN_LENGTH = 200

Headers = tuple[tuple[str, str], ...]
RawHeaders = list[tuple[bytes, bytes]]


class SharedHeaders(RawHeaders):
    """Headers of a client that nobody changes, and what is sent of them to an upstream.

    `passed_up` is kept by who made it: see `headers.passed_up`.
    """

    __slots__ = ("passed_up",)

    def __init__(self, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(headers)
        self.passed_up: bytes | None = None


# A model as its upstream describes it. Values stay the bytes that came: a field that nobody here
# knows is handed on as it is.
Document: TypeAlias = dict[str, msgspec.Raw]

# Not the same as a list without models: the upstream does not say what it has.
NO_LIST: Final[dict[str, Document]] = {}


class Request(msgspec.Struct):
    """A client's request. Header names are lower-case; the query is not decoded.

    The body comes last: who may ask is decided before it is read.
    """

    id: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    raw_headers: RawHeaders = msgspec.field(default_factory=list[tuple[bytes, bytes]])
    # The address at the other end of the connection: the client's, or that of a proxy.
    peer: str = ""
    # Path and query.
    target: str = ""


class ClientLeft(ConnectionError):
    """The client closed its connection before its request was complete."""


@dataclass(frozen=True, slots=True)
class UpstreamFailure:
    """The reason that there is no (further) response; it names no secret and no content."""

    kind: Fault
    reason: str


@dataclass(frozen=True, slots=True)
class UpstreamTimeouts:
    """Timeouts in seconds: for a connection, the first byte, and between two bytes."""

    connect: float
    first_byte: float
    idle: float


class UpstreamRequest(msgspec.Struct, frozen=True):
    """An outgoing request: the caller's headers and bytes; upstreams filter and add their own.

    `target` is path and query as received: `/v1/messages?beta=true`. Names of headers are
    lower-case.
    """

    method: str
    target: str
    headers: RawHeaders
    body: bytes
    model: str = ""
    """The upstream's name for the model, as the body has it; nothing where no model is asked."""


class UpstreamAnswer(Protocol):
    """A response whose head is there. Hop-by-hop headers are gone, names are lower-case."""

    @property
    def status(self) -> int:
        """The status of the response."""
        ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Its headers, in their order."""
        ...

    async def read(self) -> bytes | UpstreamFailure:
        """Give the next bytes of the body at the moment they come, b"" at its regular end."""
        ...

    async def pour(
        self, take: Callable[[bytes], bool], seconds: float | None = None
    ) -> bool | UpstreamFailure:
        """Give each piece of the body to `take` at the moment it comes, until it returns False.

        True at the regular end of the body, False when `take` wants no more for now, or so many
        seconds are over; it may be called again then.
        """
        ...

    def whole(self) -> bytes | None:
        """Give the rest of the body if all of it is here already; None when it must be read."""
        ...

    def close(self) -> None:
        """Keep the connection if the response is whole, else drop it at once."""
        ...


class Upstream(Protocol):
    """A service that answers requests."""

    @property
    def name(self) -> str:
        """The name from the configuration."""
        ...

    async def open(
        self, request: UpstreamRequest, timeouts: UpstreamTimeouts
    ) -> UpstreamAnswer | UpstreamFailure:
        """Send one request, and wait for the head of its response."""
        ...

    async def models(self) -> dict[str, Document] | UpstreamFailure:
        """Read all models by id, in its order; `NO_LIST` itself where it has no list."""
        ...

    async def model(self, name: str) -> Document | UpstreamFailure | None:
        """Read one model by its id or alias; None where it does not know it."""
        ...

    async def check(
        self, own: UpstreamSettings, connect_seconds: float, clock: Callable[[], float]
    ) -> Finding:
        """Say how it is, by one request of its own; `own` are the settings that made it."""
        ...

    def outcome_of_status(self, status: int) -> Outcome:
        """Classify a response by its status."""
        ...

    def outcome_of_error(self, error_type: str | None) -> Outcome:
        """Classify an error that came in a stream, by its type."""
        ...

    async def close(self) -> None:
        """Close the connections that are kept."""
        ...


def header_values(headers: RawHeaders) -> dict[str, str]:
    """Return the values by name; a field that repeats is one value (RFC 9110, section 5.3)."""
    values = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    if len(values) < len(headers):
        values.clear()
        for raw_name, raw_value in headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            values[name] = f"{values[name]}, {value}" if name in values else value
    return values


def redirect_target(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the target of a redirect for the administrator, without secrets in it."""
    location = next((value for name, value in headers if name == b"location"), b"")
    address = location.decode("latin-1").partition("?")[0].partition("#")[0]
    scheme, slashes, rest = address.rpartition("//")
    host, slash, path = rest.partition("/")
    shown = f"{scheme}{slashes}{host.rpartition('@')[2] if slashes else host}{slash}{path}"
    return shown[:_MAX_SHOWN_LENGTH] if shown.isprintable() and shown else "elsewhere"
