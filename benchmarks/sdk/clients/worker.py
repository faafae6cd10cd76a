"""Runs the same calls through either SDK; started by the Python of each environment.

    worker.py MODULE SYNC_CLIENT ASYNC_CLIENT ORIGIN
    worker.py anthropic Anthropic AsyncAnthropic http://127.0.0.1:5000

It reads one operation a line from standard input, as JSON, and answers each with its cost.
The two SDKs share the names that are used here, so both sides run these very lines.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

REQUEST: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 1024,
    "messages": [{"role": "user", "content": "Why do the tides turn? Answer in two sentences."}],
}


@dataclass
class Item:
    """A part of the value that is parsed."""

    name: str
    price: float
    count: int
    note: str


@dataclass
class Order:
    """The value that is parsed."""

    items: list[Item]


class MessageStream(Protocol):
    """The stream helper of a sync client."""

    text_stream: Iterator[str]

    def __iter__(self) -> Iterator[object]: ...
    def get_final_message(self) -> Any: ...


class AsyncMessageStream(Protocol):
    """The stream helper of an async client."""

    text_stream: AsyncIterator[str]

    def __aiter__(self) -> AsyncIterator[object]: ...
    def get_final_message(self) -> Awaitable[Any]: ...


class Messages(Protocol):
    """The sync calls under test."""

    def create(self, **parameters: Any) -> Any: ...
    def stream(self, **parameters: Any) -> AbstractContextManager[MessageStream]: ...
    def tool_runner(self, **parameters: Any) -> Any: ...


class AsyncMessages(Protocol):
    """The async calls under test."""

    def create(self, **parameters: Any) -> Awaitable[Any]: ...
    def stream(self, **parameters: Any) -> AbstractAsyncContextManager[AsyncMessageStream]: ...


@dataclass(frozen=True)
class Sdk:
    """One of the two SDKs, and where the stub is. The stub's path chooses its answer."""

    module: str
    sync_client: str
    async_client: str
    origin: str

    # One client a path for the whole run: its connections stay open, as in a program.
    @cache  # noqa: B019
    def sync_messages(self, path: str, *, beta: bool = False) -> Messages:
        kind = getattr(importlib.import_module(self.module), self.sync_client)
        client = kind(api_key="sk-test", base_url=self.origin + path)
        messages: Messages = client.beta.messages if beta else client.messages
        return messages

    @cache  # noqa: B019
    def async_messages(self, path: str) -> AsyncMessages:
        client = getattr(importlib.import_module(self.module), self.async_client)
        messages: AsyncMessages = client(api_key="sk-test", base_url=self.origin + path).messages
        return messages


def create(messages: Messages, count: int) -> Any:
    for _ in range(count):
        message = messages.create(**REQUEST)
    return message


def stream_events(messages: Messages) -> Any:
    with messages.stream(**REQUEST) as stream:
        for _ in stream:
            pass
        return stream.get_final_message()


def stream_text(messages: Messages) -> Any:
    with messages.stream(**REQUEST) as stream:
        for _ in stream.text_stream:
            pass
        return stream.get_final_message()


def tool_of(messages: Messages) -> Any:
    """Make a tool that does nothing."""

    def look(place: str) -> str:
        """Look at a place."""
        return place

    if not type(messages).__module__.startswith("apertis"):
        return importlib.import_module("anthropic").beta_tool(look)
    make = importlib.import_module("apertis.tools.tool")
    schema = {"type": "object", "properties": {"place": {"type": "string"}}}
    return make.Tool(name="look", description="Look.", input_schema=schema, function=look)


def run_tools(messages: Messages, tool: Any, count: int) -> Any:
    """Run turns of which each calls the tool."""
    return messages.tool_runner(**REQUEST, tools=[tool], max_iterations=count).until_done()


def parse_stream(messages: Messages) -> Any:
    """Read the partial value with each piece, as a program does that shows it."""
    partial: Any = None
    # The one name that differs.
    partial_of: Callable[[Any, Any], Any] = (
        (lambda stream, _: stream.partial_output)
        if type(messages).__module__.startswith("apertis")
        else (lambda _, event: event.parsed_snapshot())
    )
    with messages.stream(**REQUEST, output_format=Order) as stream:
        events: Iterator[Any] = iter(stream)
        for event in events:
            if event.type == "text":
                partial = partial_of(stream, event)
        message = stream.get_final_message()
    if len(partial["items"]) != len(message.parsed_output.items):
        raise ValueError("the partial value is not the final one")
    return message


async def create_concurrently(messages: AsyncMessages, count: int, in_flight: int) -> Any:
    async def one_after_another() -> Any:
        for _ in range(count // in_flight):
            message = await messages.create(**REQUEST)
        return message

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one_after_another()) for _ in range(in_flight)]
    return tasks[0].result()


async def stream_events_async(messages: AsyncMessages) -> Any:
    async with messages.stream(**REQUEST) as stream:
        async for _ in stream:
            pass
        return await stream.get_final_message()


def operation(sdk: Sdk, runner: asyncio.Runner, order: dict[str, Any]) -> Callable[[], Any]:
    """What to measure; everything that is made once is made here."""
    name, path = order["operation"], order["path"]
    match name:
        case "create":
            messages = sdk.sync_messages(path)
            return lambda: create(messages, order["count"])
        case "stream_events":
            messages = sdk.sync_messages(path)
            return lambda: stream_events(messages)
        case "stream_text":
            messages = sdk.sync_messages(path)
            return lambda: stream_text(messages)
        case "run_tools":
            messages = sdk.sync_messages(path, beta=True)
            tool = tool_of(messages)
            return lambda: run_tools(messages, tool, order["count"])
        case "parse_stream":
            messages = sdk.sync_messages(path)
            return lambda: parse_stream(messages)
        case "create_async":
            calls = sdk.async_messages(path)
            count, in_flight = order["count"], order["in_flight"]
            return lambda: runner.run(create_concurrently(calls, count, in_flight))
        case "stream_events_async":
            calls = sdk.async_messages(path)
            return lambda: runner.run(stream_events_async(calls))
        case _:
            raise ValueError(f"unknown operation {name!r}")


def spelled(message: Any) -> str:
    """What the message says, to be held beside what was sent."""
    (block,) = message.content
    if block.type == "text":
        return str(block.text)
    return json.dumps(block.input, sort_keys=True)


def peak_memory_bytes() -> int:
    """The most memory that this process ever held at once."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
            peak = next(line for line in status if line.startswith("VmHWM:"))
    except FileNotFoundError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
            1 if sys.platform == "darwin" else 1024
        )
    return int(peak.split()[1]) * 1024


def measure(run: Callable[[], Any]) -> dict[str, object]:
    """CPU is the whole process's, user and system, all threads."""
    cpu, wall = time.process_time(), time.perf_counter()
    message = run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = peak_memory_bytes()
    return {"cpu_seconds": cpu, "wall_seconds": wall, "peak": peak, "spelled": spelled(message)}


def main() -> None:
    sdk = Sdk(*sys.argv[1:])
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            print(json.dumps(measure(operation(sdk, runner, json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
