"""Middleware: around each attempt, inside the retries, in both clients."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from apertis import (
    Apertis,
    APIConnectionError,
    APIRequest,
    APITimeoutError,
    AsyncApertis,
    ConfigurationError,
    Message,
    Middleware,
    OverloadedError,
    RetryableError,
)
from apertis.testing import ScriptedServer, json_response, sse_response
from tests.kit.exchanges import ANSWER, EVENTS, KEY, LEAST, OVERLOADED

if TYPE_CHECKING:
    from collections.abc import Callable

    Connect = Callable[..., Apertis]

pytestmark = pytest.mark.usefixtures("quick")
UNREACHABLE = "http://127.0.0.1:1"


def for_client(connect: Connect, before: Callable[[Any], Any], after: Callable[[Any], Any]) -> Any:
    """A middleware for either client: `before` makes the request, `after` what is returned."""

    def blocking(request: Any, call_next: Any) -> Any:
        return after(call_next(before(request)))

    async def awaiting(request: Any, call_next: Any) -> Any:
        return after(await call_next(before(request)))

    return awaiting if getattr(connect, "is_async") else blocking  # noqa: B009 - of the kit.


def same(value: Any) -> Any:
    return value


def raising(error: Exception) -> Callable[[Any], Any]:
    def raise_(_: Any) -> Any:
        raise error

    return raise_


def test_it_sees_each_attempt_and_responses_of_every_status(connect: Connect) -> None:
    seen: list[Any] = []

    def before(request: APIRequest) -> APIRequest:
        seen.append((request.method, request.url, request.json, request.retries_taken))
        seen.append((request.max_retries, dict(request.headers), dict(request.query_params)))
        return request

    def after(response: Any) -> Any:
        seen.append((response.status_code, response.headers["content-type"]))
        return response

    with ScriptedServer([json_response(529, OVERLOADED), json_response(200, ANSWER)]) as server:
        client = connect(
            api_key=KEY,
            base_url=server.base_url,
            middleware=[for_client(connect, before, after)],
        )
        message = client.messages.create(
            **LEAST, extra_headers={"x-a": "1"}, extra_query={"q": "2"}
        )
        assert message.text == "Hi."
        assert message.response.retries == 1
    more = (2, {"x-a": "1"}, {"q": "2"})
    assert seen == [
        *[("post", "/v1/messages", LEAST, 0), more, (529, "application/json")],
        *[("post", "/v1/messages", LEAST, 1), more, (200, "application/json")],
    ]


def test_it_may_change_what_is_sent(connect: Connect) -> None:
    def before(request: APIRequest) -> APIRequest:
        return request.copy(
            body={**request.json, "temperature": 0.5},
            headers={**request.headers, "x-trace": "t"},
            params={"debug": True},
            method="post",
        )

    with ScriptedServer([json_response(200, ANSWER)]) as server:
        middleware = [for_client(connect, before, same)]
        client = connect(api_key=KEY, base_url=server.base_url, middleware=middleware)
        client.messages.create(**LEAST)
        (request,) = server.requests
    assert json.loads(request.body) == {**LEAST, "temperature": 0.5}
    assert request.headers["x-trace"] == "t"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.query == "debug=true"


def test_the_first_one_is_the_outermost_and_with_middleware_adds_inside(connect: Connect) -> None:
    order: list[str] = []

    def noting(name: str) -> Any:
        def note(value: Any) -> Any:
            order.append(name)
            return value

        return for_client(connect, note, note)

    with ScriptedServer([json_response(200, ANSWER)] * 2) as server:
        client = connect(
            api_key=KEY, base_url=server.base_url, middleware=[noting("a"), noting("b")]
        )
        client.with_middleware(noting("c")).messages.create(**LEAST)
        assert order == ["a", "b", "c", "c", "b", "a"]
        client.with_options(middleware=None).messages.create(**LEAST)
        assert order == ["a", "b", "c", "c", "b", "a"]
        assert len(client.middleware) == 2


def test_a_response_that_it_read_arrives_whole(connect: Connect) -> None:
    texts: list[str] = []

    def blocking(request: Any, call_next: Any) -> Any:
        response = call_next(request)
        texts.append(response.text())
        texts.append(response.parse().text)
        return response

    async def awaiting(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        texts.append(await response.text())
        texts.append((await response.parse()).text)
        return response

    middleware = [awaiting if getattr(connect, "is_async") else blocking]  # noqa: B009 - of the kit.
    with ScriptedServer([json_response(200, ANSWER)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url, middleware=middleware)
        assert client.messages.create(**LEAST).text == "Hi."
        assert json.loads(texts[0]) == ANSWER
        assert texts[1] == "Hi."


def test_streams_lists_and_raw_responses_go_through_it_too(connect: Connect) -> None:
    statuses: list[int] = []

    def after(response: Any) -> Any:
        statuses.append(response.status_code)
        return response

    script = [
        *[sse_response(EVENTS)] * 2,
        json_response(200, {"data": [], "has_more": False}),
        json_response(200, ANSWER),
        sse_response(EVENTS),
    ]
    with ScriptedServer(script) as server:
        middleware = [for_client(connect, same, after)]
        client = connect(api_key=KEY, base_url=server.base_url, middleware=middleware)
        with client.messages.stream(**LEAST) as stream:
            assert stream.get_final_message().text == "Hi."
        assert len(list(client.messages.create(**LEAST, stream=True))) == len(EVENTS)
        assert list(client.models.list()) == []
        raw = client.messages.with_raw_response
        assert raw.create(**LEAST).parse().text == "Hi."
        assert "message_stop" in raw.create(**LEAST, stream=True).text()
    assert statuses == [200] * 5


def test_it_may_answer_without_asking_anybody(connect: Connect) -> None:
    value = object()

    def blocking(_: Any, __: Any) -> Any:
        return value

    async def awaiting(_: Any, __: Any) -> Any:
        return value

    middleware = [awaiting if getattr(connect, "is_async") else blocking]  # noqa: B009 - of the kit.
    client = connect(api_key=KEY, base_url=UNREACHABLE, middleware=middleware)
    result: Any = client.messages.create(**LEAST)
    assert result is value
    with pytest.raises(ConfigurationError, match="a middleware returned a object for a streamed"):
        client.messages.create(**LEAST, stream=True)


def test_a_retryable_error_asks_for_another_attempt(connect: Connect) -> None:
    wishes = [RetryableError("first"), RetryableError("second")]

    def before(request: Any) -> Any:
        if wishes:
            raise wishes.pop(0)
        return request

    with ScriptedServer([json_response(200, ANSWER)]) as server:
        middleware = [for_client(connect, before, same)]
        client = connect(api_key=KEY, base_url=server.base_url, middleware=middleware)
        assert client.messages.create(**LEAST).response.retries == 2


def test_a_retryable_error_reaches_the_caller_in_the_end(connect: Connect) -> None:
    error = RetryableError("never good")
    middleware = [for_client(connect, raising(error), same)]
    client = connect(api_key=KEY, base_url=UNREACHABLE, middleware=middleware)
    for call in (
        lambda: client.messages.create(**LEAST),
        lambda: client.messages.create(**LEAST, stream=True),
        lambda: client.messages.batches.results("b"),
    ):
        with pytest.raises(RetryableError) as caught:
            call()
        assert caught.value is error


def test_its_own_errors_reach_the_caller_at_once(connect: Connect) -> None:
    middleware = [for_client(connect, raising(LookupError("mine")), same)]
    client = connect(api_key=KEY, base_url=UNREACHABLE, middleware=middleware)
    with pytest.raises(LookupError, match="mine"):
        client.messages.create(**LEAST)


def test_a_failed_connection_is_an_exception_inside_and_is_retried(connect: Connect) -> None:
    seen: list[str] = []

    def blocking(request: Any, call_next: Any) -> Any:
        try:
            return call_next(request)
        except APIConnectionError as error:
            seen.append(type(error).__name__)
            raise

    async def awaiting(request: Any, call_next: Any) -> Any:
        try:
            return await call_next(request)
        except APIConnectionError as error:
            seen.append(type(error).__name__)
            raise

    middleware = [awaiting if getattr(connect, "is_async") else blocking]  # noqa: B009 - of the kit.
    client = connect(api_key=KEY, base_url=UNREACHABLE, middleware=middleware)
    with pytest.raises(APIConnectionError, match="cannot connect") as caught:
        client.messages.create(**LEAST)
    assert seen == ["APIConnectionError"] * 3
    assert caught.value.request.url == f"{UNREACHABLE}/v1/messages"
    assert not isinstance(caught.value, APITimeoutError)


def test_the_last_response_is_the_callers_error(connect: Connect) -> None:
    with ScriptedServer([json_response(529, OVERLOADED)]) as server:
        middleware = [for_client(connect, same, same)]
        client = connect(
            api_key=KEY, base_url=server.base_url, middleware=middleware, max_retries=0
        )
        with pytest.raises(OverloadedError, match="Busy"):
            client.messages.create(**LEAST)


class Both(Middleware):
    """A middleware for both clients."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def handle(self, request: APIRequest, call_next: Any) -> Any:
        self.seen.append(request.url)
        return super().handle(request, call_next)

    async def handle_async(self, request: APIRequest, call_next: Any) -> Any:
        self.seen.append(request.url)
        return await super().handle_async(request, call_next)


def test_an_object_may_serve_both_clients(connect: Connect) -> None:
    both = Both()
    with ScriptedServer([json_response(200, ANSWER)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url, middleware=[both])
        client.messages.create(**LEAST)
    assert both.seen == ["/v1/messages"]


async def awaiting(request: Any, call_next: Any) -> Any:
    return await call_next(request)


class Half(Middleware):
    """It has neither method of its own."""


@pytest.mark.parametrize("kind", [Apertis, AsyncApertis])
@pytest.mark.parametrize("middleware", [5, Half()])
def test_what_is_no_middleware_is_told_at_once(kind: Any, middleware: Any) -> None:
    with pytest.raises(TypeError, match=r"middleware: .*(neither|of its own)"):
        kind(api_key=KEY, middleware=[middleware])


def test_a_function_of_the_other_client_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError, match="must be `def` for Apertis"):
        Apertis(api_key=KEY, middleware=[awaiting])
    with pytest.raises(ConfigurationError, match="must be `async def` for AsyncApertis"):
        AsyncApertis(api_key=KEY, middleware=[lambda request, call_next: call_next(request)])


def test_a_client_without_middleware_loads_none() -> None:
    code = (
        "import sys; from apertis import Apertis, AsyncApertis; Apertis(api_key='k'); "
        "AsyncApertis(api_key='k').with_options(max_retries=1); "
        "print([m for m in sys.modules if m.startswith('apertis.compat') or m.endswith('.raw')])"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['apertis.endpoints.raw']"


def handler_of(connect: Connect, steps: Callable[[Any, Any], Any]) -> Any:
    """A middleware for either client, of a generator that yields what is to be awaited."""

    def blocking(request: Any, call_next: Any) -> Any:
        running, value = steps(request, call_next), None
        while True:
            try:
                value = running.send(value)
            except StopIteration as stop:
                return stop.value

    async def awaiting(request: Any, call_next: Any) -> Any:
        running, value = steps(request, call_next), None
        while True:
            try:
                value = await running.send(value)
            except StopIteration as stop:
                return stop.value

    return awaiting if getattr(connect, "is_async") else blocking  # noqa: B009 - of the kit.


def test_it_may_ask_again_with_another_request(connect: Connect) -> None:
    def fall_back(request: Any, call_next: Any) -> Any:
        response = yield call_next(request)
        if response.status_code == 529:
            response = yield call_next(request.copy(body={**request.json, "model": "other"}))
        return response

    for events in (False, True):
        good = sse_response(EVENTS) if events else json_response(200, ANSWER)
        with ScriptedServer([json_response(529, OVERLOADED), good]) as server:
            client = connect(
                api_key=KEY,
                base_url=server.base_url,
                max_retries=0,
                max_connections=1,
                timeout=5,
                middleware=[handler_of(connect, fall_back)],
            )
            result: Any = client.messages.create(**LEAST, stream=events)
            assert list(result)[-1].type == "message_stop" if events else result.text == "Hi."
            assert json.loads(server.requests[1].body)["model"] == "other"


def test_the_caller_has_the_object_that_it_parsed(connect: Connect) -> None:
    seen: list[Any] = []

    def parse(request: Any, call_next: Any) -> Any:
        response = yield call_next(request)
        seen.append((yield response.parse()))
        return response

    with ScriptedServer([json_response(200, ANSWER)] * 2) as server:
        middleware = [handler_of(connect, parse)]
        client = connect(api_key=KEY, base_url=server.base_url, middleware=middleware)
        assert client.messages.create(**LEAST) is seen[0]
        response = client.messages.with_raw_response.create(**LEAST)
        assert response.parse() == seen[1]
        assert isinstance(seen[1], Message)


def test_an_error_that_comes_of_one_that_can_be_retried_is_retried(connect: Connect) -> None:
    errors: list[Exception] = []

    def blocking(request: Any, call_next: Any) -> Any:
        try:
            return call_next(request)
        except APIConnectionError as error:
            errors.append(LookupError("wrapped"))
            raise errors[-1] from error

    async def awaiting(request: Any, call_next: Any) -> Any:
        try:
            return await call_next(request)
        except APIConnectionError as error:
            errors.append(LookupError("wrapped"))
            raise errors[-1] from error

    middleware = [awaiting if getattr(connect, "is_async") else blocking]  # noqa: B009 - of the kit.
    client = connect(api_key=KEY, base_url=UNREACHABLE, middleware=middleware)
    with pytest.raises(LookupError, match="wrapped") as caught:
        client.messages.create(**LEAST)
    assert len(errors) == 3
    assert caught.value is errors[-1]
