from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.sandbox import Sandbox
from apertis.sandbox.threads import Threads

CREATE = {"type": "create"}


def continued(id: str) -> dict[str, str]:
    return {"type": "continue", "previous_message_id": id}


def code(answer: Any) -> tuple[int, str]:
    return answer.status, answer.json["error"]["details"]["error_code"]


def test_a_continue_brings_only_what_is_new(client: Any, weather: Any) -> None:
    first = client.ask("I am Ann.", system="Be kind.", tools=[weather], thread=CREATE).json
    second = client.ask("Who am I?", thread=continued(first["id"]))
    text = second.text
    assert "I am Ann." in text
    assert "turn 2" in text
    assert "Be kind." in text
    assert "get_weather" in text
    third = client.ask("And now?", thread=continued(second.json["id"]))
    assert "turn 3" in third.text


def test_the_held_history_counts_as_input(client: Any) -> None:
    first = client.ask("A long story. " * 50, thread=CREATE).json
    shown = client.ask("Go on.").json["usage"]["input_tokens"]
    counted = client.count("Go on.", thread=continued(first["id"])).json["input_tokens"]
    second = client.ask("Go on.", thread=continued(first["id"])).json
    used = second["usage"]["input_tokens"]
    assert used == counted
    output = first["usage"]["output_tokens"]
    assert used >= shown + first["usage"]["input_tokens"] + output - 8


def test_a_tool_is_called_and_answered_in_a_thread(client: Any, weather: Any) -> None:
    first = client.ask("The weather in Oslo?", tools=[weather], thread=CREATE).json
    use = first["content"][-1]
    result = {"type": "tool_result", "tool_use_id": use["id"], "content": "Rain"}
    second = client.ask([result], thread=continued(first["id"]))
    assert second.json["stop_reason"] == "end_turn"
    assert "The tool `get_weather` answers: Rain" in second.text


@pytest.mark.parametrize("stream", [False, True])
def test_each_answer_of_a_thread_has_an_id_of_its_own(client: Any, stream: bool) -> None:
    def ask() -> str:
        answer = client.ask(thread=CREATE, stream=stream)
        return str(answer.events[0]["message"]["id"] if stream else answer.json["id"])

    first, second = ask(), ask()
    assert first != second
    for id in (first, second):
        assert client.ask("More?", thread=continued(id)).status == 200


def test_an_answer_is_continued_once(client: Any) -> None:
    first = client.ask(thread=CREATE).json["id"]
    assert client.ask("More?", thread=continued(first)).status == 200
    again = client.ask("More?", thread=continued(first))
    assert code(again) == (400, "thread_already_continued")


def test_a_continue_that_is_refused_may_be_sent_again(client: Any) -> None:
    first = client.ask(thread=CREATE).json["id"]
    assert client.ask("More?", thread=continued(first), max_tokens=10**9).status == 400
    assert client.ask("More?", thread=continued(first)).status == 200


def test_an_unknown_answer_is_not_found(client: Any) -> None:
    assert code(client.ask(thread=continued("msg_1"))) == (404, "thread_not_found")
    plain = client.ask().json["id"]
    assert code(client.ask(thread=continued(plain))) == (404, "thread_not_found")


def test_system_and_tools_stay_as_the_thread_was_created(client: Any, weather: Any) -> None:
    first = client.ask(system="Be kind.", thread=CREATE).json["id"]
    changed = client.ask(system="Be rude.", tools=[weather], thread=continued(first))
    assert code(changed) == (400, "thread_fingerprint_mismatch")
    assert "`system` and `tools`" in changed.error
    assert client.ask(system="Be kind.", thread=continued(first)).status == 200


@pytest.mark.parametrize(
    "thread", [{"type": "continue"}, {"type": "other"}, "create", {"previous_message_id": "msg_1"}]
)
def test_a_thread_that_is_not_well_formed_is_refused(client: Any, thread: object) -> None:
    assert client.ask(thread=thread).status == 400


def test_a_refusal_and_what_a_fallback_wrote_are_not_held(client: Any) -> None:
    phrase = "ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL"
    refused = client.ask(phrase, thread=CREATE).json
    fallbacks = [{"model": "claude-opus-4-8"}]
    fallen = client.ask(phrase, thread=CREATE, fallbacks=fallbacks).json
    assert (refused["stop_reason"], fallen["stop_reason"]) == ("refusal", "end_turn")
    for id in (refused["id"], fallen["id"]):
        assert code(client.ask(thread=continued(id))) == (404, "thread_not_found")


def test_a_batch_takes_no_threads(client: Any) -> None:
    params = client.request(thread=CREATE)
    requests = {"requests": [{"custom_id": "a", "params": params}]}
    batch = client.send("POST", "/v1/messages/batches", requests).json["id"]
    client.send("GET", f"/v1/messages/batches/{batch}")
    line = client.send("GET", f"/v1/messages/batches/{batch}/results").body
    error = json.loads(line)["result"]["error"]["error"]
    assert error["details"] == {"error_code": "thread_unsupported_request"}


def test_sandboxes_with_seeds_of_their_own_give_other_ids(new_client: Any) -> None:
    ids = {new_client(Sandbox(batch_seed=seed)).ask(thread=CREATE).json["id"] for seed in "ab"}
    assert len(ids) == 2


@given(st.lists(st.tuples(st.integers(0, 30_000_000), st.booleans()), min_size=1, max_size=40))
def test_what_is_held_is_bounded(turns: list[tuple[int, bool]]) -> None:
    threads = Threads()
    last = ""
    for size, goes_on in turns:
        thread = continued(last) if goes_on and last in threads.held else CREATE
        request = {"thread": thread, "messages": [{"role": "user", "content": "Hi"}]}
        answer = {"id": "msg", "stop_reason": "end_turn", "content": [{"type": "text", "text": ""}]}
        last = threads.keep(request, answer, size)["id"]
        assert len(threads.held) <= 1000
        assert threads.held_bytes <= 64 * 1024 * 1024
        assert threads.held_bytes == sum(thread.size_bytes for thread in threads.held.values())
