"""Accounts and leases in the store: `apertis.gateway.budgets.accounts` decides, this keeps.

Whoever locks several accounts does so in the order of their ids, and those of an account before its
leases, so that two transactions never wait for each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, func, insert, select, text, update

from apertis.gateway.budgets.accounts import (
    AccountRow,
    AccountSpec,
    Acquired,
    LeaseRow,
    LeaseSums,
    Lost,
    Renewed,
    grant,
)
from apertis.gateway.budgets.limit import Limit
from apertis.gateway.budgets.periods import Span, span_of
from apertis.gateway.keys.matching import compile_models
from apertis.gateway.store.clock import store_ms
from apertis.gateway.store.schema import (
    accounts,
    groups,
    key_usage,
    leases,
    limits,
    replicas,
    usage,
)
from apertis.gateway.store.statements import powers_of_two

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, Row

    from apertis.gateway.budgets.accounts import LeaseReport, Want
    from apertis.gateway.store.connections import Database

_IDS_AT_ONCE = 512
_SESSION_SECONDS = 30 * 86_400
_COLUMNS = ("id", "limit_id", "scope", "period_start", "period_end", "limit_units", "spent")
_NEW_ACCOUNT = text(
    f"INSERT INTO accounts ({', '.join(_COLUMNS)}, leased, held) "  # noqa: S608
    f"VALUES ({', '.join(f':{name}' for name in _COLUMNS)}, 0, 0) ON CONFLICT DO NOTHING"
)
_ACCOUNT = select(
    accounts.c.id, accounts.c.limit_units, accounts.c.spent, accounts.c.leased, accounts.c.held
)


class StoredAccounts:
    """Accounts of limits, and the leases that replicas have of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open_whole(self, specs: Sequence[AccountSpec]) -> tuple[AccountRow, ...]:
        """Read these accounts, made where there are none."""
        if not specs:
            return ()
        by_id = {spec.account_id: spec for spec in specs}

        def work(connection: Connection) -> tuple[AccountRow, ...]:
            found = lock_accounts(connection, by_id)
            missing = [spec for id_, spec in by_id.items() if id_ not in found]
            if missing:
                _make(connection, missing)
                found |= lock_accounts(connection, [spec.account_id for spec in missing])
            return tuple(found.values())

        return await self._database.write(work)

    async def acquire(
        self, replica: str, epoch: int, wants: Sequence[Want], count: int, ttl_ms: int
    ) -> Acquired:
        """Grant more of accounts to one of `count` replicas, of each what it can."""
        by_id = {want.spec.account_id: want for want in wants}

        def work(connection: Connection) -> Acquired:
            now_ms = store_ms(connection)
            found = lock_accounts(connection, by_id)
            missing = [want.spec for id_, want in by_id.items() if id_ not in found]
            if missing:
                _make(connection, missing)
                found |= lock_accounts(connection, [spec.account_id for spec in missing])
            known = _leases_of(connection, replica, epoch, by_id)
            for id_ in sorted(by_id):
                want, account = by_id[id_], found[id_]
                lease = known.get(id_, LeaseSums())
                more = grant(account, lease, want.needed, want.wanted, count)
                if more or id_ not in known:
                    after = LeaseSums(lease.granted + more, lease.returned, lease.spent)
                    found[id_] = _keep_lease(
                        connection,
                        (replica, epoch),
                        account,
                        lease if id_ in known else None,
                        after,
                        expires_ms=now_ms + ttl_ms,
                    )
                    known[id_] = after
            rows = tuple(_lease_row(found[id_], known[id_]) for id_ in sorted(by_id))
            return Acquired(now_ms=now_ms, rows=rows)

        return await self._database.write(work)

    async def renew(
        self,
        replica: str,
        epoch: int,
        sequence: int,
        reports: Sequence[LeaseReport],
        ttl_ms: int,
    ) -> Renewed:
        """Take over a replica's reports, and let all its leases hold for longer."""
        by_id = {report.account_id: report for report in reports}

        def work(connection: Connection) -> Renewed:
            now_ms = store_ms(connection)
            known = _leases_of(connection, replica, epoch, by_id)
            # The accounts are locked only where what is leased of them changes.
            changed = [
                id_
                for id_, report in by_id.items()
                if known.get(id_, LeaseSums()).reported(report.granted, report.returned)
                != known.get(id_)
            ]
            locked = lock_accounts(connection, changed)
            if changed:
                known |= _leases_of(connection, replica, epoch, changed)
            for id_ in sorted(locked):
                report = by_id[id_]
                before = known.get(id_)
                after = (before or LeaseSums()).reported(report.granted, report.returned)
                locked[id_] = _keep_lease(
                    connection,
                    (replica, epoch),
                    locked[id_],
                    before,
                    after,
                    expires_ms=now_ms + ttl_ms,
                )
                known[id_] = after
            own = (leases.c.replica == replica) & (leases.c.epoch == epoch)
            connection.execute(
                update(leases)
                .where(
                    own,
                    leases.c.closed_ms.is_(None),
                    # Each row is written again seldom: there may be many.
                    leases.c.expires_ms < now_ms + ttl_ms * 7 // 8,
                )
                .values(expires_ms=now_ms + ttl_ms)
            )
            for report in reports:
                connection.execute(
                    update(leases)
                    .where(own, leases.c.account_id == report.account_id)
                    .values(open=report.open)
                )
            before_ = _count_up(connection, replica, epoch, sequence)
            return Renewed(
                now_ms=now_ms,
                sequence_before=before_,
                rows=tuple(
                    _lease_row(account, known[id_])
                    for id_, account in read_accounts(connection, by_id).items()
                    if id_ in known
                ),
            )

        return await self._database.write(work)

    async def leave(self, replica: str, epoch: int) -> None:
        """Give back all that a replica has not spent."""

        def work(connection: Connection) -> None:
            _close(connection, replica, leases.c.epoch == epoch, lost=False)

        await self._database.write(work)

    async def close_earlier(self, replica: str, epoch: int) -> tuple[Lost, ...]:
        """Close the leases of a replica's earlier epochs, whose records are all booked.

        What their requests had reserved when they were last heard of counts as spent.
        """
        return await self._database.write(
            lambda connection: _close(connection, replica, leases.c.epoch < epoch, lost=True)
        )

    async def forget(self, replica: str, connection: Connection | None = None) -> tuple[Lost, ...]:
        """Close all leases of a replica that is gone for good, at what it said last.

        `ValueError` when it may still be there: its leases have not expired.
        """

        def work(connection: Connection) -> tuple[Lost, ...]:
            latest = connection.execute(
                select(func.max(leases.c.expires_ms)).where(
                    leases.c.replica == replica, leases.c.closed_ms.is_(None)
                )
            ).scalar_one()
            wait_ms = (latest or 0) - store_ms(connection)
            if wait_ms > 0:
                raise ValueError(
                    f"the replica {replica!r} may still be running: its leases expire in "
                    f"{-(-wait_ms // 1000)} s"
                )
            closed = _close(connection, replica, leases.c.epoch >= 0, lost=True)
            connection.execute(delete(replicas).where(replicas.c.name == replica))
            return closed

        return await self._database.write(work) if connection is None else work(connection)

    async def drop_sessions(self, now: float) -> None:
        """Forget the accounts of sessions whose last period, or use, is 30 days ago."""
        before = int(now) - _SESSION_SECONDS
        newest = select(usage.c.session).where(usage.c.at_ms >= before * 1000)
        old = (
            (accounts.c.scope != "")
            & (accounts.c.leased == 0)
            & (accounts.c.held == 0)
            & (func.coalesce(accounts.c.period_end, 0) < before)
            & accounts.c.scope.not_in(newest.where(usage.c.session.is_not(None)))
        )
        await self._database.write(lambda at: at.execute(delete(accounts).where(old)))


def lock_accounts(connection: Connection, ids: Collection[str]) -> dict[str, AccountRow]:
    """Read accounts, and keep others from changing them until the transaction ends."""
    return _read(connection, ids, locked=True)


def read_accounts(connection: Connection, ids: Collection[str]) -> dict[str, AccountRow]:
    """Read accounts as they stand."""
    return _read(connection, ids, locked=False)


def _read(connection: Connection, ids: Collection[str], *, locked: bool) -> dict[str, AccountRow]:
    found: dict[str, AccountRow] = {}
    asked = sorted(ids)
    for start, end in powers_of_two(len(asked), _IDS_AT_ONCE):
        statement = _ACCOUNT.where(accounts.c.id.in_(asked[start:end])).order_by(accounts.c.id)
        if locked:
            statement = statement.with_for_update()
        for id_, limit_units, spent, leased, held in connection.execute(statement):
            found[id_] = AccountRow(
                account_id=id_, limit_units=limit_units, spent=spent, leased=leased, held=held
            )
    return found


def change_account(
    connection: Connection, account_id: str, *, spent: int = 0, leased: int = 0, held: int = 0
) -> None:
    """Add to the sums of an account."""
    changes = {"spent": spent, "leased": leased, "held": held}
    values = {name: accounts.c[name] + units for name, units in changes.items() if units}
    if values:
        connection.execute(update(accounts).where(accounts.c.id == account_id).values(values))


def spend(
    connection: Connection,
    spent: Mapping[str, int],
    by_lease: Mapping[tuple[str, int], Mapping[str, int]],
) -> None:
    """Book what was spent of accounts, and how much of it by the leases of replicas."""
    found = lock_accounts(connection, spent)
    missing = [
        spec for id_ in sorted(spent.keys() - found.keys()) if (spec := _spec(connection, id_))
    ]
    if missing:
        _make(connection, missing)
        found |= lock_accounts(connection, [spec.account_id for spec in missing])
    leased: dict[str, int] = {}
    for (replica, epoch), costs in by_lease.items():
        for id_, lease in _leases_of(connection, replica, epoch, costs, closed=False).items():
            after = LeaseSums(lease.granted, lease.returned, lease.spent + costs[id_])
            connection.execute(
                update(leases).where(*_of(id_, replica, epoch)).values(spent=after.spent)
            )
            leased[id_] = leased.get(id_, 0) + after.outstanding - lease.outstanding
    for id_ in sorted(spent):
        change_account(connection, id_, spent=spent[id_], leased=leased.get(id_, 0))


def return_lease(
    connection: Connection, account_id: str, replica: str, epoch: int, units: int
) -> None:
    """Count units of a locked account as returned by a lease: something else holds them now."""
    known = _leases_of(connection, replica, epoch, [account_id])
    before = known.get(account_id)
    if before is None:
        return
    after = LeaseSums(before.granted, before.returned + units, before.spent)
    connection.execute(
        update(leases).where(*_of(account_id, replica, epoch)).values(returned=after.returned)
    )
    change_account(connection, account_id, leased=after.outstanding - before.outstanding)


def models_of(connection: Connection, account_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the models that count in accounts, where not all of them do."""
    by_limit: dict[str, list[str]] = {}
    for account_id in account_ids:
        by_limit.setdefault(account_id.partition("@")[0], []).append(account_id)
    rows = connection.execute(
        select(limits.c.id, limits.c.models).where(
            limits.c.id.in_(list(by_limit)), limits.c.models.is_not(None)
        )
    ).all()
    return {
        account_id: msgspec.json.decode(models, type=tuple[str, ...])
        for limit_id, models in rows
        for account_id in by_limit[limit_id]
    }


def _of(account_id: str, replica: str, epoch: int) -> tuple[ColumnElement[bool], ...]:
    return (
        leases.c.account_id == account_id,
        leases.c.replica == replica,
        leases.c.epoch == epoch,
    )


def _leases_of(
    connection: Connection,
    replica: str,
    epoch: int,
    ids: Collection[str],
    *,
    closed: bool = True,
) -> dict[str, LeaseSums]:
    found: dict[str, LeaseSums] = {}
    asked = sorted(ids)
    for start, end in powers_of_two(len(asked), _IDS_AT_ONCE):
        statement = select(
            leases.c.account_id, leases.c.granted, leases.c.returned, leases.c.spent
        ).where(
            leases.c.account_id.in_(asked[start:end]),
            leases.c.replica == replica,
            leases.c.epoch == epoch,
        )
        if not closed:
            statement = statement.where(leases.c.closed_ms.is_(None))
        for id_, *sums in connection.execute(statement):
            found[id_] = LeaseSums(*sums)
    return found


def _keep_lease(
    connection: Connection,
    seat: tuple[str, int],
    account: AccountRow,
    before: LeaseSums | None,
    after: LeaseSums,
    *,
    expires_ms: int,
) -> AccountRow:
    replica, epoch = seat
    values = {"granted": after.granted, "returned": after.returned, "expires_ms": expires_ms}
    if before is None:
        values |= {"spent": after.spent, "open": 0, "lost": 0, "epoch": epoch}
        connection.execute(
            insert(leases).values(account_id=account.account_id, replica=replica, **values)
        )
    else:
        connection.execute(
            update(leases).where(*_of(account.account_id, replica, epoch)).values(values)
        )
    more = after.outstanding - (0 if before is None else before.outstanding)
    change_account(connection, account.account_id, leased=more)
    return msgspec.structs.replace(account, leased=account.leased + more)


def _close(
    connection: Connection, replica: str, which: ColumnElement[bool], *, lost: bool
) -> tuple[Lost, ...]:
    open_ = (leases.c.replica == replica) & which & leases.c.closed_ms.is_(None)
    lock_accounts(
        connection, list(connection.execute(select(leases.c.account_id).where(open_)).scalars())
    )
    now_ms = store_ms(connection)
    rows = connection.execute(select(leases).where(open_).order_by(leases.c.account_id)).all()
    return tuple(_close_one(connection, row, now_ms, lost=lost) for row in rows)


def _close_one(connection: Connection, row: Row[Any], now_ms: int, *, lost: bool) -> Lost:
    sums = LeaseSums(row.granted, row.returned, row.spent)
    units = row.open if lost else 0
    connection.execute(
        update(leases)
        .where(*_of(row.account_id, row.replica, row.epoch))
        .values(closed_ms=now_ms, lost=units, open=0)
    )
    change_account(connection, row.account_id, spent=units, leased=-sums.outstanding)
    return Lost(
        account_id=row.account_id,
        epoch=row.epoch,
        lost_units=units,
        freed_units=max(0, sums.outstanding - units),
    )


def _count_up(connection: Connection, replica: str, epoch: int, sequence: int) -> int:
    """Keep the number of a renewal; the one before that was known, -1 for none."""
    own = (replicas.c.name == replica) & (replicas.c.epoch == epoch)
    before = connection.execute(select(replicas.c.sequence).where(own)).scalar_one_or_none()
    connection.execute(update(replicas).where(own).values(sequence=sequence))
    return -1 if before is None else before


def _lease_row(account: AccountRow, lease: LeaseSums) -> LeaseRow:
    return LeaseRow(
        account_id=account.account_id,
        granted=lease.granted,
        returned=lease.returned,
        spent=lease.spent,
        limit_units=account.limit_units,
        account_spent=account.spent,
        leased=account.leased,
        held=account.held,
    )


def _make(connection: Connection, specs: Iterable[AccountSpec]) -> None:
    """Make accounts; what was spent in their periods before is in them from the start."""
    # Another replica may make one just now: then this one waits, and finds that.
    connection.execute(
        _NEW_ACCOUNT,
        [
            {
                "id": spec.account_id,
                "limit_id": spec.limit.id,
                "scope": spec.scope,
                "period_start": spec.span.start,
                "period_end": spec.span.end,
                "limit_units": spec.limit.most_units,
                "spent": _spent_before(connection, spec),
            }
            for spec in sorted(specs, key=lambda spec: spec.account_id)
        ],
    )


def _spent_before(connection: Connection, spec: AccountSpec) -> int:
    """Return what was spent of a limit before it was counted in an account.

    A limit that is older than its period had none to miss.
    """
    limit, span = spec.limit, spec.span
    if limit.id.startswith("quota-"):
        used = select(key_usage.c.used_units).where(key_usage.c.key_id == limit.subject_id)
        return int(connection.execute(used).scalar_one_or_none() or 0)
    if limit.period != "total" and limit.created_at < span.start:
        return 0
    conditions = [usage.c.at_ms >= span.start * 1000]
    if span.end is not None:
        conditions.append(usage.c.at_ms < span.end * 1000)
    if spec.scope:
        conditions.append(usage.c.session == spec.scope)
    if limit.level == "group":
        conditions.append(usage.c.group_id.in_(_groups_below(connection, limit.subject_id)))
    elif limit.level != "gateway":
        column = usage.c.key_id if limit.level == "key" else usage.c.person_id
        conditions.append(column == limit.subject_id)
    sums = (
        select(usage.c.model, func.sum(usage.c.cost_units))
        .where(*conditions)
        .group_by(usage.c.model)
    )
    allowed = None if limit.models is None else compile_models(limit.models)
    return sum(
        int(units)
        for model, units in connection.execute(sums)
        if allowed is None or allowed.allows(model)
    )


def _groups_below(connection: Connection, group_id: str) -> list[str]:
    rows = connection.execute(select(groups.c.id, groups.c.parent_id))
    parents = {row.id: row.parent_id for row in rows}
    found = {group_id}
    while True:
        more = {id_ for id_, parent in parents.items() if parent in found} - found
        if not more:
            return sorted(found)
        found |= more


def _spec(connection: Connection, account_id: str) -> AccountSpec | None:
    """Say what an account was that a record names and the store does not have."""
    limit_id, _, rest = account_id.partition("@")
    start_text, _, scope = rest.partition("/")
    if not start_text.isdecimal():
        return None
    start = int(start_text)
    if limit_id.startswith("quota-"):
        # Its key's quota was taken away meanwhile; or the store is older than the record.
        limit = Limit(
            id=limit_id, level="key", subject_id=limit_id.removeprefix("quota-"), amount_units=0
        )
        return AccountSpec(account_id=account_id, limit=limit, span=Span(0, None))
    row = connection.execute(select(limits).where(limits.c.id == limit_id)).one_or_none()
    if row is None:
        return None
    limit = Limit(
        id=row.id,
        level=row.level,
        subject_id=row.subject_id,
        amount_units=row.amount_units,
        overdraft_units=row.overdraft_units,
        period=row.period,
        zone=row.zone,
        created_at=row.created_at,
    )
    return AccountSpec(
        account_id=account_id,
        limit=limit,
        span=span_of(limit.period, limit.zone, start),
        # The session itself is not in the name.
        scope=scope,
    )
