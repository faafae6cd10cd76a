"""Sessions of Claude Code in the console: their sums, agents and requests, and to whom."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import pytest

from apertis.accounting.tokens import Tokens
from tests.kit.consoles import words_of
from tests.kit.usage_books import Books

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.consoles import Office, Visitor
    from tests.kit.http import Response

EVIL = "<script>alert('&1')</script>"
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def office(open_office: Callable[..., Office]) -> Office:
    return open_office()


@pytest.fixture(scope="module")
def books(office: Office) -> Books:
    return Books(office)


def ask(visitor: Visitor, **query: str) -> Response:
    response = visitor.see(f"/sessions?{urlencode(query)}")
    assert response.status == 200, response.body
    return response


def listed(page: Response) -> list[str]:
    return re.findall(r'<a href="/console/sessions/([^"]*)" title=', page.body.decode())


@pytest.mark.parametrize(
    ("role", "status"),
    [("administrator", 200), ("viewer", 200), ("group_administrator", 200), ("member", 403)],
)
def test_each_role_sees_the_page_or_does_not(office: Office, role: str, status: int) -> None:
    assert office.visitors[role].see("/sessions").status == status
    assert office.visitors[role].send("/sessions").status in (403, 405)


def test_a_group_administrator_sees_the_sessions_of_its_keys_alone(
    office: Office, books: Books
) -> None:
    books.add(session="hers")
    books.sales(session="theirs")
    # Whoever knows the id of a session sees of it what is theirs.
    books.add(session="both", cost_units=500_000)
    books.sales(session="both", cost_units=50_000_000)
    query = {"order": "cost", "days": "30"}
    assert {"hers", "theirs", "both"} <= set(listed(ask(office.administrator, **query)))
    greta = office.group_administrator
    assert set(listed(ask(greta, **query))) == {"hers", "both"}
    assert greta.see("/sessions/theirs").status == 404
    assert office.viewer.see("/sessions/theirs").status == 200
    words = words_of(greta.see("/sessions/both"))
    assert "Cost $1.00" in words
    assert "$100" not in words
    assert "Sam" not in words
    assert greta.see("/sessions?key=Sam%27s+key").status == 400


def test_sessions_come_by_their_last_day_or_by_cost_and_of_the_days_asked_for(
    office: Office, books: Books
) -> None:
    now = books.now
    key = "Paul's key"
    own = {"key_id": office.ids[key], "person_id": office.ids["Paul"]}
    books.add(session="new", at_ms=now, cost_units=10, **own)
    books.add(session="old", at_ms=now - 5 * DAY_MS, cost_units=1000, **own)
    books.add(session="older", at_ms=now - 20 * DAY_MS, cost_units=100, **own)

    def found(**query: str) -> list[str]:
        return listed(ask(office.administrator, key=key, **query))

    assert found() == ["new", "old"]
    assert found(days="1") == ["new"]
    assert found(days="30") == ["new", "old", "older"]
    assert found(days="0", order="cost") == ["old", "older", "new"]


def test_many_sessions_are_pages_away(office: Office, books: Books) -> None:
    many, _ = office.gateway.make_key(name="many")
    books.add_all([{"key_id": many, "session": f"s{number:03}"} for number in range(120)])
    path, found = "/sessions?key=many", list[str]()
    for _ in range(3):
        page = office.administrator.see(path)
        found += listed(page)
        older = re.search(r'href="/console(/sessions\?[^"]*)" rel="next"', page.body.decode())
        path = "" if older is None else older[1].replace("&amp;", "&")
    assert sorted(found) == [f"s{number:03}" for number in range(120)]
    assert path == ""


@pytest.mark.parametrize(
    "query", [{"days": "3"}, {"order": "name"}, {"after": "-1"}, {"key": EVIL}, {"after": "9" * 30}]
)
def test_a_filter_that_cannot_be_is_told(office: Office, query: dict[str, str]) -> None:
    page = office.administrator.see(f"/sessions?{urlencode(query)}")
    assert page.status == 400
    assert EVIL not in page.body.decode()


def test_a_session_is_told_by_agent_class_and_model(office: Office, books: Books) -> None:
    books.add_all(
        [
            {"session": "told", "request_class": "main", "cost_units": 500_000},
            {"session": "told", "request_class": "main", "cost_units": 500_000, "status": 529},
            {
                "session": "told",
                "request_class": "subagent",
                "agent": "explorer",
                "model": "opus",
                "cost_units": 1_000_000,
                "tokens": Tokens(input=100, output=50, cache_read=300),
            },
        ]
    )
    page = office.administrator.see("/sessions/told")
    assert page.status == 200
    words = words_of(page)
    assert "Cost $4.00 Requests 3 1 failed Prompt 2,400 12.5 % read from cache" in words
    assert "the session itself 2 1 failed 2,000 400 out 0.0 % $2.00" in words
    assert "explorer 1 400 50 out 75.0 % $2.00 subagent · opus 1 400 50 out 75.0 % $2.00" in words
    assert "subagent an agent that Claude Code started 1 400" in words
    assert "opus 1 400 50 out" in words
    assert page.body.decode().count('<tr id="r-') == 3
    first = office.administrator.see("/requests?session=told")
    times = re.findall(r">(20\d\d-\d\d-\d\d \d\d:\d\d:\d\d)</a>", first.body.decode())
    (first_day, first_time), (last_day, last_time) = (times[at].split() for at in (-1, 0))
    assert f"First request {first_time} {first_day} Last request {last_time} {last_day}" in words
    listing = words_of(ask(office.administrator, key="Max's key", days="90"))
    assert f"{times[0]} since {times[-1]} 3 1 failed 1" in listing


def test_causes_of_misses_are_found_when_asked_for(office: Office, books: Books) -> None:
    # The newest is the first that is added.
    books.add_all(
        [
            {"session": "missed", "tokens": Tokens(cache_write_5m=1000), "prefix_change": 2},
            {"session": "missed", "tokens": Tokens(cache_write_5m=1000), "prefix_change": 0},
        ]
    )
    page = office.administrator.see("/sessions/missed")
    assert "Find out what was missed" in words_of(page)
    words = words_of(office.administrator.see("/sessions/missed?causes=1"))
    assert "what stands before the breakpoint had changed breakpoint 2 1 1,000" in words


def test_older_requests_of_a_session_are_pages_away(office: Office, books: Books) -> None:
    books.add_all([{"session": "long"}] * 70)
    page = office.administrator.see("/sessions/long")
    older = re.search(r'href="/console(/sessions/long\?before=[^"]*)"', page.body.decode())
    assert older is not None
    rest = office.administrator.see(older[1])
    assert [each.body.decode().count('<tr id="r-') for each in (page, rest)] == [50, 20]


def test_a_session_of_long_ago_is_found_by_its_id(office: Office, books: Books) -> None:
    books.add(session="ancient", at_ms=books.now - 400 * DAY_MS)
    there = office.administrator.see("/sessions?session=ancient")
    assert (there.status, there.headers["location"]) == (303, "/console/sessions/ancient")
    assert office.administrator.see("/sessions/ancient").status == 200
    assert office.administrator.see("/sessions/nobody").status == 404


def test_names_that_callers_choose_are_text(office: Office, books: Books) -> None:
    books.add(session=EVIL, agent=EVIL, model=EVIL, request_class="other", status=400, code=EVIL)
    pages = [
        ask(office.administrator, days="0", order="last"),
        office.administrator.see(f"/sessions/{quote(EVIL, safe='')}"),
        office.administrator.see(f"/sessions/{quote(EVIL, safe='')}?causes=1"),
        office.administrator.see(f"/sessions/{quote(EVIL + 'missing', safe='')}"),
    ]
    for page in pages[1:]:
        assert EVIL not in page.body.decode()
        assert EVIL in words_of(page)
    assert EVIL not in pages[0].body.decode()
