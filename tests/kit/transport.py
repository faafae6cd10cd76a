"""Both clients behind one face, so that each promise is proved for both."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from apertis import Apertis, AsyncApertis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apertis.models import Message

REQUEST: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 16,
    "messages": [{"role": "user", "content": "hello"}],
}


class Client(Protocol):
    """What the tests ask of a client, blocking or not."""

    kind: str

    def create(self, **options: Any) -> Message: ...

    def text(self, **options: Any) -> str:
        """The text of a stream that was read to its end."""
        ...

    def first_text(self, **options: Any) -> str:
        """The first piece of a stream's text; the rest is left unread."""
        ...

    def opened(self, **options: Any) -> contextlib.AbstractContextManager[object]:
        """A block in which a stream is open, begun and not read on."""
        ...

    def forget_a_stream(self) -> None:
        """Begin a stream, and let go of it without a word."""
        ...

    def text_around(self, work: Callable[[], object], **options: Any) -> str:
        """Begin a stream, do the work, then read the stream to its end."""
        ...

    def settle(self) -> None:
        """Let the event loop see what came, if there is one."""
        ...

    def close(self) -> None: ...


class Blocking:
    kind = "sync"

    def __init__(self, base_url: str, **options: Any) -> None:
        self.client = Apertis(base_url=base_url, api_key="sk-test", **options)

    def create(self, **options: Any) -> Message:
        message: Message = self.client.messages.create(**(REQUEST | options))
        return message

    def text(self, **options: Any) -> str:
        with self.client.messages.stream(**(REQUEST | options)) as stream:
            return stream.get_final_text()

    def first_text(self, **options: Any) -> str:
        with self.client.messages.stream(**(REQUEST | options)) as stream:
            return next(iter(stream.text_stream))

    @contextlib.contextmanager
    def opened(self, **options: Any) -> Iterator[object]:
        with self.client.messages.stream(**(REQUEST | options)) as stream:
            yield stream

    def forget_a_stream(self) -> None:
        next(self.client.messages.create(**REQUEST, stream=True))

    def text_around(self, work: Callable[[], object], **options: Any) -> str:
        with self.client.messages.stream(**(REQUEST | options)) as stream:
            work()
            return stream.get_final_text()

    def settle(self) -> None:
        pass

    def close(self) -> None:
        self.client.close()


class Asynchronous:
    """Its event loop stands still between two calls, as in a program that computes meanwhile."""

    kind = "async"

    def __init__(self, base_url: str, **options: Any) -> None:
        self.client = AsyncApertis(base_url=base_url, api_key="sk-test", **options)
        self.runner = asyncio.Runner()

    def create(self, **options: Any) -> Message:
        message: Message = self.runner.run(self.client.messages.create(**(REQUEST | options)))
        return message

    def text(self, **options: Any) -> str:
        async def read() -> str:
            async with self.client.messages.stream(**(REQUEST | options)) as stream:
                return await stream.get_final_text()

        return self.runner.run(read())

    def first_text(self, **options: Any) -> str:
        async def read() -> str:
            async with self.client.messages.stream(**(REQUEST | options)) as stream:
                return await anext(aiter(stream.text_stream))

        return self.runner.run(read())

    @contextlib.contextmanager
    def opened(self, **options: Any) -> Iterator[object]:
        stream = self.runner.run(self.client.messages.create(**(REQUEST | options), stream=True))
        try:
            yield stream
        finally:
            self.runner.run(stream.close())

    def forget_a_stream(self) -> None:
        async def begin() -> None:
            stream = await self.client.messages.create(**REQUEST, stream=True)
            await anext(aiter(stream))

        self.runner.run(begin())

    def text_around(self, work: Callable[[], object], **options: Any) -> str:
        stream = self.client.messages.stream(**(REQUEST | options))
        begun = self.runner.run(stream.__aenter__())
        work()
        return self.runner.run(begun.get_final_text())

    def settle(self) -> None:
        for _ in range(3):
            self.runner.run(asyncio.sleep(0))

    def close(self) -> None:
        try:
            self.runner.run(self.client.close())
        finally:
            self.runner.close()


@pytest.fixture(params=[Blocking, Asynchronous], ids=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Client]]:
    """Makes clients, and closes them."""
    made: list[Client] = []

    def make(base_url: str, **options: Any) -> Client:
        made.append(request.param(base_url, **options))
        return made[-1]

    yield make
    for client in made:
        client.close()
