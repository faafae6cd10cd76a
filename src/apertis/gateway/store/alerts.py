"""Alerts: what there may be to tell of, what was told, and its way to each target.

An alert has an id of its own (of a budget: the account, its amount and the threshold). The row is
added once, whoever looks and however often; who added it tells. So replicas tell once, a start
does not repeat it, and a new period, whose account is another, tells anew.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from sqlalchemy import (
    Text,
    and_,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)

from apertis.gateway.budgets.limit import DEFAULT_THRESHOLDS, QUOTA, Limit
from apertis.gateway.store.clock import store_ms
from apertis.gateway.store.schema import (
    accounts,
    alert_deliveries,
    alerts,
    groups,
    keys,
    limits,
    people,
    usage_quarters,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, Row

    from apertis.gateway.store.connections import Database

Kind = Literal["budget", "breaker", "key", "spike", "journal", "test"]
Severity = Literal["info", "warning", "error"]

_IDS_AT_ONCE = 500
_HOUR_MS = 3_600_000
# Of an hour.
_QUARTERS = 4
# So many budgets are told of at a look, so that who writes beside it need not wait.
_BUDGETS_AT_ONCE = 200
_BUDGET = "budget:"


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert: what is told of whom, and until when its id is remembered (None: for good).

    `data` are the facts, as JSON has them.
    """

    id: str
    kind: Kind
    level: Severity
    text: str
    data: dict[str, Any]
    subject_id: str = ""
    forget_ms: int | None = None

    # The text has names of people.
    __repr__ = object.__repr__


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """An alert on its way to a target; over when `next_ms` is None. Times are the store's."""

    target: str
    attempts: int
    next_ms: int | None
    ended_ms: int | None
    error: str | None

    @property
    def state(self) -> Literal["waiting", "delivered", "failed"]:
        """Its state: under way, or how it ended."""
        if self.next_ms is not None:
            return "waiting"
        return "delivered" if self.error is None else "failed"


class ToldAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that was told, with its deliveries."""

    alert: Alert
    message_id: str
    at_ms: int
    deliveries: tuple[Delivery, ...] = ()


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that this process has taken for itself: it is the `number`-th attempt."""

    told: ToldAlert
    target: str
    number: int


class BudgetState(msgspec.Struct, frozen=True, kw_only=True):
    """An account past a threshold that was not told, its limit, and the name of what it limits."""

    account_id: str
    limit: Limit
    name: str | None
    period_end: int | None
    spent: int

    __repr__ = object.__repr__


class ExpiringKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that ends soon. Times are Unix seconds."""

    id: str
    name: str
    owner: str | None
    created_at: int
    expires_at: int

    __repr__ = object.__repr__


class HourlySpending(msgspec.Struct, frozen=True, kw_only=True):
    """Units spent in the running hour, and in the same hour of days before, the latest first.

    Days before the first use are not in it.
    """

    hour_start: int
    spent: int
    before: tuple[int, ...]


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """A look at the store, by its clock (Unix milliseconds)."""

    at_ms: int
    budgets: tuple[BudgetState, ...]
    keys: tuple[ExpiringKey, ...] = ()
    spending: HourlySpending | None = None


# One account has a limit's money at a time: of its latest period.
_LATEST = (
    select(func.max(accounts.c.period_start))
    .where(accounts.c.limit_id == limits.c.id)
    .correlate(limits)
    .scalar_subquery()
)
_NAME = case(
    (limits.c.level == "key", keys.c.name),
    (limits.c.level == "person", people.c.name),
    (limits.c.level == "group", groups.c.name),
)
_LIMIT_FIELDS = (
    "id", "level", "subject_id", "amount_units", "period", "zone", "models", "contact",
    "created_at",
)  # fmt: skip
_BUDGETS = (
    select(
        accounts.c.id.label("account_id"),
        accounts.c.period_end,
        accounts.c.spent,
        _NAME.label("name"),
        *(limits.c[name].label(f"limit_{name}") for name in _LIMIT_FIELDS),
    )
    .select_from(limits)
    .join(
        accounts,
        and_(
            accounts.c.limit_id == limits.c.id,
            accounts.c.scope == "",
            accounts.c.period_start == _LATEST,
        ),
    )
    .outerjoin(keys, and_(limits.c.level == "key", keys.c.id == limits.c.subject_id))
    .outerjoin(people, and_(limits.c.level == "person", people.c.id == limits.c.subject_id))
    .outerjoin(groups, and_(limits.c.level == "group", groups.c.id == limits.c.subject_id))
    .where(limits.c.status == "enabled", limits.c.per_session.is_(False), accounts.c.spent > 0)
)
# Quotas of keys are limits without a row.
_QUOTAS = (
    select(accounts.c.id, accounts.c.spent, keys.c.id.label("key_id"), keys.c.name)
    .add_columns(keys.c.quota_units, keys.c.created_at)
    .select_from(keys)
    .join(accounts, accounts.c.id == text(f"'{QUOTA}' || keys.id || '@0'"))
    .where(keys.c.quota_units.is_not(None), keys.c.status == "enabled")
)


class StoredAlerts:
    """The alerts of a store, and what they are made of."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def look(self, *, key_seconds: int | None = None, days: int | None = None) -> Situation:
        """Read what there may be to tell of.

        Budgets always; with `key_seconds` the keys that end within so long; with `days` the running
        hour's spending, and that of the same hour of so many days before.
        """

        def work(connection: Connection) -> Situation:
            at = store_ms(connection)
            return Situation(
                at_ms=at,
                budgets=(*_budgets(connection, at), *_quotas(connection)),
                keys=() if key_seconds is None else _keys(connection, at, key_seconds),
                spending=None if days is None else _spending(connection, at, days),
            )

        return await self._database.read(work)

    async def claim(
        self,
        found: Sequence[Alert],
        targets: Mapping[str, Collection[str]],
        *,
        quiet_ms: int = 0,
        delivered: Collection[str] = (),
    ) -> tuple[ToldAlert, ...]:
        """Keep those that nobody has told yet, each with a delivery for each of its targets.

        What is given back was added by this call: it is this process's to tell. `targets` are by
        the alerts' ids. With `quiet_ms`, one whose id begins as that of another, up to its last
        colon, is not told so soon after that one. To the targets in `delivered` it was sent before.
        """

        def work(connection: Connection) -> tuple[ToldAlert, ...]:
            at = store_ms(connection)
            return tuple(
                told
                for alert in sorted(found, key=lambda alert: alert.id)
                if not (quiet_ms and _was_told_lately(connection, alert, at - quiet_ms))
                and (told := _claim(connection, alert, targets[alert.id], delivered, at))
            )

        return await self._database.write(work) if found else ()

    async def known(self, ids: Collection[str]) -> frozenset[str]:
        """Return those of the ids that were told."""
        wanted = sorted(ids)

        def work(connection: Connection) -> frozenset[str]:
            found: set[str] = set()
            for start in range(0, len(wanted), _IDS_AT_ONCE):
                part = wanted[start : start + _IDS_AT_ONCE]
                found.update(connection.scalars(select(alerts.c.id).where(alerts.c.id.in_(part))))
            return frozenset(found)

        return await self._database.read(work) if wanted else frozenset()

    async def take(
        self, targets: Collection[str], *, limit: int, hold_ms: int
    ) -> tuple[Attempt, ...]:
        """Take deliveries to these targets that are due: nobody else tries them for `hold_ms`.

        Whoever takes one and is heard of no more leaves it to others then.
        """
        if not targets:
            return ()
        table = alert_deliveries

        def due(connection: Connection) -> Sequence[Row[Any]]:
            statement = (
                select(table)
                .where(table.c.next_ms <= store_ms(connection), table.c.target.in_(sorted(targets)))
                .order_by(table.c.next_ms, table.c.alert_id, table.c.target)
                .limit(limit)
            )
            return connection.execute(statement).all()

        def work(connection: Connection) -> tuple[Attempt, ...]:
            at = store_ms(connection)
            taken: list[tuple[str, str, int]] = []
            for row in due(connection):
                change = (
                    update(table)
                    .where(
                        table.c.alert_id == row.alert_id,
                        table.c.target == row.target,
                        table.c.attempts == row.attempts,
                        table.c.next_ms <= at,
                    )
                    .values(attempts=row.attempts + 1, next_ms=at + hold_ms)
                )
                if connection.execute(change).rowcount == 1:
                    taken.append((row.alert_id, row.target, row.attempts + 1))
            told = _told(connection, {alert_id for alert_id, _, _ in taken})
            return tuple(
                Attempt(told=told[alert_id], target=target, number=number)
                for alert_id, target, number in taken
                if alert_id in told
            )

        # Most times there is nothing: that is seen without waiting for who writes.
        if not await self._database.read(due):
            return ()
        return await self._database.write(work)

    async def end(self, attempt: Attempt, error: str | None, retry_ms: int | None = None) -> None:
        """Say what became of an attempt; with `retry_ms` there is another one after that."""
        table = alert_deliveries

        def work(connection: Connection) -> None:
            at = store_ms(connection)
            again = None if retry_ms is None else at + retry_ms
            connection.execute(
                update(table)
                .where(
                    table.c.alert_id == attempt.told.alert.id,
                    table.c.target == attempt.target,
                    # Another one may have taken it over meanwhile.
                    table.c.attempts == attempt.number,
                )
                .values(next_ms=again, ended_ms=at if again is None else None, error=error)
            )

        await self._database.write(work)

    async def list(
        self,
        *,
        limit: int,
        after_id: str | None = None,
        failed_only: bool = False,
        kind: Kind | None = None,
        level: Severity | None = None,
    ) -> tuple[ToldAlert, ...]:
        """Read alerts, the newest first; with `after_id` those that come after that one."""
        statement = select(alerts.c.id).order_by(alerts.c.at_ms.desc(), alerts.c.id).limit(limit)
        if after_id is not None:
            then = select(alerts.c.at_ms).where(alerts.c.id == after_id).scalar_subquery()
            statement = statement.where(
                or_(alerts.c.at_ms < then, and_(alerts.c.at_ms == then, alerts.c.id > after_id))
            )
        if kind is not None:
            statement = statement.where(alerts.c.kind == kind)
        if level is not None:
            statement = statement.where(alerts.c.level == level)
        if failed_only:
            failing = select(alert_deliveries.c.alert_id).where(
                alert_deliveries.c.error.is_not(None)
            )
            statement = statement.where(alerts.c.id.in_(failing))

        def work(connection: Connection) -> tuple[ToldAlert, ...]:
            ids = connection.scalars(statement).all()
            told = _told(connection, set(ids))
            return tuple(told[alert_id] for alert_id in ids)

        return await self._database.read(work)

    async def clean(self, targets: Collection[str], *, give_up_ms: int) -> int:
        """Forget what nothing tells again; how many deliveries were given up.

        Those are given up whose target nobody has any more: `targets` are this process's.
        """
        table = alert_deliveries

        def work(connection: Connection) -> int:
            at = store_ms(connection)
            lost = (
                update(table)
                .where(table.c.next_ms < at - give_up_ms, table.c.target.not_in(sorted(targets)))
                .values(next_ms=None, ended_ms=at, error="there is no such target any more")
            )
            given_up = connection.execute(lost).rowcount
            old = select(alerts.c.id).where(alerts.c.forget_ms < at)
            connection.execute(delete(table).where(table.c.alert_id.in_(old)))
            connection.execute(delete(alerts).where(alerts.c.forget_ms < at))
            return given_up

        return await self._database.write(work)


def forget_alerts(connection: Connection, subject_ids: Collection[str]) -> None:
    """Take the names of these out of what was told of them; that it was told stays known."""
    ids = sorted(subject_ids)
    for start in range(0, len(ids), _IDS_AT_ONCE):
        part = ids[start : start + _IDS_AT_ONCE]
        connection.execute(
            update(alerts).where(alerts.c.subject_id.in_(part)).values(text="(removed)", data="{}")
        )


def budget_alert_id(account_id: str, amount_units: int, percent: int) -> str:
    """Name the alert of a threshold: of an account, which has a period, and of its amount."""
    return f"{_BUDGET}{account_id}:{amount_units}:{percent}"


def new_message_id() -> str:
    """Make the id by which a target knows a message."""
    return f"msg_{secrets.token_hex(16)}"


def _claim(
    connection: Connection,
    alert: Alert,
    targets: Iterable[str],
    delivered: Collection[str],
    at: int,
) -> ToldAlert | None:
    message_id = new_message_id()
    values = msgspec.structs.asdict(alert) | {
        "data": msgspec.json.encode(alert.data).decode(),
        "message_id": message_id,
        "at_ms": at,
    }
    names = [column.name for column in alerts.columns]
    statement = text(
        f"INSERT INTO alerts ({', '.join(names)}) "  # noqa: S608 - the names of columns.
        f"VALUES ({', '.join(f':{name}' for name in names)}) ON CONFLICT (id) DO NOTHING"
    )
    if connection.execute(statement, values).rowcount != 1:
        return None
    rows = [
        {
            "alert_id": alert.id,
            "target": target,
            "attempts": int(target in delivered),
            "next_ms": None if target in delivered else at,
            "ended_ms": at if target in delivered else None,
        }
        for target in sorted(targets)
    ]
    if rows:
        connection.execute(insert(alert_deliveries), rows)
    return ToldAlert(alert=alert, message_id=message_id, at_ms=at)


def _was_told_lately(connection: Connection, alert: Alert, since: int) -> bool:
    subject = alert.id[: alert.id.rindex(":") + 1]
    found = select(alerts.c.id).where(
        alerts.c.at_ms > since,
        alerts.c.kind == alert.kind,
        func.substr(alerts.c.id, 1, len(subject)) == subject,
    )
    return connection.execute(found.limit(1)).one_or_none() is not None


def _told(connection: Connection, ids: Collection[str]) -> dict[str, ToldAlert]:
    found: dict[str, ToldAlert] = {}
    wanted = sorted(ids)
    for start in range(0, len(wanted), _IDS_AT_ONCE):
        part = wanted[start : start + _IDS_AT_ONCE]
        ways: dict[str, list[Delivery]] = {}
        table = alert_deliveries
        statement = select(table).where(table.c.alert_id.in_(part)).order_by(table.c.target)
        for row in connection.execute(statement):
            fields = {name: getattr(row, name) for name in Delivery.__struct_fields__}
            ways.setdefault(row.alert_id, []).append(Delivery(**fields))
        for row in connection.execute(select(alerts).where(alerts.c.id.in_(part))):
            fields = {name: getattr(row, name) for name in Alert.__struct_fields__}
            fields["data"] = msgspec.json.decode(row.data)
            found[row.id] = ToldAlert(
                alert=Alert(**fields),
                message_id=row.message_id,
                at_ms=row.at_ms,
                deliveries=tuple(ways.get(row.id, ())),
            )
    return found


def _budgets(connection: Connection, at: int) -> Iterable[BudgetState]:
    now = at // 1000
    running = or_(accounts.c.period_end.is_(None), accounts.c.period_end > now)
    # Few limits have thresholds of their own: one statement for all that have the same.
    for written in connection.scalars(select(limits.c.thresholds).distinct()).all():
        thresholds = tuple(_list(written))
        untold = _untold(limits.c.amount_units, thresholds)
        if untold is None:
            continue
        found = _BUDGETS.where(running, limits.c.thresholds == written, untold)
        found = found.limit(_BUDGETS_AT_ONCE)
        for row in connection.execute(found):
            fields = {name: getattr(row, f"limit_{name}") for name in _LIMIT_FIELDS}
            if fields["models"] is not None:
                fields["models"] = tuple(_list(fields["models"]))
            yield BudgetState(
                account_id=row.account_id,
                limit=Limit(**fields, thresholds=thresholds),
                name=row.name,
                period_end=row.period_end,
                spent=row.spent,
            )


def _untold(amount: ColumnElement[int], thresholds: Collection[int]) -> ColumnElement[bool] | None:
    """Return the condition of accounts whose highest passed threshold was not told of."""
    ordered = sorted({percent for percent in thresholds if percent > 0}, reverse=True)
    if not ordered:
        return None
    percents = [(accounts.c.spent * 100 >= amount * each, str(each)) for each in ordered]
    alert_id = literal(_BUDGET) + accounts.c.id + ":" + cast(amount, Text) + ":" + case(*percents)
    lowest, _ = percents[-1]
    told = select(alerts.c.id).where(alerts.c.id == alert_id).correlate(accounts, limits, keys)
    return and_(amount > 0, lowest, ~told.exists())


def _list(written: str) -> list[Any]:
    found: list[Any] = msgspec.json.decode(written)
    return found


def _quotas(connection: Connection) -> Iterable[BudgetState]:
    untold = _untold(keys.c.quota_units, DEFAULT_THRESHOLDS)
    assert untold is not None  # noqa: S101 - there are thresholds.
    for row in connection.execute(_QUOTAS.where(untold).limit(_BUDGETS_AT_ONCE)):
        limit = Limit(
            id=f"{QUOTA}{row.key_id}",
            level="key",
            subject_id=row.key_id,
            amount_units=row.quota_units,
            created_at=row.created_at,
        )
        yield BudgetState(
            account_id=row.id, limit=limit, name=row.name, period_end=None, spent=row.spent
        )


def _keys(connection: Connection, at: int, seconds: int) -> tuple[ExpiringKey, ...]:
    now = at // 1000
    statement = select(*(keys.c[name] for name in ExpiringKey.__struct_fields__)).where(
        keys.c.status == "enabled",
        # Others get a new end by themselves.
        keys.c.kind == "key",
        keys.c.expires_at > now,
        keys.c.expires_at <= now + seconds,
    )
    return tuple(ExpiringKey(**row) for row in connection.execute(statement).mappings())


def _spending(connection: Connection, at: int, days: int) -> HourlySpending:
    hour = at // _HOUR_MS
    # By the quarter hours that the reports are made of: they are few, whatever was asked.
    first = connection.scalar(select(func.min(usage_quarters.c.quarter)))

    def spent(hour: int) -> int:
        start = hour * _QUARTERS
        found = select(func.coalesce(func.sum(usage_quarters.c.cost_units), 0)).where(
            usage_quarters.c.quarter >= start, usage_quarters.c.quarter < start + _QUARTERS
        )
        return int(connection.scalar(found) or 0)

    hours = [hour - day * 24 for day in range(1, days + 1)]
    return HourlySpending(
        hour_start=hour * _HOUR_MS // 1000,
        spent=spent(hour),
        before=tuple(
            spent(each) for each in hours if first is not None and each * _QUARTERS >= first
        ),
    )
