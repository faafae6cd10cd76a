"""Checkpoints: documents that another process goes on from, also after a kill."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from apertis import ParameterError
from apertis.testing import ScriptedServer, json_response, sse_response
from apertis.tools import checkpoint
from apertis.tools.tool import Tool
from tests.kit.exchanges import HELLO, KEY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from apertis import Apertis

    Connect = Callable[..., Apertis]

LEAST: dict[str, Any] = {"model": "claude-sonnet-5-5", "max_tokens": 50, "messages": HELLO}
CALLS = [
    {"type": "tool_use", "id": "toolu_1", "name": "first", "input": {}},
    {"type": "tool_use", "id": "toolu_2", "name": "second", "input": {}},
]
# Spaces, key order, escapes and numbers that no encoder of ours would write.
THINKING = b'{"signature" : "c2ln\\u003d", "thinking":"\\u00e9 1.0", "type": "thinking", "n": 1.00}'
KEYS = {
    *("format", "version", "params", "limits", "max_concurrent_calls", "tool_timeout"),
    *("keep_tool_choice", "tools", "messages", "message", "is_open", "is_owned", "calls"),
    *("records", "turns", "usage", "cost", "seconds", "reason"),
}


def answer(stop_reason: str, *blocks: bytes) -> bytes:
    body = b'{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5-5",'
    body += b'"content":[%b],"stop_reason":"%b","stop_sequence":null,' % (
        b", ".join(blocks),
        stop_reason.encode(),
    )
    body += b'"usage":{"input_tokens":3,"output_tokens":2}}'
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


WANTS = answer("tool_use", THINKING, *(json.dumps(call).encode() for call in CALLS))
DONE = answer("end_turn", b'{"type":"text","text":"Done."}')


def tool(name: str, function: Any = lambda: "x", **settings: Any) -> Tool:
    return Tool(name=name, input_schema={"type": "object"}, function=function, **settings)


def contents(server: ScriptedServer) -> list[Any]:
    body = json.loads(server.requests[-1].body)
    return [block["content"] for block in body["messages"][-1]["content"]]


def paused(connect: Connect, server: ScriptedServer, **settings: Any) -> Any:
    """A run that waits for approval of its second call."""
    client = connect(api_key=KEY, base_url=server.base_url, max_retries=0)
    tools = [tool("first"), tool("second", needs_approval=True)]
    runner: Any = client.messages.run(**{**LEAST, "tools": tools, **settings})
    runner.until_done()
    assert runner.result.reason == "approval"
    return runner


PROGRAM = """
import asyncio, sys, threading
from apertis import Apertis, AsyncApertis
from apertis.tools.tool import Tool

base_url, path, kind = sys.argv[1:]

def first():
    print("first", flush=True)
    return "one"

def second():
    # The parent kills this process when it reads this.
    print("second", flush=True)
    threading.Event().wait()

def tool(name, function):
    return Tool(name=name, input_schema={"type": "object"}, function=function)

params = dict(
    model="claude-sonnet-5-5",
    max_tokens=50,
    messages=[{"role": "user", "content": "Hello"}],
    tools=[tool("first", first), tool("second", second)],
    checkpoint=path,
    max_concurrent_calls=1,
)

async def main():
    await AsyncApertis(api_key="KEY", base_url=base_url).messages.run(**params).until_done()

if kind == "sync":
    Apertis(api_key="KEY", base_url=base_url).messages.run(**params).until_done()
else:
    asyncio.run(main())
"""


def killed_in_its_second_tool(server: ScriptedServer, path: Path, kind: str) -> None:
    command = [sys.executable, "-c", PROGRAM.replace("KEY", KEY), server.base_url, str(path), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(2)]
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert lines == [b"first", b"second"]


@pytest.mark.parametrize("idempotent", [False, True])
def test_a_killed_run_goes_on_and_repeats_no_finished_tool(
    connect: Connect, tmp_path: Path, idempotent: bool
) -> None:
    path = tmp_path / "run.json"
    ran: list[str] = []
    with ScriptedServer([WANTS, DONE]) as server:
        kind = "async" if connect.is_async else "sync"  # type: ignore[attr-defined]
        killed_in_its_second_tool(server, path, kind)
        client = connect(api_key=KEY, base_url=server.base_url)
        tools = [
            tool("first", lambda: ran.append("first")),
            tool("second", lambda: ran.append("second") or "two", idempotent=idempotent),  # type: ignore[func-returns-value]
        ]
        runner: Any = client.messages.resume(path, tools=tools)
        assert runner.until_done().text == "Done."
        one, two = contents(server)
        # What is signed goes back as the bytes that came.
        assert THINKING in server.requests[1].body
    assert one == "one"
    assert ran == (["second"] if idempotent else [])
    assert two == "two" if idempotent else two.startswith("The call was interrupted")
    assert runner.result.turns == 2
    # The file follows the run to its end.
    assert checkpoint.read(path).run.reason == "end_turn"


def test_the_file_of_a_checkpoint_is_its_owners_and_whole_at_any_time(
    connect: Connect, tmp_path: Path
) -> None:
    path = tmp_path / "run.json"
    seen: list[str | None] = []

    def look() -> str:
        seen.append(checkpoint.read(path).run.calls[0].status)
        return "x"

    with ScriptedServer([WANTS, DONE]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        tools = [tool("first", look), tool("second")]
        runner: Any = client.messages.run(**{**LEAST, "tools": tools, "checkpoint": path})
        runner.until_done()
    assert seen == ["begun"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]


def test_a_function_can_keep_the_checkpoints(connect: Connect) -> None:
    kept: list[str] = []
    with ScriptedServer([WANTS, DONE]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        tools = [tool("first"), tool("second")]
        params: Any = {**LEAST, "tools": tools, "checkpoint": kept.append}
        params["max_concurrent_calls"] = 1
        client.messages.run(**params).until_done()
    states = [[call["status"] for call in json.loads(text)["calls"]] for text in kept]
    assert states == [
        ["wanted", "wanted"],
        ["begun", "allowed"],
        ["finished", "allowed"],
        ["finished", "begun"],
        ["finished", "finished"],
        [],
        [],
    ]
    assert set(json.loads(kept[0])) == KEYS


def test_another_process_goes_on_with_the_decisions(connect: Connect) -> None:
    with ScriptedServer([WANTS, DONE]) as server:
        runner = paused(connect, server, system="Be brief.", temperature=0.5)
        document = json.loads(json.dumps(json.loads(runner.checkpoint())))
        client = connect(api_key=KEY, base_url=server.base_url)
        tools = [tool("second", lambda: "two"), tool("first", lambda: "one")]
        decisions = {"toolu_2": {"allow": True}}
        resumed: Any = client.messages.resume(document, decisions, tools=tools)
        assert resumed.until_done().text == "Done."
        assert contents(server) == ["one", "two"]
        first, second = (json.loads(request.body) for request in server.requests)
    for name in ("system", "temperature", "tools", "model"):
        assert second[name] == first[name]


def test_a_run_that_goes_on_keeps_its_limits_and_takes_new_ones(connect: Connect) -> None:
    with ScriptedServer([WANTS, DONE]) as server:
        text = paused(connect, server, max_turns=1, max_cost_usd="2.5").checkpoint()
        client = connect(api_key=KEY, base_url=server.base_url)
        tools = [tool("first"), tool("second")]
        kept: Any = client.messages.resume(text, {"toolu_2": True}, tools=tools)
        kept.until_done()
        assert kept.result.reason == "max_turns"
        more: Any = client.messages.resume(text, {"toolu_2": True}, tools=tools, max_turns=2)
        assert more.until_done().text == "Done."


def test_what_was_streamed_goes_on_as_the_bytes_that_came(connect: Connect) -> None:
    redacted = {"type": "redacted_thinking", "data": "b3BhcXVl", "later": 1.5}
    head: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    blocks = [redacted, *CALLS]
    events: list[Any] = [{"type": "message_start", "message": head}]
    for index, block in enumerate(blocks):
        events += [
            {"type": "content_block_start", "index": index, "content_block": block},
            {"type": "content_block_stop", "index": index},
        ]
    usage = {"output_tokens": 9}
    events += [
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage},
        {"type": "message_stop"},
    ]
    with ScriptedServer([sse_response(events), DONE]) as server:
        text = paused(connect, server, stream=True).checkpoint()
        client = connect(api_key=KEY, base_url=server.base_url)
        tools = [tool("first"), tool("second")]
        client.messages.resume(text, {"toolu_2": True}, tools=tools).until_done()
        sent = json.loads(server.requests[1].body)["messages"][1]["content"]
    assert sent == blocks


def test_no_header_and_no_key_is_in_a_checkpoint(connect: Connect) -> None:
    with ScriptedServer([WANTS]) as server:
        runner = paused(connect, server, extra_headers={"x-secret": "hidden"}, timeout=5.0)
        text = runner.checkpoint()
    assert "hidden" not in text
    assert KEY not in text
    assert "timeout" not in json.loads(text)["params"]


def change(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda document: {**document, **changes}


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        (change(version=2), 'its "version" is 2, and this version of apertis reads 1; go on with'),
        (change(format="x"), "its \"format\" is 'x'"),
        (change(surprise=1), r"unknown field `surprise`.*mend this place, or begin a new run"),
        (change(calls=[{"x": 1}]), r"`\$\.calls\[0\]`"),
        (change(turns="one"), r"`\$\.turns`"),
        (change(message={"type": "message"}), r"in `\$\.message`"),
        (change(messages=[[]]), r"in `\$\.messages\[0\]`"),
        (change(usage={}), r"in `\$\.usage`"),
    ],
)
def test_a_checkpoint_that_cannot_be_read_is_an_error_that_names_the_place(
    connect: Connect, changed: Any, error: str
) -> None:
    with ScriptedServer([WANTS]) as server:
        document = changed(json.loads(paused(connect, server).checkpoint()))
        client = connect(api_key=KEY, base_url=server.base_url)
        with pytest.raises(ParameterError, match=f"^checkpoint: .*{error}"):
            client.messages.resume(document, tools=[tool("first"), tool("second")])
        assert len(server.requests) == 1


@pytest.mark.parametrize("text", ["{", '{"version":' + "[" * 100_000, b"\xff", 5, "/no/such/file"])
def test_what_is_no_checkpoint_is_an_error(connect: Connect, text: Any) -> None:
    with ScriptedServer([]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        with pytest.raises(ParameterError, match=r"^checkpoint: "):
            client.messages.resume(text)


def test_a_tool_that_is_missing_is_an_error_before_anything_is_sent(connect: Connect) -> None:
    with ScriptedServer([WANTS]) as server:
        text = paused(connect, server).checkpoint()
        client = connect(api_key=KEY, base_url=server.base_url)
        with pytest.raises(ParameterError, match="a tool named 'second', and none was given"):
            client.messages.resume(text, tools=[tool("first")])
        with pytest.raises(ParameterError, match="messages: a run that goes on has its own"):
            client.messages.resume(text, messages=HELLO)  # type: ignore[call-arg]
        assert len(server.requests) == 1


def test_a_run_that_has_not_ended_is_not_overwritten(connect: Connect, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with ScriptedServer([WANTS, DONE, DONE]) as server:
        paused(connect, server, checkpoint=path)
        client = connect(api_key=KEY, base_url=server.base_url)
        tools = [tool("first"), tool("second")]
        params: Any = {**LEAST, "tools": tools, "checkpoint": path}
        with pytest.raises(ParameterError, match="holds a run that has not ended"):
            client.messages.run(**params)
        client.messages.resume(path, {"toolu_2": False}, tools=tools).until_done()
        # One that has ended is done with.
        assert client.messages.run(**params).until_done().text == "Done."


def test_a_run_that_has_ended_goes_nowhere_and_keeps_its_result(connect: Connect) -> None:
    with ScriptedServer([DONE]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        runner: Any = client.messages.run(**LEAST)
        runner.until_done()
        again: Any = client.messages.resume(runner.checkpoint())
        assert again.until_done().text == "Done."
        assert again.result.reason == "end_turn"
        assert len(server.requests) == 1


def test_a_run_that_is_killed_before_its_answer_asks_again(
    connect: Connect, tmp_path: Path
) -> None:
    path = tmp_path / "run.json"
    broken = json_response(500, {"type": "error", "error": {"type": "api_error", "message": "x"}})
    with ScriptedServer([WANTS, broken, DONE]) as server:
        client = connect(api_key=KEY, base_url=server.base_url, max_retries=0)
        ran: list[str] = []
        tools = [tool("first", lambda: ran.append("first")), tool("second")]
        params: Any = {**LEAST, "tools": tools, "checkpoint": path}
        with pytest.raises(Exception, match="500"):
            client.messages.run(**params).until_done()
        assert client.messages.resume(path, tools=tools).until_done().text == "Done."
    assert ran == ["first"]
