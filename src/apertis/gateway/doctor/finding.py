"""What the doctor says of one thing."""

from __future__ import annotations

import enum

import msgspec

__all__ = ["Finding", "State", "fail", "ok", "warn"]


class State(enum.Enum):
    """How a thing is."""

    OK = "ok"
    WARN = "warn"
    """It works, and may not be what is wanted."""
    FAIL = "fail"
    """The gateway cannot start, or cannot serve, like this."""


class Finding(msgspec.Struct, frozen=True):
    """How one thing is, in a line; `advice` says what to do about it."""

    subject: str
    state: State
    message: str
    advice: str | None = None


def ok(subject: str, message: str) -> Finding:
    """Nothing is wrong."""
    return Finding(subject, State.OK, message)


def warn(subject: str, message: str, advice: str) -> Finding:
    """It works, and may not be what is wanted."""
    return Finding(subject, State.WARN, message, advice)


def fail(subject: str, message: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(subject, State.FAIL, message, advice)
