"""The context of a request and its progress; logs, metrics and the usage record read it."""

from __future__ import annotations

import secrets
from itertools import count
from typing import TYPE_CHECKING

import msgspec

from apertis.accounting.prices import UNITS_PER_DOLLAR
from apertis.accounting.tokens import NO_TOKENS, Tokens

if TYPE_CHECKING:
    from apertis.gateway.budgets.lease import Chain
    from apertis.gateway.errors import Refusal
    from apertis.gateway.keys.directory import Key
    from apertis.gateway.limits.limiter import Parties
    from apertis.gateway.people.record import Person
    from apertis.gateway.upstreams.contract import SharedHeaders
    from apertis.limiting.status import LimitStatus

# The status under which a request is booked whose caller did not wait; nginx's own number.
CLIENT_LEFT = 499

# Time first, so that an index over ids grows at its end; then what makes it unique.
_PROCESS = secrets.token_hex(4)
_COUNTER = count(secrets.randbelow(2**31))


def new_request_id(now: float) -> str:
    """Make the id of a request that comes now (Unix seconds)."""
    # Half the time that an f-string takes.
    return "req_%012x%s%08x" % (  # noqa: UP031
        int(now * 1000),
        _PROCESS,
        next(_COUNTER) & 0xFFFFFFFF,
    )


class RequestHead:
    """The head of a request, names of headers in lower case, and what follows from it alone.

    Requests whose heads differ in their `content-length` alone share one, which nobody changes and
    in which that header is missing. `found` is for whoever serves it.
    """

    __slots__ = (
        "expects_continue",
        "found",
        "headers",
        "is_http_1_0",
        "keep_alive",
        "method",
        "path",
        "query",
        "values",
    )

    def __init__(
        self,
        method: str,
        target: tuple[str, str],
        headers: SharedHeaders,
        values: dict[str, str],
        *,
        is_http_1_0: bool = False,
        keep_alive: bool = True,
        expects_continue: bool = False,
    ) -> None:
        self.method = method
        self.path, self.query = target
        self.headers = headers
        self.values = values
        self.is_http_1_0 = is_http_1_0
        self.keep_alive = keep_alive
        self.expects_continue = expects_continue
        self.found: object = None


class RequestContext(msgspec.Struct, frozen=True):
    """One request as its head tells it. `at` is Unix seconds, `started` on the monotonic clock."""

    id: str
    at: float
    started: float
    method: str
    path: str
    endpoint: str = ""
    # The client's, which a trusted proxy may have told.
    address: str = ""
    client_request_id: str | None = None
    session: str | None = None
    agent: str | None = None
    request_class: str | None = None
    # What lets a page in a browser read the response.
    page_headers: tuple[tuple[bytes, bytes], ...] = ()


class Used(msgspec.Struct, frozen=True):
    """Usage of a request and its cost. `estimated`: not all of it is the upstream's count."""

    tokens: Tokens = NO_TOKENS
    cost_units: int = 0
    estimated: bool = False


NOTHING_USED = Used()


class Progress(msgspec.Struct, eq=False):
    """The progress of a request. Only this room assigns it; others report what happened.

    It is there at every end: a caller may leave, and a server may stop, wherever a request is.
    """

    context: RequestContext
    key: Key | None = None
    # Who stands behind a shared key, where the gateway before this one says it.
    person: Person | None = None
    # What the request is paid from, and what of that it was booked in.
    chain: Chain | None = None
    charged_to: str = ""
    standing: LimitStatus | None = None
    # Who else it is counted for, with limits of their own: the person and the groups.
    parties: Parties = ()
    kind: str | None = None
    requested_model: str = ""
    model: str = ""
    streamed: bool = False
    cached: bool = False
    # Who is billed, where it is somebody else.
    bill_to: str | None = None
    # Which breakpoint of the prompt cache changed: see `prefixes`.
    prefix_change: int | None = None
    upstream: str = ""
    upstream_request_id: str | None = None
    attempts: int = 0
    fallback_reason: str | None = None
    reserved_units: int = 0
    used: Used = NOTHING_USED
    status: int = 0
    code: str | None = None
    # Why an upstream failed, for the log alone: it names the upstream's address.
    reason: str | None = None
    interrupted: bool = False
    head_sent: bool = False
    # Whether the response is an error of the gateway's own.
    is_refused: bool = False
    # Monotonic moments: the request was sent on, the first byte of its response left.
    sent: float | None = None
    first_byte: float | None = None

    # Keys and what callers call things are in no representation.
    __repr__ = object.__repr__

    @property
    def cost_dollars(self) -> float:
        """The cost in dollars, for people to read; money is counted in units."""
        return self.used.cost_units / UNITS_PER_DOLLAR

    def asks(self, model: str) -> None:
        """Note the model that is asked for."""
        self.model = self.requested_model = model

    def pays_from(self, chain: Chain) -> None:
        """Note the budgets that the request is paid from."""
        self.chain = chain

    def tries(self, upstream: str, now: float) -> None:
        """Note that the request is sent to an upstream now, on the monotonic clock."""
        self.upstream = upstream
        self.attempts += 1
        if self.sent is None:
            self.sent = now

    def fails(self, reason: str) -> None:
        """Note why an upstream gave no response that can be handed on."""
        self.reason = reason

    def uses(self, kind: str, model: str, used: Used) -> None:
        """Note what was used in all."""
        self.kind, self.model, self.used = kind, model, used

    def answers(self, status: int, now: float | None = None) -> None:
        """Note that the head of the response leaves; at `now`, where its first byte counts."""
        self.status = status
        self.head_sent = True
        if now is not None:
            self.first_byte = now

    def refuses(self, refusal: Refusal) -> None:
        """Note that the response is an error of the gateway's own, and that it leaves."""
        self.status, self.code = refusal.status, refusal.code
        self.head_sent = self.is_refused = True

    def streams(self, now: float) -> None:
        """Note that the first bytes of a streamed response leave."""
        self.streamed = True
        self.first_byte = now

    def ends(
        self, status: int | None = None, code: str | None = None, *, interrupted: bool = True
    ) -> None:
        """Note an end other than the response's own: the caller left, or the stream broke."""
        self.status = self.status if status is None else status
        self.code = self.code if code is None else code
        self.interrupted = self.interrupted or interrupted
