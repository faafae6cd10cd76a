"""Tools in tasks of asyncio: deadlines, cancellation, and threads for those that block."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import trio

from apertis import AsyncApertis, ConfigurationError
from apertis.testing import ScriptedServer
from apertis.tools.context import ToolContext, tool_context
from apertis.tools.tasks import AsyncRunningCalls
from apertis.tools.tool import Tool

if TYPE_CHECKING:
    from apertis.tools.threads import Finished

WAIT = 10.0


def tool(function: Any, **settings: Any) -> Tool:
    return Tool(name="look", input_schema={"type": "object"}, function=function, **settings)


def context(timeout: float | None = None) -> ToolContext:
    return ToolContext("toolu_1", "look", timeout)


def ran(function: Any, *, is_async: bool, timeout: float | None = None) -> Finished:
    async def main() -> Finished:
        calls = AsyncRunningCalls()
        calls.start(0, tool(function, is_async=is_async), {}, context(timeout))
        try:
            return await calls.next()
        finally:
            await calls.abandon()

    return asyncio.run(main())


def test_a_tool_that_blocks_runs_in_a_thread_of_its_own() -> None:
    done = ran(lambda: threading.current_thread() is threading.main_thread(), is_async=False)
    assert (done.content, done.outcome) == ("false", "ok")


def test_a_coroutine_runs_in_the_callers_loop_and_knows_its_call() -> None:
    async def look() -> str:
        await asyncio.sleep(0)
        return f"{threading.current_thread() is threading.main_thread()} {tool_context().id}"

    assert ran(look, is_async=True).content == "True toolu_1"


def test_a_tool_that_cancels_itself_gives_an_error() -> None:
    async def look() -> str:
        raise asyncio.CancelledError

    done = ran(look, is_async=True)
    assert (done.content, done.outcome) == ("The tool look was cancelled.", "error")


def test_a_tool_that_will_not_be_cancelled_may_still_run() -> None:
    async def main() -> str:
        release = asyncio.Event()

        async def stubborn() -> str:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await release.wait()
            return ""

        calls = AsyncRunningCalls()
        calls.start(0, tool(stubborn, is_async=True), {}, context(0.01))
        content: str = (await calls.next()).content
        release.set()
        return content

    assert asyncio.run(main()).endswith("It may still be running.")


def test_the_first_of_those_that_end_together_is_the_first_of_the_response() -> None:
    async def main() -> list[int]:
        calls = AsyncRunningCalls()

        async def look() -> str:
            return "x"

        for place in (2, 0, 1):
            calls.start(place, tool(look, is_async=True), {}, context(WAIT))
        return [(await calls.next()).place for _ in range(3)]

    assert asyncio.run(main()) == [0, 1, 2]


def test_a_run_without_asyncio_is_an_error_before_anything_is_sent() -> None:
    async def main(base_url: str) -> None:
        async with httpx2.AsyncClient() as http_client:
            client = AsyncApertis(api_key="k", base_url=base_url, http_client=http_client)
            run = client.messages.run(
                model="claude-sonnet-4-5",
                max_tokens=9,
                messages=[{"role": "user", "content": "Hi"}],
                tools=[],
            )
            with pytest.raises(ConfigurationError, match="in a thread"):
                await run.until_done()

    with ScriptedServer([]) as server:
        trio.run(main, server.base_url)
        assert not server.requests
