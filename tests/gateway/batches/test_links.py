"""Links lead back to where the client came in."""

from __future__ import annotations

import json

import pytest

from apertis.gateway.batches.links import batch_path, origin_of, with_own_links

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
