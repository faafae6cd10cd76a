"""Reports of usage over the admin API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.accounting.tokens import Tokens
from apertis.gateway.people.record import Group, Person
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
        "zone": "UTC",
        "complete_since": None,
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


def test_people_and_groups_have_their_names_and_a_group_has_those_in_it(
    admin: Administration,
) -> None:
    all_of_us = admin.keep(Group(id="group_1", name="all", created_at=1))
    team = admin.keep(Group(id="group_2", name="team", parent_id="group_1", created_at=1))
    ann = admin.keep(Person(id="person_1", name="ann", group_id=team.id, created_at=1))
    key = admin.key("sk-1", name="one").id
    admin.used(key, person_id=ann.id, group_id=team.id, cost_units=2)
    admin.used(key, group_id=all_of_us.id, cost_units=1)
    assert [(row["person"], row["person_name"]) for row in rows(admin, "by=person")] == [
        ("person_1", "ann"),
        (None, None),
    ]
    assert [(row["group_name"], row["cost_units"]) for row in rows(admin, "by=group")] == [
        ("team", 2),
        ("all", 1),
    ]
    assert [row["cost_units"] for row in rows(admin, "by=group&group=all")] == [2, 1]
    assert [row["cost_units"] for row in rows(admin, "by=group&group=group_2")] == [2]
    assert [row["cost_units"] for row in rows(admin, "person=ann")] == [2]


def test_owners_and_tags_are_those_of_today_and_totals_count_each_request_once(
    admin: Administration,
) -> None:
    both = admin.key("sk-1", name="one", owner="ann", tags=("ci", "prod")).id
    ci = admin.key("sk-2", name="two", owner="ann", tags=("ci",)).id
    bare = admin.key("sk-3", name="three").id
    for key, cost in ((both, 8), (ci, 4), (bare, 2), ("key_gone", 1)):
        admin.used(key, cost_units=cost, model="m")
    by_tag = admin.call("GET", f"{USAGE}?by=tag").json
    assert [(row["tag"], row["cost_units"], row["requests"]) for row in by_tag["data"]] == [
        ("ci", 12, 2),
        ("prod", 8, 1),
        (None, 3, 2),
    ]
    assert by_tag["totals"]["cost_units"] == 15
    assert [(row["owner"], row["cost_units"]) for row in rows(admin, "by=owner")] == [
        ("ann", 12),
        (None, 3),
    ]
    both_names = [(row["owner"], row["tag"], row["day"]) for row in rows(admin, "by=owner,tag,day")]
    day = "2027-01-15"
    assert both_names == [(None, None, day), ("ann", "ci", day), ("ann", "prod", day)]
    assert [row["key"] for row in rows(admin, "by=key,tag&tag=prod")] == [both, both]
    assert [row["cost_units"] for row in rows(admin, "by=model&owner=ann")] == [12]
    cut = admin.call("GET", f"{USAGE}?by=tag&limit=1").json
    assert (len(cut["data"]), cut["has_more"]) == (1, True)


def test_days_are_those_of_the_zone(admin: Administration) -> None:
    key = admin.key("sk-1", name="one").id
    # 2027-03-28 in Berlin has 23 hours, from 23:00 to 22:00 in UTC.
    first, last = read_moment("2027-03-27T23:00Z"), read_moment("2027-03-28T21:59:59Z")
    assert first is not None
    assert last is not None
    admin.now = last + 40 * 86_400
    for second in (first - 1, first, last, last + 1):
        admin.used(key, at_ms=second * 1000, cost_units=1)
    day = "from=2027-03-28&to=2027-03-28"
    zone = "zone=Europe/Berlin"
    assert [row["requests"] for row in rows(admin, f"{day}&{zone}")] == [2]
    found = [(row["day"], row["requests"]) for row in rows(admin, f"by=day&{zone}")]
    assert found[:4] == [
        ("2027-03-27", 1),
        ("2027-03-28", 2),
        ("2027-03-29", 1),
        ("2027-03-30", 0),
    ]
    hours = [row["hour"] for row in rows(admin, f"by=hour&{day}&{zone}")]
    assert len(hours) == 23
    assert hours[1:3] == ["2027-03-28T01:00+01:00", "2027-03-28T03:00+02:00"]
    weeks = [(row["week"], row["requests"]) for row in rows(admin, f"by=week&{zone}")]
    assert weeks[:3] == [("2027-03-22", 3), ("2027-03-29", 1), ("2027-04-05", 0)]
    months = [(row["month"], row["requests"]) for row in rows(admin, f"by=month&{zone}")]
    assert months == [("2027-03", 4), ("2027-04", 0), ("2027-05", 0)]
    report = admin.call("GET", f"{USAGE}?{day}&{zone}").json
    assert (report["from"], report["to"]) == ("2027-03-27T23:00:00Z", "2027-03-28T22:00:00Z")
    assert report["zone"] == "Europe/Berlin"


def test_percentiles_are_there_when_they_are_asked_for(admin: Administration) -> None:
    key = admin.key("sk-1", name="one").id
    for number in range(100):
        admin.used(key, first_byte_ms=500 if number < 94 else 9000, total_ms=20_000)
    admin.used(key, status=529, total_ms=1)
    (row,) = rows(admin, "percentiles=true")
    assert row["first_byte_p50_ms"] == pytest.approx(500, rel=0.19)
    assert row["first_byte_p95_ms"] == pytest.approx(9000, rel=0.19)
    assert row["total_p50_ms"] == row["total_p95_ms"] == pytest.approx(20_000, rel=0.19)
    assert "total_p50_ms" not in rows(admin, "")[0]
    empty = rows(admin, "by=day&percentiles=true&from=2027-01-14&to=2027-01-14")[0]
    assert empty["total_p95_ms"] is None


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
        ("groups=key", 400, "invalid_parameter", "groups"),
        ("zone=Europe/Atlantis", 400, "invalid_parameter", "zone"),
        ("zone=../../etc/passwd", 400, "invalid_parameter", "zone"),
        ("zone=", 400, "invalid_parameter", "zone"),
        ("person=nobody", 404, "not_found", None),
        ("group=nothing", 404, "not_found", None),
        ("owner=nobody", 404, "not_found", None),
        ("tag=nothing", 404, "not_found", None),
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
