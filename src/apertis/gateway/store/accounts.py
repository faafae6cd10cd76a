"""Accounts and leases in the store: `apertis.gateway.budgets.accounts` decides, this keeps.

Whoever changes several accounts makes those that are missing first, locks all of them in the order
of their ids, and then their leases in the same order, so that two transactions never wait for each
other. Leases are changed without their account only where its `leased` stays what it is.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, func, select, update

from apertis.gateway.budgets import accounts as money
from apertis.gateway.budgets.accounts import (
    AccountRow,
    AccountSpec,
    Acquired,
    Closed,
    HeldLease,
    LeaseReport,
    Renewed,
)
from apertis.gateway.budgets.limit import QUOTA, Limit
from apertis.gateway.budgets.periods import TOTAL, span_of
from apertis.gateway.keys.matching import compile_models
from apertis.gateway.store.audit import GATEWAY, note
from apertis.gateway.store.clock import store_ms
from apertis.gateway.store.records import ReplicaRunningError, UnknownReplicaError
from apertis.gateway.store.schema import (
    accounts,
    groups,
    key_usage,
    keys,
    leases,
    limits,
    replicas,
    usage,
    usage_quarters,
    usage_rollup,
)
from apertis.gateway.store.statements import NOTHING, BulkInsert, padded, powers_of_two

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, Row

    from apertis.gateway.budgets.accounts import Want
    from apertis.gateway.store.connections import Database

EXPIRY_MS = 60_000

_IDS_AT_ONCE = 512
_LEASES_AT_ONCE = 500
# Requests wait for their lease.
_LEASE_SECONDS = 5.0
_MAX_DIGITS = 18
_QUARTER_MS = 900_000
_LEASE_FIELDS = HeldLease.__struct_fields__
_LIMIT_FIELDS = Limit.__struct_fields__
_LIMITS = select(*(limits.c[name] for name in _LIMIT_FIELDS))
_NEW_ACCOUNTS = BulkInsert(accounts, unless_there=True)
_SPENT = BulkInsert(accounts, changed=("spent", "leased", "held"))
_LEASES = BulkInsert(
    leases, changed=[name for name in _LEASE_FIELDS if name not in leases.primary_key.columns]
)


class HeldLeases(msgspec.Struct, frozen=True, kw_only=True):
    """The leases of one start of a replica, added up."""

    replica: str
    epoch: int
    leases: int
    # What it may still spend of all its accounts, of which requests had reserved `open`.
    leased: int
    open: int
    expires_ms: int


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Leases that are not closed, and what closed ones have lost in all."""

    now_ms: int
    held: tuple[HeldLeases, ...]
    lost_units: int


class StoredAccounts:
    """Accounts of limits, and the leases that replicas have of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def whole(self, specs: Sequence[AccountSpec]) -> tuple[AccountRow, ...]:
        """Return these accounts; one that is not there yet, as it will be made when it is booked.

        Only those of sessions are made: their names do not say of which session they are.
        """
        by_id = {spec.account_id: spec for spec in specs}
        if not by_id:
            return ()

        def read(connection: Connection) -> dict[str, AccountRow]:
            found = read_accounts(connection, by_id)
            for id_, spec in by_id.items():
                if id_ not in found and not spec.scope:
                    spent = spent_before(connection, spec.limit, spec)
                    found[id_] = AccountRow(
                        account_id=id_,
                        limit_units=spec.limit.most_units,
                        spent=spent,
                        leased=0,
                        held=0,
                    )
            return found

        found = await self._database.read(read)
        sessions = {id_: spec for id_, spec in by_id.items() if id_ not in found}
        if sessions:
            found |= await self._database.write(lambda at: _open_accounts(at, sessions))
        return tuple(found[id_] for id_ in by_id)

    async def acquire(
        self, replica: str, epoch: int, wants: Sequence[Want], count: int, ttl_ms: int
    ) -> Acquired:
        """Grant more of accounts to one of `count` replicas, of each what it can."""
        by_id = {want.spec.account_id: want for want in wants}

        def work(connection: Connection) -> Acquired:
            found = _open_accounts(connection, {id_: want.spec for id_, want in by_id.items()})
            held = _lock_leases(connection, replica, epoch, by_id)
            # By now, after what was waited for.
            now_ms = store_ms(connection)
            changed = _Changes()
            for id_, want in by_id.items():
                account, lease = money.grant(
                    found[id_],
                    held.get(id_) or HeldLease(account_id=id_, replica=replica, epoch=epoch),
                    needed=want.needed,
                    wanted=want.wanted,
                    replicas=count,
                    expires=now_ms + ttl_ms,
                )
                changed.take(found[id_], account, lease)
                found[id_], held[id_] = account, lease
            changed.write(connection)
            rows = tuple(money.row_of(found[id_], held[id_]) for id_ in by_id)
            return Acquired(now_ms=now_ms, rows=rows)

        return await self._database.write(work, seconds=_LEASE_SECONDS)

    async def renew(
        self,
        replica: str,
        epoch: int,
        sequence: int,
        reports: Sequence[LeaseReport],
        ttl_ms: int,
    ) -> Renewed:
        """Take over a replica's reports, and let all its leases hold for longer.

        Accounts that the store has forgotten are made anew. Locked are only those of which more or
        less is leased than before.
        """
        by_id = {report.account_id: report for report in reports}

        def work(connection: Connection) -> Renewed:
            known = _read_leases(connection, replica, epoch, by_id)
            moving = [id_ for id_, said in by_id.items() if _moves_money(known.get(id_), said)]
            found = _lock_named(connection, moving)
            held = _lock_leases(connection, replica, epoch, by_id)
            now_ms = store_ms(connection)
            changed = _Changes()
            for id_, said in by_id.items():
                account, lease = found.get(id_), held.get(id_)
                if account is None:
                    if lease is None or _moves_money(lease, said):
                        # Its limit is unknown, or somebody closed it just now: the next one does.
                        continue
                    held[id_] = msgspec.structs.replace(
                        lease, open=said.open, expires_ms=now_ms + ttl_ms
                    )
                    changed.leases.append(held[id_])
                    continue
                lease = lease or HeldLease(account_id=id_, replica=replica, epoch=epoch)
                after, held[id_] = money.report(account, lease, said, expires=now_ms + ttl_ms)
                changed.take(account, after, held[id_])
            changed.write(connection)
            _prolong(connection, replica, epoch, now_ms, ttl_ms)
            before = _count_up(connection, replica, epoch, sequence)
            standing = read_accounts(connection, by_id)
            return Renewed(
                now_ms=now_ms,
                sequence_before=before,
                rows=tuple(
                    money.row_of(standing[id_], held[id_])
                    for id_ in by_id
                    if id_ in held and id_ in standing
                ),
            )

        return await self._database.write(work, seconds=_LEASE_SECONDS)

    async def leave(self, replica: str, epoch: int) -> None:
        """Give back all that a replica has not spent.

        No request of it is under way any more, and its records are booked.
        """
        own = leases.c.epoch == epoch
        await self._database.write(lambda at: _close(at, replica, own, lost=False))

    async def close_earlier(self, replica: str, epoch: int) -> tuple[Closed, ...]:
        """Close the leases of a replica's earlier epochs, whose records are all booked.

        What their requests had reserved when they were last heard of counts as spent.
        """
        return await self._database.write(
            lambda connection: _close(connection, replica, leases.c.epoch < epoch, lost=True)
        )

    async def forget(
        self, replica: str, *, actor: str = GATEWAY, expiry_ms: int = EXPIRY_MS
    ) -> tuple[Closed, ...]:
        """Close all leases of a replica that is gone for good, at what it said last.

        `UnknownReplicaError` when the store has nothing of that name, `ReplicaRunningError` when
        it was there a moment ago.
        """

        def work(connection: Connection) -> tuple[Closed, ...]:
            _check_gone(connection, replica, expiry_ms)
            closed = _close(connection, replica, leases.c.epoch >= 0, lost=True)
            connection.execute(delete(replicas).where(replicas.c.name == replica))
            note(connection, actor, "forget", "replica", replica, None, _sums_of(closed))
            return closed

        return await self._database.write(work)

    async def close_gone(
        self, replica: str, epoch: int, *, actor: str = GATEWAY
    ) -> tuple[Closed, ...]:
        """Close the leases of a replica up to this epoch, whose journal was booked elsewhere."""

        def work(connection: Connection) -> tuple[Closed, ...]:
            closed = _close(connection, replica, leases.c.epoch <= epoch, lost=True)
            note(connection, actor, "replay", "replica", replica, None, _sums_of(closed))
            return closed

        return await self._database.write(work)

    async def overview(self) -> Overview:
        """Read which replicas hold leases, and what was lost with some."""
        of_start = leases.c.replica, leases.c.epoch
        balance = leases.c.granted - leases.c.returned - leases.c.spent
        sums = (
            select(
                *of_start,
                func.count(),
                func.sum(balance).filter(balance > 0),
                func.sum(leases.c.open),
                func.max(leases.c.expires_ms),
            )
            .where(leases.c.closed_ms.is_(None))
            .group_by(*of_start)
            .order_by(*of_start)
        )

        def work(connection: Connection) -> Overview:
            held = tuple(
                HeldLeases(
                    replica=replica,
                    epoch=epoch,
                    leases=count,
                    leased=int(leased or 0),
                    open=int(open_ or 0),
                    expires_ms=expires_ms,
                )
                for replica, epoch, count, leased, open_, expires_ms in connection.execute(sums)
            )
            lost = connection.execute(select(func.sum(leases.c.lost))).scalar()
            return Overview(now_ms=store_ms(connection), held=held, lost_units=int(lost or 0))

        return await self._database.read(work)

    async def drop_sessions(self, before: int) -> int:
        """Forget the accounts of sessions that ended, or were last used, before this second."""
        ended = (
            (accounts.c.scope != "")
            & (accounts.c.leased == 0)
            & (accounts.c.held == 0)
            & (func.coalesce(accounts.c.period_end, 0) < before)
        )

        old_ones = select(accounts.c.id, accounts.c.scope).where(ended)
        if not await self._database.read(lambda at: at.execute(old_ones.limit(1)).all()):
            return 0

        def work(connection: Connection) -> int:
            found = connection.execute(old_ones).all()
            recent: set[str] = set()
            sessions = sorted({scope for _, scope in found})
            for start, end in powers_of_two(len(sessions), _IDS_AT_ONCE):
                used = select(usage.c.session).distinct()
                used = used.where(
                    usage.c.at_ms >= before * 1000, usage.c.session.in_(sessions[start:end])
                )
                recent.update(connection.execute(used).scalars())
            old = [id_ for id_, scope in found if scope not in recent]
            for start, end in powers_of_two(len(old), _IDS_AT_ONCE):
                these = accounts.c.id.in_(old[start:end]) & ended
                connection.execute(delete(accounts).where(these))
            return len(old)

        return await self._database.write(work)

    async def drop_leases(self, before_ms: int) -> int:
        """Forget leases that were closed before this moment, but for those that lost something.

        Where one is reported or booked all the same, it is as if it had just begun: the account
        has all that was booked, and at most sets more aside than it must.
        """
        of = leases.c
        closed = (of.closed_ms < before_ms) & (of.lost == 0)
        some = select(of.account_id, of.replica, of.epoch).where(closed).limit(_LEASES_AT_ONCE)
        found = await self._database.read(lambda at: at.execute(some).all())

        def work(connection: Connection) -> None:
            for id_, replica, epoch in found:
                own = (of.account_id == id_) & (of.replica == replica) & (of.epoch == epoch)
                connection.execute(delete(leases).where(own, closed))

        if found:
            await self._database.write(work)
        return len(found)


class _Changes:
    """Rows that a transaction writes at its end, in one statement for each table."""

    def __init__(self) -> None:
        self.accounts: list[AccountRow] = []
        self.leases: list[HeldLease] = []

    def take(self, before: AccountRow, after: AccountRow, lease: HeldLease | None = None) -> None:
        if after is not before:
            self.accounts.append(after)
        if lease is not None:
            self.leases.append(lease)

    def write(self, connection: Connection) -> None:
        is_sqlite = connection.dialect.name == "sqlite"
        nothing = NOTHING if is_sqlite else None
        # Each is there: of all its columns only three are written, and to SQLite some twice.
        rows: list[tuple[object, ...]] = [
            (row.account_id, "", "", 0, nothing, 0, row.spent, row.leased, row.held)
            for row in self.accounts
        ]
        _SPENT.run(connection, padded(rows) if is_sqlite else rows)
        _LEASES.run(
            connection,
            [
                (
                    *(getattr(lease, name) for name in _LEASE_FIELDS[:-1]),
                    nothing if lease.closed_ms is None else lease.closed_ms,
                )
                for lease in self.leases
            ],
        )


def book_costs(
    connection: Connection,
    costs: Mapping[str, Mapping[str, int]],
    unnamed: Mapping[str, int],
) -> None:
    """Book what was spent, by lease (`name#epoch`, empty for none) and account.

    An account that is missing is made; one whose limit nobody knows is passed over. `unnamed` is
    what keys spent by records that name no account: earlier versions knew none, and a key may have
    got its quota meanwhile. It counts in the quota, where there is one.
    """
    quotas = {f"{QUOTA}{key_id}@0": units for key_id, units in unnamed.items()}
    named = {id_ for of_lease in costs.values() for id_ in of_lease}
    found = _lock_named(connection, named, quotas)
    if not found:
        return
    before = dict(found)
    changed = _Changes()
    for id_, units in quotas.items():
        if id_ in found:
            found[id_], _ = money.spend(found[id_], None, units)
    for name in sorted(costs):
        replica, separator, epoch = name.rpartition("#")
        held: dict[str, HeldLease] = {}
        if separator and is_number(epoch):
            # One that was forgotten with a restore will be reported again: without this.
            held = {
                id_: HeldLease(account_id=id_, replica=replica, epoch=int(epoch))
                for id_ in costs[name]
            }
            held |= _lock_leases(connection, replica, int(epoch), costs[name])
        for id_, units in costs[name].items():
            if id_ in found:
                found[id_], lease = money.spend(found[id_], held.get(id_), units)
                if lease is not None:
                    changed.leases.append(lease)
    for id_, account in found.items():
        changed.take(before[id_], account)
    changed.write(connection)


def hold_units(
    connection: Connection, units: Mapping[str, int], lease: tuple[str, int] | None
) -> list[str]:
    """Let accounts hold units, which leases of this replica and epoch had; which accounts do."""
    found = _lock_named(connection, units)
    held = {} if lease is None else _lock_leases(connection, *lease, found)
    changed = _Changes()
    for id_, account in found.items():
        changed.take(account, *money.hold(account, held.get(id_), units[id_]))
    changed.write(connection)
    return list(found)


def release_units(connection: Connection, units: Mapping[str, int]) -> None:
    """Let accounts hold so many units no longer."""
    changed = _Changes()
    for id_, account in lock_accounts(connection, units).items():
        changed.take(account, money.release(account, units[id_]))
    changed.write(connection)


def lock_accounts(connection: Connection, ids: Iterable[str]) -> dict[str, AccountRow]:
    """Read accounts, and keep others from changing them until the transaction ends."""
    return read_accounts(connection, ids, lock=True)


def models_of(connection: Connection, account_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the models that count in accounts, by their ids, where not all models do."""
    ids = list(account_ids)
    known = _limits(connection, {id_.partition("@")[0] for id_ in ids})
    found: dict[str, tuple[str, ...]] = {}
    for id_ in ids:
        limit = known.get(id_.partition("@")[0])
        if limit is not None and limit.models is not None:
            found[id_] = limit.models
    return found


def _sums_of(closed: Sequence[Closed]) -> dict[str, int]:
    return {
        "leases": len(closed),
        "lost_units": sum(lease.lost_units for lease in closed),
        "freed_units": sum(lease.freed_units for lease in closed),
    }


def _check_gone(connection: Connection, replica: str, expiry_ms: int) -> None:
    now_ms = store_ms(connection)
    of_name = select(replicas.c.seen_ms).where(replicas.c.name == replica)
    seen_ms = connection.execute(of_name).scalar_one_or_none()
    open_ = (leases.c.replica == replica) & leases.c.closed_ms.is_(None)
    until = connection.execute(select(func.max(leases.c.expires_ms)).where(open_)).scalar()
    if seen_ms is None and until is None:
        raise UnknownReplicaError(f"the store knows no replica {replica!r} that has leases")
    wait_ms = max(until or 0, (seen_ms or 0) + expiry_ms) - now_ms
    if wait_ms > 0:
        raise ReplicaRunningError(
            f"the replica {replica!r} may still be running: it was there a moment ago, and its "
            f"leases hold for {-(-wait_ms // 1000)} s more"
        )


@cache
def _accounts_statement(values: int, *, is_sqlite: bool, lock: bool) -> str:
    marks = ", ".join(["?"] * values) if is_sqlite else "SELECT unnest($1::text[])"
    tail = " FOR UPDATE" if lock and not is_sqlite else ""
    # Only the values are not ours, and they are not part of the text.
    return (
        "SELECT id, limit_units, spent, leased, held FROM accounts "  # noqa: S608
        f"WHERE id IN ({marks}) ORDER BY id{tail}"
    )


def read_accounts(
    connection: Connection, ids: Iterable[str], *, lock: bool = False
) -> dict[str, AccountRow]:
    """Read accounts as they stand; with `lock` nobody else changes them until the end."""
    asked = sorted(ids)
    rows: list[Any] = []
    if connection.dialect.name != "sqlite":
        # All of them in one statement, so that there is one order.
        statement = _accounts_statement(1, is_sqlite=False, lock=lock)
        rows = list(connection.exec_driver_sql(statement, (asked,)).all()) if asked else []
    else:
        asked = padded(asked)
        for start, end in powers_of_two(len(asked), _IDS_AT_ONCE):
            statement = _accounts_statement(end - start, is_sqlite=True, lock=False)
            rows += connection.exec_driver_sql(statement, tuple(asked[start:end])).all()
    return {
        id_: AccountRow(
            account_id=id_, limit_units=limit_units, spent=spent, leased=leased, held=held
        )
        for id_, limit_units, spent, leased, held in rows
    }


def _open_accounts(
    connection: Connection, specs: Mapping[str, AccountSpec]
) -> dict[str, AccountRow]:
    """Lock accounts, made where there are none."""
    there = read_accounts(connection, specs)
    if len(there) < len(specs):
        make_accounts(connection, [specs[id_] for id_ in sorted(specs.keys() - there.keys())])
    return lock_accounts(connection, specs)


def _lock_named(
    connection: Connection, ids: Collection[str], others: Collection[str] = ()
) -> dict[str, AccountRow]:
    """Lock accounts by their ids; those that are missing are made where their limits are known.

    Of `others` none is made.
    """
    all_ids = {*ids, *others}
    there = read_accounts(connection, all_ids)
    missing = sorted(set(ids) - there.keys())
    if missing:
        known = _limits(connection, {id_.partition("@")[0] for id_ in missing})
        make_accounts(
            connection, [spec for id_ in missing if (spec := _spec(id_, known)) is not None]
        )
    elif connection.dialect.name == "sqlite":
        # Nobody else writes until the transaction ends.
        return there
    return lock_accounts(connection, all_ids)


def _spec(id_: str, known: Mapping[str, Limit]) -> AccountSpec | None:
    """Say what an account is by its name alone; None when its limit is not known."""
    limit_id, _, rest = id_.partition("@")
    start, _, scope = rest.partition("/")
    limit = known.get(limit_id)
    if limit is None or not is_number(start):
        return None
    span = TOTAL if limit.period == "total" else span_of(limit.period, limit.zone, int(start))
    return AccountSpec(account_id=id_, limit=limit, span=span, scope=scope)


def is_number(text: str) -> bool:
    """Return whether a text is a number as records have them, which a database can keep."""
    return text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS


def make_accounts(connection: Connection, specs: Sequence[AccountSpec]) -> None:
    """Make accounts; what was spent in their periods before is in them from the start.

    Their limits are those of the store, locked until the end: a replica may not know yet that one
    was changed.
    """
    known = _limits(connection, {spec.limit.id for spec in specs}, lock=True)
    nothing = NOTHING if connection.dialect.name == "sqlite" else None
    rows: list[tuple[object, ...]] = []
    for spec in specs:
        limit = known.get(spec.limit.id, spec.limit)
        rows.append(
            (
                spec.account_id,
                limit.id,
                spec.scope,
                spec.span.start,
                nothing if spec.span.end is None else spec.span.end,
                limit.most_units,
                spent_before(connection, limit, spec),
                0,
                0,
            )
        )
    _NEW_ACCOUNTS.run(connection, rows)


def _limits(
    connection: Connection, ids: Collection[str], *, lock: bool = False
) -> dict[str, Limit]:
    """Read limits and quotas by their ids."""
    found: dict[str, Limit] = {}
    plain = sorted(id_ for id_ in ids if not id_.startswith(QUOTA))
    quotas = sorted(id_.removeprefix(QUOTA) for id_ in ids if id_.startswith(QUOTA))
    for start, end in powers_of_two(len(plain), _IDS_AT_ONCE):
        statement = _LIMITS.where(limits.c.id.in_(plain[start:end])).order_by(limits.c.id)
        if lock:
            statement = statement.with_for_update(read=True)
        for row in connection.execute(statement):
            found[row.id] = _limit(row)
    columns = select(keys.c.id, keys.c.quota_units, keys.c.created_at)
    for start, end in powers_of_two(len(quotas), _IDS_AT_ONCE):
        statement = columns.where(keys.c.id.in_(quotas[start:end])).order_by(keys.c.id)
        if lock:
            statement = statement.with_for_update(read=True)
        for id_, units, created_at in connection.execute(statement):
            # One that was taken away meanwhile allows nothing more.
            found[QUOTA + id_] = Limit(
                id=QUOTA + id_,
                level="key",
                subject_id=id_,
                amount_units=units or 0,
                created_at=created_at,
            )
    return found


def _limit(row: Row[Any]) -> Limit:
    values: dict[str, Any] = dict(zip(_LIMIT_FIELDS, row, strict=True))
    if values["models"] is not None:
        values["models"] = msgspec.json.decode(values["models"], type=tuple[str, ...])
    values["thresholds"] = msgspec.json.decode(values["thresholds"], type=tuple[int, ...])
    return Limit(**values)


def spent_before(connection: Connection, limit: Limit, spec: AccountSpec) -> int:
    """Return what was spent of a limit before it was counted in an account.

    A limit that is older than its period had none to miss.
    """
    if limit.id.startswith(QUOTA):
        used = select(key_usage.c.used_units).where(key_usage.c.key_id == limit.subject_id)
        return int(connection.execute(used).scalar_one_or_none() or 0)
    start, end = spec.span
    if limit.period != "total" and limit.created_at < start:
        return 0
    since_ms, until_ms = start * 1000, None if end is None else end * 1000
    if spec.scope:
        return _spent_in(connection, limit, since_ms, until_ms, session=spec.scope)
    rolled_up = select(usage_rollup.c.complete_since_ms)
    complete_ms = max(since_ms, int(connection.execute(rolled_up).scalar() or 0))
    # Both are whole quarter hours, but for zones whose offset never was.
    complete_ms = -(-complete_ms // _QUARTER_MS) * _QUARTER_MS
    if until_ms is not None and (until_ms % _QUARTER_MS or until_ms <= complete_ms):
        return _spent_in(connection, limit, since_ms, until_ms)
    spent = _spent_in(connection, limit, since_ms, complete_ms) if since_ms < complete_ms else 0
    quarter = usage_quarters.c.quarter
    conditions = [quarter >= complete_ms // _QUARTER_MS]
    if until_ms is not None:
        conditions.append(quarter < until_ms // _QUARTER_MS)
    return spent + _counted(connection, limit, usage_quarters, conditions)


def _spent_in(
    connection: Connection,
    limit: Limit,
    since_ms: int,
    until_ms: int | None,
    *,
    session: str | None = None,
) -> int:
    conditions = [usage.c.at_ms >= since_ms]
    if until_ms is not None:
        conditions.append(usage.c.at_ms < until_ms)
    if session is not None:
        conditions.append(usage.c.session == session)
    return _counted(connection, limit, usage, conditions)


def _counted(
    connection: Connection, limit: Limit, table: Any, conditions: Sequence[ColumnElement[bool]]
) -> int:
    """Add up what counts in a limit."""
    whose: list[ColumnElement[bool]] = []
    if limit.level == "group":
        whose.append(table.c.group_id.in_(_groups_below(connection, limit.subject_id)))
    elif limit.level != "gateway":
        column = table.c.key_id if limit.level == "key" else table.c.person_id
        whose.append(column == limit.subject_id)
    by_model = (
        select(table.c.model, func.sum(table.c.cost_units))
        .where(*whose, *conditions)
        .group_by(table.c.model)
    )
    allowed = None if limit.models is None else compile_models(limit.models)
    return sum(
        int(units)
        for model, units in connection.execute(by_model)
        if allowed is None or allowed.allows(model)
    )


def _groups_below(connection: Connection, group_id: str) -> list[str]:
    parents = connection.execute(select(groups.c.id, groups.c.parent_id)).all()
    found: set[str] = set()
    more = {group_id}
    while more:
        found |= more
        more = {id_ for id_, parent in parents if parent in more} - found
    return sorted(found)


def _moves_money(lease: HeldLease | None, said: LeaseReport) -> bool:
    """Return whether a report changes more of a lease than what is open."""
    return (
        lease is None
        or lease.closed_ms is not None
        or said.granted > lease.granted
        or said.returned > lease.returned
    )


def _lock_leases(
    connection: Connection, replica: str, epoch: int, ids: Iterable[str]
) -> dict[str, HeldLease]:
    return _read_leases(connection, replica, epoch, ids, lock=True)


def _read_leases(
    connection: Connection, replica: str, epoch: int, ids: Iterable[str], *, lock: bool = False
) -> dict[str, HeldLease]:
    found: dict[str, HeldLease] = {}
    asked = sorted(ids)
    for start, end in powers_of_two(len(asked), _IDS_AT_ONCE):
        of_replica = (leases.c.replica == replica) & (leases.c.epoch == epoch)
        statement = (
            select(*(leases.c[name] for name in _LEASE_FIELDS))
            .where(of_replica, leases.c.account_id.in_(asked[start:end]))
            .order_by(leases.c.account_id)
        )
        if lock:
            statement = statement.with_for_update()
        found |= {row.account_id: _held(row) for row in connection.execute(statement)}
    return found


def _held(row: Row[Any]) -> HeldLease:
    return HeldLease(**dict(zip(_LEASE_FIELDS, row, strict=True)))


def _prolong(connection: Connection, replica: str, epoch: int, now_ms: int, ttl_ms: int) -> None:
    """Let all leases hold for longer; each row is written again seldom, for there may be many."""
    due = (
        (leases.c.replica == replica)
        & (leases.c.epoch == epoch)
        & leases.c.closed_ms.is_(None)
        & (leases.c.expires_ms < now_ms + ttl_ms * 7 // 8)
    )
    locked = select(leases.c.account_id).where(due).order_by(leases.c.account_id).with_for_update()
    if connection.execute(locked).all():
        connection.execute(update(leases).where(due).values(expires_ms=now_ms + ttl_ms))


def _close(
    connection: Connection, replica: str, which: ColumnElement[bool], *, lost: bool
) -> tuple[Closed, ...]:
    these = (leases.c.replica == replica) & which & leases.c.closed_ms.is_(None)
    ids = select(leases.c.account_id).distinct().where(these)
    found = lock_accounts(connection, connection.execute(ids).scalars())
    rows = connection.execute(
        select(*(leases.c[name] for name in _LEASE_FIELDS))
        .where(these)
        .order_by(leases.c.account_id, leases.c.epoch)
        .with_for_update()
    ).all()
    now_ms = store_ms(connection)
    before = dict(found)
    changed = _Changes()
    closed: list[Closed] = []
    for row in rows:
        lease = _held(row)
        account = found.get(lease.account_id)
        if account is None:
            continue
        found[lease.account_id], after = money.close(account, lease, now_ms, lost=lost)
        changed.leases.append(after)
        closed.append(
            Closed(
                account_id=lease.account_id,
                replica=replica,
                epoch=lease.epoch,
                lost_units=after.lost,
                freed_units=max(0, lease.leased - after.lost),
            )
        )
    for id_, account in found.items():
        changed.take(before[id_], account)
    changed.write(connection)
    return tuple(closed)


def _count_up(connection: Connection, replica: str, epoch: int, sequence: int) -> int:
    """Keep the number of a renewal; that of the last one that was known, -1 for none."""
    own = (replicas.c.name == replica) & (replicas.c.epoch == epoch)
    known = select(replicas.c.sequence).where(own).with_for_update()
    before = connection.execute(known).scalar_one_or_none()
    if before is None:
        return -1
    connection.execute(update(replicas).where(own).values(sequence=sequence))
    return int(before)
