from __future__ import annotations

import json
from typing import Any

import pytest

PATH = "/v1/messages/batches"
HOST = {"host": "127.0.0.1:8080"}


def item(client: Any, name: str, **fields: Any) -> dict[str, Any]:
    return {"custom_id": name, "params": client.request(f"Question {name}", **fields)}


def create(client: Any, *items: Any) -> Any:
    answer = client.send("POST", PATH, {"requests": list(items)}, headers=HOST)
    assert answer.status == 200, answer.body
    return answer.json


def test_a_batch_is_in_progress_first_and_has_ended_when_retrieved(client: Any) -> None:
    batch = create(client, item(client, "a"), item(client, "b", max_tokens=-1))
    assert batch["id"].startswith("msgbatch_01")
    assert batch["type"] == "message_batch"
    assert batch["processing_status"] == "in_progress"
    assert batch["request_counts"]["processing"] == 2
    assert batch["results_url"] is None
    done = client.send("GET", f"{PATH}/{batch['id']}", headers=HOST).json
    assert done["processing_status"] == "ended"
    assert done["request_counts"] == {
        "processing": 0,
        "succeeded": 1,
        "errored": 1,
        "canceled": 0,
        "expired": 0,
    }
    assert done["results_url"] == f"http://127.0.0.1:8080{PATH}/{batch['id']}/results"
    assert done["ended_at"] > done["created_at"]


def test_the_results_are_lines_of_what_each_request_gets(client: Any) -> None:
    batch = create(client, item(client, "a"), item(client, "b", model="nope"))
    path = f"{PATH}/{batch['id']}"
    client.send("GET", path)
    answer = client.send("GET", f"{path}/results")
    assert answer.headers["content-type"] == "application/x-jsonl"
    first, second = map(json.loads, answer.body.splitlines())
    assert first["custom_id"] == "a"
    assert first["result"] == {"type": "succeeded", "message": client.ask("Question a").json}
    assert second["result"]["type"] == "errored"
    assert second["result"]["error"]["error"]["message"] == "model: nope"


def test_results_wait_for_the_end(client: Any) -> None:
    batch = create(client, item(client, "a"))
    assert client.send("GET", f"{PATH}/{batch['id']}/results").status == 400


def test_a_cancelled_batch_ends_with_cancelled_requests(client: Any) -> None:
    path = f"{PATH}/{create(client, item(client, 'a'))['id']}"
    cancelled = client.send("POST", f"{path}/cancel").json
    assert cancelled["processing_status"] == "canceling"
    assert cancelled["cancel_initiated_at"]
    done = client.send("GET", path).json
    assert (done["processing_status"], done["request_counts"]["canceled"]) == ("ended", 1)
    (line,) = client.send("GET", f"{path}/results").body.splitlines()
    assert json.loads(line)["result"] == {"type": "canceled"}
    assert client.send("POST", f"{path}/cancel").status == 400


def test_a_batch_is_deleted_once_it_has_ended(client: Any) -> None:
    batch = create(client, item(client, "a"))
    path = f"{PATH}/{batch['id']}"
    assert client.send("DELETE", path).status == 400
    client.send("GET", path)
    assert client.send("DELETE", path).json == {
        "id": batch["id"],
        "type": "message_batch_deleted",
    }
    assert client.send("GET", path).status == 404


def test_batches_are_listed_in_pages_newest_first(client: Any) -> None:
    created = [create(client, item(client, name))["id"] for name in "abc"]
    assert len(set(created)) == 3
    page = client.send("GET", PATH, query="limit=2").json
    assert [batch["id"] for batch in page["data"]] == created[:0:-1]
    assert page["has_more"] is True
    rest = client.send("GET", PATH, query=f"after_id={page['last_id']}").json
    assert [batch["id"] for batch in rest["data"]] == created[:1]
    assert rest["has_more"] is False


def test_equal_batches_are_two_batches(client: Any) -> None:
    assert create(client, item(client, "a"))["id"] != create(client, item(client, "a"))["id"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "requests: Field required"),
        ({"requests": {}}, "requests: Input should be a valid list"),
        ({"requests": []}, "requests: List should have between 1 and"),
        ({"requests": [5]}, "requests.0: Input should be an object"),
        ({"requests": [{"params": {}}]}, "requests.0.custom_id: Field required"),
        ({"requests": [{"custom_id": "a b", "params": {}}]}, "requests.0.custom_id: String should"),
        ({"requests": [{"custom_id": "a", "params": 1}]}, "requests.0.params: Input should be an"),
        (
            {"requests": [{"custom_id": "a", "params": {}}] * 2},
            "requests: `custom_id` must be unique within a batch",
        ),
    ],
)
def test_a_bad_batch_is_refused(client: Any, body: Any, message: str) -> None:
    answer = client.send("POST", PATH, body)
    assert answer.status == 400
    assert answer.error.startswith(message)


def test_the_version_holds_for_each_request_of_a_batch(client: Any) -> None:
    headers = {"anthropic-version": "2026-10-21"}
    body = {"requests": [item(client, "a", temperature=1)]}
    path = f"{PATH}/{client.send('POST', PATH, body, headers=headers).json['id']}"
    client.send("GET", path)
    assert b"temperature" in client.send("GET", f"{path}/results", headers=headers).body


def test_only_so_many_batches_are_kept(client: Any) -> None:
    first = create(client, item(client, "a"))["id"]
    for _ in range(1000):
        create(client, {"custom_id": "x", "params": {}})
    assert client.send("GET", f"{PATH}/{first}").status == 404
