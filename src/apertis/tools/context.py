"""The call that a running tool was called for, as the tool can see it."""

from __future__ import annotations

import threading
from contextvars import ContextVar


class ToolContext:
    """The call of a tool that runs: its id and name, and whether it is still wanted.

    Nothing can stop a thread from outside. A tool that takes long looks at `cancelled` now and
    then, or waits with `wait`, and returns when nobody waits for its result any more.
    """

    def __init__(self, id: str, name: str, timeout: float | None = None) -> None:
        self.id = id
        self.name = name
        self.timeout = timeout
        # False where a thread runs the call, which nothing can stop from outside.
        self.in_task = False
        self._cancelled = threading.Event()

    def __repr__(self) -> str:
        return f"ToolContext(id={self.id!r}, name={self.name!r}, cancelled={self.cancelled})"

    @property
    def cancelled(self) -> bool:
        """True if the run was cancelled, or the deadline of the call has passed."""
        return self._cancelled.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the call is cancelled, at most so many seconds; return whether it is."""
        return self._cancelled.wait(seconds)

    def cancel(self) -> None:
        """Tell the tool that its result is not waited for."""
        self._cancelled.set()


_CURRENT: ContextVar[ToolContext] = ContextVar("apertis_tool_context")


def tool_context() -> ToolContext:
    """Return the context of the call that this code runs for; outside of a run, one of no call."""
    return _CURRENT.get(None) or ToolContext("", "")


def enter(context: ToolContext) -> None:
    """Let `tool_context` return this one, in the current thread or task."""
    _CURRENT.set(context)
