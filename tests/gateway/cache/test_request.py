"""Only equal requests of one key have one name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.cache import MISS, cache_key, hit_headers, wants_cache
from apertis.gateway.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

BASE: dict[str, Any] = {"model": "m", "max_tokens": 5, "messages": [{"role": "user"}]}
HEADERS = {"anthropic-version": "2023-06-01", "anthropic-beta": "a,b", "x-other": "1"}


def test_equal_requests_have_one_name_in_any_order_of_the_fields(body: Callable[..., Any]) -> None:
    key = cache_key("key_1", "/v1/messages", body(**BASE), HEADERS)
    turned = dict(reversed(BASE.items()))
    assert cache_key("key_1", "/v1/messages", body(**turned), HEADERS) == key
    assert len(key) == 32


@pytest.mark.parametrize(
    "extra",
    [
        {"stream": True},
        {"metadata": {"user_id": "u"}},
        {"user": "u"},
        {"fallback_models": ["n"], "fallback_timeout": 5000, "fallback_enabled": True},
        {"compression": {"enabled": False}},
    ],
)
def test_what_does_not_change_the_answer_does_not_matter(
    body: Callable[..., Any], extra: dict[str, Any]
) -> None:
    key = cache_key("key_1", "/v1/messages", body(**BASE), HEADERS)
    assert cache_key("key_1", "/v1/messages", body(**BASE, **extra), HEADERS) == key


@pytest.mark.parametrize(
    "extra",
    [
        {"model": "n"},
        {"max_tokens": 6},
        {"messages": []},
        {"temperature": 1},
        {"system": "s"},
        {"a_field_of_next_year": None},
    ],
)
def test_every_other_field_matters(body: Callable[..., Any], extra: dict[str, Any]) -> None:
    key = cache_key("key_1", "/v1/messages", body(**BASE), HEADERS)
    assert cache_key("key_1", "/v1/messages", body(**BASE | extra), HEADERS) != key


def test_another_key_path_version_or_beta_is_another_request(body: Callable[..., Any]) -> None:
    same = body(**BASE)
    keys = {
        cache_key("key_1", "/v1/messages", same, HEADERS),
        cache_key("key_2", "/v1/messages", same, HEADERS),
        cache_key("key_1", "/v1/messages?beta=true", same, HEADERS),
        cache_key("key_1", "/v1/messages", same, HEADERS | {"anthropic-version": "2026-10-21"}),
        cache_key("key_1", "/v1/messages", same, HEADERS | {"anthropic-beta": "a"}),
        cache_key("key_1", "/v1/messages", same, {}),
    }
    assert len(keys) == 6
    other = HEADERS | {"x-other": "2"}
    assert cache_key("key_1", "/v1/messages", same, other) in keys


class Raw:
    def __init__(self, fields: dict[str, bytes]) -> None:
        self.fields = fields

    @property
    def names(self) -> Collection[str]:
        return self.fields.keys()

    def raw(self, name: str) -> bytes | None:
        return self.fields.get(name)


pieces = st.text("ab1:", max_size=3)
requests = st.tuples(pieces, pieces, pieces, st.dictionaries(pieces, pieces, max_size=2))


@settings(max_examples=200)
@given(requests, requests)
def test_no_two_requests_are_taken_for_one_by_a_shifted_border(
    a: tuple[str, str, str, dict[str, str]], b: tuple[str, str, str, dict[str, str]]
) -> None:
    def key(request: tuple[str, str, str, dict[str, str]]) -> bytes:
        key_id, target, beta, fields = request
        raw = Raw({name: value.encode() for name, value in fields.items()})
        return cache_key(key_id, target, raw, {"anthropic-beta": beta})

    assert (key(a) == key(b)) == (a == b)


@pytest.mark.parametrize("setting", [True, False])
def test_the_keys_setting_holds_where_the_request_says_nothing(setting: bool) -> None:
    assert wants_cache({}, setting) is setting


@pytest.mark.parametrize("setting", [True, False])
@pytest.mark.parametrize(("said", "wanted"), [("on", True), ("off", False), (" ON ", True)])
def test_the_request_wins_over_the_key(said: str, wanted: bool, setting: bool) -> None:
    assert wants_cache({"x-response-cache": said}, setting) is wanted


@pytest.mark.parametrize("said", ["", "yes", "hit", "on,off"])
def test_another_word_is_refused(said: str) -> None:
    found = wants_cache({"x-response-cache": said}, True)
    assert isinstance(found, Refusal)
    assert (found.status, found.param) == (400, "x-response-cache")


def test_an_answer_tells_a_hit_from_a_miss() -> None:
    assert dict(hit_headers(12)) == {b"x-response-cache": b"hit", b"age": b"12"}
    assert dict(MISS) == {b"x-response-cache": b"miss"}
