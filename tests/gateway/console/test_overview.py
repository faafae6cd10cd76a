"""The overview: what is chosen, who sees what, the same numbers in page, table and file."""

from __future__ import annotations

import asyncio
import csv
import html
import io
import json
import re
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest

from apertis.accounting.tokens import Tokens
from apertis.gateway.budgets.periods import name_of
from apertis.gateway.console.overview import SPANS, change, chosen
from apertis.gateway.store.database import Store
from tests.kit.consoles import words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.accounting.record import UsageRecord
    from tests.kit.consoles import Office, Visitor
    from tests.kit.http import Response

EVIL = '=<script>alert("model")</script>'
UNITS = 500_000


@pytest.fixture(scope="module")
def office(open_office: Callable[..., Office], make_usage: Callable[..., UsageRecord]) -> Office:
    found = open_office()
    now = int(time.time() * 1000)
    records = [
        make_usage(
            at_ms=now, cost_units=dollars * UNITS, model=model, person_id=found.ids[person],
            group_id=found.ids[group], key_id=found.ids[f"{person}'s key"],
            tokens=Tokens(input=100, cache_read=900), kind="messages", total_ms=1000,
            status=status,
        )
        for dollars, model, person, group, status in (
            (1, "claude-sonnet-4-5", "Max", "Engineering", 200),
            (2, EVIL, "Paul", "Platform", 200),
            (4, "claude-sonnet-4-5", "Sam", "Sales", 429),
        )
    ]  # fmt: skip

    async def book() -> None:
        async with await Store.open(found.gateway.data) as store:
            await store.usage.add(records)

    # A browser's tests have a loop in this thread.
    thread = threading.Thread(target=asyncio.run, args=(book(),))
    thread.start()
    thread.join()
    return found


def see(visitor: Visitor, page: str = "/overview", **query: str) -> Response:
    response = visitor.see(f"{page}?{urlencode(query)}")
    assert response.status == 200, response.body
    return response


def plots(page: Response) -> dict[str, dict[str, list[float]]]:
    found = re.findall(r'id="plot-(\w+)" data-plot="([^"]*)"', page.body.decode())
    return {
        name: {one["name"]: one["values"] for one in json.loads(html.unescape(data))["series"]}
        for name, data in found
    }


@pytest.mark.parametrize(
    ("role", "spend"), [("administrator", 7), ("viewer", 7), ("group_administrator", 3)]
)
def test_everybody_sees_the_sums_of_their_groups(office: Office, role: str, spend: int) -> None:
    page = see(office.visitors[role], of="group")
    assert f"Spend ${spend}.00" in words_of(page)
    names = {"Engineering": 1, "Platform": 2, "Sales": 4}
    assert {name: sum(values) for name, values in plots(page)["spend"].items()} == {
        name: dollars for name, dollars in names.items() if spend == 7 or name != "Sales"
    }


def test_a_member_has_no_overview(office: Office) -> None:
    assert office.member.see("/overview").status == 403
    assert office.member.see("/overview.csv?plot=spend").status == 403


@pytest.mark.parametrize("of", ["model", "group", "person"])
@pytest.mark.parametrize("span", SPANS)
def test_plot_table_and_file_have_the_same_numbers(office: Office, of: str, span: str) -> None:
    page = see(office.administrator, of=of, span=span)
    for name, series in plots(page).items():
        response = see(office.administrator, "/overview.csv", of=of, span=span, plot=name)
        assert response.headers["content-type"] == "text/csv; charset=utf-8"
        columns, *rows = csv.reader(io.StringIO(response.body.decode()))
        body = page.body.decode().partition(f'aria-labelledby="h-{name}"')[2]
        table = body.partition("<tbody>")[2].partition("</tbody>")[0]
        assert table.count("<tr>") == len(rows)
        for at, values in enumerate(series.values(), 1):
            factor = 100 if name == "cache" else 1
            of_file = [float(row[at]) * factor if row[at] else None for row in rows]
            assert of_file == pytest.approx(values)
        if len(columns) == len(series) + 2:
            assert sum(float(row[-1]) for row in rows) == pytest.approx(
                sum(map(sum, series.values()))
            )


def test_names_of_callers_are_text_in_the_page_and_in_the_file(office: Office) -> None:
    page = see(office.administrator)
    assert EVIL in plots(page)["spend"]
    assert "<script>alert" not in page.body.decode()
    header = see(office.administrator, "/overview.csv", plot="spend").body.decode().splitlines()[0]
    assert EVIL not in next(csv.reader([header]))
    assert f"'{EVIL}" in next(csv.reader([header]))


def test_what_failed_is_an_error_and_reads_from_caches_save_money(office: Office) -> None:
    text = words_of(see(office.administrator))
    assert "Errors 1 33.3 % of requests" in text
    assert "Read from cache 90.0 %" in text
    # Two times 900 tokens at $3.00 less $0.30 a million; nobody knows the price of the third model.
    assert "Saved by cache $0.00486" in text


def test_what_cannot_be_shown_is_said(office: Office) -> None:
    page = see(office.administrator, **{"from": "2026-13-01"})
    assert "Write a date as" in words_of(page)
    page = see(office.administrator, **{"from": "2020-01-01", "by": "hour"})
    assert "too long to show by hour" in words_of(page)
    assert office.administrator.see("/overview.csv?plot=none").status == 404


def test_a_zone_is_chosen_once_and_kept_in_a_cookie(office: Office) -> None:
    page = office.administrator.see("/overview?zone=Asia/Kathmandu")
    assert page.headers["set-cookie"].startswith('apertis_zone="Asia/Kathmandu"; Max-Age=31536000')
    assert "<summary" in page.body.decode()
    assert ">Asia/Kathmandu</summary>" in page.body.decode()
    cookie = f'{office.administrator.cookie}; apertis_zone="Asia/Kathmandu"'
    kept = office.gateway.client.call("GET", "/console/overview", headers={"cookie": cookie})
    assert ">Asia/Kathmandu</summary>" in kept.body.decode()
    wrong = office.gateway.client.call(
        "GET", "/console/overview?zone=Mars/Base", headers={"cookie": cookie}
    )
    assert "set-cookie" not in wrong.headers
    assert "There is no time zone 'Mars/Base'" in words_of(wrong)
    assert ">Asia/Kathmandu</summary>" in wrong.body.decode()


def moment(zone: str, *parts: int) -> int:
    return int(datetime(*parts, tzinfo=ZoneInfo(zone)).timestamp())  # type: ignore[arg-type,misc]  # a moment has no zone of its own


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize(
    ("span", "first", "last", "before"),
    [
        ("7d", (2026, 11, 9), (2026, 11, 16), (2026, 11, 2)),
        ("30d", (2026, 10, 17), (2026, 11, 16), None),
        ("month", (2026, 11, 1), (2026, 12, 1), (2026, 10, 1)),
        ("12months", (2025, 12, 1), (2026, 12, 1), None),
    ],
)
def test_ranges_are_whole_days_of_the_viewers_zone(
    zone: str,
    span: str,
    first: tuple[int, ...],
    last: tuple[int, ...],
    before: tuple[int, ...] | None,
) -> None:
    now = moment(zone, 2026, 11, 15, 12)
    found = chosen({"span": span}, ZoneInfo(zone), now)
    assert (found.since, found.until) == (moment(zone, *first), moment(zone, *last))
    # As much of the period before as has passed of this one.
    assert found.before[1] - found.before[0] == now - found.since
    assert found.before[1] <= found.since
    if before is not None and span == "month":
        assert found.before[0] == moment(zone, *before)


def test_the_month_before_ends_with_it_however_short_it_is() -> None:
    now = moment("UTC", 2026, 3, 31, 12)
    found = chosen({"span": "month"}, ZoneInfo("UTC"), now)
    assert found.before == (moment("UTC", 2026, 2, 1), moment("UTC", 2026, 3, 1))


def test_a_day_is_24_hours_by_hour_also_in_zones_of_half_hours() -> None:
    zone = ZoneInfo("Asia/Kolkata")
    now = moment("Asia/Kolkata", 2026, 11, 15, 12, 10)
    found = chosen({"span": "24h"}, zone, now)
    assert found.by == "hour"
    assert name_of("hour", zone, found.since) == "2026-11-14T13:00+05:30"
    assert found.until - found.since == 86_400


@pytest.mark.parametrize(
    ("query", "since", "until"),
    [
        ({"from": "2026-11-01", "to": "2026-11-02"}, (2026, 11, 1), (2026, 11, 3)),
        ({"from": "2026-11-14"}, (2026, 11, 14), (2026, 11, 16)),
        ({"to": "2026-11-02"}, (2026, 11, 2), (2026, 11, 3)),
    ],
)
def test_dates_are_included(
    query: dict[str, str], since: tuple[int, ...], until: tuple[int, ...]
) -> None:
    now = moment("Europe/Berlin", 2026, 11, 15, 12)
    found = chosen(query, ZoneInfo("Europe/Berlin"), now)
    assert not found.problem
    assert (found.since, found.until) == (
        moment("Europe/Berlin", *since),
        moment("Europe/Berlin", *until),
    )


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"},
        {"from": "2026-11-03", "to": "2026-11-02"},
        {"from": "2027-01-01", "to": "2027-01-02"},
        {"from": "0001-01-01"},
        {"from": "2026-01-01", "to": "9999-12-31"},
    ],
)
def test_dates_that_are_none_are_said_and_the_last_30_days_shown(query: dict[str, str]) -> None:
    now = moment("UTC", 2026, 11, 15, 12)
    found = chosen(query, ZoneInfo("UTC"), now)
    assert found.problem
    assert found.span == "30d"


def test_growth_is_a_share_of_what_was_before() -> None:
    assert (change(150, 100), change(0, 100), change(5, 0)) == (0.5, -1.0, None)
