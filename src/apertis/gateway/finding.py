"""A finding of the doctor."""

from __future__ import annotations

import enum

import msgspec


class State(enum.Enum):
    """The severity of a finding."""

    OK = "ok"
    WARN = "warn"
    """Report something that works and may not be intended."""
    FAIL = "fail"
    """The gateway cannot start, or cannot serve, like this."""


class Finding(msgspec.Struct, frozen=True):
    """The result of one check, in a line; `advice` says what to do about it."""

    subject: str
    state: State
    message: str
    advice: str | None = None


def ok(subject: str, message: str) -> Finding:
    """Report that nothing is wrong."""
    return Finding(subject, State.OK, message)


def warn(subject: str, message: str, advice: str) -> Finding:
    """Report something that works and may not be intended."""
    return Finding(subject, State.WARN, message, advice)


def fail(subject: str, message: str, advice: str) -> Finding:
    """Report something that does not work."""
    return Finding(subject, State.FAIL, message, advice)
