"""Pages of a list."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.batches.pages import Page, page_of
from apertis.gateway.errors import Refusal


@dataclass(frozen=True)
class Entry:
    id: str


def entries(count: int) -> list[Entry]:
    return [Entry(f"b{place}") for place in range(count)]


def page(count: int, query: str) -> Page[Entry]:
    found = page_of(entries(count), query)
    assert isinstance(found, Page)
    return found


@settings(max_examples=150)
@given(st.integers(1, 40), st.integers(1, 10), st.booleans())
def test_pages_make_up_the_list_in_both_directions(count: int, limit: int, backward: bool) -> None:
    # Backward the walk begins at the last entry, which is not part of its pages.
    name = "before_id" if backward else "after_id"
    seen = entries(count)[-1:] if backward else []
    query = f"limit={limit}" + (f"&before_id={seen[0].id}" if backward else "")
    while True:
        found = page(count, query)
        own = list(found.entries)
        assert len(own) <= limit
        seen = own + seen if backward else seen + own
        if not found.has_more:
            break
        query = f"limit={limit}&{name}={found.first_id if backward else found.last_id}"
    assert seen == entries(count)


def test_an_empty_page_has_no_ends() -> None:
    found = page(0, "")
    assert (found.first_id, found.last_id, found.has_more) == (None, None, False)


def test_a_page_has_twenty_entries_unless_told() -> None:
    assert len(page(50, "beta=true").entries) == 20
    assert len(page(50, "limit=1000").entries) == 50


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=two", "limit"),
        ("limit=%D9%A3", "limit"),
        ("after_id=other", "after_id"),
        ("before_id=other", "before_id"),
        ("before_id=b1&after_id=b1", "before_id"),
    ],
)
def test_what_no_page_can_answer_is_named(query: str, param: str) -> None:
    found = page_of(entries(3), query)
    assert isinstance(found, Refusal)
    assert (found.status, found.param) == (400, param)
