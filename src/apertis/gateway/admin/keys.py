"""Creation and changes of keys: shared by the admin API and the command line."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from apertis.gateway.admin.key_fields import REFERENCES, changes_of, refuse_invalid
from apertis.gateway.errors import (
    Refusal,
    conflict,
    invalid_parameter,
    missing_parameter,
    not_found,
)
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.keys.secrets import hash_secret, hint_of, new_key_id, new_secret, rotated
from apertis.gateway.keys.validation import MAX_LABEL_LENGTH
from apertis.gateway.people.organization import Organization
from apertis.gateway.people.record import Group, Person

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from apertis.gateway.admin.key_fields import KeyFields
    from apertis.gateway.admin.views import KeyView
    from apertis.gateway.keys.directory import Directory
    from apertis.gateway.store.keys import StoredKeys
    from apertis.gateway.store.organization import StoredOrganization, Turn

_Key = TypeVar("_Key", "KeyRecord", "KeyView")
_Named = TypeVar("_Named", Group, Person)
_T = TypeVar("_T")
_ROTATED = ("sha256", "hint", "previous_sha256", "previous_until")


@dataclass(frozen=True, slots=True)
class Made:
    """A key with the secret that was just made for it; the repr does not show the secret."""

    record: KeyRecord
    secret: str

    def __repr__(self) -> str:
        return f"Made({self.record.id})"


class Administration:
    """Changes, each in a transaction in which nobody else makes another.

    Answers are values: the changed record, or the `Refusal` that says why not. `catch_up` is called
    after each change, so that a process that serves requests acts on it at once; others read it
    from the store.
    """

    def __init__(
        self,
        organization: StoredOrganization,
        now: Callable[[], float],
        catch_up: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._organization = organization
        self._now = now
        self._catch_up = catch_up or _nothing_to_do

    async def _do(self, work: Callable[[Turn], _T], actor: str) -> _T:
        result = await self._organization.change(work, actor)
        if not isinstance(result, Refusal):
            await self._catch_up()
        return result


class KeyAdministration(Administration):
    """Every change that an administrator can make to keys."""

    def __init__(
        self,
        store: StoredKeys,
        organization: StoredOrganization,
        now: Callable[[], float],
        catch_up: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(organization, now, catch_up)
        self._store = store

    async def create(self, fields: KeyFields, actor: str) -> Made | Refusal:
        """Make a key with these fields; `name` is required."""
        changes = await self._values(fields)
        if isinstance(changes, Refusal):
            return changes
        if "name" not in changes:
            return missing_parameter("name")
        secret = new_secret()
        record = KeyRecord(
            id=new_key_id(),
            sha256=hash_secret(secret),
            hint=hint_of(secret),
            created_at=int(self._now()),
            **changes,
        )
        refusal = refuse_invalid(record)
        if refusal is not None:
            return refusal
        kept = await self._store.insert(record, actor)
        await self._catch_up()
        return Made(kept, secret)

    async def of_chat(self, person: Person) -> KeyRecord:
        """Return the key that a person's chat is booked on; it is made at the first use.

        Nobody ever has its secret: it is used by whoever is signed in as this person.
        """

        def work(turn: Turn) -> KeyRecord:
            for record in turn.read_keys(of_person=person.id):
                if record.kind == "chat" and record.status != "deleted":
                    return record
            made = KeyRecord(
                id=new_key_id(),
                name=f"Chat of {person.name}"[:MAX_LABEL_LENGTH],
                kind="chat",
                person_id=person.id,
                sha256=hash_secret(new_secret()),
                hint="",
                created_at=int(self._now()),
            )
            return turn.insert_key(made)

        return await self._do(work, person.id)

    async def change(
        self, key_id: str, fields: KeyFields, actor: str, version: int | None = None
    ) -> KeyRecord | Refusal:
        """Set the fields that are given, and leave the others as they are.

        With a `version` only if the key is still of this one: nobody changed it meanwhile.
        """
        changes = await self._values(fields)
        if isinstance(changes, Refusal):
            return changes
        return await self._change(key_id, changes, actor, version)

    async def set_status(
        self, key_id: str, status: Literal["enabled", "disabled"], actor: str
    ) -> KeyRecord | Refusal:
        """Enable or disable a key."""
        return await self._change(key_id, {"status": status}, actor)

    async def delete(self, key_id: str, actor: str) -> KeyRecord | Refusal:
        """Delete a key for good; its usage is kept. Repeating it changes nothing."""
        record = await self._store.get(key_id)
        if record is not None and record.status == "deleted":
            return record
        return await self._change(key_id, {"status": "deleted"}, actor)

    async def rotate(self, key_id: str, grace_seconds: int, actor: str) -> Made | Refusal:
        """Give a key another secret; the old one is accepted for `grace_seconds` more."""
        secret, now = new_secret(), self._now()

        def change(record: KeyRecord) -> dict[str, Any] | Refusal:
            if record.kind != "key":
                return conflict(
                    f"The secret of '{record.name}' is nobody's to know: disable or delete the key"
                )
            changed = rotated(
                record,
                sha256=hash_secret(secret),
                hint=hint_of(secret),
                grace_seconds=grace_seconds,
                now=now,
            )
            return {name: getattr(changed, name) for name in _ROTATED}

        kept = await self._changed(key_id, change, actor)
        return kept if isinstance(kept, Refusal) else Made(kept, secret)

    async def _values(self, fields: KeyFields) -> dict[str, Any] | Refusal:
        """Turn what was given into values of a record, with the ids of a person and a group."""
        values = changes_of(fields)
        if isinstance(values, Refusal):
            return values
        named = {what: values.pop(what) for what in REFERENCES if what in values}
        if not named:
            return values
        known = await self._organization.all()
        for what, name in named.items():
            if name is None:
                values[f"{what}_id"] = None
                continue
            found: Person | Group | Refusal
            if what == "person":
                found = find_named(known.people, name, what, what)
            else:
                found = find_named(known.groups, name, what, what)
            if isinstance(found, Refusal):
                return found
            if found.status != "enabled":
                return conflict(f"'{found.name}' is disabled", what)
            values[f"{what}_id"] = found.id
        return values

    async def _change(
        self, key_id: str, changes: dict[str, Any], actor: str, version: int | None = None
    ) -> KeyRecord | Refusal:
        return await self._changed(key_id, lambda _: changes, actor, version)

    async def _changed(
        self,
        key_id: str,
        change: Callable[[KeyRecord], dict[str, Any] | Refusal],
        actor: str,
        version: int | None = None,
    ) -> KeyRecord | Refusal:
        """Change a key by what it is then.

        In one transaction: of two changes at once, here or by another gateway, neither may take
        the other for the remaining administrator.
        """
        now = self._now()

        def work(turn: Turn) -> KeyRecord | Refusal:
            record = _living(turn, key_id)
            if isinstance(record, Refusal):
                return record
            stale = refuse_stale(record.name, record.version, version)
            if stale is not None:
                return stale
            changes = change(record)
            if isinstance(changes, Refusal):
                return changes
            changed = msgspec.structs.replace(record, **changes)
            refusal = (
                refuse_invalid(changed)
                or _refuse_other_use(record, changed)
                or _last_administrator(turn, record, changed, now)
            )
            if refusal is not None:
                return refusal
            if changed == record:
                return record
            if changed.status == "deleted":
                remove_limits(turn, Organization(turn.all()), {("key", key_id)})
            return turn.change_key(key_id, **changes)

        return await self._do(work, actor)


def refuse_stale(name: str, version: int, seen: int | None) -> Refusal | None:
    """Refuse a change of what somebody else has changed since it was seen."""
    if seen is None or version == seen:
        return None
    return conflict(
        f"'{name}' was changed by somebody else meanwhile: look at it as it is now, and change it "
        "again"
    )


def _living(turn: Turn, key_id: str) -> KeyRecord | Refusal:
    found = turn.read_keys(of_id=key_id)
    if not found:
        return not_found(f"There is no key '{key_id[:100]}'")
    if found[0].status == "deleted":
        return conflict(f"The key '{key_id}' is deleted, and deletion is final; make another")
    return found[0]


def _refuse_other_use(before: KeyRecord, after: KeyRecord) -> Refusal | None:
    """Keep a key that stands for a person who is signed in from being anything else."""
    if before.kind == "key":
        return None
    if after.admin:
        return conflict(f"'{before.name}' stands for somebody who is signed in, never for an admin")
    if after.person_id != before.person_id:
        return conflict(f"'{before.name}' stands for the person who is signed in, and nobody else")
    if after.sha256 != before.sha256:
        return conflict(f"'{before.name}' stands for somebody who is signed in: nobody else has it")
    return None


def _last_administrator(
    turn: Turn, before: KeyRecord, after: KeyRecord, now: float
) -> Refusal | None:
    if not administers(before, now) or administers(after, now):
        return None
    people = Organization(turn.all())
    for other in turn.read_keys():
        works = administers(other, now) and not people.is_barred(other)
        if works and other.id != before.id:
            return None
    return last_administrator(before.name)


def remove_limits(turn: Turn, known: Organization, subjects: Collection[tuple[str, str]]) -> None:
    """Remove the limits of what is gone, by level and id."""
    for level, subject_id in subjects:
        for limit in known.limits_of(level, subject_id):
            turn.update(msgspec.structs.replace(limit, status="removed"))


async def _nothing_to_do() -> None:
    """Serve nobody: a command has no requests that a change could concern."""


def find_named(
    records: Sequence[_Named], named: str, what: str, param: str | None = None
) -> _Named | Refusal:
    """Find a group or a person by id or by name.

    With `param` the name is the value of that field, else the object of the request.
    """
    known = {record.name: record for record in records if record.status != "removed"}
    found = known.get(named) or next((record for record in records if record.id == named), None)
    if found is None:
        close = difflib.get_close_matches(named[:100], known, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        message = f"There is no {what} '{named[:100]}'{hint}"
        return not_found(message) if param is None else invalid_parameter(param, message)
    if found.status == "removed":
        return conflict(f"The {what} '{found.id}' is removed, and removal is final", param)
    return found


def find_key(records: Sequence[_Key], named: str) -> _Key | Refusal:
    """Find a key by its id or by its name; a name that a living key has never means a deleted one.

    Upper and lower case differ. A name of several keys is rejected with their ids.
    """
    shown = named[:100]
    by_id = [record for record in records if record.id == named]
    by_name = [record for record in records if record.name == named]
    living = [record for record in by_name if record.status != "deleted"]
    found = by_id or living or by_name
    if not found:
        close = difflib.get_close_matches(shown, {r.name for r in records}, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        return not_found(f"There is no key '{shown}'{hint}")
    if len(found) > 1:
        ids = ", ".join(record.id for record in found[:10])
        return conflict(f"{len(found)} keys have the name '{shown}': name one by its id ({ids})")
    return found[0]


def last_administrator(name: str) -> Refusal:
    """Refuse a change that would leave nobody to administer the gateway."""
    return conflict(
        f"'{name}' is the last administrator's key that works: without it nobody could "
        "administer the gateway. Create another administrator's key first"
    )


def administers(record: KeyRecord, now: float) -> bool:
    """Return whether a key may administer the gateway, as far as the key itself goes."""
    return (
        record.admin
        and record.status == "enabled"
        and (record.expires_at is None or record.expires_at > now)
    )


ADMIN_NAME = "admin"


async def ensure_administrator(
    keys: StoredKeys, directory: Directory, *, new_secret_wanted: bool, now: float
) -> str | None:
    """Make the first key, or on demand a new secret for the administrator's; give its secret.

    None when there is nothing to make. Without any enabled administrator's key a wanted secret
    gets a new key. `now` is in Unix seconds.
    """
    if len(directory) and not new_secret_wanted:
        return None
    secret = new_secret()
    sha256, hint = hash_secret(secret), hint_of(secret)
    old = _administrator(directory) if new_secret_wanted else None
    if old is None:
        record = KeyRecord(
            id=new_key_id(),
            name=ADMIN_NAME,
            sha256=sha256,
            hint=hint,
            admin=True,
            created_at=int(now),
        )
        made = await (keys.insert(record) if new_secret_wanted else keys.insert_first(record))
        if made is None:
            # Several gateways start on a new database: another one shows the key that it made.
            directory.apply(await keys.changes_since(directory.version))
            return None
        changed = made
    else:
        # Whoever asks for it may have lost the old one to somebody: that ends at once.
        new = rotated(old, sha256=sha256, hint=hint, grace_seconds=0, now=now)
        changed = await keys.update(
            old.id,
            sha256=new.sha256,
            hint=new.hint,
            previous_sha256=new.previous_sha256,
            previous_until=new.previous_until,
        )
    directory.apply([changed])
    return secret


def _administrator(directory: Directory) -> KeyRecord | None:
    """Return the key that was made at the first start, or else the first that may administer."""
    enabled = [
        key.record for key in directory.all() if key.record.admin and key.record.status == "enabled"
    ]
    named = [record for record in enabled if record.name == ADMIN_NAME]
    return next(iter(named or enabled), None)
