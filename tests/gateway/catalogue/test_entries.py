from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.catalogue.entries import (
    Entry,
    configured_entry,
    listed_entry,
    page,
)
from apertis.gateway.errors import Refusal
from apertis.gateway.upstreams.contract import Document
from apertis.gateway.upstreams.messages_api import id_of
from apertis.models import ModelInfo


def document(text: str) -> Document:
    return msgspec.json.decode(text, type=Document)


def shown(entry: Entry | None) -> dict[str, Any]:
    assert entry is not None
    decoded: dict[str, Any] = json.loads(msgspec.json.encode(entry.document))
    return decoded


def test_a_configured_model_has_every_field_that_clients_expect() -> None:
    assert shown(configured_entry("claude-opus-4-5-20251101", (), None)) == {
        "id": "claude-opus-4-5-20251101",
        "type": "model",
        "object": "model",
        "name": "claude-opus-4-5-20251101",
        "display_name": "claude-opus-4-5-20251101",
        "created": 1761955200,
        "created_at": "2025-11-01T00:00:00Z",
        "owned_by": "anthropic",
        "lifecycle": "active",
    }


@pytest.mark.parametrize("id", ["mine", "claude-20251341", "claude-00000101"])
def test_without_a_date_it_is_as_old_as_the_epoch(id: str) -> None:
    entry = shown(configured_entry(id, (), None))
    assert (entry["created"], entry["created_at"]) == (0, "1970-01-01T00:00:00Z")


def test_what_an_upstream_says_stays_as_it_came() -> None:
    text = (
        '{"type":"model","id":"claude-x","display_name":"Claude X",'
        '"created_at":"2026-01-02T03:04:05.600+02:00","lifecycle":"deprecated",'
        '"max_tokens":1.50e2,"new":{"a":[1, 2 ,null]},"name":null}'
    )
    entry = listed_entry(document(text))
    assert entry is not None
    sent = msgspec.json.encode(entry.document).decode()
    assert sent.startswith(text[:-1])
    assert shown(entry)["created"] == 1767315845
    assert shown(entry)["object"] == "model"
    assert entry.lifecycle == "deprecated"


def test_a_model_without_much_is_completed() -> None:
    entry = shown(listed_entry(document('{"id":"m","created":1761955200}')))
    assert entry["created_at"] == "2025-11-01T00:00:00Z"
    assert (entry["name"], entry["display_name"], entry["owned_by"]) == ("m", "m", "apertis")


@pytest.mark.parametrize("date", ['"x"', "7", "null", '"2026-01-02"', '"9999-99-99"'])
def test_an_odd_date_does_not_keep_a_model_away(date: str) -> None:
    entry = shown(listed_entry(document(f'{{"id":"m","created_at":{date}}}')))
    assert entry["created_at"] == json.loads(date)
    assert isinstance(entry["created"], int)


def test_a_configured_name_shows_what_the_upstream_says_of_its_model() -> None:
    known = document('{"id":"claude-x","display_name":"Claude X","max_tokens":7}')
    entry = configured_entry("fast", ("quick",), known)
    assert (entry.id, entry.aliases) == ("fast", ("quick",))
    assert shown(entry)["id"] == "fast"
    assert (shown(entry)["display_name"], shown(entry)["max_tokens"]) == ("Claude X", 7)
    assert id_of(known) == "claude-x"


@pytest.mark.parametrize("text", ['{"id":7}', '{"id":""}', '{"id":null}', "{}"])
def test_what_has_no_id_is_no_model(text: str) -> None:
    assert listed_entry(document(text)) is None


def test_our_own_client_reads_it() -> None:
    entry = configured_entry("claude-sonnet-4-20250514", (), None)
    info = ModelInfo.model_validate(shown(entry))
    assert info.display_name == "claude-sonnet-4-20250514"
    assert info.created == 1747180800


def models(*ids: str, lifecycle: str = "active") -> list[Entry]:
    found = [
        listed_entry(
            msgspec.json.decode(json.dumps({"id": id, "lifecycle": lifecycle}), type=Document)
        )
        for id in ids
    ]
    return [entry for entry in found if entry is not None]


def read(entries: list[Entry], query: str) -> dict[str, Any]:
    body = page(entries, query)
    assert isinstance(body, bytes), body
    decoded: dict[str, Any] = json.loads(body)
    decoded["data"] = [entry["id"] for entry in decoded["data"]]
    return decoded


def listed(ids: str, has_more: bool) -> dict[str, Any]:
    cursors = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
    return {"object": "list", "data": list(ids), "has_more": has_more, **cursors}


@pytest.mark.parametrize(
    ("query", "ids", "has_more"),
    [
        ("", "abcde", False),
        ("limit=1000", "abcde", False),
        ("limit=2", "ab", True),
        ("limit=5", "abcde", False),
        ("limit=2&after_id=b", "cd", True),
        ("limit=2&after_id=c", "de", False),
        ("after_id=e", "", False),
        ("limit=2&before_id=e", "cd", True),
        ("limit=2&before_id=c", "ab", False),
        ("before_id=a", "", False),
        ("limit=1&limit=3", "abc", True),
        ("something=else", "abcde", False),
        ("lifecycle=active,retired", "abcde", False),
        ("lifecycle=retired", "", False),
    ],
)
def test_a_page_is_what_was_asked_for(query: str, ids: str, has_more: bool) -> None:
    assert read(models(*"abcde"), query) == listed(ids, has_more)


def test_no_models_are_a_page_too() -> None:
    assert read([], "limit=3") == listed("", False)


def test_cursors_may_hold_anything() -> None:
    ids = ["a/b", "c d&e", "\u4e16"]
    assert read(models(*ids), urlencode({"after_id": "c d&e"}))["data"] == ["\u4e16"]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        *((f"limit={value}", "limit") for value in ("0", "1001", "-1", "x", "", "1.5", "9" * 5000)),
        ("limit=%D9%A3", "limit"),
        ("after_id=z", "after_id"),
        ("before_id=", "before_id"),
        ("after_id=a&before_id=b", "before_id"),
    ],
)
def test_what_cannot_be_asked_for_is_said_with_its_name(query: str, param: str) -> None:
    refusal = page(models("a", "b"), query)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code, refusal.param) == (400, "invalid_parameter", param)
    assert len(refusal.message) < 300


@settings(max_examples=100)
@given(st.lists(st.text(min_size=1, max_size=4), unique=True, max_size=12), st.integers(1, 5))
def test_all_pages_together_are_all_models_once(ids: list[str], limit: int) -> None:
    entries = models(*ids)
    for cursor, edge in (("after_id", "last_id"), ("before_id", "first_id")):
        query: dict[str, Any] = {"limit": limit}
        if cursor == "before_id" and ids:
            query[cursor] = ids[-1]
        pages: list[list[str]] = []
        while True:
            found = read(entries, urlencode(query))
            pages.append(found["data"])
            assert len(found["data"]) <= limit
            if not found["has_more"]:
                break
            query[cursor] = found[edge]
        ordered = pages if cursor == "after_id" else pages[::-1]
        expected = ids if cursor == "after_id" or not ids else ids[:-1]
        assert [id for part in ordered for id in part] == expected
