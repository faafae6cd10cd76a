"""Running tools in threads: the blocking half of `RunningCalls`; `tasks` is that of asyncio.

The threads are daemons: a tool that hangs is given up, and keeps no program from its end.
"""

from __future__ import annotations

import threading
import time
from contextvars import copy_context
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from apertis import logs
from apertis.sansio.request import render_json
from apertis.tools.context import ToolContext, enter
from apertis.tools.tool import ToolError, result_content

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.tools.loop import Outcome
    from apertis.tools.settings import RunnableTool

MAX_ERROR_CHARACTERS = 10_000


class Finished(NamedTuple):
    """The end of a call, by its place in the response."""

    place: int
    content: Any
    outcome: Outcome
    seconds: float


def content_of(value: Any) -> tuple[Any, Outcome]:
    """Return what a tool returned as the content of its result."""
    try:
        content = result_content(value)
        # What cannot be sent is the tool's failure, and not that of the request that carries it.
        render_json(content)
    except Exception as error:  # noqa: BLE001 - whatever it is, the model is told of it.
        return f"The tool returned what cannot be sent: {_text(error)}", "error"
    return content, "ok"


def content_of_error(name: str, error: BaseException) -> tuple[Any, Outcome]:
    """Return the content of the result of a tool that raised."""
    if isinstance(error, ToolError):
        return content_of(error.content)[0], "error"
    # Its text may be what a user said.
    logs.logger.warning("tool %s raised %s", name, type(error).__name__)
    return f"The tool failed with {type(error).__name__}: {_text(error)}", "error"


def given_up_text(seconds: float, *, stopped: bool) -> str:
    """Return the content of the result of a call whose deadline has passed."""
    if stopped:
        return f"The call was stopped: it had no result after {seconds:g} s, its deadline."
    return (
        f"The call was given up: it had no result after {seconds:g} s, its deadline. "
        "It may still be running."
    )


def run_in_place(tool: RunnableTool, given: dict[str, Any]) -> tuple[Any, Outcome]:
    """Call a tool and wait for it; a coroutine gets an event loop of its own."""
    try:
        value = tool.call(given)
        if hasattr(value, "__await__"):
            value = import_module("asyncio").run(_awaited(value))
    except Exception as error:  # noqa: BLE001 - the model is told of it.
        return content_of_error(tool.name, error)
    return content_of(value)


def start_thread(
    tool: RunnableTool,
    given: dict[str, Any],
    context: ToolContext,
    deliver: Callable[[tuple[Any, Outcome]], None],
) -> None:
    """Run a tool in a daemon thread, in a copy of the caller's context variables."""

    def work() -> None:
        enter(context)
        try:
            result = run_in_place(tool, given)
        except BaseException as error:  # noqa: BLE001 - it ends this thread, not the program.
            result = content_of_error(tool.name, error)
        deliver(result)

    name = f"apertis-tool-{tool.name}"
    threading.Thread(target=copy_context().run, args=(work,), name=name, daemon=True).start()


class RunningCalls:
    """The calls that run at the same time."""

    def __init__(self) -> None:
        self._running: dict[int, tuple[ToolContext, float]] = {}
        self._results: SimpleQueue[Finished] = SimpleQueue()

    def __len__(self) -> int:
        return len(self._running)

    @staticmethod
    def prepare() -> None:
        """Do nothing: threads run everywhere."""

    def start(
        self, place: int, tool: RunnableTool, given: dict[str, Any], context: ToolContext
    ) -> None:
        """Start a call in a thread of its own."""
        started = time.monotonic()
        self._running[place] = context, started

        def deliver(result: tuple[Any, Outcome]) -> None:
            self._results.put(Finished(place, *result, time.monotonic() - started))

        start_thread(tool, given, context, deliver)

    def start_alone(
        self, place: int, tool: RunnableTool, given: dict[str, Any], context: ToolContext
    ) -> None:
        """Run a call in the caller's own thread, where nothing limits it."""
        if tool.is_async:
            self.start(place, tool, given, context)
            return
        started = time.monotonic()
        self._running[place] = context, started
        result = copy_context().run(_entered, tool, given, context)
        self._results.put(Finished(place, *result, time.monotonic() - started))

    def next(self) -> Finished:
        """Wait for the next call to finish, or to reach its deadline."""
        while True:
            deadlines = {
                place: started + context.timeout
                for place, (context, started) in self._running.items()
                if context.timeout is not None
            }
            first = min(deadlines, key=deadlines.__getitem__, default=-1)
            left = max(deadlines[first] - time.monotonic(), 0.0) if deadlines else None
            try:
                done = self._results.get(timeout=left)
            except Empty:
                context, started = self._running.pop(first)
                context.cancel()
                text = given_up_text(context.timeout or 0.0, stopped=False)
                return Finished(first, text, "timeout", time.monotonic() - started)
            # One that was given up may still come to an end.
            if self._running.pop(done.place, None) is not None:
                return done

    def abandon(self) -> None:
        """Tell every tool that still runs that nobody waits for it."""
        for context, _ in self._running.values():
            context.cancel()
        self._running.clear()


def _entered(
    tool: RunnableTool, given: dict[str, Any], context: ToolContext
) -> tuple[Any, Outcome]:
    enter(context)
    return run_in_place(tool, given)


async def _awaited(value: Any) -> Any:
    return await value


def _text(error: BaseException) -> str:
    text = str(error) or "no message"
    # Half of a character can be in no request.
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    cut = len(text) > MAX_ERROR_CHARACTERS
    return f"{text[:MAX_ERROR_CHARACTERS]} ... (cut)" if cut else text
