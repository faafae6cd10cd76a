"""Running tools in tasks: the half of `RunningCalls` for asyncio; `threads` is the blocking one.

A tool that blocks runs in a thread, so that the event loop goes on.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from apertis.errors import ConfigurationError
from apertis.tools.context import ToolContext, enter
from apertis.tools.threads import (
    Finished,
    content_of,
    content_of_error,
    given_up_text,
    start_thread,
)

if TYPE_CHECKING:
    from apertis.tools.loop import Outcome
    from apertis.tools.settings import RunnableTool

# How long a tool that was cancelled may take to end.
GRACE_SECONDS = 0.25


class AsyncRunningCalls:
    """The calls that run at the same time."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[tuple[Any, Outcome]], tuple[int, ToolContext, float]] = {}

    def __len__(self) -> int:
        return len(self._running)

    @staticmethod
    def prepare() -> None:
        """Check that tools can run here, before anything is sent; else `ConfigurationError`."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError(
                "tools run in tasks of asyncio, which does not run here; under trio run them with "
                "the blocking client in a thread: trio.to_thread.run_sync"
            ) from None

    def start(
        self, place: int, tool: RunnableTool, given: dict[str, Any], context: ToolContext
    ) -> None:
        """Start a call in a task of its own."""
        # Each is kept, awaited and cancelled here.
        task = asyncio.create_task(_run(tool, given, context))  # noqa: TID251
        self._running[task] = place, context, time.monotonic()

    start_alone = start

    async def next(self) -> Finished:
        """Wait for the next call to finish, or to reach its deadline."""
        while True:
            deadlines = {
                task: started + context.timeout
                for task, (_, context, started) in self._running.items()
                if context.timeout is not None
            }
            first = min(deadlines, key=deadlines.__getitem__, default=None)
            left = None if first is None else max(deadlines[first] - time.monotonic(), 0.0)
            done, _ = await asyncio.wait(
                self._running, timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
            if done:
                task = min(done, key=lambda task: self._running[task][0])
                place, context, started = self._running.pop(task)
                return Finished(place, *_result(task, context), time.monotonic() - started)
            if first is not None and deadlines[first] <= time.monotonic():
                return await self._give_up(first)

    async def abandon(self) -> None:
        """Cancel every tool that still runs, and wait a moment for each to end."""
        await _cancel({task: context for task, (_, context, _) in self._running.items()})
        self._running.clear()

    async def _give_up(self, task: asyncio.Task[tuple[Any, Outcome]]) -> Finished:
        place, context, started = self._running.pop(task)
        seconds = time.monotonic() - started
        await _cancel({task: context})
        # A thread is out of reach, and its task ends without it.
        text = given_up_text(context.timeout or 0.0, stopped=context.in_task and task.done())
        return Finished(place, text, "timeout", seconds)


async def _cancel(tasks: dict[asyncio.Task[tuple[Any, Outcome]], ToolContext]) -> None:
    for task, context in tasks.items():
        context.cancel()
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=GRACE_SECONDS)


def _result(task: asyncio.Task[tuple[Any, Outcome]], context: ToolContext) -> tuple[Any, Outcome]:
    if task.cancelled():
        return f"The tool {context.name} was cancelled.", "error"
    return task.result()


async def _run(
    tool: RunnableTool, given: dict[str, Any], context: ToolContext
) -> tuple[Any, Outcome]:
    context.in_task = tool.is_async
    if not tool.is_async:
        return await _in_thread(tool, given, context)
    enter(context)
    try:
        value: Any = tool.call(given)
        if hasattr(value, "__await__"):
            value = await value
    except Exception as error:  # noqa: BLE001 - the model is told of it.
        return content_of_error(tool.name, error)
    return content_of(value)


async def _in_thread(
    tool: RunnableTool, given: dict[str, Any], context: ToolContext
) -> tuple[Any, Outcome]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[tuple[Any, Outcome]] = loop.create_future()

    def arrive(result: tuple[Any, Outcome]) -> None:
        if not future.done():
            future.set_result(result)

    def deliver(result: tuple[Any, Outcome]) -> None:
        # Nobody waits any more when the loop was closed meanwhile.
        if not loop.is_closed():
            loop.call_soon_threadsafe(arrive, result)

    start_thread(tool, given, context, deliver)
    return await future
