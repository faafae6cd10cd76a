"""Read by type checkers, never run: a tool keeps the types of its function, a run its turns'."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_type

from apertis import (
    Apertis,
    AsyncApertis,
    AsyncMessageStream,
    AsyncToolRunner,
    Message,
    MessageStream,
    ParsedMessage,
    RunResult,
    ToolRunner,
    tool,
)

if TYPE_CHECKING:
    from apertis.params import MessageParam

client = Apertis()
aio = AsyncApertis()
hello: MessageParam = {"role": "user", "content": "Hello"}


@dataclass
class Film:
    title: str


@tool
def look(city: str, days: int = 1) -> str:
    """Look at the weather."""
    return city * days


@tool(name="delete_file", needs_approval=True)
async def delete(path: str) -> str:
    """Delete a file."""
    return path


def a_tool_keeps_the_types_of_its_function() -> None:
    assert_type(look("Oslo", days=2), str)
    look(5)  # type: ignore[arg-type]  # ty: ignore[invalid-argument-type]


async def a_coroutine_is_awaited() -> None:
    assert_type(await delete("x"), str)


def a_run_gives_messages_or_streams() -> None:
    runner = client.messages.run(model="m", max_tokens=5, messages=[hello], tools=[look, delete])
    assert_type(runner, ToolRunner[Message])
    for message in runner:
        assert_type(message, Message)
    assert_type(runner.until_done(), Message)
    assert_type(runner.result, RunResult)
    streamed = client.messages.run(model="m", max_tokens=5, messages=[hello], stream=True)
    assert_type(streamed, ToolRunner[MessageStream])
    client.messages.run(model="m", messages=[hello])  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]


def the_answer_of_a_run_has_a_value_of_the_type() -> None:
    runner = client.messages.run(model="m", max_tokens=5, messages=[hello], output_format=Film)
    assert_type(runner, ToolRunner[ParsedMessage[Film]])
    assert_type(runner.until_done().parsed_output, Film | None)


async def the_other_client_gives_the_same() -> None:
    runner = aio.messages.tool_runner(model="m", max_tokens=5, messages=[hello], tools=[look])
    assert_type(runner, AsyncToolRunner[Message])
    assert_type(await runner.until_done(), Message)
    streamed = aio.messages.run(model="m", max_tokens=5, messages=[hello], stream=True)
    assert_type(streamed, AsyncToolRunner[AsyncMessageStream])
    parsed = aio.messages.run(model="m", max_tokens=5, messages=[hello], output_format=Film)
    assert_type((await parsed.until_done()).parsed_output, Film | None)
