"""The tree of budgets in the console: whose it shows, how it is paged, and what it says."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.keys.secrets import hash_secret, new_key_id
from apertis.gateway.store.database import Store
from tests.kit.consoles import words_of
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.consoles import Office
    from tests.kit.http import Response

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def office(open_office: Callable[..., Office]) -> Office:
    office = open_office()
    office.make("limits", gateway=True, amount_usd=1000, period="month", zone="Europe/Berlin")
    office.make("limits", group="Engineering", amount_usd=100, period="month", contact="Ann")
    office.make("limits", group="Sales", amount_usd=50, period="day")
    office.make(
        "limits",
        person="Max",
        amount_usd=10,
        period="week",
        models=["claude-opus-*"],
        overdraft_usd=1,
        cheaper_model="claude-haiku-4-5",
    )
    return office


def names(page: Response) -> list[str]:
    """The groups, people and keys of a tree, in its order."""
    return re.findall(r'<b class="wrap">(.*?)</b>', page.body.decode())


def test_the_tree_has_groups_in_groups_people_and_keys(office: Office) -> None:
    page = office.administrator.see("/budgets")
    assert page.status == 200
    assert names(page)[:8] == [
        "Engineering",
        "Platform",
        "Paul",
        "Paul&#39;s key",
        # Whoever has a limit comes first.
        "Max",
        "Max&#39;s key",
        "Greta",
        "Greta&#39;s key",
    ]
    words = words_of(page)
    assert "$0 of $1,000.00 a month 0.0 % $1,000.00 left" in words
    assert "1 group, 3 people, 3 keys" in words
    assert "$0 of $10.00 a week for claude-opus-*" in words
    assert "overdraft $1.00 · then claude-haiku-4-5" in words
    assert "for more, ask Ann" in words


def test_when_a_limit_resets_is_said_in_the_viewers_zone(office: Office) -> None:
    found: dict[str, list[str]] = {}
    for zone in ("UTC", "Asia/Tokyo"):
        page = office.administrator.see(f"/budgets?q=Sales&zone={zone}")
        found[zone] = re.findall(r"resets (\S+ \S+)", words_of(page))
    assert [moment.partition(" ")[2] for moment in found["UTC"]] == ["00:00:00"]
    assert [moment.partition(" ")[2] for moment in found["Asia/Tokyo"]] == ["09:00:00"]


def test_a_group_administrator_sees_the_own_group_and_what_may_be_changed(office: Office) -> None:
    page = office.group_administrator.see("/budgets")
    assert names(page)[0] == "Engineering"
    assert not {"Sales", "Sam", "Vera"} & set(names(page))
    assert "The whole gateway" not in words_of(page)
    # Of the own group the limit is to be seen alone, of a member it is to be changed.
    (own,) = re.findall(r"New limit<span[^>]*> of Engineering<", page.body.decode()) or [""]
    assert own == ""
    assert "New limit of Platform" in words_of(page)
    assert "Change the limit of Max" in words_of(page)
    assert "Change the limit of Engineering" not in words_of(page)
    for at in (f"group:{office.ids['Sales']}", f"person:{office.ids['Sam']}", "none", "x", "key:x"):
        assert office.group_administrator.see(f"/budgets?at={at}").status == 404, at
    assert names(office.group_administrator.see("/budgets?q=Sa")) == []


def test_a_viewer_sees_all_and_finds_nothing_to_change(office: Office) -> None:
    page = office.viewer.see("/budgets")
    assert "Sales" in names(page)
    assert "New limit" not in words_of(page)
    assert "Change the limit" not in words_of(page)
    assert office.member.see("/budgets").status == 403


def test_a_search_finds_groups_people_and_keys_by_a_part_of_the_name(office: Office) -> None:
    assert names(office.administrator.see("/budgets?q=SAL")) == ["Sales"]
    assert names(office.administrator.see("/budgets?q=paul")) == ["Paul", "Paul&#39;s key"]
    assert names(office.administrator.see(f"/budgets?q={office.ids['Max']}")) == ["Max"]
    assert "Nothing is called like that" in words_of(office.administrator.see("/budgets?q=zzz"))


def test_what_is_nearest_to_its_end_is_found(open_office: Callable[..., Office]) -> None:
    office = open_office()
    for name in ("Max", "Paul", "Sam"):
        assert office.keys[name].ask("claude-sonnet-4-5").status == 200
    until(lambda: office.gateway.usage()["totals"]["requests"] == 3)
    spent = office.gateway.usage(person="Max")["totals"]["cost_units"]
    subjects = {"Max": 1, "Paul": 2, "Sam": 3}
    for name, part in subjects.items():
        amount = spent * part
        office.make("limits", person=name, amount_units=amount, period="month")
    office.make("limits", group="Sales", amount_usd=1, period="month")
    key = office.ids["Paul's key"]
    office.gateway.client.call(
        "PATCH",
        f"/admin/v1/keys/{key}",
        b'{"quota_units":%d}' % (spent * 100 // 80),
    )
    office.administrator.send("/budgets/new", {"of": "gateway:"})
    # Each with the one limit that it is about, the fullest first.
    page = office.administrator.see("/budgets?spent=50")
    assert names(page) == ["Max", "Paul&#39;s key", "Paul"]
    assert "100.0 %" in words_of(page)
    assert "used up" in words_of(page)
    assert names(office.administrator.see("/budgets?spent=90")) == ["Max"]
    assert names(office.administrator.see("/budgets?spent=50&q=paul")) == ["Paul&#39;s key", "Paul"]
    assert names(office.group_administrator.see("/budgets?spent=50"))[0] == "Max"
    # Sam is in another group.
    office.gateway.client.call(
        "PATCH",
        f"/admin/v1/limits/{_limit_of(office, 'Sam')}",
        b'{"amount_units":%d}' % spent,
    )
    assert "Sam" in names(office.administrator.see("/budgets?spent=75"))
    assert "Sam" not in names(office.group_administrator.see("/budgets?spent=75"))
    assert "No limit is spent so far." in words_of(office.viewer.see("/budgets?spent=50&q=zzz"))


def _limit_of(office: Office, person: str) -> str:
    found = office.gateway.client.call("GET", f"/admin/v1/limits?person={person}").json["data"]
    limit: str = found[0]["id"]
    return limit


def test_names_and_searches_are_text(office: Office) -> None:
    office.make("groups", name=EVIL)
    office.make("limits", group=EVIL, amount_usd=1, period="month", contact=EVIL)
    for path in ("/budgets?fresh=1", f"/budgets?q={EVIL}"):
        page = office.administrator.see(path)
        assert page.status == 200
        assert EVIL.encode() not in page.body
        assert b"&lt;script&gt;" in page.body


@pytest.mark.parametrize("number", ["0", "-1", "x", "999999999999", "%D9%A1", ""])
def test_a_page_that_is_none_is_no_defect(office: Office, number: str) -> None:
    at = f"group:{office.ids['Sales']}"
    assert office.administrator.see(f"/budgets?at={at}&page={number}").status == 200


def test_ten_thousand_keys_are_paged_and_each_is_there_once(
    open_office: Callable[..., Office],
) -> None:
    office = open_office()
    group = office.make("groups", name="Large")
    asyncio.run(_fill(office, group))
    # Whatever is changed there, the gateway looks at what was changed before.
    office.administrator.send("/budgets/new", {"of": "gateway:"})
    started = time.perf_counter()
    page = office.administrator.see("/budgets")
    took = time.perf_counter() - started
    assert page.status == 200
    assert "10,000 keys" in words_of(page)
    assert "9,975 more in Large" in words_of(page)
    # The one with a quota is first.
    assert names(page)[names(page).index("Large") + 1] == "robot 09999"
    assert len(page.body) < 300_000
    assert took < 5
    seen: list[str] = []
    path = f"/budgets?at=group:{group}"
    while path:
        page = office.administrator.see(path)
        seen += [name for name in names(page) if name.startswith("robot")]
        later = re.search(r'href="/console(/budgets\?[^"]*)" rel="next"', page.body.decode())
        path = later[1].replace("&amp;", "&") if later and len(seen) < 500 else ""
    assert len(seen) == len(set(seen)) == 500
    last = office.administrator.see(f"/budgets?at=group:{group}&page=200")
    assert names(last)[-1] == "robot 09998"
    assert b'rel="next"' not in last.body
    found = office.administrator.see("/budgets?q=robot")
    assert len(names(found)) == 50
    assert "There are more than 50" in words_of(found)


async def _fill(office: Office, group: str) -> None:
    records = [
        KeyRecord(
            id=new_key_id(),
            name=f"robot {number:05}",
            sha256=hash_secret(f"secret {number}"),
            hint="x",
            created_at=1,
            group_id=group,
            quota_units=500_000 if number == 9999 else None,
        )
        for number in range(10_000)
    ]
    store = await Store.open(office.gateway.data)
    await store.organization.change(lambda turn: turn.insert_all(records))
    await store.close()
