"""Sign-ins of Claude Code in the store, and the codes by which they are approved.

Of codes and tokens only hashes are kept. Decisions are passed in, and made within the transaction
that keeps what comes of them: of two gateways that are asked at once, one waits for the other.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import msgspec
from sqlalchemy import delete, func, insert, or_, select, update

from apertis.gateway.store.audit import note
from apertis.gateway.store.organization import Turn
from apertis.gateway.store.schema import device_codes, sign_ins

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import ColumnElement, Connection, Select

    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.store.connections import Database

# Told apart from codes that never were, for a while.
_KEPT_SECONDS = 3600
_ENDED_KEPT_SECONDS = 90 * 86_400
_AT_ONCE = 100
_T = TypeVar("_T")


class DeviceCode(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that waits for somebody who approves it. Times are Unix seconds, but `asked_ms`.

    `id` is what the sign-in's own will be.
    """

    device_sha256: str
    user_sha256: str
    id: str
    status: Literal["pending", "approved", "denied", "used"] = "pending"
    client: str
    address: str
    # Who of all that have an address is counted for it.
    party: str
    # Who approved it, and with which key.
    person_id: str | None = None
    key_id: str | None = None
    created_at: int
    expires_at: int
    asked_ms: int = 0
    interval_seconds: int


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """A client that is signed in, by a key of its own. Times are Unix seconds.

    The refresh token before the last one is answered until `previous_until`.
    """

    id: str
    key_id: str
    person_id: str | None
    approved_by_key_id: str | None
    client: str
    address: str
    refresh_sha256: str
    previous_refresh_sha256: str | None = None
    previous_until: int | None = None
    created_at: int
    refreshed_at: int
    expires_at: int
    ended_at: int | None = None


class Change(NamedTuple):
    """A change of a sign-in and its key; without an `action` there is none."""

    action: str = ""
    sign_in: SignIn | None = None
    key: Mapping[str, object] = {}
    # Who did it, where it was not its own client.
    actor: str = ""
    why: str = ""


class StoredSignIns:
    """All codes that wait and all sign-ins, for all gateways of the store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, code: DeviceCode, *, most: int, most_of_party: int) -> bool:
        """Keep a new code; False where too many wait already, or another one has it."""

        def work(connection: Connection) -> bool:
            now, table = code.created_at, device_codes
            connection.execute(delete(table).where(table.c.expires_at <= now - _KEPT_SECONDS))
            waiting = select(func.count()).where(
                table.c.expires_at > now, table.c.status == "pending"
            )
            of_party = waiting.where(table.c.party == code.party)
            taken = select(func.count()).where(table.c.user_sha256 == code.user_sha256)
            if (
                int(connection.scalar(waiting) or 0) >= most
                or int(connection.scalar(of_party) or 0) >= most_of_party
                or connection.scalar(taken)
            ):
                return False
            connection.execute(insert(table).values(msgspec.structs.asdict(code)))
            return True

        return await self._database.write(work)

    async def change_code(
        self,
        decide: Callable[[DeviceCode | None], tuple[_T, DeviceCode | None]],
        *,
        device_sha256: str = "",
        user_sha256: str = "",
        action: str = "",
        actor: str = "",
    ) -> _T:
        """Find a code by either hash, and keep what a decision makes of it, if anything.

        With an `action` the audit trail says so.
        """
        column, wanted = (
            (device_codes.c.device_sha256, device_sha256)
            if device_sha256
            else (device_codes.c.user_sha256, user_sha256)
        )

        def work(connection: Connection) -> _T:
            rows = connection.execute(
                select(device_codes).where(column == wanted).with_for_update()
            )
            row = rows.mappings().one_or_none()
            code = None if row is None else DeviceCode(**row)
            if code is not None and not hmac.compare_digest(
                code.device_sha256 if device_sha256 else code.user_sha256, wanted
            ):
                code = None
            result, kept = decide(code)
            if kept is not None and kept != code:
                values = msgspec.structs.asdict(kept)
                connection.execute(
                    update(device_codes)
                    .where(device_codes.c.device_sha256 == kept.device_sha256)
                    .values(values)
                )
                if action:
                    told = {"client": kept.client, "address": kept.address}
                    note(connection, actor, action, "sign_in", kept.id, None, told)
            return result

        return await self._database.write(work)

    async def find_code(self, user_sha256: str, now: int) -> DeviceCode | None:
        """Return the code that waits for an approval, by the hash of what people enter."""

        def work(connection: Connection) -> DeviceCode | None:
            rows = connection.execute(
                select(device_codes).where(
                    device_codes.c.user_sha256 == user_sha256,
                    device_codes.c.expires_at > now,
                    device_codes.c.status == "pending",
                )
            )
            row = rows.mappings().one_or_none()
            if row is None:
                return None
            code = DeviceCode(**row)
            return code if hmac.compare_digest(code.user_sha256, user_sha256) else None

        return await self._database.read(work)

    async def redeem(self, code: DeviceCode, key: KeyRecord, sign_in: SignIn, actor: str) -> bool:
        """Make a sign-in and its key out of an approved code; False if another one did."""

        def work(connection: Connection) -> bool:
            turn = Turn(connection, actor)
            used = connection.execute(
                update(device_codes)
                .where(
                    device_codes.c.device_sha256 == code.device_sha256,
                    device_codes.c.status == "approved",
                )
                .values(status="used")
            )
            if not used.rowcount:
                return False
            turn.insert_all([key])
            connection.execute(insert(sign_ins).values(msgspec.structs.asdict(sign_in)))
            turn.note("create", "sign_in", sign_in.id, None, _told(sign_in, key_id=key.id))
            _end_expired(connection, turn, sign_in.created_at)
            turn.end()
            return True

        return await self._database.write(work)

    async def change(
        self, sign_in_id: str, decide: Callable[[SignIn, KeyRecord], tuple[_T, Change]]
    ) -> _T | None:
        """Keep what a decision makes of a sign-in and its key; None without one of this id."""

        def work(connection: Connection) -> _T | None:
            turn = Turn(connection, "")
            sign_in = _one(connection, sign_ins.c.id == sign_in_id)
            if sign_in is None:
                return None
            found = turn.read_keys(of_id=sign_in.key_id)
            if not found:
                return None
            result, change = decide(sign_in, found[0])
            if change.action:
                _keep(connection, turn, sign_in, change)
            turn.end()
            return result

        return await self._database.write(work)

    async def find(self, sign_in_id: str) -> SignIn | None:
        """Return a sign-in by its id."""
        return await self._database.read(lambda at: _one(at, sign_ins.c.id == sign_in_id))

    async def of_key(self, key_id: str) -> SignIn | None:
        """Return the sign-in that a key was made for."""
        return await self._database.read(lambda at: _one(at, sign_ins.c.key_id == key_id))

    async def list(
        self,
        now: int,
        *,
        person_id: str | None = None,
        key_id: str | None = None,
        most: int = 10_000,
    ) -> tuple[SignIn, ...]:
        """List sign-ins that have not ended, the newest first.

        Of everybody, of a person, or those that a key approved.
        """
        statement = select(sign_ins).where(
            sign_ins.c.ended_at.is_(None), sign_ins.c.expires_at > now
        )
        own = [
            column == wanted
            for column, wanted in (
                (sign_ins.c.person_id, person_id),
                (sign_ins.c.approved_by_key_id, key_id),
                (sign_ins.c.key_id, key_id),
            )
            if wanted is not None
        ]
        if own:
            statement = statement.where(or_(*own))
        statement = statement.order_by(sign_ins.c.created_at.desc(), sign_ins.c.id).limit(most)
        return await self._database.read(lambda at: _many(at, statement))


def _keep(connection: Connection, turn: Turn, before: SignIn, change: Change) -> None:
    after = change.sign_in or before
    values = msgspec.structs.asdict(after)
    connection.execute(update(sign_ins).where(sign_ins.c.id == before.id).values(values))
    if change.key:
        turn.change_key(before.key_id, audited=False, **change.key)
    if change.key.get("status") == "deleted":
        for limit in turn.all().limits:
            if limit.subject_id == before.key_id and limit.status == "enabled":
                turn.update(msgspec.structs.replace(limit, status="removed"))
    told = _told(after, **({"why": change.why} if change.why else {}))
    note(
        connection,
        change.actor or before.key_id,
        change.action,
        "sign_in",
        before.id,
        None,
        told,
    )


def _end_expired(connection: Connection, turn: Turn, now: int) -> None:
    """End what was not refreshed in time, and forget what ended long ago."""
    expired = (
        select(sign_ins)
        .where(sign_ins.c.ended_at.is_(None), sign_ins.c.expires_at <= now)
        .limit(_AT_ONCE)
    )
    for sign_in in _many(connection, expired):
        ended = msgspec.structs.replace(sign_in, ended_at=now)
        change = Change("end", ended, {"status": "deleted"}, "gateway", "expired")
        _keep(connection, turn, sign_in, change)
    connection.execute(delete(sign_ins).where(sign_ins.c.ended_at <= now - _ENDED_KEPT_SECONDS))


def _told(sign_in: SignIn, **more: str) -> dict[str, object]:
    """Return what the audit trail says of a sign-in: no hash of a token."""
    return {
        "client": sign_in.client,
        "person_id": sign_in.person_id,
        "approved_by_key_id": sign_in.approved_by_key_id,
        **more,
    }


def _one(connection: Connection, condition: ColumnElement[bool]) -> SignIn | None:
    found = _many(connection, select(sign_ins).where(condition))
    return found[0] if found else None


def _many(connection: Connection, statement: Select[Any]) -> tuple[SignIn, ...]:
    return tuple(SignIn(**row) for row in connection.execute(statement).mappings().all())
