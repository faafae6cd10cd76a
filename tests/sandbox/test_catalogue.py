from __future__ import annotations

from typing import Any

import pytest

from apertis.sandbox.catalogue import MODELS, Model, find_model

PAGE_MODELS = ["claude-opus-4-5-20251101", "claude-sonnet-4.5", "claude-haiku-4-5-20250501"]

# The names that anthropic 2.14 lists, without the preview of a retired one.
CURRENT = """
claude-fable-5-2 claude-mythos-5-2 claude-haiku-5-5 claude-sonnet-5-5 claude-fable-5-1
claude-opus-5-5 claude-mythos-5-1 claude-sonnet-5 claude-fable-5 claude-mythos-5 claude-opus-5
claude-opus-4-8 claude-opus-4-7 claude-opus-4-6 claude-sonnet-4-6 claude-haiku-4-5-20251001
claude-opus-4-5-20251101 claude-sonnet-4-5-20250929
""".split()  # noqa: SIM905  # A list of words reads better.


def ids(answer: Any) -> list[str]:
    return [entry["id"] for entry in answer.json["data"]]


def test_the_models_of_the_page_and_current_ones_are_listed(client: Any) -> None:
    listed = ids(client.send("GET", "/v1/models", query="limit=1000"))
    assert set(PAGE_MODELS) <= set(listed)
    assert set(CURRENT) <= set(listed)
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
    both = client.send("GET", "/v1/models", query="lifecycle[]=retired&lifecycle[]=deprecated").json
    assert {entry["lifecycle"] for entry in both["data"]} == {"deprecated", "retired"}
    unasked = client.send("GET", "/v1/models", query="limit=1000").json
    assert {entry["lifecycle"] for entry in unasked["data"]} == {"active", "deprecated"}


@pytest.mark.parametrize(
    ("name", "retires_at"),
    [
        ("claude-sonnet-4-5", "2026-11-30T00:00:00Z"),
        ("claude-sonnet-4.5", "2026-11-30T00:00:00Z"),
        ("claude-opus-4-5", "2027-01-22T00:00:00Z"),
        ("claude-opus-5-5", None),
    ],
)
def test_an_entry_says_when_its_model_retires(
    client: Any, name: str, retires_at: str | None
) -> None:
    entry = client.send("GET", f"/v1/models/{name}").json
    assert entry["retires_at"] == retires_at
    assert entry["lifecycle"] == ("deprecated" if retires_at else "active")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_the_limits_of_a_model_are_sane_and_kept(client: Any, model: Model) -> None:
    assert 4_096 <= model.max_tokens <= 128_000 < model.max_input_tokens <= 1_000_000
    assert (model.retires_at is None) == (model.lifecycle == "active")
    assert model.line in model.id
    assert all(find_model(name) for name in model.entry()["allowed_fallback_models"])
    at_most = client.ask(model=model.id, max_tokens=model.max_tokens)
    assert at_most.status == (200 if model.answers else 404)
    if model.answers:
        assert client.ask(model=model.id, max_tokens=model.max_tokens + 1).status == 400


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_what_an_entry_says_of_thinking_effort_and_forced_tools_is_what_is_taken(
    client: Any, model: Model, weather: Any
) -> None:
    if not model.answers:
        return
    said = model.entry()["capabilities"]
    for kind, support in said["thinking"]["types"].items():
        setting = {"type": kind} | ({"budget_tokens": 1024} if kind == "enabled" else {})
        answer = client.ask(model=model.id, max_tokens=2000, thinking=setting)
        assert (answer.status == 200) == support["supported"], (kind, answer.body)
    for level in ("low", "medium", "high", "xhigh", "max"):
        answer = client.ask(model=model.id, output_config={"effort": level})
        assert (answer.status == 200) == said["effort"][level]["supported"], answer.body
    forced = client.ask(model=model.id, tools=[weather], tool_choice={"type": "any"})
    assert (forced.status == 200) == model.takes_forced_tools
    sampled = client.ask(model=model.id, temperature=0.5)
    assert (sampled.status == 200) == model.takes_sampling


@pytest.mark.parametrize(
    ("name", "thinking", "message"),
    [
        ("claude-opus-5-5", "disabled", '"thinking.type.disabled" is not supported for this model'),
        ("claude-sonnet-5-5", "disabled", 'send "thinking": {"type": "between_tools"}'),
        ("claude-haiku-5-5", "between_tools", "thinking.type.between_tools"),
        ("claude-opus-4-8", "enabled", 'Use "thinking.type.adaptive"'),
    ],
)
def test_a_type_of_thinking_that_a_model_does_not_take_is_refused_in_the_words_of_the_api(
    client: Any, name: str, thinking: str, message: str
) -> None:
    answer = client.ask(model=name, thinking={"type": thinking, "budget_tokens": 1024})
    assert answer.status == 400
    assert message in answer.error


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
