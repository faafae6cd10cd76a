"""Limits of keys, people, groups and the gateway are made, changed and shown with what is spent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert

from apertis.gateway.budgets.limit import Limit, account_id
from apertis.gateway.budgets.periods import span_of
from apertis.gateway.store.schema import accounts

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.keys.record import KeyRecord
    from tests.kit.resources import Asking


@pytest.fixture
def team(asking: Asking, make_key: Callable[..., KeyRecord]) -> Asking:
    asking("POST", "/groups", {"name": "research"})
    asking("POST", "/people", {"name": "Ann", "group": "research"})
    asking.run(asking.store.keys.insert(make_key(name="ci")))
    return asking


def limit(asking: Asking, **fields: object) -> dict[str, Any]:
    made: dict[str, Any] = asking("POST", "/limits", {"amount_usd": 10, **fields})
    return made


@pytest.mark.parametrize(
    ("subject", "level", "name"),
    [
        ({"key": "ci"}, "key", "ci"),
        ({"person": "Ann"}, "person", "Ann"),
        ({"group": "research"}, "group", "research"),
        ({"gateway": True}, "gateway", None),
    ],
)
def test_every_level_can_be_limited(
    team: Asking, subject: dict[str, object], level: str, name: str | None
) -> None:
    made = limit(team, **subject)
    assert (made["level"], made["subject"]) == (level, name)
    assert team("GET", f"/limits/{made['id']}") == made
    assert team("GET", "/limits")["data"] == [made]
    assert team.caught_up == 3


def test_a_limit_has_what_it_was_given(team: Asking) -> None:
    made = limit(
        team,
        person="Ann",
        amount_usd="12.5",
        overdraft_usd="0.25",
        period="day",
        zone="Asia/Kolkata",
        models=["claude-opus-*"],
        per_session=True,
        thresholds=[90, 50, 90],
        contact="ask Bob",
        cheaper_model="claude-haiku-4-5",
        store_loss_usd=1,
    )
    assert made == {
        "id": made["id"],
        "level": "person",
        "subject": "Ann",
        "subject_id": made["subject_id"],
        "amount_units": 6_250_000,
        "amount_usd": "12.5",
        "overdraft_units": 125_000,
        "period": "day",
        "zone": "Asia/Kolkata",
        "models": ["claude-opus-*"],
        "per_session": True,
        "thresholds": [50, 90],
        "contact": "ask Bob",
        "cheaper_model": "claude-haiku-4-5",
        "store_loss_units": 500_000,
        "status": "enabled",
        "created_at": "2027-01-15T08:00:00Z",
        "version": made["version"],
        "spent_units": 0,
        "spent_usd": "0",
        "leased_units": 0,
        "held_units": 0,
        "left_units": 6_375_000,
        "left_usd": "12.75",
        "percent": 0,
        "period_start": "2027-01-14T18:30:00Z",
        "resets_at": "2027-01-15T18:30:00Z",
    }


def test_a_level_has_several_limits_but_no_two_of_the_same(team: Asking) -> None:
    made = [
        limit(team, group="research", period="month"),
        limit(team, group="research", period="day"),
        limit(team, group="research", period="day", zone="Europe/Berlin"),
        limit(team, group="research", period="day", models=["claude-opus-*"]),
        limit(team, group="research", period="day", per_session=True),
        limit(team, group="research", period="total"),
    ]
    body = {"group": "research", "amount_usd": 1}
    status, _, message = team.refused("POST", "/limits", body)
    assert status == 409
    assert made[0]["id"] in message
    # A total has no zone.
    again = {**body, "period": "total", "zone": "Europe/Berlin"}
    assert team.refused("POST", "/limits", again)[0] == 409
    team("DELETE", f"/limits/{made[0]['id']}")
    team("POST", "/limits", body)


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ({"amount_usd": 1}, "key", "Give one of 'key', 'person', 'group' and 'gateway'"),
        ({"key": "ci", "person": "Ann", "amount_usd": 1}, "person", "not several"),
        ({"gateway": True}, "amount_usd", "Missing required parameter 'amount_usd'"),
        ({"group": "researcx", "amount_usd": 1}, "group", "did you mean 'research'?"),
        ({"person": "An", "amount_usd": 1}, "person", "did you mean 'Ann'?"),
        ({"gateway": True, "amount_usd": "0.0000001"}, "amount_usd", "'amount_usd' must be US"),
        ({"gateway": True, "amount_usd": -1}, "amount_usd", "'amount_usd' must be US dollars"),
        ({"gateway": True, "amount_usd": 1, "amount_units": 1}, "amount_usd", "not both"),
        ({"gateway": True, "amount_usd": 1, "zone": "Mars/Base"}, "zone", "Europe/Berlin"),
        ({"gateway": True, "amount_usd": 1, "zone": "../etc/passwd"}, "zone", "a time zone"),
        ({"gateway": True, "amount_usd": 1, "period": "year"}, "period", "'period'"),
        ({"gateway": True, "amount_usd": 1, "models": []}, "models", "1 to 1000 entries"),
        ({"gateway": True, "amount_usd": 1, "thresholds": [0]}, "thresholds[0]", "1 to 1000"),
        ({"gateway": True, "amount_usd": 1, "contact": ""}, "contact", "'contact'"),
        ({"gateway": True, "amount_usd": 1, "cheaper_model": "a b"}, "cheaper_model[0]", ""),
        (
            {"gateway": True, "amount_units": 2**62, "overdraft_units": 1},
            "overdraft_units",
            "less together",
        ),
    ],
)
def test_what_cannot_be_is_said(
    team: Asking, body: dict[str, object], param: str, said: str
) -> None:
    status, told, message = team.refused("POST", "/limits", body)
    assert (status, told) == (400, param)
    assert said in message
    assert team("GET", "/limits")["data"] == []


def test_a_key_that_is_not_there_cannot_be_limited(
    team: Asking, make_key: Callable[..., KeyRecord]
) -> None:
    assert team.refused("POST", "/limits", {"key": "c", "amount_usd": 1})[0] == 404
    gone = team.run(team.store.keys.insert(make_key(name="gone", status="deleted")))
    assert team.refused("POST", "/limits", {"key": gone.id, "amount_usd": 1})[0] == 409


def test_only_what_is_no_other_limit_can_be_changed(team: Asking) -> None:
    made = limit(team, group="research")
    path = f"/limits/{made['id']}"
    changes = {
        "overdraft_units": 5,
        "thresholds": [],
        "contact": "ask Bob",
        "cheaper_model": "claude-haiku-4-5",
        "store_loss_units": 9,
    }
    changed = team("PATCH", path, {"amount_usd": 3, **changes})
    expected = {**made, **changes, "amount_units": 1_500_000, "amount_usd": "3"}
    left = {"left_units": 1_500_005, "left_usd": "3.00001"}
    assert changed == {**expected, **left, "version": changed["version"]}
    cleared = team("PATCH", path, {"contact": None, "cheaper_model": None, "store_loss_usd": None})
    assert cleared == {
        **changed,
        **dict.fromkeys(("contact", "cheaper_model", "store_loss_units")),
        "version": cleared["version"],
    }
    for name, value in (("period", "day"), ("zone", "UTC"), ("models", []), ("per_session", True)):
        status, param, message = team.refused("PATCH", path, {name: value})
        assert (status, param) == (400, name)
        assert "make that, and remove this one" in message
    assert team.refused("PATCH", "/limits/x", {"amount_usd": 1})[0] == 404
    assert "quota" in team.refused("PATCH", "/limits/quota-key_x", {"amount_usd": 1})[2]


def test_a_limit_that_is_removed_stays_so(team: Asking) -> None:
    made = limit(team, group="research")
    path = f"/limits/{made['id']}"
    removed = team("DELETE", path)
    version = removed["version"]
    assert removed == {**made, "status": "removed", "version": version} == team("DELETE", path)
    assert team("GET", "/limits")["data"] == []
    assert team("GET", "/limits", None, status="all")["data"] == [removed]
    assert team.refused("PATCH", path, {"amount_usd": 1})[0] == 409
    assert team.refused("DELETE", "/limits/x")[0] == 404


def test_a_change_of_what_was_seen_does_not_overwrite_another(team: Asking) -> None:
    made = limit(team, group="research")
    path, seen = f"/limits/{made['id']}", made["version"]
    first = team("PATCH", path, {"amount_usd": 20, "version": seen})
    assert first["version"] > seen
    for refused in (
        team.refused("PATCH", path, {"amount_usd": 5, "version": seen}),
        team.refused("DELETE", path, None, version=seen),
    ):
        assert refused[:2] == (409, "version")
    assert team("GET", path) == first
    # What changes nothing gives no new version, and whoever names none asks for no such care.
    assert team("PATCH", path, {"amount_usd": 20, "version": first["version"]}) == first
    assert team("PATCH", path, {"amount_usd": 30})["version"] > first["version"]
    assert team.refused("DELETE", path, None, version="x")[0] == 400
    removed = team("DELETE", path, None, version=team("GET", path)["version"])
    assert removed["status"] == "removed"


def test_lists_come_in_pages_and_filtered(team: Asking) -> None:
    of_key = limit(team, key="ci")["id"]
    of_person = limit(team, person="Ann")["id"]
    of_group = limit(team, group="research")["id"]
    of_all = limit(team, gateway=True)["id"]

    def found(**query: object) -> list[str]:
        return [one["id"] for one in team("GET", "/limits", None, **query)["data"]]

    assert found() == [of_key, of_person, of_group, of_all]
    assert found(key="ci") == [of_key]
    assert found(person="Ann") == [of_person]
    assert found(group="research") == [of_group]
    assert found(level="gateway") == [of_all]
    assert found(limit=2, after_id=of_key) == [of_person, of_group]
    assert team.refused("GET", "/limits", None, key="c")[0] == 404
    assert team.refused("GET", "/limits", None, key="ci", person="Ann")[1] == "person"


def account(team: Asking, limit: dict[str, Any], now: float, scope: str, **sums: int) -> None:
    """Put what was spent of a limit into the store."""
    span = span_of(limit["period"], limit["zone"], now)
    plain = Limit(id=limit["id"], level="gateway", subject_id="", amount_units=0)
    row = {
        "id": account_id(plain, span.start, scope),
        "limit_id": limit["id"],
        "scope": scope,
        "period_start": span.start,
        "period_end": span.end,
        "limit_units": 0,
        **dict.fromkeys(("spent", "leased", "held"), 0),
        **sums,
    }
    team.run(team.store._database.write(lambda at: at.execute(insert(accounts).values(row))))


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_a_limit_shows_what_is_spent_in_the_running_period(team: Asking) -> None:
    made = team("POST", "/limits", {"group": "research", "amount_units": 1000})
    team.now = at("2027-01-31T23:59:59")
    account(team, made, team.now, "", spent=990, leased=3, held=20)
    shown = team("GET", f"/limits/{made['id']}")
    sums = ("spent_units", "leased_units", "held_units", "left_units", "percent")
    assert [shown[name] for name in sums] == [990, 3, 20, 0, 99]
    assert shown["period_start"] == "2027-01-01T00:00:00Z"
    assert shown["resets_at"] == "2027-02-01T00:00:00Z"
    team.now += 1
    shown = team("GET", f"/limits/{made['id']}")
    assert [shown[name] for name in sums] == [0, 0, 0, 1000, 0]
    assert shown["resets_at"] == "2027-03-01T00:00:00Z"


def test_a_total_has_no_period_and_nothing_has_no_percent(team: Asking) -> None:
    made = limit(team, gateway=True, period="total", amount_usd=0)
    assert (made["period_start"], made["resets_at"], made["percent"]) == (None, None, None)


def test_a_limit_per_session_shows_the_fullest_session(team: Asking) -> None:
    made = team(
        "POST", "/limits", {"key": "ci", "amount_units": 100, "per_session": True, "period": "day"}
    )
    for scope, spent in (("a", 10), ("b", 60), ("c", 20)):
        account(team, made, team.now, scope, spent=spent)
    shown = team("GET", f"/limits/{made['id']}")
    assert (shown["spent_units"], shown["left_units"], shown["percent"]) == (60, 40, 60)
