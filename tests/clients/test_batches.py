"""`messages.batches`, method by method."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from apertis import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    NotFoundError,
    ParameterError,
)
from apertis.testing import (
    AwaitDisconnect,
    Close,
    Exchange,
    Gate,
    ScriptedServer,
    http_chunk,
    json_response,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis import Apertis

    Connect = Callable[..., Apertis]

KEY = "sk-test-0123456789"
BATCH: dict[str, Any] = {
    "id": "msgbatch_1",
    "type": "message_batch",
    "processing_status": "in_progress",
    "request_counts": {"processing": 2, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
    "created_at": "2026-01-01T00:00:00Z",
    "expires_at": "2026-01-02T00:00:00Z",
    "ended_at": None,
    "results_url": None,
}
REQUESTS: list[Any] = [
    {"custom_id": "a", "params": {"model": "m", "max_tokens": 5, "messages": []}}
]
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hi \u2028."}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 2},
}
RESULTS: list[dict[str, Any]] = [
    {"custom_id": "a", "result": {"type": "succeeded", "message": MESSAGE}},
    {
        "custom_id": "b",
        "result": {
            "type": "errored",
            "error": {"type": "error", "error": {"type": "invalid_request_error", "message": "m"}},
        },
    },
    {"custom_id": "c", "result": {"type": "canceled"}},
    {"custom_id": "d", "result": {"type": "expired"}},
    {"custom_id": "e", "result": {"type": "postponed", "until": "later"}},
]
LINES = [json.dumps(result, ensure_ascii=False).encode() for result in RESULTS]
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/x-jsonl\r\nrequest-id: req_1\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


def test_create_sends_the_requests(connect: Connect) -> None:
    with ScriptedServer([json_response(200, BATCH, {"request-id": "req_1"})]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        batch = client.messages.batches.create(requests=REQUESTS, betas=["b"])
        sent = server.requests[0]
    assert (sent.method, sent.path) == ("POST", "/v1/messages/batches")
    assert sent.headers["anthropic-beta"] == "b"
    assert sent.json() == {"requests": REQUESTS}
    assert batch.to_dict() == BATCH
    assert batch.request_counts.processing == 2
    assert batch.request_id == "req_1"


@pytest.mark.parametrize("requests", [None, "a", {"custom_id": "a"}, 5])
def test_requests_that_are_no_list_are_named(connect: Connect, requests: Any) -> None:
    with pytest.raises(ParameterError, match="requests"):
        connect(api_key=KEY).messages.batches.create(requests=requests)


@pytest.mark.parametrize(
    ("method", "verb", "target", "answer"),
    [
        ("retrieve", "GET", "/v1/messages/batches/msgbatch_1", BATCH),
        ("cancel", "POST", "/v1/messages/batches/msgbatch_1/cancel", BATCH),
        (
            "delete",
            "DELETE",
            "/v1/messages/batches/msgbatch_1",
            {"id": "msgbatch_1", "type": "message_batch_deleted"},
        ),
    ],
)
def test_a_batch_is_asked_for_by_its_id(
    connect: Connect, method: str, verb: str, target: str, answer: dict[str, Any]
) -> None:
    with ScriptedServer([json_response(200, answer)]) as server:
        batches = connect(api_key=KEY, base_url=server.base_url).messages.batches
        found = getattr(batches, method)("msgbatch_1", extra_headers={"x-a": "b"})
        sent = server.requests[0]
    assert (sent.method, sent.target, sent.headers["x-a"]) == (verb, target, "b")
    assert found.to_dict() == answer


@pytest.mark.parametrize("method", ["retrieve", "cancel", "delete", "results", "wait"])
@pytest.mark.parametrize("wrong", ["", " ", "a/b", "..", "a?b", "a#b", "a%2fb", "a\\b", "a b", 5])
def test_what_is_no_id_reaches_no_other_endpoint(connect: Connect, method: str, wrong: Any) -> None:
    with ScriptedServer([]) as server, pytest.raises(ParameterError, match="message_batch_id"):
        getattr(connect(api_key=KEY, base_url=server.base_url).messages.batches, method)(wrong)


def test_list_goes_on_over_the_pages(connect: Connect) -> None:
    pages = [
        {
            "data": [{**BATCH, "id": name}],
            "has_more": more,
            "first_id": name,
            "last_id": name,
        }
        for name, more in (("x", True), ("y", False))
    ]
    with ScriptedServer([json_response(200, page) for page in pages]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        assert [batch.id for batch in client.messages.batches.list(limit=1)] == ["x", "y"]
        targets = [request.target for request in server.requests]
    assert targets == ["/v1/messages/batches?limit=1", "/v1/messages/batches?limit=1&after_id=x"]


def results(connect: Connect, *steps: Any) -> tuple[list[Any], Exception | None]:
    found: list[Any] = []
    with ScriptedServer([Exchange(*steps)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url, max_retries=0)
        try:
            found.extend(client.messages.batches.results("msgbatch_1"))
        except (APIConnectionError, APIResponseError) as error:
            return found, error
        sent = server.requests[0]
    assert sent.target == "/v1/messages/batches/msgbatch_1/results"
    return found, None


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n\n"], ids=["no end", "LF", "blank lines"])
def test_results_come_line_by_line(connect: Connect, size: int, end: bytes) -> None:
    body = b"\n".join(LINES) + end
    chunks = [http_chunk(body[i : i + size]) for i in range(0, len(body), size)]
    found, error = results(connect, HEAD, b"".join(chunks), http_chunk(b""))
    assert error is None
    assert [item.to_dict() for item in found] == RESULTS
    assert [item.result.type for item in found] == [
        "succeeded",
        "errored",
        "canceled",
        "expired",
        "postponed",
    ]
    assert found[0].result.message.text == "Hi \u2028."
    assert found[1].result.error.error.type == "invalid_request_error"
    assert found[4].result.until == "later"


def test_a_result_is_given_out_when_its_line_came(connect: Connect) -> None:
    gate = Gate()
    steps: list[Any] = [
        HEAD,
        http_chunk(LINES[0] + b"\n"),
        gate,
        http_chunk(LINES[2]),
        http_chunk(b""),
    ]
    with ScriptedServer([Exchange(*steps)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        found = iter(client.messages.batches.results("msgbatch_1"))
        assert next(found).custom_id == "a"
        gate.open()
        assert [item.custom_id for item in found] == ["c"]


def test_results_that_break_off_are_an_error_after_what_came(connect: Connect) -> None:
    found, error = results(connect, HEAD, http_chunk(LINES[0] + b"\n" + LINES[1][:9]), Close)
    assert [item.custom_id for item in found] == ["a"]
    assert isinstance(error, APIConnectionError)
    assert error.request_id == "req_1"


@pytest.mark.parametrize("line", [b"{oops", b"[]", b'{"custom_id":"b"}', b"<html>"])
def test_a_line_that_cannot_be_read_is_an_error_that_shows_it(
    connect: Connect, line: bytes
) -> None:
    body = b"\n".join([LINES[0], line, LINES[2]])
    found, error = results(connect, HEAD, http_chunk(body), http_chunk(b""))
    assert [item.custom_id for item in found] == ["a"]
    assert type(error) is APIResponseError
    assert line.decode() in str(error)
    assert error.request_id == "req_1"


def test_results_that_are_not_there_yet_are_an_error_at_once(connect: Connect) -> None:
    answer = json_response(404, {"error": {"type": "not_found_error", "message": "No results."}})
    with ScriptedServer([answer]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        with pytest.raises(NotFoundError, match="No results"):
            client.messages.batches.results("msgbatch_1")


def test_results_are_tried_again_before_the_first_line(connect: Connect) -> None:
    busy = json_response(529, {}, {"retry-after-ms": "1"})
    good = HEAD + http_chunk(LINES[2]) + http_chunk(b"")
    with ScriptedServer([busy, good]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        assert len(list(client.messages.batches.results("msgbatch_1"))) == 1


def test_leaving_the_results_hangs_up(connect: Connect) -> None:
    with ScriptedServer(
        [Exchange(HEAD, http_chunk(LINES[0] + b"\n"), AwaitDisconnect())]
    ) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        found: Any = client.messages.batches.results("msgbatch_1")
        next(iter(found))
        (found.aclose if hasattr(found, "aclose") else found.close)()
        del found
        client.close()
        server.wait_until_disconnected()


def test_wait_asks_until_the_batch_has_ended(connect: Connect) -> None:
    ended = {**BATCH, "processing_status": "ended", "ended_at": "2026-01-01T01:00:00Z"}
    canceling = {**BATCH, "processing_status": "canceling"}
    script = [json_response(200, batch) for batch in (BATCH, canceling, ended)]
    with ScriptedServer(script) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        batch = client.messages.batches.wait("msgbatch_1", poll_interval=0.001)
        assert len(server.requests) == 3
    assert batch.to_dict() == ended


def test_wait_gives_up_where_the_caller_does(connect: Connect) -> None:
    with ScriptedServer([json_response(200, BATCH)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        with pytest.raises(APITimeoutError, match=r"msgbatch_1 is in_progress.*retrieve") as caught:
            client.messages.batches.wait("msgbatch_1", poll_interval=5, max_wait=4)
    assert caught.value.deadline == "total"


ENDED = {
    **BATCH,
    "processing_status": "ended",
    "request_counts": {
        "processing": 0, "succeeded": 2, "errored": 1, "canceled": 0, "expired": 0,
    },
}  # fmt: skip


def asked(*names: str) -> list[Any]:
    params = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    return [{"custom_id": name, "params": params} for name in names]


def result_lines(*names: str, failed: str = "") -> bytes:
    message: dict[str, Any] = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip
    good = {"type": "succeeded", "message": message}
    lines = [
        {"custom_id": name, "result": {"type": "expired"} if name == failed else good}
        for name in names
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def test_a_service_that_fails_for_a_while_ends_no_wait(connect: Connect) -> None:
    script = [json_response(500, {}), json_response(200, BATCH), json_response(529, {}),
              json_response(200, ENDED)]  # fmt: skip
    told: list[str] = []
    with ScriptedServer(script) as server:
        client = connect(api_key=KEY, base_url=server.base_url, max_retries=0)
        batch = client.messages.batches.wait(
            "msgbatch_1",
            poll_interval=0.001,
            progress=lambda batch: told.append(batch.processing_status),
        )
    assert batch.to_dict() == ENDED
    assert told == ["in_progress", "ended"]


@pytest.mark.parametrize(("status", "times"), [(404, 1), (500, 10)])
def test_a_batch_that_cannot_be_asked_for_is_an_error(
    connect: Connect, status: int, times: int
) -> None:
    with ScriptedServer([json_response(status, {}) for _ in range(times)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url, max_retries=0)
        with pytest.raises(APIStatusError):
            client.messages.batches.wait("msgbatch_1", poll_interval=0.001)
        assert len(server.requests) == times


def test_run_gives_the_results_in_the_order_of_the_requests(connect: Connect) -> None:
    lines = result_lines("c", "b", "a", failed="b")
    script: list[Exchange | bytes] = [
        json_response(200, BATCH),
        json_response(200, ENDED),
        Exchange(HEAD, http_chunk(lines), http_chunk(b"")),
    ]
    with ScriptedServer(script) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        done = client.messages.batches.run(asked("a", "b", "c", "d"), poll_interval=0.001)
        sent = json.loads(server.requests[0].body)
    assert [request["custom_id"] for request in sent["requests"]] == ["a", "b", "c", "d"]
    assert [entry.custom_id for entry in done.succeeded] == ["a", "c"]
    assert [entry.custom_id for entry in done.failed] == ["b"]
    assert done.missing == ("d",)
    assert repr(done) == "BatchRun(batch='msgbatch_1', succeeded=2, failed=1, missing=1)"


def test_run_goes_on_with_a_batch_that_was_created_earlier(connect: Connect) -> None:
    lines = result_lines("b", "a")
    script: list[Exchange | bytes] = [
        json_response(200, ENDED),
        Exchange(HEAD, http_chunk(lines), http_chunk(b"")),
    ]
    with ScriptedServer(script) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        done = client.messages.batches.run(asked("a", "b"), batch_id="msgbatch_1")
        assert [request.method for request in server.requests] == ["GET", "GET"]
    assert [entry.custom_id for entry in done.succeeded] == ["a", "b"]


def test_a_bar_counts_the_requests(connect: Connect, capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedServer([json_response(200, ENDED)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        client.messages.batches.wait("msgbatch_1", progress=True)
    shown = capsys.readouterr().err
    assert "3/3" in shown
    assert "failed=1" in shown


@pytest.mark.parametrize(
    ("requests", "named"),
    [
        (None, "requests: expected a list"),
        ([], "requests: expected a list"),
        ([{"params": {}}], r"requests\[0\].custom_id: expected a text"),
        (asked("a", "b", "a"), r"requests\[2\].custom_id: 'a' is the name of requests\[0\] too"),
    ],
)
def test_requests_that_cannot_be_told_apart_are_named_before_anything_is_sent(
    connect: Connect, requests: Any, named: str
) -> None:
    with ScriptedServer([]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        with pytest.raises(ParameterError, match=named):
            client.messages.batches.run(requests)
        assert not server.requests


@pytest.mark.parametrize("item", [None, 5, "x", ["x"]])
def test_a_request_that_is_none_is_named_before_anything_is_sent(
    connect: Connect, item: object
) -> None:
    client: Any = connect(api_key=KEY, base_url="http://127.0.0.1:9")
    good = {"custom_id": "a", "params": {}}
    with pytest.raises(ParameterError, match=r"requests\[1\]") as caught:
        client.messages.batches.create(requests=[good, item])
    assert caught.value.param == "requests[1]"


@pytest.mark.parametrize(
    "times",
    [{"poll_interval": -1}, {"poll_interval": "1"}, {"poll_interval": None}, {"max_wait": "1"}],
)
def test_what_is_no_time_to_wait_is_named_before_anything_is_sent(
    connect: Connect, times: dict[str, Any]
) -> None:
    client: Any = connect(api_key=KEY, base_url="http://127.0.0.1:9")
    with pytest.raises(ParameterError, match=next(iter(times))):
        client.messages.batches.wait("msgbatch_1", **times)
