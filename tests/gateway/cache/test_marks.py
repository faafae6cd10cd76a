"""How the cache is asked for, and how an answer tells of it."""

from __future__ import annotations

import pytest

from apertis.gateway.cache import MISS, hit_headers, wants_cache
from apertis.gateway.errors import Refusal


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
