"""An upstream on the event loops that the gateway may run on, asked from outside."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from apertis.gateway.upstreams.anthropic import AnthropicAnswer, AnthropicUpstream
from apertis.gateway.upstreams.contract import UpstreamFailure, UpstreamRequest, UpstreamTimeouts

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from apertis.gateway.request.stream import Relay

T = TypeVar("T")

GENEROUS = UpstreamTimeouts(connect=5.0, first_byte=5.0, idle=5.0)


@dataclass(frozen=True)
class Heard:
    """What came of one request: a whole answer, or what came before it failed."""

    status: int = 0
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    failure: UpstreamFailure | None = None

    def header(self, name: bytes) -> bytes | None:
        return dict(self.headers).get(name)


async def relayed(relay: Relay, *, takes_all: bool = True) -> bytes:
    """What a client gets of a stream; without `takes_all` it is full after each block."""
    received = [await relay.first()]

    def write(block: bytes) -> bool:
        received.append(block)
        return takes_all

    while not await relay.pass_on(write):
        pass
    relay.close()
    return b"".join(received)


class Asker:
    """Runs tasks on one event loop, and asks upstreams."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.runner = runner
        self.made: list[AnthropicUpstream] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def upstream(self, base_url: str, **options: Any) -> AnthropicUpstream:
        options.setdefault("api_key", "sk-ours")
        self.made.append(AnthropicUpstream("here", base_url, **options))
        return self.made[-1]

    def request(
        self,
        body: bytes = b"{}",
        headers: tuple[tuple[bytes, bytes], ...] = (),
        target: str = "/v1/messages",
        method: str = "POST",
    ) -> UpstreamRequest:
        return UpstreamRequest(method, target, list(headers), body)

    async def opened(
        self, upstream: AnthropicUpstream, timeouts: UpstreamTimeouts = GENEROUS, **request: Any
    ) -> AnthropicAnswer:
        """An answer whose head is there."""
        answer = await upstream.open(self.request(**request), timeouts)
        assert not isinstance(answer, UpstreamFailure), answer
        return answer

    async def asking(
        self, upstream: AnthropicUpstream, timeouts: UpstreamTimeouts = GENEROUS, **request: Any
    ) -> Heard:
        answer = await upstream.open(self.request(**request), timeouts)
        if isinstance(answer, UpstreamFailure):
            return Heard(failure=answer)
        body = b""
        failure = None
        while data := await answer.read():
            if isinstance(data, UpstreamFailure):
                failure = data
                break
            body += data
        answer.close()
        return Heard(answer.status, tuple(answer.headers), body, failure)

    def ask(
        self, upstream: AnthropicUpstream, timeouts: UpstreamTimeouts = GENEROUS, **request: Any
    ) -> Heard:
        return self.run(self.asking(upstream, timeouts, **request))

    def close(self) -> None:
        for upstream in self.made:
            self.run(upstream.close())


def _uvloop() -> Callable[[], asyncio.AbstractEventLoop]:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not made for this platform")
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


@pytest.fixture(params=["asyncio", "uvloop"])
def asker(request: pytest.FixtureRequest) -> Iterator[Asker]:
    factory = _uvloop() if request.param == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        asker = Asker(runner)
        yield asker
        asker.close()
