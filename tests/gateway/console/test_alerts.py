"""Alerts in the console: what was told, what became of it, and tests of the targets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.store.alerts import Alert
from apertis.gateway.store.database import Store
from tests.kit.consoles import furnish, words_of
from tests.kit.webhooks import SECRET

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.kit.consoles import Office
    from tests.kit.gateways import RunningGateway
    from tests.kit.webhooks import Receiver

EVIL = "<script>alert(1)</script>"
LIMIT = "limit_" + "a" * 20


async def _tell(data: Path) -> None:
    """Tell of sixty keys, and of a budget that one target took and another did not."""
    async with await Store.open(data) as store:
        budget = Alert(
            id="budget:1",
            kind="budget",
            level="error",
            text=f"The group {EVIL} has spent it.",
            data={"limit_id": LIMIT},
        )
        await store.alerts.claim([budget], {budget.id: ["good", "bad"]})
        for attempt in await store.alerts.take(["good", "bad"], limit=9, hold_ms=60_000):
            error = f"it answered 500 {EVIL}" if attempt.target == "bad" else None
            await store.alerts.end(attempt, error)
        keys = [
            Alert(
                id=f"key:{number}",
                kind="key",
                level="warning" if number % 2 else "info",
                text=f"The key number {number:02} ends.",
                data={"subject": {"level": "key", "id": f"key_{number}"}},
            )
            for number in range(60)
        ]
        await store.alerts.claim(keys, {alert.id: [] for alert in keys})
        breakers = [
            Alert(
                id=f"breaker:{name}",
                kind="breaker",
                level="info",
                text=f"The upstream {name} is left alone.",
                data={"upstream": name},
            )
            for name in ("sandbox", "gone")
        ]
        await store.alerts.claim(breakers, {alert.id: [] for alert in breakers})


@pytest.fixture(scope="module")
def office(open_office: Callable[..., Office]) -> Office:
    office = open_office()
    asyncio.run(_tell(office.gateway.data))
    return office


@pytest.mark.parametrize(
    ("role", "status"),
    [("administrator", 200), ("viewer", 200), ("group_administrator", 403), ("member", 403)],
)
def test_they_are_shown_to_whoever_sees_the_whole_gateway(
    office: Office, role: str, status: int
) -> None:
    assert office.visitors[role].see("/alerts").status == status
    if role != "administrator":
        assert office.visitors[role].send("/alerts").status == 403


def test_what_became_of_each_delivery_is_said(office: Office) -> None:
    page = office.administrator.see("/alerts?kind=budget")
    words = words_of(page)
    assert "delivered good, 1 attempt; ended at" in words
    assert "failed bad, 1 attempt: it answered 500" in words
    assert f'href="/console/budgets/limits/{LIMIT}"' in page.body.decode()
    assert EVIL not in page.body.decode()
    assert "&lt;script&gt;" in page.body.decode()


def test_an_upstream_that_is_gone_from_the_settings_is_named_without_a_link(office: Office) -> None:
    page = office.administrator.see("/alerts?kind=breaker").body.decode()
    assert "The upstream gone is left alone." in page
    assert 'href="/console/upstreams/sandbox"' in page
    assert 'href="/console/upstreams/gone"' not in page


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("kind=key&level=warning", 30),
        ("level=error", 1),
        ("failed=true", 1),
        ("kind=spike", 0),
        ("failed=true&kind=key", 0),
    ],
)
def test_filters_find_kinds_levels_and_failures(office: Office, query: str, number: int) -> None:
    page = office.administrator.see(f"/alerts?{query}")
    assert page.status == 200
    assert page.body.count(b'<td class="when">') == number


def test_a_filter_that_cannot_be_is_told(office: Office) -> None:
    assert office.administrator.see("/alerts?kind=rumour").status == 400
    assert office.administrator.see("/alerts?failed=perhaps").status == 400


def test_pages_follow_each_other_and_have_each_alert_once(office: Office) -> None:
    first = office.administrator.see("/alerts?kind=key")
    older = first.body.decode().partition('rel="next"')[0].rpartition('href="/console')[2]
    second = office.administrator.see(older.partition('"')[0].replace("&amp;", "&"))
    told = [page.body.count(b"The key number") for page in (first, second)]
    assert told == [50, 10]
    assert all(
        (f"number {number:02}" in words_of(first)) != (f"number {number:02}" in words_of(second))
        for number in range(60)
    )


def test_without_targets_that_is_said(office: Office) -> None:
    page = office.administrator.see("/alerts?level=info")
    assert "No targets" in words_of(page)
    refused = office.administrator.send("/alerts")
    assert refused.status == 409
    assert "There is no target" in words_of(refused)


def test_a_test_shows_what_became_of_it_at_each_target(
    start_gateway: Callable[..., RunningGateway], receiver: Receiver
) -> None:
    office = furnish(
        start_gateway(
            "[alerts]\nallow_private_addresses = true\nschemes = ['http']\n"
            "[[alerts.targets]]\nname = 'ops'\nurl_env = 'HOOK'\nsecret_env = 'SECRET'\n"
            "kinds = ['budget', 'key']\nlevel = 'warning'\n"
            "[[alerts.targets]]\nname = 'gone'\nurl_env = 'GONE'\nsecret_env = 'SECRET'\n",
            HOOK=receiver.url,
            GONE="http://127.0.0.1:1/token-in-the-path",
            SECRET=SECRET,
        )
    )
    page = office.viewer.see("/alerts")
    assert "ops http://127.0.0.1/*** budget, key ends warning yes" in words_of(page)
    assert "Send a test" not in words_of(page)
    sent = office.administrator.send("/alerts")
    assert sent.status == 200
    words = words_of(sent)
    assert "delivered ops" in words
    assert "failed gone : cannot connect to 127.0.0.1:1" in words
    assert [message["type"] for message in receiver.messages] == ["alert.test"]
    one = office.administrator.send("/alerts", {"target": "ops"})
    assert "delivered ops" in words_of(one)
    assert "cannot connect" not in words_of(one)
    assert len(receiver.messages) == 2
    assert office.administrator.send("/alerts", {"target": EVIL}).status == 404
    for role in ("viewer", "group_administrator", "member"):
        assert office.visitors[role].send("/alerts").status == 403
    assert len(receiver.messages) == 2
    # Neither the path, which may have a token, nor the secret is on any page.
    for shown in (page, sent, one):
        assert b"token-in-the-path" not in shown.body
        assert SECRET.encode() not in shown.body
