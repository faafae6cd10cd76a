from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import apertis.sandbox
from apertis.sandbox import Sandbox, Speed, Wait

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_first_answer_says_that_it_comes_from_a_stand_in(client: Any) -> None:
    answer = client.ask("What is the capital of France?")
    assert answer.status == 200
    assert "stand-in for Claude" in answer.text
    assert "no model" in answer.text


def test_every_reply_says_in_a_header_that_it_comes_from_a_stand_in(client: Any) -> None:
    replies = [
        client.ask(),
        client.ask(stream=True),
        client.ask(max_tokens="many"),
        client.count(),
        client.send("GET", "/v1/models"),
        client.send("GET", "/nowhere"),
        client.ask(headers={"x-sandbox-fault": "status=500"}),
    ]
    assert {reply.headers["x-apertis-sandbox"] for reply in replies} == {"stand-in; no model"}
    assert all(reply.headers["request-id"].startswith("req_") for reply in replies)


def test_the_request_id_of_an_error_is_in_its_header_and_in_its_body(client: Any) -> None:
    answer = client.ask(max_tokens="many")
    assert answer.json["request_id"] == answer.headers["request-id"]


def test_the_same_request_gets_the_same_answer_from_any_sandbox(
    client: Any, new_client: Callable[[Sandbox], Any]
) -> None:
    first, second = client.ask("Tell me more"), new_client(Sandbox()).ask("Tell me more")
    assert first == second


def test_different_requests_get_different_ids(client: Any) -> None:
    one, other = client.ask("One"), client.ask("Other")
    assert one.json["id"] != other.json["id"]
    assert one.headers["request-id"] != other.headers["request-id"]


def test_a_plain_answer_has_the_fields_of_the_api(client: Any) -> None:
    message = client.ask().json
    assert re.fullmatch(r"msg_01\w{22}", message.pop("id"))
    assert message.pop("content")[0]["type"] == "text"
    usage = message.pop("usage")
    assert message == {
        "model": "claude-sonnet-4.5",
        "type": "message",
        "role": "assistant",
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
    }
    assert usage.keys() >= {
        "input_tokens",
        "output_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "cache_creation",
        "service_tier",
    }


def test_a_stream_is_announced_as_one(client: Any) -> None:
    assert client.ask(stream=True).headers["content-type"].startswith("text/event-stream")
    assert client.ask(stream=False).headers["content-type"] == "application/json"


def test_token_counts_are_called_estimates_in_a_header(client: Any) -> None:
    for answer in (client.count(), client.ask(), client.ask(stream=True)):
        assert "four characters" in answer.headers["x-apertis-sandbox-estimate"]


def test_the_counted_tokens_are_the_input_tokens_of_the_answer(client: Any) -> None:
    for content in ("Hi", "A longer question " * 50, [{"type": "text", "text": "Blocks"}]):
        counted = client.count(content, system="Be brief.").json
        assert counted == {
            "input_tokens": client.ask(content, system="Be brief.").json["usage"]["input_tokens"]
        }


def test_a_count_needs_no_max_tokens(client: Any) -> None:
    body = client.request()
    del body["max_tokens"]
    assert client.send("POST", "/v1/messages/count_tokens", body).status == 200
    assert client.send("POST", "/v1/messages", body).error == "max_tokens: Field required"


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/message", "/v1/messages/", "/v1/messages/batches/a/b", "/v2/messages"],
)
def test_a_path_that_is_not_there_is_a_404(client: Any, path: str) -> None:
    answer = client.send("POST", path, b"{}")
    assert answer.status == 404
    assert answer.json["error"]["type"] == "not_found_error"
    assert path in answer.error


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/messages", "POST"),
        ("GET", "/v1/messages/count_tokens", "POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/models/claude-sonnet-4.5", "GET"),
        ("DELETE", "/v1/messages/batches", "GET, POST"),
        ("POST", "/v1/messages/batches/x/results", "GET"),
        ("GET", "/v1/messages/batches/x/cancel", "POST"),
    ],
)
def test_a_method_that_a_path_does_not_take_is_a_405(
    client: Any, method: str, path: str, allow: str
) -> None:
    answer = client.send(method, path, b"{}")
    assert (answer.status, answer.headers["allow"]) == (405, allow)
    assert answer.json["type"] == "error"


def test_the_sandbox_answers_at_once_by_default(client: Any) -> None:
    assert client.ask().waited == client.ask(stream=True).waited == 0


def test_the_speed_of_a_stream_is_a_setting(new_client: Callable[[Sandbox], Any]) -> None:
    slow = new_client(Sandbox(Speed(first_token_seconds=2.0, tokens_per_second=10)))
    answer = slow.ask(stream=True)
    tokens = answer.events[-2]["usage"]["output_tokens"]
    assert answer.waited == pytest.approx(2 + tokens / 10, rel=0.5)
    waits = [step.seconds for step in answer.steps if isinstance(step, Wait)]
    assert waits[0] == 2.0
    assert len(waits) > 20
    assert b"message_start" in answer.steps[0]


def test_a_plain_answer_comes_as_late_as_a_stream_would_end(
    new_client: Callable[[Sandbox], Any],
) -> None:
    slow = new_client(Sandbox(Speed(first_token_seconds=2.0, tokens_per_second=10)))
    answer = slow.ask()
    assert answer.steps[0] == Wait(2 + answer.json["usage"]["output_tokens"] / 10)
    assert json.loads(answer.steps[1]) == answer.json


IMPURE = {"socket", "asyncio", "threading", "time", "random", "os", "secrets", "uuid", "subprocess"}


def test_the_sandbox_imports_no_network_no_clock_and_no_chance() -> None:
    root = Path(apertis.sandbox.__file__).parent
    modules = list(root.rglob("*.py"))
    assert len(modules) > 20
    for module in modules:
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.split(".")[0] not in IMPURE, module
                assert not name.startswith("apertis.") or name.startswith("apertis.sandbox")


RECORDED = Path(__file__).parents[3] / "shared" / "recorded"


@pytest.mark.corpus
def test_what_the_api_accepted_and_refused_is_accepted_and_refused(client: Any) -> None:
    checked = 0
    for path in sorted(RECORDED.glob("*.json")):
        exchange = json.loads(path.read_text("utf-8"))
        body, status = exchange["request"]["body"], exchange["response"]["status"]
        # Keys and limits are a server's business, and retired models are not kept.
        if not isinstance(body, dict) or status in (401, 429) or "claude-3" in body["model"]:
            continue
        sent = exchange["request"]["path"].partition("?")[0]
        assert client.send("POST", sent, body).status == status, path.name
        checked += 1
    assert checked > 200
