"""The four deadlines of a call."""

from __future__ import annotations

import msgspec

from apertis.errors import ConfigurationError

# Sockets count milliseconds in 32 bits.
MAX_SECONDS = 2_000_000


# Firewalls forget a silent connection after a minute or more, without telling anybody.
MAX_IDLE_SECONDS = 55.0
# How long the end of a chunked body may lag behind the last event, before the connection is given
# up instead of kept. Nobody should notice the wait.
DRAIN_SECONDS = 0.2


class Timeout(msgspec.Struct, frozen=True):
    """Timeouts of a call, in seconds; None waits without limit.

    `connect` for a connection (name look-up, TCP, proxy and TLS), `response` for the first byte of
    the response, `idle` between two pieces of it, `total` for everything, over all retries.
    """

    connect: float | None = 10.0
    response: float | None = 600.0
    idle: float | None = 180.0
    total: float | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not _is_duration(value):
                raise ConfigurationError(
                    f"timeout: {name} must be a number of seconds, above 0 and up to "
                    f"{MAX_SECONDS}, or None for no limit; it is {value!r}"
                )

    @classmethod
    def of(cls, value: float | Timeout | None, *, streamed: bool = False) -> Timeout:
        """Convert `timeout=` to a `Timeout`.

        A number limits every wait, and the whole of a call that is not streamed: a stream may run
        as long as it goes on. None lifts all limits.
        """
        if isinstance(value, Timeout):
            return value
        if value is None:
            return cls(None, None, None, None)
        if not _is_duration(value):
            raise ConfigurationError(
                f"timeout must be a number of seconds, above 0 and up to {MAX_SECONDS}, "
                f"a Timeout, or None for no limit; it is {value!r}"
            )
        return cls(min(value, 10.0), value, value, None if streamed else value)

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


def _is_duration(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value <= MAX_SECONDS
