"""What is known of one request while it is served; logs, metrics and the usage record read it."""

from __future__ import annotations

import secrets
from itertools import count
from time import time
from typing import TYPE_CHECKING

from apertis.accounting.prices import UNITS_PER_DOLLAR
from apertis.accounting.tokens import Tokens

if TYPE_CHECKING:
    from apertis.gateway.keys.directory import Key
    from apertis.limiting.status import LimitStatus

__all__ = ["RequestContext", "new_request_id"]

# Time first, so that an index over ids grows at its end; then what makes it unique.
_PROCESS = secrets.token_hex(4)
_COUNTER = count(secrets.randbelow(2**31))
_NO_TOKENS = Tokens()


def new_request_id(now: float) -> str:
    """Make the id of a request that comes now (Unix seconds)."""
    return f"req_{int(now * 1000):012x}{_PROCESS}{next(_COUNTER) & 0xFFFFFFFF:08x}"


class RequestContext:
    """One request from its first byte to its line in the log."""

    __slots__ = (
        "address",
        "agent",
        "at",
        "attempts",
        "bill_to",
        "cached",
        "client_request_id",
        "code",
        "cost_units",
        "endpoint",
        "estimated",
        "fallback_reason",
        "first_byte",
        "head_sent",
        "id",
        "interrupted",
        "key",
        "kind",
        "method",
        "model",
        "page_headers",
        "path",
        "reason",
        "request_class",
        "requested_model",
        "sent",
        "session",
        "standing",
        "started",
        "status",
        "streamed",
        "tokens",
        "upstream",
        "upstream_request_id",
    )

    def __init__(self, method: str, path: str, started: float) -> None:
        now = time()
        self.id = new_request_id(now)
        # Unix seconds, and the monotonic clock.
        self.at = now
        self.started = started
        self.method = method
        self.path = path
        self.endpoint = ""
        # What lets a page in a browser read the answer.
        self.page_headers: tuple[tuple[bytes, bytes], ...] = ()
        self.kind: str | None = None
        self.address = ""
        self.key: Key | None = None
        self.standing: LimitStatus | None = None
        self.client_request_id: str | None = None
        self.session: str | None = None
        self.agent: str | None = None
        self.request_class: str | None = None
        self.requested_model = ""
        self.model = ""
        self.upstream = ""
        self.upstream_request_id: str | None = None
        self.attempts = 0
        self.fallback_reason: str | None = None
        self.head_sent = False
        self.status = 0
        self.code: str | None = None
        # Why an upstream failed, for the log alone: it names the upstream's address.
        self.reason: str | None = None
        self.streamed = False
        self.cached = False
        # Who is billed, where it is somebody else.
        self.bill_to: str | None = None
        self.estimated = False
        self.interrupted = False
        self.tokens = _NO_TOKENS
        self.cost_units = 0
        # Monotonic moments: the request was sent on, the first byte of its answer left.
        self.sent: float | None = None
        self.first_byte: float | None = None

    @property
    def cost_dollars(self) -> float:
        """What it cost, for people to read; money is counted in units."""
        return self.cost_units / UNITS_PER_DOLLAR
