from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.catalogue.entries import Document, Entry, listed_entry
from apertis.gateway.catalogue.pages import page
from apertis.gateway.errors import Refusal


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
