from __future__ import annotations

from typing import Any

import pytest

PAGE_MODELS = ["claude-opus-4-5-20251101", "claude-sonnet-4.5", "claude-haiku-4-5-20250501"]


def ids(answer: Any) -> list[str]:
    return [entry["id"] for entry in answer.json["data"]]


def test_the_models_of_the_page_and_current_ones_are_listed(client: Any) -> None:
    listed = ids(client.send("GET", "/v1/models", query="limit=1000"))
    assert set(PAGE_MODELS) <= set(listed)
    assert {"claude-opus-5", "claude-sonnet-5"} <= set(listed)
    assert len(set(listed)) == len(listed)


def test_an_entry_has_the_fields_of_all_three_shapes(client: Any) -> None:
    answer = client.send("GET", "/v1/models").json
    assert answer["object"] == "list"
    entry = answer["data"][0]
    assert (entry["type"], entry["object"]) == ("model", "model")
    assert entry["name"] == entry["display_name"]
    assert entry["created_at"].endswith("Z")
    assert isinstance(entry["created"], int)
    assert entry["owned_by"] == "anthropic"
    assert entry["lifecycle"] == "active"
    assert entry["max_tokens"] > 0
    assert entry["capabilities"]["image_input"] == {"supported": True}


@pytest.mark.parametrize("limit", [1, 4, 7])
def test_pages_forward_are_the_whole_list(client: Any, limit: int) -> None:
    found: list[str] = []
    query = f"limit={limit}"
    while True:
        page = client.send("GET", "/v1/models", query=query).json
        found += [entry["id"] for entry in page["data"]]
        assert page["first_id"] == page["data"][0]["id"]
        if not page["has_more"]:
            break
        query = f"limit={limit}&after_id={page['last_id']}"
    assert found == ids(client.send("GET", "/v1/models", query="limit=1000"))


def test_pages_backward_end_before_the_id(client: Any) -> None:
    everything = ids(client.send("GET", "/v1/models", query="limit=1000"))
    page = client.send("GET", "/v1/models", query=f"limit=3&before_id={everything[5]}")
    assert ids(page) == everything[2:5]
    assert page.json["has_more"] is True
    first = client.send("GET", "/v1/models", query=f"limit=9&before_id={everything[5]}")
    assert ids(first) == everything[:5]
    assert first.json["has_more"] is False


def test_a_lifecycle_can_be_asked_for(client: Any) -> None:
    page = client.send("GET", "/v1/models", query="lifecycle=deprecated").json
    assert {entry["lifecycle"] for entry in page["data"]} == {"deprecated"}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "after_id=nope",
        "before_id=nope",
        "limit=²",
        "after_id=claude-opus-5&before_id=claude-opus-5",
    ],
)
def test_a_bad_query_is_refused(client: Any, query: str) -> None:
    assert client.send("GET", "/v1/models", query=query).status == 400


@pytest.mark.parametrize("name", PAGE_MODELS)
def test_a_model_is_retrieved_by_its_id(client: Any, name: str) -> None:
    assert client.send("GET", f"/v1/models/{name}").json["id"] == name


def test_an_alias_is_retrieved_as_its_model(client: Any) -> None:
    entry = client.send("GET", "/v1/models/claude-opus-4-5").json
    assert entry["id"] == "claude-opus-4-5-20251101"


def test_an_unknown_model_is_not_found(client: Any) -> None:
    answer = client.send("GET", "/v1/models/gpt%2D4")
    assert answer.status == 404
    assert answer.json["error"] == {"type": "not_found_error", "message": "model: gpt-4"}


def test_every_listed_model_answers(client: Any) -> None:
    for name in ids(client.send("GET", "/v1/models", query="limit=1000")):
        assert client.ask(model=name).json["model"] == name
