from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apertis.sandbox import Cut, Sandbox, Speed, Wait
from apertis.sandbox.faults import Fault, parse_fault
from apertis.sandbox.reply import SandboxRefusal

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("status=529", Fault("status", 529)),
        ("status=529; retry-after=1", Fault("status", 529, headers=(("retry-after", "1"),))),
        ("delay=0.2", Fault(delay_seconds=0.2)),
        (
            "error-event after=3 type=overloaded_error",
            Fault("error-event", type="overloaded_error", after=3),
        ),
        ("cut after=5", Fault("cut", after=5)),
        ("garbage after=2", Fault("garbage", after=2)),
        ("stall after=4", Fault("stall", after=4)),
        ("stall=1.5", Fault("stall", stall_seconds=1.5)),
        ("status=529 times=2 id=abc", Fault("status", 529, times=2, id="abc")),
        ("  empty ;; delay=1; ", Fault("empty", delay_seconds=1.0)),
        (
            "status=503;should-retry=false",
            Fault("status", 503, headers=(("x-should-retry", "false"),)),
        ),
    ],
)
def test_a_fault_is_read(header: str, fault: Fault) -> None:
    assert parse_fault(header) == fault


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("explode", "'explode' is not known"),
        ("status", "'status' cannot be ''"),
        ("status=200", "'status' cannot be '200'"),
        ("status=5290", "'status' cannot be '5290'"),
        ("delay=nan", "'delay' cannot be 'nan'"),
        ("delay=-1", "'delay' cannot be '-1'"),
        ("delay=1e9", "'delay' cannot be '1e9'"),
        ("cut after=x", "'after' cannot be 'x'"),
        ("cut cut", "'cut' occurs twice"),
        ("cut garbage", "exclude each other"),
        ("after=3", "no fault is named"),
        ("status=500 times=2", "'times' and 'id' need each other"),
        ("cut retry-after=1", "'retry-after' needs 'status'"),
        ("cut type=api_error", "'type' needs"),
    ],
)
def test_a_bad_fault_is_refused_with_the_grammar(client: Any, header: str, problem: str) -> None:
    answer = client.ask(headers={"x-sandbox-fault": header})
    assert answer.status == 400
    assert problem in answer.error
    assert "x-sandbox-fault" in answer.error
    assert "error-event, cut, truncated, garbage, empty, stall[=SECONDS]" in answer.error


@given(st.text(max_size=40))
def test_any_header_is_a_fault_or_refused(header: str) -> None:
    assert isinstance(parse_fault(header), (Fault, SandboxRefusal))


def ask(client: Any, fault: str, **fields: Any) -> Any:
    return client.ask(**fields, headers={"x-sandbox-fault": fault})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (409, "conflict_error"),
        (413, "request_too_large"),
        (418, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_any_status_comes_with_its_error(client: Any, status: int, kind: str, stream: bool) -> None:
    answer = ask(client, f"status={status}", stream=stream)
    assert answer.status == status
    assert answer.json["error"]["type"] == kind
    assert answer.json["request_id"] == answer.headers["request-id"]


def test_a_status_carries_the_headers_it_is_given(client: Any) -> None:
    answer = ask(
        client, "status=529 retry-after=7 retry-after-ms=7000 should-retry=true type=api_error"
    )
    assert answer.headers["retry-after"] == "7"
    assert answer.headers["retry-after-ms"] == "7000"
    assert answer.headers["x-should-retry"] == "true"
    assert answer.json["error"]["type"] == "api_error"


def test_a_redirect_names_a_location(client: Any) -> None:
    answer = ask(client, "status=307")
    assert (answer.status, answer.headers["location"], answer.body) == (307, "/elsewhere", b"")


@pytest.mark.parametrize("fields", [{}, {"stream": True}])
def test_a_delay_comes_before_anything_else_and_changes_nothing_else(
    client: Any, fields: Any
) -> None:
    answer = ask(client, "delay=0.2", **fields)
    assert answer.steps[0] == Wait(0.2)
    assert answer.body == client.ask(**fields).body


def test_a_delay_goes_with_other_faults(client: Any) -> None:
    answer = ask(client, "status=500 delay=3")
    assert answer.steps[0] == Wait(3.0)
    assert answer.status == 500


def test_an_error_event_ends_the_stream(client: Any) -> None:
    answer = ask(client, "error-event after=3 type=overloaded_error", stream=True)
    assert answer.status == 200
    assert [event["type"] for event in answer.events] == [
        "message_start",
        "content_block_start",
        "ping",
        "error",
    ]
    assert answer.events[-1]["error"] == {
        "details": None,
        "type": "overloaded_error",
        "message": "Overloaded",
    }


def test_an_error_event_on_a_plain_answer_is_its_status(client: Any) -> None:
    assert ask(client, "error-event").status == 529
    assert ask(client, "error-event type=rate_limit_error").status == 429
    assert ask(client, "error-event type=unheard_of").status == 500


EVENTS = 40


@given(after=st.integers(0, EVENTS))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_cut_comes_after_so_many_events(client: Any, after: int) -> None:
    whole = client.ask(stream=True)
    answer = ask(client, f"cut after={after}", stream=True)
    assert answer.steps == (*whole.steps[:after], Cut())


def test_a_cut_after_more_events_than_there_are_comes_at_the_end(client: Any) -> None:
    whole = client.ask(stream=True)
    assert ask(client, "cut after=99999", stream=True).steps == (*whole.steps, Cut())


@given(after=st.integers(0, 600))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_plain_answer_is_cut_after_so_many_bytes(client: Any, after: int) -> None:
    whole = client.ask()
    answer = ask(client, f"cut after={after}")
    assert answer.body == whole.body[:after]
    assert answer.steps[-1] == Cut()


def test_a_truncated_stream_ends_without_its_end(client: Any) -> None:
    answer = ask(client, "truncated after=6", stream=True)
    assert len(answer.events) == 6
    assert Cut() not in answer.steps


def test_a_truncated_answer_is_half_of_its_json(client: Any) -> None:
    answer = ask(client, "truncated")
    assert answer.status == 200
    assert answer.body == client.ask().body[: len(client.ask().body) // 2]
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.body)


def test_garbage_in_a_stream_is_one_bad_event_among_good_ones(client: Any) -> None:
    whole = client.ask(stream=True)
    answer = ask(client, "garbage after=2", stream=True)
    assert answer.steps[:2] + answer.steps[3:] == whole.steps
    with pytest.raises(ValueError):
        json.loads(answer.steps[2].partition(b"data: ")[2])


def test_a_garbled_answer_is_a_page_of_html(client: Any) -> None:
    answer = ask(client, "garbage")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.body.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize("fields", [{}, {"stream": True}])
def test_an_empty_answer_has_no_body(client: Any, fields: Any) -> None:
    answer = ask(client, "empty", **fields)
    assert (answer.status, answer.body) == (200, b"")


def test_a_stall_is_a_long_wait_after_which_it_goes_on(client: Any) -> None:
    whole = client.ask(stream=True)
    answer = ask(client, "stall after=4", stream=True)
    assert answer.steps == (*whole.steps[:4], Wait(600.0), *whole.steps[4:])
    assert ask(client, "stall=2").steps[0] == Wait(2.0)
    assert ask(client, "stall=2").body == client.ask().body


def test_a_counted_fault_strikes_so_often_for_each_id(client: Any) -> None:
    fault = "status=529 times=2 id=abc"
    assert [ask(client, fault).status for _ in range(4)] == [529, 529, 200, 200]
    assert ask(client, "status=529 times=1 id=other").status == 529


def test_faults_work_on_every_path(client: Any) -> None:
    headers = {"x-sandbox-fault": "status=503"}
    for method, path in (("GET", "/v1/models"), ("POST", "/v1/messages/count_tokens")):
        assert client.send(method, path, b"{}", headers=headers).status == 503
    headers = {"x-sandbox-fault": "truncated after=5"}
    assert client.send("GET", "/v1/models", headers=headers).body == b'{"obj'


def test_pauses_between_events_do_not_count(new_client: Callable[[Sandbox], Any]) -> None:
    slow = new_client(Sandbox(Speed(first_token_seconds=1.0, tokens_per_second=5.0)))
    answer = ask(slow, "cut after=8", stream=True)
    assert len(answer.events) == 8
    assert answer.waited > 1
    assert answer.steps[-1] == Cut()
