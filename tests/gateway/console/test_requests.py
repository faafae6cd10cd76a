"""The last requests in the console, and the life of one: what is told, of whom, and to whom."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import pytest

from apertis.accounting.tokens import Tokens
from tests.kit.consoles import words_of
from tests.kit.usage_books import Books

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.accounting.record import UsageRecord
    from tests.kit.consoles import Office, Visitor
    from tests.kit.http import Response

EVIL = "<script>alert('&1')</script>"
CONFIG = """
[prices."claude-sonnet-4-5"]
input = 3
output = 15
[[upstreams]]
name = "sandbox"
kind = "sandbox"
"""


@pytest.fixture(scope="module")
def office(open_office: Callable[..., Office]) -> Office:
    return open_office(CONFIG)


@pytest.fixture(scope="module")
def books(office: Office) -> Books:
    return Books(office)


def listed(page: Response) -> list[str]:
    return re.findall(r'<tr id="r-([^"]*)"', page.body.decode())


def ask(visitor: Visitor, **query: str) -> Response:
    response = visitor.see(f"/requests?{urlencode(query)}")
    assert response.status == 200, response.body
    return response


def one(visitor: Visitor, record: UsageRecord) -> Response:
    return visitor.see(f"/requests/{quote(record.request_id, safe='')}")


@pytest.mark.parametrize(
    ("role", "status"),
    [("administrator", 200), ("viewer", 200), ("group_administrator", 200), ("member", 403)],
)
def test_each_role_sees_the_page_or_does_not(office: Office, role: str, status: int) -> None:
    assert office.visitors[role].see("/requests").status == status
    assert office.visitors[role].send("/requests").status in (403, 405)


def test_a_group_administrator_sees_the_requests_of_its_groups_alone(
    office: Office, books: Books
) -> None:
    own = books.add(session="whose")
    inner = books.add(session="whose", group_id=office.ids["Platform"])
    other = books.sales(session="whose")
    everything = listed(ask(office.administrator, session="whose"))
    assert {own.request_id, inner.request_id, other.request_id} <= set(everything)
    greta = office.group_administrator
    assert other.request_id not in listed(ask(greta))
    assert listed(ask(greta, session="whose")) == [own.request_id, inner.request_id]
    assert [one(greta, each).status for each in (own, inner, other)] == [200, 200, 404]
    assert one(office.viewer, other).status == 200
    # Nor does it learn by a filter that the others are there.
    assert greta.see(f"/requests?key={quote(chr(83) + 'am')}%27s+key").status == 400
    assert greta.see("/requests?who=Sales").status == 400


def test_a_request_of_another_group_is_on_no_page_of_a_group_administrator(
    office: Office, books: Books
) -> None:
    session = "paged"
    mine = [books.add(session=session) for _ in range(3)]
    for _ in range(60):
        books.sales(session=session)
    page = ask(office.group_administrator, session=session)
    assert listed(page) == [record.request_id for record in mine]


def test_filters_keep_what_they_name(office: Office, books: Books) -> None:
    session = "filtered"
    made = {
        "ok": books.add(session=session),
        "left": books.add(session=session, status=499, interrupted=True),
        "bad": books.add(session=session, status=400, code="invalid_request_error"),
        "down": books.add(session=session, status=529, code="overloaded_error", model="opus"),
        "sales": books.sales(session=session),
    }

    def found(**query: str) -> set[str]:
        ids = listed(ask(office.administrator, session=session, **query))
        return {name for name, record in made.items() if record.request_id in ids}

    assert found() == {"ok", "left", "bad", "down", "sales"}
    assert found(status="ok") == {"ok", "sales"}
    assert found(status="error") == {"left", "bad", "down"}
    assert found(status="refused") == {"bad"}
    assert found(status="left") == {"left"}
    assert found(status="failed") == {"down"}
    assert found(status="529") == {"down"}
    assert found(status="overloaded_error") == {"down"}
    assert found(model="opus") == {"down"}
    assert found(key="Sam's key") == {"sales"}
    assert found(key=office.ids["Sam's key"]) == {"sales"}
    assert found(who="Sam") == {"sales"}
    assert found(who="Sales") == {"sales"}
    assert found(who="Engineering", status="ok") == {"ok"}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"key": EVIL}, "No key is called"),
        ({"who": "Nobody"}, "No person or group is called 'Nobody'"),
        ({"until": "yesterday"}, "'yesterday' is no date or time"),
        ({"before": "x"}, "That page is not there"),
    ],
)
def test_a_filter_that_cannot_be_is_told_and_kept(
    office: Office, query: dict[str, str], words: str
) -> None:
    page = office.administrator.see(f"/requests?model=opus&{urlencode(query)}")
    assert page.status == 400
    assert words in words_of(page)
    assert 'value="opus"' in page.body.decode()
    assert "<script>alert" not in page.body.decode()


@pytest.mark.parametrize("path", ["/requests?key=none", "/sessions?key=none", "/audit?from=none"])
def test_a_filter_that_cannot_be_finds_neither_something_nor_nothing(
    office: Office, path: str
) -> None:
    page = office.administrator.see(path).body.decode()
    assert 'class="problem"' in page
    assert 'class="empty"' not in page


def test_older_requests_are_pages_away(office: Office, books: Books) -> None:
    session = "many"
    made = books.add_all([{"session": session}] * 120)
    found: list[str] = []
    path = f"/requests?session={session}"
    for _ in range(3):
        page = office.administrator.see(path)
        found += listed(page)
        older = re.search(r'href="/console(/requests\?[^"]*)" rel="next"', page.body.decode())
        path = "" if older is None else older[1].replace("&amp;", "&")
    assert found == [record.request_id for record in made]
    assert path == ""


def test_only_the_newest_page_is_live_and_can_be_paused(office: Office, books: Books) -> None:
    books.add_all([{"session": "live"}] * 51)
    live = ask(office.administrator, session="live").body.decode()
    assert 'hx-trigger="every 2s"' in live
    assert "Reload" in live
    assert "up to 8 seconds after its end" in live
    paused = ask(office.administrator, session="live", paused="1").body.decode()
    assert "hx-trigger" not in paused
    older = re.search(r'before=([^"&]*)', live)
    assert older is not None
    before = ask(office.administrator, session="live", before=older[1]).body.decode()
    assert "hx-trigger" not in before


def test_a_request_before_a_moment_of_the_viewers_zone_is_found(
    office: Office, books: Books
) -> None:
    # 2026-09-21T12:00 in Berlin.
    at_ms = 1_790_000_000_000 // 86_400_000 * 86_400_000 + 10 * 3_600_000
    record = books.add(session="past", at_ms=at_ms)
    query = {"session": "past", "zone": "Europe/Berlin"}
    noon = "2026-09-21T12:00"
    assert listed(ask(office.administrator, until=noon, **query)) == []
    page = ask(office.administrator, until="2026-09-21T12:01", **query)
    assert listed(page) == [record.request_id]
    assert "2026-09-21 12:00:00" in words_of(page)


def test_a_life_is_told_with_its_fallback_money_and_times(office: Office, books: Books) -> None:
    limit = office.make("limits", group="Engineering", amount_usd=100, period="month")
    assert limit
    record = books.add(
        at_ms=int(time.time() * 1000) + 2000,
        requested_model="claude-opus-4-5",
        attempts=3,
        fallback_reason="primary_model_overloaded",
        upstream_request_id="req_011upstream",
        session="5f0c",
        agent="explorer",
        request_class="subagent",
        prefix_change=2,
        streamed=True,
    )
    page = one(office.administrator, record)
    words = words_of(page)
    assert "Max's key of Max , in Engineering , asked for claude-opus-4-5" in words
    assert "It was sent on 3 times, last to sandbox" in words
    assert "the model that was asked for was overloaded. primary_model_overloaded" in words
    assert "claude-sonnet-4-5 answered, as a stream." in words
    assert "Reserved $0.008 Booked $0.006 Given back $0.002" in words
    assert "the monthly limit of the group 'Engineering'" in words
    # 1,000 at $3 and 200 at $15 a million.
    assert "Input 1,000 $3.00 per million $0.003" in words
    assert "Output 200 $15.00 per million $0.003" in words
    assert "list prices" not in words
    assert "First byte 400 ms Total 1.6 s" in words
    assert 'class="wait" width="250"' in page.body.decode()
    assert "Its request id req_011upstream" in words
    assert "the prefix changed at breakpoint 2" in words
    assert "an agent that Claude Code started" in words
    assert 'href="/console/sessions/5f0c"' in page.body.decode()
    assert 'href="/console/upstreams/sandbox"' in page.body.decode()


def test_a_failure_says_what_it_means_and_what_to_do(office: Office, books: Books) -> None:
    record = books.add(status=529, code="overloaded_error", cost_units=0, tokens=Tokens())
    words = words_of(one(office.administrator, record))
    assert "The upstream had too much to do." in words
    assert "fallback models or a second upstream help" in words
    assert "Given back $0.008" in words


def test_what_costs_other_than_the_list_price_says_so(office: Office, books: Books) -> None:
    fast = books.add(cost_units=18_000)
    words = words_of(one(office.administrator, fast))
    assert "At today's list prices that is $0.006; booked was $0.04" in words
    assert "Fast mode, the US alone, a batch" in words
    assert "Above the reservation $0.028" in words
    nobody = books.add(model="nobody-knows")
    assert "nobody-knows has no price here." in words_of(one(office.administrator, nobody))


def test_a_record_of_an_earlier_version_says_what_is_not_known(
    office: Office, books: Books
) -> None:
    record = books.add(attempts=None, reserved_units=None, first_byte_ms=None, upstream=None)
    words = words_of(one(office.administrator, record))
    assert "How often it was sent on is not known" in words
    assert "Reserved not known" in words


def test_a_response_from_the_cache_was_sent_nowhere(office: Office, books: Books) -> None:
    record = books.add(cached=True, attempts=0, reserved_units=0, upstream=None)
    words = words_of(one(office.administrator, record))
    assert "in the gateway's cache: it was sent nowhere" in words
    assert "Reserved nothing" in words


def test_a_request_is_found_by_its_id_and_a_missing_one_is_told(
    office: Office, books: Books
) -> None:
    record = books.add(request_id=f"batch_1/{EVIL}")
    there = office.administrator.see(f"/requests?id={quote(record.request_id)}")
    assert there.status == 303
    page = office.gateway.client.call(
        "GET", there.headers["location"], headers={"cookie": office.administrator.cookie}
    )
    assert page.status == 200
    assert EVIL in words_of(page)
    missing = office.administrator.see("/requests/req_%3Cscript%3E")
    assert missing.status == 404
    assert "<script>" not in missing.body.decode().replace('<script src="', "")
    assert "up to 8 seconds after its end" in words_of(missing)


def test_names_that_callers_choose_are_text(office: Office, books: Books) -> None:
    record = books.add(
        session=EVIL,
        agent=EVIL,
        model=EVIL,
        requested_model=EVIL + "x",
        request_class="other",
        upstream=EVIL,
        upstream_request_id=EVIL,
        code=EVIL,
        status=400,
        bill_to=EVIL,
        fallback_reason=EVIL,
    )
    for page in (
        ask(office.administrator, session=EVIL),
        ask(office.administrator, model=EVIL, status=EVIL),
        one(office.administrator, record),
    ):
        text = page.body.decode()
        assert EVIL not in text
        assert "&lt;script&gt;alert(" in text
        assert EVIL in words_of(page)


def test_a_name_with_a_nul_is_found_as_the_store_keeps_it(office: Office, books: Books) -> None:
    record = books.add(session="a\0b")
    assert listed(ask(office.administrator, session="a\0b")) == [record.request_id]
    assert office.administrator.see("/sessions/a%00b").status == 200
    assert office.administrator.see("/requests/req%00").status == 404


def test_a_real_request_arrives_with_its_reservation(office: Office) -> None:
    key_id, client = office.gateway.make_key(name="real", quota_usd="1")
    body = (
        b'{"model":"claude-sonnet-4-5","max_tokens":50,"messages":[{"role":"user","content":"Hi"}]}'
    )
    sent = {"content-type": "application/json", "x-claude-code-session-id": "real-session"}
    answer = client.call("POST", "/v1/messages", body, sent | {"x-api-key": client.api_key})
    request_id = answer.headers["x-apertis-request-id"]
    end = time.monotonic() + 30
    while (page := office.administrator.see(f"/requests/{request_id}")).status == 404:
        assert time.monotonic() < end
    words = words_of(page)
    assert "was reserved in all budgets that count it" in words
    assert "It was sent on once, to sandbox" in words
    assert "the quota of the API key 'real'" in words
    assert key_id in page.body.decode()
    assert client.api_key not in page.body.decode()
