"""Tools of real MCP servers, over stdio and over HTTP."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import ANY

import pytest

from apertis.errors import ParameterError
from apertis.tools.mcp import (
    mcp_content,
    mcp_message,
    mcp_resource_to_content,
    mcp_result,
    mcp_tools,
)
from apertis.tools.tool import ToolError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

mcp: Any = pytest.importorskip("mcp", reason="needs the mcp package")
SERVER = str(Path(__file__).with_name("mcp_server.py"))


@asynccontextmanager
async def over_stdio() -> AsyncGenerator[Any]:
    from mcp.client.stdio import stdio_client

    parameters = mcp.StdioServerParameters(command=sys.executable, args=[SERVER])
    async with stdio_client(parameters) as streams, mcp.ClientSession(*streams[:2]) as session:
        await session.initialize()
        yield session


@asynccontextmanager
async def over_http() -> AsyncGenerator[Any]:
    from mcp.client.streamable_http import streamable_http_client

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(  # noqa: ASYNC220 - one that a test starts and ends.
        [sys.executable, SERVER, str(port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        assert process.stdout is not None
        # It says when it listens.
        while b"running on" not in (line := process.stdout.readline()):
            assert line, "the server ended"
        url = f"http://127.0.0.1:{port}/mcp"
        async with (
            streamable_http_client(url) as streams,
            mcp.ClientSession(*streams[:2]) as session,
        ):
            await session.initialize()
            yield session
    finally:
        process.terminate()
        process.communicate()


@pytest.mark.parametrize("connected", [over_stdio, over_http])
def test_a_servers_tools_are_tools(connected: Any) -> None:
    async def run() -> None:
        async with connected() as session:
            tools = {tool.name: tool for tool in await mcp_tools(session)}
            assert set(tools) == {"add", "fail", "draw"}
            param = tools["add"].to_param()
            assert param["description"] == "Add two numbers."
            assert param["input_schema"]["required"] == ["a", "b"]
            assert tools["add"].is_async
            assert await tools["add"].call({"a": 1, "b": 2}) == [{"type": "text", "text": "3"}]
            assert (await tools["draw"].call({}))[0]["source"]["media_type"] == "image/png"
            with pytest.raises(ToolError) as error:
                await tools["fail"].call({})
            assert error.value.content == [{"type": "text", "text": ANY}]
            assert [tool.name for tool in await mcp_tools(session, only=["add"])] == ["add"]
            with pytest.raises(ParameterError, match="no tool 'other'; it has add"):
                await mcp_tools(session, only=["other"])
            note = mcp_resource_to_content(await session.read_resource("note://one"))
            assert note["source"]["data"] == "a note"
            prompt = await session.get_prompt("ask", {"topic": "tea"})
            assert mcp_message(prompt.messages[0]) == {
                "role": "user",
                "content": [{"type": "text", "text": "Tell me of tea."}],
            }

    asyncio.run(run())


def link() -> Any:
    return SimpleNamespace(type="resource_link", uri="file:///a", mimeType="text/plain")


def test_what_the_api_has_no_block_for_is_told_in_words() -> None:
    assert mcp_result(SimpleNamespace(content=[link()], isError=False)) == [
        {"type": "text", "text": "[resource_link: file:///a]"}
    ]
    with pytest.raises(ParameterError, match="content of type 'resource_link'"):
        mcp_content(link())


def test_structured_content_alone_is_json() -> None:
    result = SimpleNamespace(content=[], structuredContent={"a": 1}, isError=False)
    assert mcp_result(result) == '{"a":1}'


def test_a_block_may_be_cached() -> None:
    block = mcp_content(SimpleNamespace(type="text", text="x"), cache_control={"type": "ephemeral"})
    assert block == {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}


def test_all_pages_of_a_list_are_read() -> None:
    class Session:
        async def list_tools(self, *, params: Any = None) -> Any:
            name = "b" if params else "a"
            tool = SimpleNamespace(name=name, description="", input_schema={"type": "object"})
            return SimpleNamespace(tools=[tool], next_cursor=None if params else "next")

    assert [tool.name for tool in asyncio.run(mcp_tools(Session()))] == ["a", "b"]
