"""The outcome of one attempt at an upstream, and who is at fault."""

from __future__ import annotations

import enum
from typing import Final


class Fault(enum.Enum):
    """A failure of an upstream that gave no response."""

    CONNECT = enum.auto()
    """No connection came about: the request never left."""
    BUSY = enum.auto()
    """All connections that the gateway may have to the upstream are in use."""
    TIMEOUT = enum.auto()
    """No byte came in time."""
    BROKEN = enum.auto()
    """The connection or the response was truncated, or is not HTTP."""


class Outcome(enum.Enum):
    """The outcome of an attempt."""

    OK = enum.auto()
    """A response of the model."""
    CLIENT_FAULT = enum.auto()
    """The upstream refuses the request itself: another place would refuse it too."""
    MODEL_MISSING = enum.auto()
    """The upstream does not know the model."""
    CONFLICT = enum.auto()
    """409: the same request may succeed a moment later."""
    BAD_KEY = enum.auto()
    """401: the upstream refuses the gateway's own credential, not the caller's key."""
    UNPAID = enum.auto()
    """402: the account behind the gateway's credential cannot pay."""
    FORBIDDEN = enum.auto()
    """403: the gateway's credential may not do this there; it may do other things."""
    RATE_LIMITED = enum.auto()
    """429: the gateway's credential has to wait; the host is well."""
    OVERLOADED = enum.auto()
    """503 or 529."""
    SERVER_ERROR = enum.auto()
    """Any other status that is no response: 408, 500, 502, 504 among them."""
    UNREACHABLE = enum.auto()
    """No connection came about: the request never left."""
    BUSY = enum.auto()
    """All connections to the upstream are in use, which says nothing about its health."""
    TIMEOUT = enum.auto()
    """The upstream was silent for longer than the gateway's own settings allow."""
    LATE = enum.auto()
    """A silence longer than the caller's `fallback_timeout`, which says little about the host."""
    MALFORMED = enum.auto()
    """The response was truncated, or is none."""
    LEFT = enum.auto()
    """The caller left before anything was known."""


# Python looks a member up anew wherever it is named: that costs far more than to compare it.
OK: Final = Outcome.OK

_OF_STATUS = {
    401: Outcome.BAD_KEY,
    402: Outcome.UNPAID,
    403: Outcome.FORBIDDEN,
    404: Outcome.MODEL_MISSING,
    408: Outcome.SERVER_ERROR,
    409: Outcome.CONFLICT,
    429: Outcome.RATE_LIMITED,
    503: Outcome.OVERLOADED,
    529: Outcome.OVERLOADED,
}

# The `error.type` of an error, as in https://docs.claude.com/en/api/errors.
_OF_ERROR = {
    "invalid_request_error": Outcome.CLIENT_FAULT,
    "request_too_large": Outcome.CLIENT_FAULT,
    "authentication_error": Outcome.BAD_KEY,
    "billing_error": Outcome.UNPAID,
    "permission_error": Outcome.FORBIDDEN,
    "not_found_error": Outcome.MODEL_MISSING,
    "conflict_error": Outcome.CONFLICT,
    "rate_limit_error": Outcome.RATE_LIMITED,
    "overloaded_error": Outcome.OVERLOADED,
}

_OF_FAULT = {
    Fault.CONNECT: Outcome.UNREACHABLE,
    Fault.BUSY: Outcome.BUSY,
    Fault.TIMEOUT: Outcome.TIMEOUT,
    Fault.BROKEN: Outcome.MALFORMED,
}


def outcome_of_status(status: int) -> Outcome:
    """Map the status of an upstream's response to an outcome.

    A 404 on the Messages endpoints means the model: the paths are the gateway's own.
    """
    if 200 <= status < 300:
        return Outcome.OK
    if status in _OF_STATUS:
        return _OF_STATUS[status]
    return Outcome.CLIENT_FAULT if 400 <= status < 500 else Outcome.SERVER_ERROR


def outcome_of_error(error_type: str | None) -> Outcome:
    """Map the `error` event of a stream to an outcome, by its `error.type`."""
    return _OF_ERROR.get(error_type or "", Outcome.SERVER_ERROR)


def outcome_of_fault(fault: Fault) -> Outcome:
    """Map a failure without a response to an outcome."""
    return _OF_FAULT[fault]
