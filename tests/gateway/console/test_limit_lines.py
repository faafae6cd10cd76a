"""Limits as pages show them: in words, with what is spent, those of all levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kit.consoles import words_of
from tests.kit.http import question
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.consoles import Office


@pytest.fixture(scope="module")
def office(open_office: Callable[..., Office]) -> Office:
    office = open_office()
    for fields in (
        {"gateway": True, "amount_usd": 100, "period": "month"},
        {"group": "Engineering", "amount_usd": 10, "period": "week"},
        {"group": "Platform", "amount_usd": 0, "period": "total"},
        {"person": "Max", "amount_usd": 1, "period": "day", "contact": "Greta"},
    ):
        office.make("limits", **fields)
    return office


def test_a_key_shows_its_quota_and_the_limits_of_all_levels(office: Office) -> None:
    key_id, client = office.gateway.make_key(name="k", person="Max", quota_usd=2)
    assert client.call("POST", "/v1/messages", question()).status == 200
    until(lambda: office.gateway.usage(key=key_id)["data"])
    words = words_of(office.administrator.see(f"/keys/{key_id}"))
    for line in (
        "The quota of the API key 'k'",
        "The daily limit of the person 'Max'",
        "The weekly limit of the group 'Engineering'",
        "The monthly limit of the whole gateway",
        "of $100.00",
        "For more, ask Greta",
    ):
        assert line in words
    assert "'Platform'" not in words


def test_a_limit_of_nothing_is_full(office: Office) -> None:
    key_id = office.gateway.make_key(name="p", person="Paul")[0]
    words = words_of(office.administrator.see(f"/keys/{key_id}"))
    assert "The total limit of the group 'Platform' $0 of $0 100 % never" in words
