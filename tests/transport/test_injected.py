"""Clients that the caller brings: what they are told, and what their failures become."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from apertis import Apertis, AsyncApertis, Timeout
from apertis.errors import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    RedirectError,
    StreamTruncatedError,
)
from apertis.testing import (
    AwaitDisconnect,
    Close,
    Exchange,
    Reset,
    ScriptedServer,
    json_response,
    sse_response,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Bring = Callable[..., Any]

REQUEST: dict[str, Any] = {
    "model": "m",
    "max_tokens": 8,
    "messages": [{"role": "user", "content": "hello"}],
}


class Brought:
    """Both clients over a client of httpx2 that was made with these options."""

    def __init__(self, kind: str, runner: asyncio.Runner, options: dict[str, Any]) -> None:
        self.kind = kind
        self.runner = runner
        handler = options.pop("handler", None)
        if handler is not None:
            options["transport"] = httpx2.MockTransport(handler)
        self.own: Any = (httpx2.Client if kind == "sync" else httpx2.AsyncClient)(
            trust_env=False, **options
        )

    def client(self, base_url: str, **options: Any) -> Any:
        make = Apertis if self.kind == "sync" else AsyncApertis
        return make(base_url=base_url, api_key="sk-test", http_client=self.own, **options)

    def run(self, value: Any) -> Any:
        return value if self.kind == "sync" else self.runner.run(value)

    def create(self, client: Any, **options: Any) -> Any:
        return self.run(client.messages.create(**(REQUEST | options)))

    def text(self, client: Any) -> Any:
        if self.kind == "sync":
            with client.messages.stream(**REQUEST) as stream:
                return stream.get_final_text()

        async def read() -> Any:
            async with client.messages.stream(**REQUEST) as stream:
                return await stream.get_final_text()

        return self.runner.run(read())

    def close(self) -> None:
        self.run(self.own.close() if self.kind == "sync" else self.own.aclose())


@pytest.fixture(params=["sync", "async"])
def bring(request: pytest.FixtureRequest) -> Iterator[Bring]:
    with asyncio.Runner() as runner:
        brought: list[Brought] = []

        def make(**options: Any) -> Brought:
            brought.append(Brought(request.param, runner, options))
            return brought[-1]

        yield make
        for each in brought:
            each.close()


def test_calls_and_streams_go_over_it(bring: Bring, ok: bytes, streamed: bytes) -> None:
    with ScriptedServer([ok, streamed, ok]) as server:
        own = bring()
        client = own.client(server.base_url)
        message = own.create(client)
        assert message.text == "hello"
        assert message.response.headers["content-type"] == "application/json"
        assert own.text(client) == "hello"
        assert own.create(client).text == "hello"
        assert server.connection_count == 1
        request = server.requests[0]
        assert request.path == "/v1/messages"
        assert request.headers["host"] == f"127.0.0.1:{server.port}"
        assert request.headers["authorization"] == "Bearer sk-test"
        assert request.headers["user-agent"].startswith("Apertis/")
        assert request.json()["max_tokens"] == 8  # type: ignore[index]


def test_it_stays_open_when_ours_is_closed(bring: Bring, ok: bytes) -> None:
    with ScriptedServer([ok, ok]) as server:
        own = bring()
        for _ in range(2):
            client = own.client(server.base_url)
            own.create(client)
            own.run(client.close())
            assert not own.own.is_closed
        assert server.connection_count == 1


def test_one_that_is_closed_is_no_foreign_error(bring: Bring) -> None:
    own = bring()
    client = own.client("http://127.0.0.1:1")
    own.close()
    with pytest.raises(ConfigurationError, match="http_client is closed"):
        own.create(client)


def test_a_mock_works(bring: Bring, message: dict[str, Any]) -> None:
    seen: list[httpx2.Request] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json=message, headers={"request-id": "req_1"})

    own = bring(handler=handler)
    answer = own.create(own.client("https://api.example"))
    assert answer.to_dict() == message
    assert answer.response.request_id == "req_1"
    assert str(seen[0].url) == "https://api.example/v1/messages"


def test_an_error_status_and_a_redirect_are_ours(bring: Bring) -> None:
    there = {"location": "https://elsewhere.example/"}
    with ScriptedServer(
        [json_response(404, {"error": {"message": "no"}}), json_response(302, {}, there)]
    ) as server:
        own = bring(follow_redirects=True)
        client = own.client(server.base_url)
        with pytest.raises(APIStatusError, match="no"):
            own.create(client)
        with pytest.raises(RedirectError):
            own.create(client)
        assert len(server.requests) == 2


def test_our_retries_are_over_it(bring: Bring, ok: bytes) -> None:
    busy = json_response(529, {}, {"retry-after-ms": "1"})
    with ScriptedServer([busy, busy, ok]) as server:
        own = bring()
        assert own.create(own.client(server.base_url)).response.retries == 2


@pytest.mark.parametrize(
    "steps",
    [
        (Close,),
        (Reset,),
        (b"nonsense\r\n\r\n", Close),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell", Close),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\nno gzip", Close),
    ],
    ids=["closed", "reset", "nonsense", "cut", "damaged"],
)
def test_its_errors_become_ours(bring: Bring, steps: tuple[Any, ...]) -> None:
    with ScriptedServer([Exchange(*steps)]) as server:
        own = bring()
        with pytest.raises(APIConnectionError, match=rf"127\.0\.0\.1:{server.port}") as caught:
            own.create(own.client(server.base_url, max_retries=0))
        assert isinstance(caught.value.__cause__, httpx2.HTTPError)


def test_a_body_without_an_end_is_given_up_over_it(bring: Bring) -> None:
    begun = b"HTTP/1.1 200 OK\r\nrequest-id: req_1\r\n\r\n"
    flood = Exchange(begun, *[b" " * 2**20] * 65, AwaitDisconnect())
    with ScriptedServer([flood]) as server:
        own = bring()
        with pytest.raises(APIResponseError, match="larger than 67108864 bytes") as caught:
            own.create(own.client(server.base_url))
        server.wait_until_disconnected()
    assert caught.value.request_id == "req_1"


def test_a_server_that_is_not_there_is_named(bring: Bring) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    own = bring()
    with pytest.raises(APIConnectionError, match="apertis serve") as caught:
        own.create(own.client(f"http://127.0.0.1:{port}", max_retries=0))
    assert str(caught.value).startswith(f"cannot connect to 127.0.0.1:{port}: ")


def test_what_its_hooks_raise_is_not_tried_again(bring: Bring) -> None:
    calls: list[str] = []

    def fail(_: httpx2.Request) -> None:
        calls.append("asked")
        raise httpx2.TooManyRedirects("so it is")

    async def fail_later(request: httpx2.Request) -> None:
        fail(request)

    own = bring()
    own.own.event_hooks = {"request": [fail if own.kind == "sync" else fail_later]}
    with pytest.raises(APIConnectionError, match="TooManyRedirects: so it is"):
        own.create(own.client("http://127.0.0.1:1"))
    assert calls == ["asked"]


def test_a_cut_stream_gives_what_came(bring: Bring, events: list[dict[str, Any]]) -> None:
    cut = Exchange(sse_response(events[:3], complete=False), Close)
    with ScriptedServer([cut]) as server:
        own = bring()
        with pytest.raises(StreamTruncatedError) as caught:
            own.text(own.client(server.base_url))
        assert caught.value.partial is not None
        assert caught.value.partial.text == "hello"


@pytest.mark.parametrize(
    ("begun", "timeout", "name"),
    [
        (b"", Timeout(response=0.05), "response"),
        (b"", Timeout(response=9.0, total=0.05), "total"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", Timeout(idle=0.05), "idle"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", Timeout(idle=9, total=0.05), "total"),
    ],
)
def test_the_deadlines_hold_over_it(
    bring: Bring, begun: bytes, timeout: Timeout, name: str
) -> None:
    with ScriptedServer([Exchange(begun, AwaitDisconnect())]) as server:
        own = bring()
        with pytest.raises(APITimeoutError) as caught:
            own.create(own.client(server.base_url, max_retries=0, timeout=timeout))
        assert caught.value.deadline == name
        server.wait_until_disconnected()


def test_a_stream_that_is_left_hangs_up(bring: Bring, events: list[dict[str, Any]]) -> None:
    begun = Exchange(sse_response(events[:3], complete=False), AwaitDisconnect())
    with ScriptedServer([begun]) as server:
        own = bring()
        client = own.client(server.base_url)
        if own.kind == "sync":
            with client.messages.create(**REQUEST, stream=True) as stream:
                next(stream)
        else:

            async def leave() -> None:
                async with await client.messages.create(**REQUEST, stream=True) as stream:
                    await anext(aiter(stream))

            own.run(leave())
        server.wait_until_disconnected()


def test_a_cancelled_task_hangs_up(events: list[dict[str, Any]]) -> None:
    begun = Exchange(sse_response(events[:3], complete=False), AwaitDisconnect())

    async def run(server: ScriptedServer) -> None:
        async with httpx2.AsyncClient(trust_env=False) as own:
            client = AsyncApertis(base_url=server.base_url, api_key="k", http_client=own)
            reached = asyncio.Event()

            async def read() -> None:
                async with client.messages.stream(**REQUEST) as stream:
                    async for _ in stream.text_stream:
                        reached.set()

            task = asyncio.get_running_loop().create_task(read())
            await reached.wait()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await asyncio.to_thread(server.wait_until_disconnected)

    with ScriptedServer([begun]) as server:
        asyncio.run(run(server))


@pytest.mark.parametrize("wrong", [object(), "client", httpx2.Client, 5])
def test_what_is_no_client_is_refused_at_once(wrong: Any) -> None:
    for kind in (Apertis, AsyncApertis):
        with pytest.raises(ConfigurationError, match="http_client must be an httpx2"):
            kind(api_key="k", http_client=wrong)


def test_a_client_of_the_other_kind_is_refused_at_once() -> None:
    with (
        httpx2.Client() as blocking,
        pytest.raises(ConfigurationError, match=r"must be an httpx2\.AsyncClient; it is Client"),
    ):
        AsyncApertis(api_key="k", http_client=blocking)
    asynchronous = httpx2.AsyncClient()
    with pytest.raises(ConfigurationError, match=r"must be an httpx2\.Client; it is AsyncClient"):
        Apertis(api_key="k", http_client=asynchronous)
    asyncio.run(asynchronous.aclose())


@pytest.mark.parametrize(
    "options",
    [
        {"proxy": "http://p:1"},
        {"max_connections": 5},
        {"ssl_context": ssl.create_default_context()},
    ],
    ids=["proxy", "max_connections", "ssl_context"],
)
def test_what_an_injected_client_would_not_heed_is_refused(options: dict[str, Any]) -> None:
    name = next(iter(options))
    with httpx2.Client() as client, pytest.raises(ConfigurationError, match=name):
        Apertis(api_key="sk-test", http_client=client, **options)
    with pytest.raises(ConfigurationError, match=name):
        AsyncApertis(api_key="sk-test", http_client=httpx2.AsyncClient(), **options)


@pytest.mark.parametrize("place", ["send", "body"])
@pytest.mark.parametrize(
    "foreign", [OSError("no route"), RuntimeError("odd"), ssl.SSLError("bad"), KeyError("k")]
)
def test_what_its_transport_raises_is_wrapped_and_tried_again(
    bring: Bring, message: dict[str, Any], foreign: Exception, place: str
) -> None:
    """A transport of the caller's own raises what it likes; only a hook's `HTTPError` is final."""
    calls: list[str] = []

    class Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b"{"
            raise foreign

        async def __aiter__(self) -> Any:
            yield b"{"
            raise foreign

    def handler(_: httpx2.Request) -> httpx2.Response:
        calls.append("asked")
        if len(calls) > 1:
            return httpx2.Response(200, json=message)
        if place == "send":
            raise foreign
        return httpx2.Response(200, stream=Body())

    own = bring(handler=handler)
    assert own.create(own.client("http://127.0.0.1:1")).response.retries == 1
    calls.clear()
    with pytest.raises(APIConnectionError, match=type(foreign).__name__) as caught:
        own.create(own.client("http://127.0.0.1:1", max_retries=0))
    assert caught.value.__cause__ is foreign
    assert caught.value.retries == 0


def test_a_time_out_of_its_transport_is_ours(bring: Bring) -> None:
    def handler(_: httpx2.Request) -> httpx2.Response:
        raise TimeoutError

    own = bring(handler=handler)
    with pytest.raises(APITimeoutError) as caught:
        own.create(own.client("http://127.0.0.1:1", max_retries=0))
    assert caught.value.deadline == "response"


def test_an_error_of_ours_from_within_stays_what_it_is(bring: Bring) -> None:
    def handler(_: httpx2.Request) -> httpx2.Response:
        raise ConfigurationError("not so")

    own = bring(handler=handler)
    with pytest.raises(ConfigurationError, match="not so"):
        own.create(own.client("http://127.0.0.1:1"))


def test_all_of_a_client_works_under_trio_over_it(
    ok: bytes, streamed: bytes, message: dict[str, Any]
) -> None:
    trio = pytest.importorskip("trio", reason="trio is not installed")
    batch = {"id": "b", "type": "message_batch", "request_counts": {}, "created_at": "x"}
    steps = [{**batch, "processing_status": status} for status in ("in_progress", "ended")]
    script = [
        json_response(503, {}, {"retry-after-ms": "1"}),
        ok,
        streamed,
        streamed,
        *[json_response(200, step) for step in steps],
        json_response(200, {"data": [{"id": "a", "type": "model"}]}),
    ]

    async def run(base_url: str) -> list[Any]:
        async with (
            httpx2.AsyncClient(trust_env=False) as own,
            AsyncApertis(api_key="sk-test", base_url=base_url, http_client=own) as client,
        ):
            got: list[Any] = [(await client.messages.create(**REQUEST)).id]
            async with client.messages.stream(**REQUEST) as stream:
                got.append((await stream.get_final_message()).id)
            events = await client.messages.create(**REQUEST, stream=True)
            got.append([event.type async for event in events][-1])
            waited = await client.messages.batches.wait("b", poll_interval=0.001)
            got.append(waited.processing_status)
            return [*got, [model.id async for model in client.models.list()]]

    with ScriptedServer(script) as server:
        got = trio.run(run, server.base_url)
    assert got == [message["id"], message["id"], "message_stop", "ended", ["a"]]


def test_the_built_in_connections_say_that_they_need_asyncio() -> None:
    trio = pytest.importorskip("trio", reason="trio is not installed")

    async def run() -> None:
        client = AsyncApertis(api_key="sk-test", base_url="http://127.0.0.1:1")
        for call in (
            client.models.retrieve("m"),
            client.messages.create(**REQUEST),
            client.close(),
        ):
            with pytest.raises(ConfigurationError, match=r"asyncio.*trio.*http_client"):
                await call

    trio.run(run)
