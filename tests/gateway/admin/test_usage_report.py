"""Reports of usage over the admin API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.accounting.tokens import Tokens
from apertis.gateway.units import iso, read_moment, read_span, usd

if TYPE_CHECKING:
    from tests.kit.administration import Administration

USAGE = "/admin/v1/usage"
DAY_MS = 86_400_000
NOW_MS = 1_800_000_000_000


def rows(admin: Administration, query: str) -> list[dict[str, Any]]:
    answer = admin.call("GET", f"{USAGE}?{query}")
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.json["data"]
    return found


def test_every_sum_is_exact_and_so_are_the_dollars(admin: Administration) -> None:
    key = admin.key("sk-1", name="ci").id
    tokens = Tokens(
        input=1, output=2, cache_read=3, cache_write_5m=4, cache_write_1h=5, web_search_requests=6
    )
    admin.used(key, tokens=tokens, cost_units=1_250_001)
    admin.used(key, tokens=tokens, cost_units=1, status=529, interrupted=True)
    admin.used(key, tokens=tokens, cost_units=0, cached=True, estimated=True)
    report = admin.call("GET", USAGE).json
    sums = {
        "requests": 3,
        "errors": 1,
        "cached": 1,
        "estimated": 1,
        "interrupted": 1,
        "input_tokens": 3,
        "output_tokens": 6,
        "cache_read_tokens": 9,
        "cache_write_5m_tokens": 12,
        "cache_write_1h_tokens": 15,
        "web_search_requests": 18,
        "cost_units": 1_250_002,
        "cost_usd": "2.500004",
    }
    assert report == {
        "data": [{"key": key, "key_name": "ci", **sums}],
        "totals": sums,
        "from": None,
        "to": None,
        "has_more": False,
    }


def test_usage_is_grouped_by_what_is_asked(admin: Administration) -> None:
    one, two = admin.key("sk-1", name="one").id, admin.key("sk-2", name="two").id
    admin.used(one, model="a", session="s", request_class="main", cost_units=3)
    admin.used(one, model="b", at_ms=NOW_MS + DAY_MS, cost_units=2)
    admin.used(two, model="b", cost_units=1)
    assert [(row["key_name"], row["cost_units"]) for row in rows(admin, "by=key")] == [
        ("one", 5),
        ("two", 1),
    ]
    assert {row["model"]: row["requests"] for row in rows(admin, "by=model")} == {"a": 1, "b": 2}
    assert {row["session"]: row["requests"] for row in rows(admin, "by=session")} == {
        "s": 1,
        None: 2,
    }
    assert {row["class"] for row in rows(admin, "by=class")} == {"main", None}
    days = [(row["day"], row["key_name"]) for row in rows(admin, "by=day,key")]
    assert sorted(days) == [("2027-01-15", "one"), ("2027-01-15", "two"), ("2027-01-16", "one")]
    assert days[-1] == ("2027-01-16", "one")
    assert [row["day"] for row in rows(admin, "by=day")] == ["2027-01-15", "2027-01-16"]


def test_usage_is_narrowed_by_time_key_and_model(admin: Administration) -> None:
    one, two = admin.key("sk-1", name="one").id, admin.key("sk-2", name="two").id
    admin.used(one, at_ms=NOW_MS - 8 * DAY_MS, model="a")
    admin.used(one, at_ms=NOW_MS, model="b")
    admin.used(two, at_ms=NOW_MS + DAY_MS, model="b")

    def total(query: str) -> int:
        requests: int = admin.call("GET", f"{USAGE}?{query}").json["totals"]["requests"]
        return requests

    assert total("") == 3
    assert total("from=7d") == 2
    assert total("to=2027-01-15") == 2
    assert total("to=2027-01-15T08:00Z") == 1
    assert total("from=2027-01-15T08:00Z&to=2027-01-15T08:00:01Z") == 1
    assert total("key=one") == 2
    assert total(f"key={two}") == 1
    assert total("model=b") == 2
    assert total("model=b&key=one&from=7d") == 1


def test_totals_include_the_rows_beyond_the_limit(admin: Administration) -> None:
    for name in ("a", "b", "c"):
        admin.used(admin.key(f"sk-{name}", name=name).id)
    report = admin.call("GET", USAGE + "?limit=2").json
    assert len(report["data"]) == 2
    assert report["has_more"]
    assert report["totals"]["requests"] == 3


@pytest.mark.parametrize(
    ("query", "status", "code", "param"),
    [
        ("by=colour", 400, "invalid_parameter", "by"),
        ("from=yesterday", 400, "invalid_parameter", "from"),
        ("to=2027-13-01", 400, "invalid_parameter", "to"),
        ("from=99999w", 400, "invalid_parameter", "from"),
        ("limit=0", 400, "invalid_parameter", "limit"),
        ("group=key", 400, "invalid_parameter", "group"),
        ("key=nobody", 404, "not_found", None),
        ("key=twin", 409, "conflict", None),
    ],
)
def test_a_wrong_question_is_refused_by_name(
    admin: Administration, query: str, status: int, code: str, param: str | None
) -> None:
    twins = [admin.key(f"sk-{n}", name="twin").id for n in range(2)]
    answer = admin.call("GET", f"{USAGE}?{query}")
    assert answer.error == (status, code, param)
    if code == "conflict":
        assert all(twin in answer.json["error"]["message"] for twin in twins)


def test_a_name_means_the_living_key_and_else_the_deleted_one(admin: Administration) -> None:
    old = admin.key("sk-1", name="bot", status="deleted").id
    admin.used(old)
    assert rows(admin, "key=bot")[0]["key"] == old
    new = admin.key("sk-2", name="bot").id
    admin.used(new)
    assert rows(admin, "key=bot")[0]["key"] == new


@given(st.integers(-(2**70), 2**70))
def test_dollars_are_the_units_exactly(units: int) -> None:
    whole, _, fraction = usd(units).removeprefix("-").partition(".")
    read = int(whole) * 500_000 + int(fraction.ljust(6, "0")) // 2
    assert int(fraction.ljust(6, "0")) % 2 == 0
    assert (read if units >= 0 else -read) == units
    assert not fraction.endswith("0")


@given(st.integers(0, 253_402_300_799))
def test_a_time_that_is_shown_can_be_read_again(seconds: int) -> None:
    assert read_moment(iso(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("24h", 86_400),
        ("30d", 2_592_000),
        ("2w", 1_209_600),
        ("0d", 0),
        ("d", None),
        ("", None),
        ("5", None),
        ("-5d", None),
        ("5y", None),
        ("1.5h", None),
        ("²d", None),
        ("9" * 30 + "d", None),
    ],
)
def test_spans_are_read(text: str, seconds: int | None) -> None:
    assert read_span(text) == seconds


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-12-31", "2026-12-31T00:00:00Z"),
        ("2026-12-31T18:00", "2026-12-31T18:00:00Z"),
        ("2026-12-31T18:00+02:00", "2026-12-31T16:00:00Z"),
        ("9999-12-31T23:59:59-01:00", None),
        ("1969-12-31", None),
        ("noon", None),
    ],
)
def test_times_are_read_as_utc_unless_they_say_otherwise(text: str, shown: str | None) -> None:
    seconds = read_moment(text)
    assert (None if seconds is None else iso(seconds)) == shown


def test_the_last_day_is_included_as_a_whole() -> None:
    assert read_moment("2026-12-31", whole_day=True) == read_moment("2027-01-01")
    assert read_moment("2026-12-31T00:00", whole_day=True) == read_moment("2026-12-31")
