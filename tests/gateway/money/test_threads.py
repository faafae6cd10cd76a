"""Conversations that the upstream holds: going on is never paid with money that is not there."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, Any

import pytest

from apertis.testing import Exchange, ScriptedServer, http_chunk, json_response, sse_event, sse_head
from tests.kit.chains import money_of
from tests.kit.money import call

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Iterator

    from apertis.testing import RecordedRequest
    from tests.kit.gateways import RunningGateway
    from tests.kit.http import Client
    from tests.kit.money import Answer

CONFIG = """
[limits]
per_address = "0"
per_key = "0"
[routing]
affinity = false
[[upstreams]]
name = "first"
base_url = "{url}"
api_key_env = "FIRST"
models = ["m", "n"]
[[upstreams]]
name = "second"
base_url = "{url}"
api_key_env = "SECOND"
models = ["m"]
priority = 1
[prices.m]
input = "5"
output = "25"
[prices.n]
input = "1"
output = "5"
"""
ENVIRONMENT = {"FIRST": "first", "SECOND": "second"}
# Units per token: five dollars a million, written to the cache at a quarter more.
INPUT, WRITE, OUTPUT = 2.5, 3.125, 12.5
DOLLAR = 500_000
CREATE = {"type": "create"}


@dataclass
class Holder:
    """An upstream that holds conversations, and bills each time all that it holds."""

    held: dict[str, int] = field(default_factory=dict[str, int])
    calls: list[tuple[str, dict[str, Any]]] = field(
        default_factory=list[tuple[str, dict[str, Any]]]
    )
    # What the next first turns report as used, and who answers with an error.
    usage: dict[str, Any] = field(default_factory=dict[str, Any])
    failing: set[str] = field(default_factory=set[str])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: RecordedRequest) -> Exchange:
        asked = json.loads(request.body)
        by = request.headers["x-api-key"]
        with self._lock:
            self.calls.append((by, asked))
            id_ = f"msg_{len(self.calls):03}"
        if request.path.endswith("/count_tokens"):
            return Exchange(json_response(404, {"type": "error", "error": {"message": "no"}}))
        if by in self.failing:
            error = {"type": "overloaded_error", "message": "busy"}
            return Exchange(json_response(529, {"type": "error", "error": error}))
        thread = asked.get("thread")
        named = [id_ for id_ in self.held if f'"{id_}"' in json.dumps(thread)]
        before = max((self.held[id_] for id_ in named), default=0)
        usage = {"input_tokens": before + 10, "output_tokens": 40}
        if not before:
            usage = {**usage, **self.usage}
        if thread:
            self.held[id_] = usage["input_tokens"] + usage["output_tokens"]
        said: dict[str, Any] = {
            "id": id_,
            "type": "message",
            "role": "assistant",
            "model": asked["model"],
            "content": [],
            "stop_reason": "end_turn",
            "usage": usage,
        }
        if not asked.get("stream"):
            return Exchange(json_response(200, said))
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": {**said, "stop_reason": None}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
            {"type": "message_stop"},
        ]
        chunks = [http_chunk(sse_event(event)) for event in events]
        return Exchange(sse_head(), *chunks, http_chunk(b""))


def body(thread: object = None, **fields: Any) -> bytes:
    asked: dict[str, Any] = {"model": "m", "max_tokens": 40, **fields}
    if thread is not None:
        asked["thread"] = thread
    return json.dumps({**asked, "messages": [{"role": "user", "content": "hi"}]}).encode()


def after(message_id: str) -> dict[str, str]:
    return {"type": "continue", "previous_message_id": message_id}


def ask(client: Client, data: bytes, headers: dict[str, str] | None = None) -> Answer:
    return asyncio.run(call(client.port, client.api_key, data, headers))


def error_of(answer: Answer) -> tuple[int, dict[str, Any]]:
    return answer.status, json.loads(answer.body)["error"]


def id_of(answer: Answer) -> str:
    assert answer.status == 200, answer.body
    if answer.headers["content-type"].startswith("text/event-stream"):
        return str(answer.events[0]["message"]["id"])
    return str(json.loads(answer.body)["id"])


def bound(data: bytes, held: int) -> int:
    """What going on behind so many tokens sets aside, by the documentation."""
    most: int = json.loads(data)["max_tokens"]
    return ceil((-(-len(data) // 2) + 100 + held) * WRITE + most * OUTPUT)


@pytest.fixture
def holder() -> Holder:
    return Holder()


@pytest.fixture
def config(holder: Holder) -> Iterator[str]:
    with ScriptedServer(holder, require_all=False) as server:
        yield CONFIG.format(url=server.base_url)


@pytest.fixture
def gateway(config: str, start_gateway: Callable[..., RunningGateway]) -> RunningGateway:
    return start_gateway(config, **ENVIRONMENT)


def set_quota(gateway: RunningGateway, key_id: str, units: int) -> None:
    """Leave the key so much from here on."""
    key = gateway.gateway.directory.get(key_id)
    assert key is not None
    data = json.dumps({"quota_units": money_of(key).used + units}).encode()
    assert gateway.client.call("PATCH", f"/admin/v1/keys/{key_id}", data).status == 200


def test_a_key_with_half_a_dollar_never_books_four_and_a_half(
    gateway: RunningGateway, holder: Holder
) -> None:
    # The upstream holds 900,000 tokens for somebody who did not come this way.
    holder.held["msg_elsewhere"] = 900_000
    key_id, client = gateway.make_key(quota_usd="0.5")
    status, error = error_of(ask(client, body(after("msg_elsewhere"))))
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert error["details"] == {"error_code": "thread_unsupported_request"}
    assert not holder.calls
    # What tool runners do then: the whole conversation, which is counted as it is.
    assert ask(client, body()).status == 200
    key = gateway.gateway.directory.get(key_id)
    assert key is not None
    assert money_of(key).used < DOLLAR // 500


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streams"])
def test_going_on_sets_aside_what_the_answer_before_reported_to_the_unit(
    gateway: RunningGateway, holder: Holder, stream: bool
) -> None:
    holder.usage = {"input_tokens": 7, "cache_read_input_tokens": 90_000, "output_tokens": 33}
    holder.usage["cache_creation_input_tokens"] = 60
    key_id, client = gateway.make_key(quota_units=10**9)
    first = id_of(ask(client, body(CREATE, stream=stream)))
    data = body(after(first), stream=stream)
    most = bound(data, 90_100)
    set_quota(gateway, key_id, most - 1)
    status, error = error_of(ask(client, data))
    assert (status, error["code"]) == (400, "thread_unsupported_request")
    set_quota(gateway, key_id, most)
    second = id_of(ask(client, data))
    # The second answer reported 90,050 tokens, and each one is remembered by itself.
    data = body(after(second), stream=stream)
    set_quota(gateway, key_id, bound(data, holder.held[second]))
    assert ask(client, data).status == 200


def test_of_several_turns_in_one_answer_the_last_one_is_what_is_held(
    gateway: RunningGateway, holder: Holder
) -> None:
    turn = {"type": "message", "model": "m", "input_tokens": 400, "output_tokens": 100}
    advice = {"type": "advisor_message", "model": "n", "input_tokens": 9_000, "output_tokens": 1}
    holder.usage = {"input_tokens": 700, "output_tokens": 40}
    holder.usage["iterations"] = [{**turn, "input_tokens": 300}, turn, advice]
    key_id, client = gateway.make_key(quota_units=10**9)
    data = body(after(id_of(ask(client, body(CREATE)))))
    set_quota(gateway, key_id, bound(data, 500) - 1)
    assert ask(client, data).status == 400
    set_quota(gateway, key_id, bound(data, 500))
    assert ask(client, data).status == 200


def test_tools_that_are_held_are_set_aside_for_though_no_body_shows_them(
    gateway: RunningGateway, holder: Holder
) -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 50}
    key_id, client = gateway.make_key(quota_units=10**9)
    data = body(after(id_of(ask(client, body(CREATE, tools=[search])))))
    # Fifty searches are half a dollar, and bring what was found.
    set_quota(gateway, key_id, DOLLAR // 2)
    assert ask(client, data).status == 400
    data = body(after(id_of(ask(client, body(CREATE)))))
    assert ask(client, data).status == 200
    assert holder.calls[-1][1]["thread"] == json.loads(data)["thread"]


def test_a_message_that_nobody_knows_counts_as_a_whole_window(gateway: RunningGateway) -> None:
    _, rich = gateway.make_key(quota_usd="10")
    _, poor = gateway.make_key(quota_usd="4")
    for thread in (after("msg_unknown"), {"type": "continue"}, "auto", {"type": "fork"}):
        assert error_of(ask(poor, body(thread)))[0] == 400
        assert ask(rich, body(thread)).status == 200


def test_another_keys_message_is_unknown(gateway: RunningGateway) -> None:
    _, one = gateway.make_key(quota_usd="1")
    _, other = gateway.make_key(quota_usd="1")
    first = id_of(ask(one, body(CREATE)))
    assert error_of(ask(other, body(after(first))))[0] == 400
    assert ask(one, body(after(first))).status == 200


def test_what_would_not_fit_in_full_either_is_a_matter_of_the_quota(
    gateway: RunningGateway,
) -> None:
    _, client = gateway.make_key(quota_units=10)
    for thread in (after("msg_unknown"), CREATE, None):
        status, error = error_of(ask(client, body(thread)))
        assert (status, error["code"]) == (402, "quota_exceeded")
        assert "details" not in error


def test_messages_are_remembered_over_a_restart(
    holder: Holder,
    config: str,
    run_gateway: Callable[..., contextlib.AbstractContextManager[RunningGateway]],
) -> None:
    with run_gateway(config, **ENVIRONMENT) as gateway:
        _, client = gateway.make_key(quota_usd="1")
        first = id_of(ask(client, body(CREATE, stream=True)))
    with run_gateway(config, **ENVIRONMENT) as gateway:
        client = replace(client, port=gateway.client.port)
        assert ask(client, body(after(first))).status == 200
    assert [by for by, _ in holder.calls] == ["first", "first"]


def test_a_conversation_goes_on_where_its_messages_came_from(
    gateway: RunningGateway, holder: Holder
) -> None:
    _, client = gateway.make_key(quota_usd="1")
    holder.failing = {"first"}
    first = id_of(ask(client, body(CREATE)))
    holder.failing = set()
    second = id_of(ask(client, body(after(first))))
    assert holder.calls[-1][0] == "second"
    # Nobody else has it: an upstream that knows nothing would answer without the conversation.
    holder.failing = {"second"}
    asked = len(holder.calls)
    answer = ask(client, body(after(second), fallback_models=["n"], fallback_enabled=True))
    assert answer.status == 529
    assert answer.headers["x-fallback-used"] == "false"
    assert [by for by, _ in holder.calls[asked:]] == ["second"]


def test_no_answer_in_a_thread_comes_from_the_response_cache(
    gateway: RunningGateway, holder: Holder
) -> None:
    _, client = gateway.make_key(response_cache=True)
    first = id_of(ask(client, body(CREATE)))
    for data in (body(CREATE), body(after(first)), body(after(first))):
        answer = ask(client, data, {"x-response-cache": "on"})
        assert "x-response-cache" not in answer.headers
    assert len({id_of(ask(client, body(CREATE))) for _ in range(3)}) == 3
    assert len(holder.calls) == 7


def test_many_that_go_on_at_once_spend_no_more_than_there_is(
    gateway: RunningGateway, holder: Holder
) -> None:
    holder.usage = {"input_tokens": 50_000}
    key_id, client = gateway.make_key(quota_units=10**9)
    data = body(after(id_of(ask(client, body(CREATE)))))
    most = bound(data, 50_040)
    set_quota(gateway, key_id, 4 * most)
    key = gateway.gateway.directory.get(key_id)
    assert key is not None
    quota = money_of(key).used + 4 * most

    async def all_at_once() -> list[Answer]:
        return list(
            await asyncio.gather(*(call(client.port, client.api_key, data) for _ in range(40)))
        )

    answers = asyncio.run(all_at_once())
    assert {a.status for a in answers} <= {200, 400, 402}
    assert 4 <= sum(a.status == 200 for a in answers) < 40
    assert money_of(key).used <= quota
    assert money_of(key).reserved == 0


def test_requests_without_a_thread_are_not_remembered(
    gateway: RunningGateway, holder: Holder
) -> None:
    _, client = gateway.make_key(quota_usd="1")
    first = id_of(ask(client, body()))
    assert error_of(ask(client, body(after(first))))[0] == 400


def test_tokens_are_counted_where_the_conversation_is_and_estimated_with_it(
    gateway: RunningGateway, holder: Holder
) -> None:
    holder.usage = {"input_tokens": 5_000}
    _, client = gateway.make_key(quota_usd="1")
    holder.failing = {"first"}
    first = id_of(ask(client, body(CREATE)))
    alone, going_on = (
        json.loads(client.call("POST", "/v1/messages/count_tokens", data).body)["input_tokens"]
        for data in (body(CREATE), body(after(first)))
    )
    assert holder.calls[-1][0] == "second"
    assert 5_040 <= going_on - alone < 5_100
