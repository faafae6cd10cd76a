"""Links lead back to where the client came in."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.batches.links import (
    PageOfBatches,
    batch_path,
    describe,
    origin_of,
    page_of,
    with_own_links,
)
from apertis.gateway.errors import Refusal
from apertis.gateway.store.records import Batch

PROXIED = {
    "host": "10.0.0.7:8000",
    "x-forwarded-proto": "https, http",
    "x-forwarded-host": "claude.example.com, inner",
    "x-forwarded-prefix": "/team",
}


@pytest.mark.parametrize(
    ("headers", "is_tls", "from_proxy", "origin"),
    [
        ({"host": "localhost:8000"}, False, False, "http://localhost:8000"),
        ({"host": "[::1]:8000"}, True, False, "https://[::1]:8000"),
        (PROXIED, False, False, "http://10.0.0.7:8000"),
        (PROXIED, False, True, "https://claude.example.com/team"),
        ({**PROXIED, "x-forwarded-proto": "gopher"}, False, True, "http://claude.example.com/team"),
        ({**PROXIED, "x-forwarded-prefix": "//evil"}, True, True, "https://claude.example.com"),
        ({}, False, False, ""),
        ({"host": "a b"}, False, False, ""),
        ({"host": "a/../b"}, False, False, ""),
    ],
)
def test_the_origin_is_what_the_client_called(
    headers: dict[str, str], is_tls: bool, from_proxy: bool, origin: str
) -> None:
    assert origin_of(headers, is_tls=is_tls, from_proxy=from_proxy) == origin


def test_only_the_link_is_changed() -> None:
    body = b'{ "id":"b_1", "results_url" : "https://up.example/x?y" , "n":1.50 }'
    assert with_own_links(body, "b_1", "http://here") == (
        b'{ "id":"b_1", "results_url" : "http://here/v1/messages/batches/b_1/results" , "n":1.50 }'
    )


@pytest.mark.parametrize("body", [b'{"results_url":null,"id":"b"}', b'{"id":"b"}', b"[]", b"no"])
def test_what_has_no_link_stays_as_it_is(body: bytes) -> None:
    assert with_own_links(body, "b", "http://here") is body


def test_an_id_stays_one_part_of_a_path() -> None:
    assert batch_path("a/../b?c#d") == "/v1/messages/batches/a%2F..%2Fb%3Fc%23d"
    url = json.loads(with_own_links(b'{"results_url":"x"}', "a/b", ""))["results_url"]
    assert url == "/v1/messages/batches/a%2Fb/results"


def test_the_link_of_a_batch_with_odd_text_leads_here_too() -> None:
    body = b'{"id":"b","note":"one \\ud83d\xff","results_url":"https://up.example/x"}'
    described = json.loads(with_own_links(body, "b", "http://here"))
    assert described["results_url"] == "http://here/v1/messages/batches/b/results"
    assert described["note"] == "one \ufffd\ufffd"


ENDED = {"id": "b", "processing_status": "ended", "request_counts": {"succeeded": 0, "errored": 2}}


@pytest.mark.parametrize(
    ("changes", "over"),
    [
        ({}, True),
        ({"processing_status": "in_progress"}, False),
        ({"processing_status": "canceling"}, False),
        ({"request_counts": {"succeeded": 1}}, False),
        ({"request_counts": None}, False),
        ({"request_counts": {"succeeded": 1}, "archived_at": "2026-01-31T12:00:00Z"}, True),
    ],
)
def test_a_batch_is_over_when_nothing_of_it_can_cost_anything(
    changes: dict[str, Any], over: bool
) -> None:
    found = describe(json.dumps({**ENDED, **changes}).encode())
    assert found is not None
    assert (found.id, found.is_over) == ("b", over)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"type":"error"}', b'{"id":""}', b'{"id":7}'])
def test_what_is_no_batch_is_not_described(body: bytes) -> None:
    assert describe(body) is None


@pytest.mark.parametrize(
    "odd",
    [
        b'"display":"one \\ud83d"',
        b'"display":"\xff"',
        b'"display":' + b"[" * 3000 + b"]" * 3000,
        b'"request_counts":{"succeeded":2.0}',
        b'"request_counts":{"succeeded":"many"}',
        b'"request_counts":7,"processing_status":7,"archived_at":7',
    ],
)
def test_what_is_odd_in_a_description_does_not_hide_a_batch_that_exists(odd: bytes) -> None:
    description = describe(b'{"id":"b","processing_status":"ended",%b}' % odd)
    assert description is not None
    assert description.id == "b"
    assert not description.is_over


def entries(count: int) -> list[Batch]:
    made = {"upstream": "anthropic", "key_id": "key_a", "created_at": 1_790_000_000}
    return [msgspec.convert({"id": f"b{place}", **made}, Batch) for place in range(count)]


def page(count: int, query: str) -> PageOfBatches:
    found = page_of(entries(count), query)
    assert isinstance(found, PageOfBatches)
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
