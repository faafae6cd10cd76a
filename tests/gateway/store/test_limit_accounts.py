"""A new limit begins with what was spent in its period, as the ledger tells it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from apertis.gateway.budgets.accounts import AccountSpec
from apertis.gateway.budgets.limit import Limit, account_id
from apertis.gateway.budgets.periods import span_of
from apertis.gateway.people.record import Group
from apertis.gateway.store.schema import usage_rollup

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.stores import Opened


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


NOW = at("2027-02-14T12:00:00")
RECORDS: list[dict[str, Any]] = [
    {"at": "2027-01-31T23:59:59", "key_id": "key_a", "person_id": "p", "cost_units": 1},
    {"at": "2027-02-01T00:00:00", "key_id": "key_a", "person_id": "p", "cost_units": 2},
    {"at": "2027-02-13T18:29:59", "key_id": "key_b", "person_id": "p", "cost_units": 4},
    {"at": "2027-02-13T18:30:00", "key_id": "key_a", "group_id": "inner", "cost_units": 8},
    {"at": "2027-02-14T11:00:00", "key_id": "key_c", "group_id": "outer", "cost_units": 16},
    {
        "at": "2027-02-14T11:00:00",
        "key_id": "key_c",
        "group_id": "other",
        "model": "claude-opus-4-5",
        "session": "s",
        "cost_units": 32,
    },
]


@pytest.fixture(params=["added up", "not added up yet"])
def spent(
    request: pytest.FixtureRequest, opened: Opened, make_usage: Callable[..., Any]
) -> Callable[..., int]:
    organization = opened.store.organization
    for id_, parent in (("outer", None), ("inner", "outer"), ("other", None)):
        opened.run(organization.insert(Group(id=id_, name=id_, parent_id=parent)))
    records = [
        make_usage(**{n: v for n, v in record.items() if n != "at"}, at_ms=at(record["at"]) * 1000)
        for record in RECORDS
    ]
    opened.run(opened.store.usage.add(records))
    if request.param == "not added up yet":
        mark = update(usage_rollup).values(complete_since_ms=NOW * 1000)
        opened.run(opened.store._database.write(lambda connection: connection.execute(mark)))

    def begins_with(scope: str = "", **fields: Any) -> int:
        limit = Limit(
            **{"id": "l", "amount_units": 0, "subject_id": "", "created_at": NOW, **fields}
        )
        span = span_of(limit.period, limit.zone, NOW)
        spec = AccountSpec(
            account_id=account_id(limit, span.start, scope), limit=limit, span=span, scope=scope
        )
        if not scope:
            shown = opened.run(organization.accounts({limit: span}))
        (row,) = opened.run(opened.store.accounts.whole([spec]))
        if not scope:
            # It is shown as it is made.
            assert [one.spent for one in shown] == [row.spent]
            assert opened.run(organization.accounts({limit: span})) == shown
        begun: int = row.spent
        return begun

    return begins_with


@pytest.mark.parametrize(
    ("fields", "units"),
    [
        ({"level": "gateway", "period": "total"}, 63),
        ({"level": "gateway", "period": "month"}, 62),
        ({"level": "gateway", "period": "day"}, 48),
        ({"level": "gateway", "period": "day", "zone": "Asia/Kolkata"}, 56),
        ({"level": "gateway", "period": "month", "models": ("claude-opus-*",)}, 32),
        ({"level": "key", "subject_id": "key_a", "period": "month"}, 10),
        ({"level": "person", "subject_id": "p", "period": "month"}, 6),
        ({"level": "person", "subject_id": "p", "period": "total"}, 7),
        ({"level": "group", "subject_id": "outer", "period": "month"}, 24),
        ({"level": "group", "subject_id": "inner", "period": "month"}, 8),
        ({"level": "key", "subject_id": "key_c", "period": "day", "scope": "s"}, 32),
        ({"level": "key", "subject_id": "nobody", "period": "month"}, 0),
    ],
)
def test_a_limit_begins_with_what_was_spent_in_its_period(
    spent: Callable[..., int], fields: dict[str, Any], units: int
) -> None:
    assert spent(**fields) == units


def test_several_limits_at_once_begin_as_each_alone(
    opened: Opened, spent: Callable[..., int]
) -> None:
    fields: list[dict[str, Any]] = [
        {"level": "key", "subject_id": "key_a"},
        {"level": "person", "subject_id": "p"},
        {"level": "group", "subject_id": "outer"},
        {"level": "gateway", "subject_id": ""},
        {"level": "gateway", "subject_id": "", "models": ("claude-opus-*",)},
    ]
    made = [
        Limit(id=f"l{n}", amount_units=0, period="month", created_at=NOW, **given)
        for n, given in enumerate(fields)
    ]
    span = span_of("month", "UTC", NOW)
    found = opened.run(opened.store.organization.accounts(dict.fromkeys(made, span)))
    assert {one.limit_id: one.spent for one in found} == {
        "l0": 10,
        "l1": 6,
        "l2": 24,
        "l3": 62,
        "l4": 32,
    }
    assert spent(level="person", subject_id="p", period="month") == 6


def test_a_limit_that_is_older_than_its_period_has_missed_nothing(
    spent: Callable[..., int], opened: Opened
) -> None:
    limit = Limit(
        id="old",
        level="gateway",
        subject_id="",
        amount_units=0,
        period="month",
        created_at=at("2027-01-31T23:00:00"),
    )
    span = span_of("month", "UTC", NOW)
    spec = AccountSpec(account_id=account_id(limit, span.start), limit=limit, span=span)
    (row,) = opened.run(opened.store.accounts.whole([spec]))
    assert row.spent == 0
    assert spent(level="gateway", period="month") == 62
