"""Runs of tools in both clients, against a server that says exactly what the model says."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from apertis import (
    APIStatusError,
    APITimeoutError,
    AsyncApertis,
    OutputInvalidError,
    OutputTruncatedError,
    ParameterError,
)
from apertis.testing import AwaitDisconnect, Exchange, ScriptedServer, json_response, sse_response
from apertis.tools.context import tool_context
from apertis.tools.loop import Allow, Deny
from apertis.tools.tool import Tool, ToolError
from tests.kit.exchanges import HELLO, KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis import Apertis
    from tests.kit.gateways import RunningGateway

    Connect = Callable[..., Apertis]

LEAST: dict[str, Any] = {"model": "claude-sonnet-5-5", "max_tokens": 50, "messages": HELLO}
USAGE = {"input_tokens": 100, "output_tokens": 10}
DONE_TEXT = "That is all."
WAIT = 10.0


def answer(stop_reason: str, *blocks: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": list(blocks),
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": USAGE,
    }


def call(name: str, id: str = "toolu_1", **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": given}


def says(stop_reason: str, *blocks: dict[str, Any]) -> bytes:
    return json_response(200, answer(stop_reason, *blocks))


DONE = says("end_turn", {"type": "text", "text": DONE_TEXT})


def streams(stop_reason: str, block: dict[str, Any]) -> bytes:
    """The same as events; the block comes whole with its start, but for text and input."""
    start, deltas = block, []
    if block["type"] == "text":
        start, deltas = {**block, "text": ""}, [{"type": "text_delta", "text": block["text"]}]
    if block["type"] == "tool_use":
        start = {**block, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
    head = {**answer(stop_reason), "stop_reason": None}
    return sse_response(
        [
            {"type": "message_start", "message": head},
            {"type": "content_block_start", "index": 0, "content_block": start},
            *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": USAGE},
            {"type": "message_stop"},
        ]
    )


def tool(name: str, function: Any, **settings: Any) -> Tool:
    schema = {"type": "object", "properties": {}}
    return Tool(name=name, input_schema=schema, function=function, **settings)


def sent(server: ScriptedServer) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in server.requests]


def results(body: dict[str, Any]) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = body["messages"][-1]["content"]
    return content


def run(connect: Connect, server: ScriptedServer, tools: list[Any], **settings: Any) -> Any:
    client = connect(api_key=KEY, base_url=server.base_url, max_retries=0)
    return client.messages.run(**{**LEAST, "tools": tools, **settings})


def only_result(connect: Connect, function: Any, **settings: Any) -> dict[str, Any]:
    """The result that the model reads of one call of a tool."""
    with ScriptedServer([says("tool_use", call("look", n=1)), DONE]) as server:
        runner = run(connect, server, [tool("look", function, **settings)])
        assert runner.until_done().text == DONE_TEXT
        [result] = results(sent(server)[1])
        return result


def test_the_messages_of_a_run_come_one_by_one(connect: Connect) -> None:
    given: list[int] = []
    look = tool("look", lambda n: given.append(n) or f"saw {n}")  # type: ignore[func-returns-value]
    with ScriptedServer([says("tool_use", call("look", n=1)), DONE]) as server:
        runner = run(connect, server, [look])
        # Each comes before its tools run.
        assert [(m.stop_reason, [*given]) for m in runner] == [("tool_use", []), ("end_turn", [1])]
        first, second = sent(server)
    assert first == {**LEAST, "tools": [look.to_param()]}
    assert second["messages"] == [
        *HELLO,
        {"role": "assistant", "content": [call("look", n=1)]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "saw 1"}],
        },
    ]


def test_the_result_says_why_a_run_ended_and_what_it_used(connect: Connect) -> None:
    with ScriptedServer([says("tool_use", call("look")), DONE]) as server:
        runner = run(connect, server, [tool("look", lambda: "x")])
        assert runner.result.reason == "unfinished"
        message = runner.until_done()
        result = runner.result
    assert result.reason == "end_turn"
    assert result.message == message
    assert (result.turns, result.usage.input_tokens, result.usage.output_tokens) == (2, 200, 20)
    assert isinstance(result.cost, Decimal)
    assert result.cost > 0
    assert [(c.name, c.outcome, c.turn) for c in result.tool_calls] == [("look", "ok", 1)]
    assert result.tool_calls[0].seconds >= 0
    assert [turn["role"] for turn in result.messages] == ["user", "assistant", "user", "assistant"]
    assert DONE_TEXT not in repr(result)


def test_a_stream_comes_for_each_turn(connect: Connect) -> None:
    script = [
        streams("tool_use", call("look", n=3)),
        streams("end_turn", {"type": "text", "text": DONE_TEXT}),
    ]
    with ScriptedServer(script) as server:
        runner = run(connect, server, [tool("look", lambda n: f"saw {n}")], stream=True)
        texts = ["".join(stream.text_stream) for stream in runner]
        assert texts == ["", DONE_TEXT]
        assert results(sent(server)[1])[0]["content"] == "saw 3"
    assert runner.result.turns == 2


def test_a_stream_that_nobody_reads_is_read_by_the_runner(connect: Connect) -> None:
    script = [
        streams("tool_use", call("look", n=3)),
        streams("end_turn", {"type": "text", "text": DONE_TEXT}),
    ]
    with ScriptedServer(script) as server:
        runner = run(connect, server, [tool("look", lambda n: n)], stream=True)
        assert runner.until_done().text == DONE_TEXT


def test_the_calls_of_one_turn_run_at_the_same_time_and_their_order_is_kept(
    connect: Connect,
) -> None:
    # Neither would pass if it ran alone; the second ends first.
    together = threading.Barrier(2, timeout=WAIT)
    second_done = threading.Event()

    def look(n: int) -> str:
        together.wait()
        if n == 1:
            assert second_done.wait(WAIT)
        else:
            second_done.set()
        return f"saw {n}"

    calls = [call("look", "toolu_1", n=1), call("look", "toolu_2", n=2)]
    with ScriptedServer([says("tool_use", *calls), DONE]) as server:
        run(connect, server, [tool("look", look)]).until_done()
        assert [(r["tool_use_id"], r["content"]) for r in results(sent(server)[1])] == [
            ("toolu_1", "saw 1"),
            ("toolu_2", "saw 2"),
        ]


@pytest.mark.parametrize(("limit", "most"), [(1, 1), (2, 2), (None, 4)])
def test_no_more_calls_run_at_the_same_time_than_the_limit(
    connect: Connect, limit: int | None, most: int
) -> None:
    lock, running, seen = threading.Lock(), [0], []
    full = threading.Event()

    def look() -> str:
        with lock:
            running[0] += 1
            seen.append(running[0])
            if running[0] == most:
                full.set()
        assert full.wait(WAIT)
        with lock:
            running[0] -= 1
        return "x"

    calls = [call("look", f"toolu_{i}") for i in range(4)]
    with ScriptedServer([says("tool_use", *calls), DONE]) as server:
        run(connect, server, [tool("look", look)], max_concurrent_calls=limit).until_done()
    assert max(seen) == most


def test_an_asynchronous_tool_runs_in_either_client(connect: Connect) -> None:
    async def look(n: int) -> str:
        await asyncio.sleep(0)
        return f"saw {n}"

    assert only_result(connect, look, is_async=True)["content"] == "saw 1"


def test_a_tool_that_raises_gives_an_error_result_with_a_clear_text(connect: Connect) -> None:
    def look(n: int) -> str:
        raise ValueError(f"no such thing: {n}")

    result = only_result(connect, look)
    assert result["is_error"] is True
    assert result["content"] == "The tool failed with ValueError: no such thing: 1"


def test_a_tool_that_exits_ends_its_call_and_not_the_program(connect: Connect) -> None:
    def look(n: int) -> str:
        raise SystemExit(n)

    assert only_result(connect, look)["content"] == "The tool failed with SystemExit: 1"


def test_a_tool_error_gives_a_structured_error_result(connect: Connect) -> None:
    blocks = [{"type": "text", "text": "Try 2."}]

    def look(n: int) -> str:
        raise ToolError(blocks)

    result = only_result(connect, look)
    assert (result["is_error"], result["content"]) == (True, blocks)


@pytest.mark.parametrize("value", [object(), {"x": object()}])
def test_what_cannot_be_sent_is_the_tools_failure(connect: Connect, value: Any) -> None:
    result = only_result(connect, lambda **_: value)
    assert result["is_error"] is True
    assert result["content"].startswith("The tool returned what cannot be sent: ")


def test_half_of_a_character_ends_no_run(connect: Connect) -> None:
    assert only_result(connect, lambda **_: "\ud800")["content"]


@pytest.mark.parametrize("setting", ["of the tool", "of the run"])
def test_a_tool_that_hangs_is_given_up_and_told(connect: Connect, setting: str) -> None:
    told = threading.Event()
    ended = threading.Event()

    def hang() -> str:
        if tool_context().wait(WAIT):
            told.set()
        ended.set()
        return "too late"

    own = {"timeout": 0.05} if setting == "of the tool" else {}
    whole = {} if own else {"tool_timeout": 0.05}
    script = [says("tool_use", call("hang"), call("look", "toolu_2")), DONE]
    with ScriptedServer(script) as server:
        tools = [tool("hang", hang, **own), tool("look", lambda: "seen")]
        runner = run(connect, server, tools, **whole)
        runner.until_done()
        hung, seen = results(sent(server)[1])
    assert hung["is_error"] is True
    assert hung["content"] == (
        "The call was given up: it had no result after 0.05 s, its deadline. "
        "It may still be running."
    )
    assert seen["content"] == "seen"
    assert [call.outcome for call in runner.result.tool_calls] == ["timeout", "ok"]
    assert told.wait(WAIT)
    assert ended.wait(WAIT)


def test_an_asynchronous_tool_that_hangs_is_stopped() -> None:
    async def main(server: ScriptedServer) -> None:
        async with AsyncApertis(api_key=KEY, base_url=server.base_url) as client:
            hang = tool("hang", asyncio.Event().wait, is_async=True, timeout=0.02)
            await client.messages.run(**{**LEAST, "tools": [hang]}).until_done()

    with ScriptedServer([says("tool_use", call("hang")), DONE]) as server:
        asyncio.run(main(server))
        content = results(sent(server)[1])[0]["content"]
    assert content == "The call was stopped: it had no result after 0.02 s, its deadline."


def test_cancelling_a_run_cancels_its_tools_and_the_run_can_go_on() -> None:
    cancelled: list[str] = []

    async def main(server: ScriptedServer) -> Any:
        begun, in_thread = asyncio.Event(), threading.Event()

        async def hang() -> str:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.append("task")
            return ""

        def block() -> str:
            in_thread.set()
            if tool_context().wait(WAIT):
                cancelled.append("thread")
            return ""

        async with AsyncApertis(api_key=KEY, base_url=server.base_url) as client:
            tools = [tool("hang", hang, is_async=True), tool("block", block)]
            runner = client.messages.run(**{**LEAST, "tools": tools})
            task = asyncio.create_task(runner.until_done())  # noqa: TID251 - it is awaited below.
            await begun.wait()
            await asyncio.to_thread(in_thread.wait, WAIT)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return (await runner.resume().until_done()).text, runner.result

    script = [says("tool_use", call("hang"), call("block", "toolu_2")), DONE]
    with ScriptedServer(script) as server:
        text, result = asyncio.run(main(server))
        interrupted = results(sent(server)[1])
    assert text == DONE_TEXT
    assert "task" in cancelled
    assert [call.outcome for call in result.tool_calls] == ["interrupted", "interrupted"]
    assert all("was interrupted" in r["content"] for r in interrupted)


def test_an_interrupt_reaches_the_threads_of_a_run() -> None:
    """Ctrl-C raises in the main thread, which waits for the tools."""
    import _thread

    from apertis import Apertis

    told = threading.Event()

    def hang() -> str:
        _thread.interrupt_main()
        if tool_context().wait(WAIT):
            told.set()
        return ""

    with ScriptedServer([says("tool_use", call("hang"))]) as server:
        client = Apertis(api_key=KEY, base_url=server.base_url)
        runner = client.messages.run(**{**LEAST, "tools": [tool("hang", hang)]})
        with pytest.raises(KeyboardInterrupt):
            runner.until_done()
        assert told.wait(WAIT)
        client.close()


def test_a_turn_that_was_paused_is_sent_back_as_it_came(connect: Connect) -> None:
    searching = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"q": "x"}}
    with ScriptedServer([says("pause_turn", searching), DONE]) as server:
        search = {"type": "web_search_20260318", "name": "web_search"}
        assert run(connect, server, [search]).until_done().text == DONE_TEXT
        second = sent(server)[1]
    assert second["messages"] == [*HELLO, {"role": "assistant", "content": [searching]}]
    assert second["tools"] == [search]


@pytest.mark.parametrize("stop_reason", ["max_tokens", "refusal", "model_context_window_exceeded"])
def test_a_call_in_a_response_that_was_cut_off_is_never_run(
    connect: Connect, stop_reason: str
) -> None:
    with ScriptedServer([says(stop_reason, call("look"))]) as server:
        runner = run(connect, server, [tool("look", pytest.fail)])
        assert runner.until_done().stop_reason == stop_reason
    assert runner.result.reason == stop_reason
    assert [call.outcome for call in runner.result.tool_calls] == ["not_run"]


def test_a_forced_choice_is_free_after_the_first_turn(connect: Connect) -> None:
    forced = {"type": "any", "disable_parallel_tool_use": True}
    with ScriptedServer([says("tool_use", call("look")), DONE]) as server:
        look = tool("look", lambda: "x")
        run(connect, server, [look], tool_choice=forced).until_done()
        assert [body["tool_choice"] for body in sent(server)] == [
            forced,
            {"type": "auto", "disable_parallel_tool_use": True},
        ]


def test_a_forced_choice_stays_where_the_program_wants_it(connect: Connect) -> None:
    forced = {"type": "any"}
    with ScriptedServer([says("tool_use", call("look"))] * 2) as server:
        runner = run(
            connect,
            server,
            [tool("look", lambda: "x")],
            tool_choice=forced,
            keep_tool_choice=True,
            max_turns=2,
        )
        runner.until_done()
        assert [body["tool_choice"] for body in sent(server)] == [forced, forced]
    assert runner.result.reason == "max_turns"


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"max_turns": 1}, "max_turns"),
        # At most, the first turn comes to 1,234 tokens and $0.002868, and each further one to more.
        ({"max_total_tokens": 1300}, "max_total_tokens"),
        ({"max_cost_usd": "0.0029"}, "max_cost_usd"),
        ({"max_cost_usd": 0.0029}, "max_cost_usd"),
    ],
)
def test_a_limit_ends_a_run_with_a_conversation_that_can_be_sent_on(
    connect: Connect, limit: dict[str, Any], reason: str
) -> None:
    with ScriptedServer([says("tool_use", call("look"))]) as server:
        runner = run(connect, server, [tool("look", lambda: "seen")], **limit)
        assert runner.until_done().stop_reason == "tool_use"
    assert runner.result.reason == reason
    assert runner.result.messages[-1]["content"][0]["content"] == "seen"


@pytest.mark.parametrize("stream", [None, True])
@pytest.mark.parametrize(
    ("limit", "value"), [("max_total_tokens", 55), ("max_cost_usd", Decimal("0.0004"))]
)
def test_a_first_turn_that_could_exceed_a_limit_is_not_sent(
    connect: Connect, limit: str, value: Any, stream: bool | None
) -> None:
    with ScriptedServer([]) as server:
        runner = run(connect, server, [], stream=stream, **{limit: value})
        with pytest.raises(ParameterError, match=f"^{limit}: the first request alone could exceed"):
            runner.until_done()
        assert not sent(server)
    assert (runner.result.reason, runner.result.turns) == (limit, 0)


def test_the_time_of_a_run_limits_its_requests(connect: Connect) -> None:
    script: list[Any] = [says("tool_use", call("look")), Exchange(AwaitDisconnect())]
    with ScriptedServer(script) as server:
        runner = run(connect, server, [tool("look", lambda: "seen")], max_seconds=0.3)
        assert runner.until_done().stop_reason == "tool_use"
    assert runner.result.reason == "max_seconds"
    assert runner.result.seconds >= 0.3


def test_the_time_of_a_run_limits_its_tools(connect: Connect) -> None:
    with ScriptedServer([says("tool_use", call("hang"))]) as server:
        hang = tool("hang", lambda: tool_context().wait(WAIT))
        runner = run(connect, server, [hang], max_seconds=0.2)
        runner.until_done()
    assert runner.result.reason == "max_seconds"
    assert [call.outcome for call in runner.result.tool_calls] == ["timeout"]


def test_a_deadline_of_one_request_is_no_limit_of_the_run(connect: Connect) -> None:
    with ScriptedServer([Exchange(AwaitDisconnect())]) as server:
        runner = run(connect, server, [], max_seconds=60, timeout=0.1)
        with pytest.raises(APITimeoutError):
            runner.until_done()


def test_an_error_of_the_service_leaves_a_run_that_can_go_on(connect: Connect) -> None:
    broken = json_response(500, {"type": "error", "error": {"type": "api_error", "message": "x"}})
    given: list[int] = []
    script = [says("tool_use", call("look", n=1)), broken, DONE]
    with ScriptedServer(script) as server:
        runner = run(connect, server, [tool("look", lambda n: given.append(n))])
        with pytest.raises(APIStatusError):
            runner.until_done()
        assert runner.result.reason == "unfinished"
        assert runner.result.turns == 1
        assert runner.resume().until_done().text == DONE_TEXT
    assert given == [1]


def test_a_hook_decides_on_each_call(connect: Connect) -> None:
    ran: list[Any] = []
    asked: list[Any] = []

    def approve(wanted: Any) -> Any:
        asked.append((wanted.name, wanted.input))
        decisions = {1: True, 2: Deny("not that"), 3: Allow({"n": 30}), 4: False}
        return decisions[wanted.input["n"]]

    calls = [call("look", f"toolu_{n}", n=n) for n in (1, 2, 3, 4)]
    with ScriptedServer([says("tool_use", *calls), DONE]) as server:
        look = tool("look", lambda n: ran.append(n) or str(n))  # type: ignore[func-returns-value]
        run(connect, server, [look], approve=approve).until_done()
        contents = [r["content"] for r in results(sent(server)[1])]
    assert asked == [("look", {"n": n}) for n in (1, 2, 3, 4)]
    assert sorted(ran) == [1, 30]
    assert contents == ["1", "The call was denied: not that", "30", "The call was denied."]


def test_an_asynchronous_hook_decides_in_the_asyncio_client() -> None:
    async def approve(wanted: Any) -> bool:
        await asyncio.sleep(0)
        return False

    async def main(server: ScriptedServer) -> None:
        async with AsyncApertis(api_key=KEY, base_url=server.base_url) as client:
            look = tool("look", pytest.fail)
            runner = client.messages.run(**{**LEAST, "tools": [look]}, approve=approve)
            await runner.until_done()

    with ScriptedServer([says("tool_use", call("look")), DONE]) as server:
        asyncio.run(main(server))
        assert results(sent(server)[1])[0]["content"] == "The call was denied."


def test_a_run_pauses_for_approval_and_goes_on_with_the_decisions(connect: Connect) -> None:
    ran: list[str] = []
    write = tool("write", lambda: ran.append("write"), needs_approval=True)
    look = tool("look", lambda: ran.append("look"))
    script = [says("tool_use", call("look"), call("write", "toolu_2")), DONE]
    with ScriptedServer(script) as server:
        runner = run(connect, server, [write, look])
        assert [message.stop_reason for message in runner] == ["tool_use"]
        assert runner.result.reason == "approval"
        [wanted] = runner.result.pending
        assert (wanted.id, wanted.name) == ("toolu_2", "write")
        # Nothing of the turn runs before all of it is decided.
        assert ran == []
        with pytest.raises(ParameterError, match="no call waits under the id 'toolu_9'"):
            runner.resume({"toolu_9": True})
        assert runner.resume({"toolu_2": True}).until_done().text == DONE_TEXT
    assert sorted(ran) == ["look", "write"]


def test_a_program_can_have_the_results_and_change_them(connect: Connect) -> None:
    ran: list[int] = []

    def look(n: int) -> str:
        ran.append(n)
        return "seen"

    with ScriptedServer([says("tool_use", call("look", n=1)), DONE]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        runner: Any = client.messages.tool_runner(**{**LEAST, "tools": [tool("look", look)]})
        for message in runner:
            response = runner.generate_tool_call_response()
            assert runner.generate_tool_call_response() == response
            if response is not None:
                response["content"][0]["content"] = "changed"
                runner.append_messages(message, response, {"role": "user", "content": "Go on."})
        second = sent(server)[1]
    assert ran == [1]
    assert [turn["role"] for turn in second["messages"]] == ["user", "assistant", "user", "user"]
    assert second["messages"][2]["content"][0]["content"] == "changed"


def test_a_program_that_appends_its_own_messages_has_the_turn(connect: Connect) -> None:
    with ScriptedServer([says("tool_use", call("look")), DONE]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        look = tool("look", pytest.fail)
        runner: Any = client.messages.tool_runner(**{**LEAST, "tools": [look]})
        for message in runner:
            if message.stop_reason == "tool_use":
                runner.append_messages({"role": "user", "content": "No tools, please."})
        second = sent(server)[1]
    assert second["messages"] == [*HELLO, {"role": "user", "content": "No tools, please."}]


def test_messages_before_the_first_turn_are_simply_added(connect: Connect) -> None:
    with ScriptedServer([DONE]) as server:
        runner = run(connect, server, [])
        runner.append_messages({"role": "assistant", "content": "I"})
        runner.until_done()
        assert sent(server)[0]["messages"] == [*HELLO, {"role": "assistant", "content": "I"}]


@pytest.mark.parametrize("streamed", [False, True])
def test_parameters_can_change_from_turn_to_turn(connect: Connect, streamed: bool) -> None:
    words = {"type": "text", "text": DONE_TEXT}
    make = streams if streamed else says
    with ScriptedServer([make("tool_use", call("look")), make("end_turn", words)]) as server:
        look = tool("look", lambda: "x")
        runner = run(connect, server, [look], stream=streamed, betas=["b"])
        for item in runner:
            if streamed:
                item.until_done()
            runner.set_messages_params(lambda params: {**params, "max_tokens": 77})
        first, second = sent(server)
        assert [r.headers["anthropic-beta"] for r in server.requests] == ["b", "b"]
    assert (first["max_tokens"], second["max_tokens"]) == (50, 77)
    assert results(second)[0]["content"] == "x"
    assert second["tools"] == first["tools"]


def test_the_old_name_runs_calls_one_after_another_in_the_callers_thread() -> None:
    from apertis import Apertis

    threads: list[int] = []
    calls = [call("look", "toolu_1"), call("look", "toolu_2")]
    with ScriptedServer([says("tool_use", *calls), DONE]) as server:
        client = Apertis(api_key=KEY, base_url=server.base_url)
        look = tool("look", lambda: threads.append(threading.get_ident()))
        runner = client.beta.messages.tool_runner(**{**LEAST, "tools": [look]})
        runner.until_done()
        client.close()
    assert threads == [threading.get_ident()] * 2


def test_the_old_name_takes_a_limit_under_its_old_name(connect: Connect) -> None:
    with ScriptedServer([says("tool_use", call("look"))]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        look = tool("look", lambda: "seen")
        params: Any = {**LEAST, "tools": [look], "max_iterations": 1}
        runner: Any = client.messages.tool_runner(**params)
        assert runner.until_done().stop_reason == "tool_use"
        assert runner.result.reason == "max_turns"


def test_the_old_name_takes_a_definition_that_the_program_answers(connect: Connect) -> None:
    definition = {"name": "mine", "input_schema": {"type": "object"}}
    with ScriptedServer([says("tool_use", call("mine")), DONE]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        params: Any = {**LEAST, "tools": [definition]}
        runner: Any = client.messages.tool_runner(**params)
        for message in runner:
            if message.tool_uses:
                result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "mine"}
                runner.append_messages(message, {"role": "user", "content": [result]})
        assert results(sent(server)[1]) == [result]


def test_a_budget_of_context_asks_the_service_to_clear_old_results(connect: Connect) -> None:
    with ScriptedServer([DONE]) as server:
        run(connect, server, [], context_budget=50_000, betas=["b"]).until_done()
        request = server.requests[0]
    assert request.headers["anthropic-beta"] == "b,context-management-2025-06-27"
    [edit] = json.loads(request.body)["context_management"]["edits"]
    assert edit["type"] == "clear_tool_uses_20250919"
    assert edit["trigger"] == {"type": "input_tokens", "value": 50_000}


def test_each_step_is_told(connect: Connect) -> None:
    told: list[Any] = []
    with ScriptedServer([says("tool_use", call("look")), DONE]) as server:
        run(connect, server, [tool("look", lambda: "x")], progress=told.append).until_done()
    steps = [(step.turns, step.calls, step.calls_finished) for step in told]
    assert steps == [(1, 1, 0), (1, 1, 0), (1, 1, 1), (2, 1, 1), (2, 1, 1)]
    assert told[-1].total_tokens == 220
    assert told[-1].cost > 0


def test_the_prices_of_the_client_are_those_of_its_runs(connect: Connect) -> None:
    answered = json_response(
        200, {**answer("end_turn", {"type": "text", "text": DONE_TEXT}), "model": "own"}
    )
    with ScriptedServer([answered]) as server:
        prices = {"own": {"input": 10_000, "output": 0}}
        client = connect(api_key=KEY, base_url=server.base_url, prices=prices)
        params: Any = {**LEAST, "model": "own", "max_cost_usd": 5}
        runner: Any = client.messages.run(**params)
        runner.until_done()
    assert runner.result.cost == 1


def test_the_options_of_a_client_hold_for_its_runs(connect: Connect) -> None:
    with ScriptedServer([says("tool_use", call("look")), DONE]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        other = client.with_options(default_headers={"x-run": "1"})
        params: Any = {**LEAST, "tools": [tool("look", lambda: "x")]}
        other.messages.run(**params).until_done()
        assert [request.headers["x-run"] for request in server.requests] == ["1", "1"]


def test_a_typed_function_is_made_a_tool(connect: Connect) -> None:
    def look(n: int) -> str:
        """Look at a thing."""
        return f"saw {n}"

    with ScriptedServer([says("tool_use", call("look", n=7)), DONE]) as server:
        run(connect, server, [look]).until_done()
        first, second = sent(server)
    assert first["tools"][0]["description"] == "Look at a thing."
    assert results(second)[0]["content"] == "saw 7"


def test_closing_a_run_stops_it_before_its_next_request(connect: Connect) -> None:
    with ScriptedServer([says("tool_use", call("look"))]) as server:
        runner = run(connect, server, [tool("look", pytest.fail)])
        for _ in runner:
            break
        runner.close()
        assert list(runner) == []
    assert runner.result.reason == "closed"


def test_nothing_is_sent_before_the_first_step(connect: Connect) -> None:
    with ScriptedServer([]) as server:
        run(connect, server, [tool("look", lambda: "x")])
        assert server.requests == []


BAD: list[tuple[dict[str, Any], str]] = [
    ({"tools": [tool("x", print), tool("x", print)]}, r"tools\[1\]: the name 'x' is taken"),
    ({"tools": [{"name": "x", "input_schema": {}}]}, r"tools\[0\]: 'x' has a definition"),
    ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, r"tools\[0\]: 'bash' has"),
    ({"tools": [5]}, r"tools\[0\]: expected a tool"),
    ({"tools": "x"}, "tools: expected a list"),
    ({"max_turns": 0}, "max_turns: expected a whole number above 0"),
    ({"max_cost_usd": "a lot"}, "max_cost_usd: 'a lot' is no number"),
    ({"max_cost_usd": 1, "model": "no-such-model"}, "max_cost_usd: no price is known"),
    ({"max_seconds": -1}, "max_seconds: expected a number above 0"),
    ({"tool_timeout": 0}, "tool_timeout: expected a number of seconds above 0"),
    ({"max_concurrent_calls": 0}, "max_concurrent_calls: expected a whole number"),
    ({"context_budget": 0}, "context_budget: expected a whole number"),
    ({"context_budget": 5, "context_management": {"edits": []}}, "context_budget: context_man"),
    ({"progress": "yes"}, "progress: expected a function"),
    ({"approve": "yes"}, "approve: expected a function"),
    ({"checkpoint": 5}, "checkpoint: expected a path"),
    ({"messages": "Hello"}, "messages: expected a list"),
    ({"max_tokens": "many"}, "max_tokens: expected a whole number"),
]


@pytest.mark.parametrize(("settings", "error"), BAD, ids=[error for _, error in BAD])
def test_bad_input_is_an_error_before_anything_is_sent(
    connect: Connect, settings: dict[str, Any], error: str
) -> None:
    with ScriptedServer([]) as server:
        with pytest.raises(ParameterError, match=error):
            run(connect, server, **{"tools": [], **settings})
        assert server.requests == []


@pytest.mark.parametrize("streamed", [False, True])
def test_the_sandbox_ends_a_run_also_through_the_gateway(
    connect: Connect, sandbox_gateway: RunningGateway, streamed: bool
) -> None:
    cities: list[str] = []
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    }
    weather = Tool(
        name="get_weather",
        description="The weather in a city",
        input_schema=schema,
        function=lambda city: cities.append(city),
    )
    question = "What is the weather in Oslo and Lisbon?"
    _, key = sandbox_gateway.make_key()
    client = connect(api_key=key.api_key, base_url=sandbox_gateway.base_url)
    params: Any = {
        **LEAST,
        "max_tokens": 500,
        "messages": [{"role": "user", "content": question}],
        "tools": [weather],
        "stream": streamed,
    }
    runner: Any = client.messages.run(**params)
    assert runner.until_done().stop_reason == "end_turn"
    assert sorted(cities) == ["Lisbon", "Oslo"]
    assert runner.result.turns == 2


@dataclass
class Weather:
    degrees: int


def says_text(text: str, stop_reason: str = "end_turn") -> bytes:
    return says(stop_reason, {"type": "text", "text": text})


LOOK_FIRST = says("tool_use", call("look"))


def test_the_final_answer_of_a_run_is_a_value_of_a_type(connect: Connect) -> None:
    with ScriptedServer([LOOK_FIRST, says_text('{"degrees": 7}')]) as server:
        runner = run(connect, server, [tool("look", lambda: "7")], output_format=Weather)
        assert [message.parsed_output for message in runner] == [None, Weather(7)]
        assert runner.until_done().parsed_output == Weather(7)
        formats = [body["output_config"]["format"]["type"] for body in sent(server)]
    assert formats == ["json_schema", "json_schema"]


def test_the_final_answer_of_a_streamed_run_is_one_too(connect: Connect) -> None:
    script = [
        streams("tool_use", call("look")),
        streams("end_turn", {"type": "text", "text": '{"degrees": 7}'}),
    ]
    with ScriptedServer(script) as server:
        look = tool("look", lambda: "7")
        runner = run(connect, server, [look], output_format=Weather, stream=True)
        assert runner.until_done().parsed_output == Weather(7)


@pytest.mark.parametrize("stream", [None, True])
def test_a_final_answer_that_is_invalid_is_asked_for_again(
    connect: Connect, stream: bool | None
) -> None:
    bad, good = '{"degrees": "warm"}', '{"degrees": 7}'
    script = [LOOK_FIRST, says_text(bad), says_text(good)]
    if stream:
        texts = [{"type": "text", "text": text} for text in (bad, good)]
        script = [streams("tool_use", call("look")), *(streams("end_turn", t) for t in texts)]
    with ScriptedServer(script) as server:
        look = tool("look", lambda: "7")
        runner = run(connect, server, [look], output_format=Weather, repair=1, stream=stream)
        assert runner.until_done().parsed_output == Weather(7)
        last = sent(server)[2]["messages"]
    assert last[-2]["content"][0]["text"] == bad
    assert last[-1]["role"] == "user"
    assert last[-1]["content"].startswith("The answer is not valid at $.degrees:")
    assert (runner.result.turns, runner.result.usage.input_tokens) == (3, 300)


def test_no_repair_is_sent_that_could_exceed_a_limit_of_the_run(connect: Connect) -> None:
    with ScriptedServer([says_text('{"degrees": "warm"}')]) as server:
        settings: dict[str, Any] = {"output_format": Weather, "repair": 3, "max_turns": 1}
        runner = run(connect, server, [], **settings)
        assert runner.until_done().parsed_output is None
    assert runner.result.reason == "max_turns"


@pytest.mark.parametrize(
    ("final", "error"),
    [
        (says_text('{"degrees": "warm"}'), OutputInvalidError),
        (says_text('{"degrees": ', "max_tokens"), OutputTruncatedError),
    ],
)
def test_a_final_answer_that_is_no_value_raises_with_the_usage_of_the_run(
    connect: Connect, final: bytes, error: type[OutputInvalidError | OutputTruncatedError]
) -> None:
    with ScriptedServer([LOOK_FIRST, final]) as server:
        runner = run(connect, server, [tool("look", lambda: "7")], output_format=Weather)
        with pytest.raises(error, match=r"\$\.degrees") as raised:
            runner.until_done()
    assert raised.value.usage.input_tokens == 200
    assert raised.value.partial == runner.result.message


def test_a_run_that_goes_on_reads_its_final_answer(connect: Connect) -> None:
    with ScriptedServer([LOOK_FIRST, says_text('{"degrees": 7}')]) as server:
        client = connect(api_key=KEY, base_url=server.base_url, max_retries=0)
        look = tool("look", lambda: "7", needs_approval=True)
        given: dict[str, Any] = {"tools": [look], "output_format": Weather}
        runner: Any = client.messages.run(**LEAST, **given)
        runner.until_done()
        document = runner.checkpoint()
        resumed: Any = client.messages.resume(document, {"toolu_1": True}, **given)
        assert resumed.until_done().parsed_output == Weather(7)
        first, second = sent(server)
        # The whole run is over; its answer is read again.
        again: Any = client.messages.resume(resumed.checkpoint(), **given)
        assert again.until_done().parsed_output == Weather(7)
    assert first["output_config"] == second["output_config"]


def test_a_type_that_needs_a_forced_tool_is_an_error_before_anything_is_sent(
    connect: Connect,
) -> None:
    with ScriptedServer([]) as server:
        with pytest.raises(ParameterError, match=r"^output_format: 'claude-3-haiku' gives a value"):
            run(connect, server, [], model="claude-3-haiku", output_format=Weather)
        with pytest.raises(ParameterError, match=r"^repair: expected a whole number"):
            run(connect, server, [], output_format=Weather, repair="once")
        assert not sent(server)
