"""The four deadlines of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from apertis.errors import ConfigurationError
from apertis.sansio.marks import NOT_GIVEN, NotGiven, is_absent

if TYPE_CHECKING:
    from typing import Self

# Sockets count milliseconds in 32 bits.
MAX_SECONDS = 2_000_000


# Firewalls forget a silent connection after a minute or more, without telling anybody.
MAX_IDLE_SECONDS = 55.0
# How long the end of a chunked body may lag behind the last event, before the connection is given
# up instead of kept. Nobody should notice the wait.
DRAIN_SECONDS = 0.2


_Limit = float | NotGiven | None


class Timeout:
    """Timeouts of a call, in seconds; None waits without limit.

    `connect` for a connection (name look-up, TCP, proxy and TLS), `response` for the first byte of
    the response, `idle` between two pieces of it, `total` for everything, over all retries. A first
    number stands for `connect`, `response` and `idle`, as far as these are not given.

    The names of httpx's timeouts are there too: `read` stands for `response` and `idle`, `pool` for
    `connect`; `write` is part of `response`.
    """

    __slots__ = ("connect", "idle", "response", "total")

    connect: float | None
    response: float | None
    idle: float | None
    total: float | None

    def __init__(
        self,
        timeout: _Limit = NOT_GIVEN,
        response: _Limit = NOT_GIVEN,
        idle: _Limit = NOT_GIVEN,
        total: _Limit = None,
        *,
        connect: _Limit = NOT_GIVEN,
        read: _Limit = NOT_GIVEN,
        write: _Limit = NOT_GIVEN,
        pool: _Limit = NOT_GIVEN,
    ) -> None:
        limits = {
            "connect": _first(connect, pool, timeout, 10.0),
            "response": _first(response, read, timeout, 600.0),
            "idle": _first(idle, read, timeout, 180.0),
            "total": _first(total, None),
        }
        for name, value in {**limits, "write": _first(write, None)}.items():
            if value is not None and not _is_duration(value):
                raise ConfigurationError(
                    f"timeout: {name} must be a number of seconds, above 0 and up to "
                    f"{MAX_SECONDS}, or None for no limit; it is {value!r}"
                )
        for name, value in limits.items():
            object.__setattr__(self, name, value)

    @property
    def read(self) -> float | None:
        """`response`, by the name that httpx has for it."""
        return self.response

    @property
    def write(self) -> float | None:
        """`response`, by the name that httpx has for it."""
        return self.response

    @property
    def pool(self) -> float | None:
        """`connect`, by the name that httpx has for it."""
        return self.connect

    def _limits(self) -> tuple[float | None, ...]:
        return self.connect, self.response, self.idle, self.total

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Timeout cannot be changed; make another one to set {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Timeout cannot be changed; make another one without {name}")

    def __eq__(self, other: object) -> bool:
        return self._limits() == other._limits() if isinstance(other, Timeout) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._limits())

    def __repr__(self) -> str:
        names = ("connect", "response", "idle", "total")
        return f"Timeout({', '.join(f'{name}={getattr(self, name)}' for name in names)})"

    def __reduce__(self) -> tuple[type[Self], tuple[float | None, ...]]:
        return type(self), self._limits()

    @classmethod
    def of(cls, value: float | Timeout | None, *, streamed: bool = False) -> Timeout:
        """Convert `timeout=` to a `Timeout`.

        A number limits every wait, and the whole of a call that is not streamed: a stream may run
        as long as it goes on. None lifts all limits. A timeout of httpx limits what it says.
        """
        if isinstance(value, Timeout):
            return value
        if hasattr(value, "connect") and hasattr(value, "read"):
            theirs: Any = value
            return cls(connect=theirs.connect, read=theirs.read)
        if value is None:
            return cls(None, None, None, None)
        if not _is_duration(value):
            raise ConfigurationError(
                f"timeout must be a number of seconds, above 0 and up to {MAX_SECONDS}, "
                f"a Timeout, or None for no limit; it is {value!r}"
            )
        return cls(value, connect=min(value, 10.0), total=None if streamed else value)

    def limits(self, now: float) -> Limits:
        """Return the deadlines of a call that begins now."""
        until = None if self.total is None else now + self.total
        return Limits(self.connect, self.response, self.idle, until)


class Limits(msgspec.Struct, frozen=True):
    """The deadlines of one attempt: three durations and, on the caller's clock, one moment."""

    connect: float | None
    response: float | None
    idle: float | None
    until: float | None = None

    def remaining(self, limit: float | None, now: float) -> tuple[float | None, str | None]:
        """Return the seconds that a wait may take, and "total" if that is what limits it."""
        if self.until is None:
            return limit, None
        left = max(self.until - now, 0.0)
        return (left, "total") if limit is None or left < limit else (limit, None)

    def allow(self, delay: float, now: float) -> bool:
        """Return whether there is time left after waiting so long."""
        return self.until is None or now + delay < self.until


def _first(*limits: Any) -> Any:
    return next((limit for limit in limits if not is_absent(limit)), None)


def _is_duration(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value <= MAX_SECONDS
