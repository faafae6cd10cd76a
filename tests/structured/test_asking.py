"""`parse(repair=)`: another attempt with the fault, within tokens; both clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apertis import OutputInvalidError, OutputTruncatedError, ParameterError
from apertis.structured.output import TOOL
from apertis.testing import ScriptedServer, json_response
from tests.structured.test_output import ASKED, ORDER, TEXT, Order, asked, body, call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.structured.test_output import Connect

WRONG = '{"items": [{"name": "tea", "price": "cheap"}]}'


def answers(*texts: Any, **fields: Any) -> Sequence[bytes]:
    return [json_response(200, body(text, **fields)) for text in texts]


def test_an_invalid_answer_is_asked_for_again_with_its_fault(connect: Connect) -> None:
    with ScriptedServer(answers(WRONG, TEXT)) as server:
        client = connect(base_url=server.base_url, api_key="k")
        message = client.messages.parse(output_format=Order, repair=2, **ASKED)
    assert message.parsed_output == ORDER
    assert [attempt.text for attempt in message.attempts] == [WRONG, TEXT]
    assert (message.usage.input_tokens, message.total_usage.input_tokens) == (10, 20)
    assert message.total_usage.output_tokens == 40
    first, second = asked(server, 0), asked(server, 1)
    assert "repair" not in first
    assert second["messages"][:1] == first["messages"]
    assert second["messages"][1] == {
        "role": "assistant",
        "content": [{"type": "text", "text": WRONG}],
    }
    assert "$.items[0].price" in second["messages"][2]["content"]
    assert "`float`" in second["messages"][2]["content"]
    assert second["output_config"] == first["output_config"]
    assert len(ASKED["messages"]) == 1


def test_attempts_end_and_the_error_has_them_all(connect: Connect) -> None:
    with ScriptedServer(answers(WRONG, "{", "Sorry")) as server:
        client = connect(base_url=server.base_url, api_key="k")
        with pytest.raises(OutputInvalidError) as caught:
            client.messages.parse(output_format=Order, repair=2, **ASKED)
    assert [attempt.text for attempt in caught.value.attempts] == [WRONG, "{", "Sorry"]
    assert caught.value.usage.input_tokens == 30
    assert caught.value.partial == caught.value.attempts[-1]


def test_an_empty_answer_is_not_sent_back(connect: Connect) -> None:
    empty = json_response(200, {**body(), "content": []})
    with ScriptedServer([empty, *answers(TEXT)]) as server:
        client = connect(base_url=server.base_url, api_key="k")
        client.messages.parse(output_format=Order, repair=1, **ASKED)
    assert [message["role"] for message in asked(server, 1)["messages"]] == ["user", "user"]


def test_a_wrong_call_of_the_tool_gets_its_fault_as_a_result(connect: Connect) -> None:
    right = {"items": [{"name": "tea", "price": 1}]}
    script = answers(call({"items": 3}), call(right), stop_reason="tool_use")
    with ScriptedServer(script) as server:
        client = connect(base_url=server.base_url, api_key="k")
        message = client.messages.parse(output_format=Order, via="tool", repair=1, **ASKED)
    assert message.parsed_output is not None
    result = asked(server, 1)["messages"][2]["content"][0]
    assert (result["type"], result["tool_use_id"], result["is_error"]) == (
        "tool_result",
        "toolu_1",
        True,
    )
    assert asked(server, 1)["tools"][0]["name"] == TOOL


def test_what_another_attempt_cannot_mend_is_not_repaired(connect: Connect) -> None:
    with ScriptedServer(answers(WRONG[:20], stop_reason="max_tokens")) as server:
        client = connect(base_url=server.base_url, api_key="k")
        with pytest.raises(OutputTruncatedError):
            client.messages.parse(output_format=Order, repair=3, **ASKED)


@pytest.mark.parametrize(
    ("budget", "calls", "max_tokens"), [(0, 1, 0), (400, 2, 400), (9_999, 2, 500)]
)
def test_repairs_stay_within_their_tokens(
    connect: Connect, budget: int, calls: int, max_tokens: int
) -> None:
    with ScriptedServer(answers(*[WRONG, TEXT][:calls])) as server:
        client = connect(base_url=server.base_url, api_key="k")
        params: dict[str, Any] = {"repair": 1, "repair_max_tokens": budget, **ASKED}
        if calls == 1:
            with pytest.raises(OutputInvalidError):
                client.messages.parse(output_format=Order, **params)
            return
        client.messages.parse(output_format=Order, **params)
    second = asked(server, 1)
    fault = second["messages"][2]["content"]
    # The first attempt, read again, and the fault; the rest may be written.
    assert second["max_tokens"] <= 500
    assert second["max_tokens"] + 30 + len(fault) <= budget


def test_later_repairs_have_what_the_earlier_ones_left(connect: Connect) -> None:
    with ScriptedServer(answers(WRONG, WRONG, WRONG), require_all=False) as server:
        client = connect(base_url=server.base_url, api_key="k")
        with pytest.raises(OutputInvalidError) as caught:
            client.messages.parse(output_format=Order, repair=9, repair_max_tokens=330, **ASKED)
    spent = sum(a.usage.input_tokens + a.usage.output_tokens for a in caught.value.attempts[1:])
    assert spent <= 330
    assert len(server.requests) in (2, 3)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"repair": -1}, "repair: -1 is below 0"),
        ({"repair": "2"}, "repair: expected a whole number"),
        ({"repair_max_tokens": 1.5}, "repair_max_tokens: expected a whole number"),
        ({"stream": True}, "stream: parse gives a whole message"),
    ],
)
def test_what_cannot_be_is_an_error_before_anything_is_sent(
    connect: Connect, params: dict[str, Any], text: str
) -> None:
    with ScriptedServer([]) as server:
        client = connect(base_url=server.base_url, api_key="k")
        with pytest.raises(ParameterError, match=text):
            client.messages.parse(output_format=Order, **params, **ASKED)


def test_messages_that_can_be_read_once_are_repaired_too(connect: Connect) -> None:
    with ScriptedServer(answers(WRONG, TEXT)) as server:
        client = connect(base_url=server.base_url, api_key="k")
        params = {**ASKED, "messages": (message for message in ASKED["messages"])}
        client.messages.parse(output_format=Order, repair=1, **params)
    assert asked(server, 1)["messages"][0] == ASKED["messages"][0]
