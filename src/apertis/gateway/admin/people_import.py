"""An import of people with their groups, keys and monthly budgets: all of it, or nothing.

What is there already is known by its name, so that the same import again changes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal  # noqa: TC003 - msgspec reads it.
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from apertis.gateway.admin.csv_text import to_csv
from apertis.gateway.admin.key_fields import units_of
from apertis.gateway.admin.limits import refuse_limit
from apertis.gateway.admin.people import problems_of, refuse_group
from apertis.gateway.budgets.limit import Limit
from apertis.gateway.errors import Refusal, conflict, invalid_parameter
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.keys.record import problems_of as problems_of_key
from apertis.gateway.keys.secrets import hash_secret, hint_of, new_id, new_key_id, new_secret
from apertis.gateway.people.organization import Changes, Organization
from apertis.gateway.people.record import Group, Person
from apertis.gateway.store.audit import PERSONAL, differences

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence

    from apertis.gateway.store.organization import StoredOrganization, Turn

MAX_ROWS = 10_000
_MAX_TOLD = 5


class PersonRow(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A person to import; of somebody who is there, what is left out or null stays as it is."""

    name: str
    email: str | None = None
    group: Annotated[str, Meta(description="Made where there is none of this name.")] | None = None
    monthly_usd: (
        Annotated[Decimal, Meta(description="The person's budget a month, in US dollars.")] | None
    ) = None
    key_name: (
        Annotated[str, Meta(description="A key of this name for the person; null: none.")] | None
    ) = None
    models: (
        Annotated[tuple[str, ...], Meta(description="The models that the key may use.")] | None
    ) = None
    tags: Annotated[tuple[str, ...], Meta(description="The tags of the key.")] | None = None

    # Names and addresses of people are in no representation.
    __repr__ = object.__repr__


class ImportFields(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """People to import; with `dry_run` only say what would change, and all that is wrong."""

    rows: Annotated[tuple[PersonRow, ...], Meta(max_length=MAX_ROWS)]
    dry_run: bool = False
    zone: Annotated[str, Meta(description="Time zone of the months of new budgets.")] = "UTC"


class ImportedChange(Struct, kw_only=True, frozen=True):
    """One thing that an import made or changed: a group, a person, a limit or a key."""

    action: Annotated[str, Meta(description="create or change.")]
    subject: Annotated[str, Meta(description="group, person, limit or key.")]
    id: Annotated[str | UnsetType, Meta(description="Not of what is yet to be made.")] = UNSET
    name: Annotated[str, Meta(description="Its name; of a limit whom it limits.")]
    row: Annotated[int, Meta(description="The row that asks for it, from 0.")]
    fields: Annotated[tuple[str, ...], Meta(description="Its settings that become others.")]
    secret: Annotated[str, Meta(description="Of a new key; only in this response.")] | UnsetType = (
        UNSET
    )

    # The secret, and names of people, are in no representation.
    __repr__ = object.__repr__


class ImportProblem(Struct, kw_only=True, frozen=True):
    """A reason why a row cannot be imported."""

    row: Annotated[int, Meta(description="The row, from 0.")]
    field: str | None
    message: str

    # What is wrong may be a name or an address.
    __repr__ = object.__repr__


class Imported(Struct, kw_only=True, frozen=True):
    """The effect of an import, in the order of its rows."""

    changes: tuple[ImportedChange, ...]
    unchanged: Annotated[int, Meta(description="Rows that changed nothing.")]
    dry_run: bool
    problems: Annotated[
        tuple[ImportProblem, ...],
        Meta(description="All that is wrong, in a dry run; an import with any is an error."),
    ]


async def import_people(
    organization: StoredOrganization,
    rows: Sequence[PersonRow],
    *,
    actor: str,
    now: float,
    dry_run: bool = False,
    zone: str = "UTC",
    catch_up: Callable[[], Awaitable[None]] | None = None,
) -> Imported | Refusal:
    """Import people in one transaction, with one entry in the audit trail.

    A refusal names the row, and nothing of any row is kept. The secrets of new keys are in what
    comes back, and nowhere else.
    """
    if len(rows) > MAX_ROWS:
        return invalid_parameter("rows", f"'rows': {len(rows)} rows, expected {MAX_ROWS} at most")

    def work(turn: Turn) -> Imported | Refusal:
        plan = _Plan(turn.all(), turn.read_keys(), int(now), zone)
        refusals = plan.read(rows)
        if refusals and not dry_run:
            return _refusal_of_all(refusals)
        if plan.changes and not dry_run:
            _keep(turn, plan)
        changes = plan.changes
        if dry_run:
            changes = [_unmade(change) for change in changes]
        return Imported(
            changes=tuple(changes),
            unchanged=plan.unchanged,
            dry_run=dry_run,
            problems=tuple(
                ImportProblem(row=row, field=one.param, message=one.message)
                for row, one in refusals
            ),
        )

    result = await organization.change(work, actor)
    if catch_up is not None and not isinstance(result, Refusal):
        await catch_up()
    return result


class _Plan:
    """All that an import changes, worked out before anything is kept."""

    def __init__(self, changes: Changes, keys: Sequence[KeyRecord], now: int, zone: str) -> None:
        self._known = Organization(changes)
        self._groups = {one.name: one for one in changes.groups if one.status == "enabled"}
        self._people = {one.name: one for one in changes.people if one.status != "removed"}
        self._addresses = {one.email.casefold(): one.id for one in changes.people if one.email}
        self._keys: dict[str, list[KeyRecord]] = {}
        for key in keys:
            if key.status != "deleted":
                self._keys.setdefault(key.name, []).append(key)
        self._now = now
        self._zone = zone
        self._names = {id_: one.name for id_, one in self._known.people.items()}
        # The place of the row that is being read.
        self._index = 0
        # Before and after, by id, in the order in which they are made.
        self.records: dict[str, tuple[_Record | None, _Record]] = {}
        self.changes: list[ImportedChange] = []
        self.unchanged = 0

    def read(self, rows: Sequence[PersonRow]) -> list[tuple[int, Refusal]]:
        """Plan all rows; what is wrong with them comes back, with the row's place."""
        refusals: list[tuple[int, Refusal]] = []
        seen: dict[str, int] = {}
        for index, row in enumerate(rows):
            before, self._index = len(self.changes), index
            if row.name in seen:
                message = f"'name' is that of row {seen[row.name] + 1} already"
                found = [invalid_parameter("name", message)]
            else:
                seen[row.name] = index
                found = list(self._row(row))
            refusals += [(index, refusal) for refusal in found]
            self.unchanged += len(self.changes) == before and not found
        return refusals

    def _row(self, row: PersonRow) -> Iterator[Refusal]:
        for field in ("models", "tags"):
            if getattr(row, field) is not None and row.key_name is None:
                message = f"'{field}' are those of a key: give 'key_name', too"
                yield invalid_parameter(field, message)
        group = None if row.group is None else self._group(row.group)
        if isinstance(group, Refusal):
            yield group
            group = None
        person = yield from self._person(row, group)
        # Of somebody who cannot be kept, the rest can be looked at all the same.
        if row.monthly_usd is not None:
            yield from self._monthly(person, row.monthly_usd)
        if row.key_name is not None:
            yield from self._key(person, row.key_name, row)

    def _group(self, name: str) -> Group | Refusal:
        found = self._groups.get(name)
        if found is not None:
            return found
        group = Group(id=new_id("group"), name=name, created_at=self._now)
        refusal = refuse_group(self._known, group)
        if refusal is not None:
            return _in_field(refusal, "name", "group")
        self._groups[name] = group
        self._take("group", name, None, group)
        return group

    def _person(self, row: PersonRow, group: Group | None) -> Generator[Refusal, None, Person]:
        found = self._people.get(row.name)
        given: dict[str, Any] = {}
        if row.email is not None:
            given["email"] = row.email
        if group is not None:
            given["group_id"] = group.id
        if found is None:
            person = Person(id=new_id("person"), name=row.name, created_at=self._now, **given)
        else:
            person = msgspec.structs.replace(found, **given)
        if person == found:
            return person
        problems = list(problems_of(person))
        for problem in problems:
            yield invalid_parameter(problem.field, str(problem))
        is_valid = not problems
        if row.email is not None and all(problem.field != "email" for problem in problems):
            theirs = self._addresses.setdefault(row.email.casefold(), person.id)
            if theirs != person.id:
                is_valid = False
                yield conflict(
                    f"'email': '{row.email}' is '{self._names[theirs]}' already", "email"
                )
        if is_valid:
            self._people[row.name] = person
            self._take("person", row.name, found, person)
        self._names[person.id] = person.name
        return person

    def _monthly(self, person: Person, dollars: Decimal) -> Iterator[Refusal]:
        units = units_of(dollars, "monthly_usd")
        if isinstance(units, Refusal):
            yield units
            return
        monthly = [
            limit
            for limit in self._known.limits_of("person", person.id)
            if limit.period == "month" and limit.models is None and not limit.per_session
        ]
        if len(monthly) > 1:
            ids = ", ".join(limit.id for limit in monthly)
            message = (
                f"'{person.name}' has several monthly limits ({ids}): change them by their ids"
            )
            yield conflict(message, "monthly_usd")
            return
        before = monthly[0] if monthly else None
        if before is None:
            limit = Limit(
                id=new_id("limit"),
                level="person",
                subject_id=person.id,
                amount_units=units,
                period="month",
                zone=self._zone,
                created_at=self._now,
            )
        else:
            limit = msgspec.structs.replace(before, amount_units=units)
        if limit == before:
            return
        refusal = refuse_limit(self._known, limit) if before is None else None
        if refusal is not None:
            yield _in_field(refusal, "amount_units", "monthly_usd")
        elif person.id in self._known.people:
            self._take("limit", person.name, before, limit)

    def _key(self, person: Person, name: str, row: PersonRow) -> Iterator[Refusal]:
        found = self._keys.get(name, [])
        if len(found) > 1:
            ids = ", ".join(key.id for key in found[:_MAX_TOLD])
            yield conflict(f"{len(found)} keys have the name '{name}' ({ids})", "key_name")
            return
        secret = None
        changes: dict[str, Any] = {"person_id": person.id}
        for field in ("models", "tags"):
            if getattr(row, field) is not None:
                changes[field] = getattr(row, field)
        if found:
            before: KeyRecord | None = found[0]
            if found[0].person_id not in (None, person.id):
                yield conflict(f"The key '{name}' is somebody else's already", "key_name")
                return
            key = msgspec.structs.replace(found[0], **changes)
        else:
            before, secret = None, new_secret()
            key = KeyRecord(
                id=new_key_id(),
                name=name,
                sha256=hash_secret(secret),
                hint=hint_of(secret),
                created_at=self._now,
                **changes,
            )
        problems = problems_of_key(key)
        for problem in problems:
            refusal = invalid_parameter(problem.field, str(problem))
            yield _in_field(refusal, "name", "key_name")
        if key != before and not problems:
            self._keys[name] = [key]
            self._take("key", name, before, key, secret)

    def _take(
        self,
        subject: str,
        name: str,
        before: _Record | None,
        after: _Record,
        secret: str | None = None,
    ) -> None:
        self.records[after.id] = (before, after)
        if isinstance(after, Group):
            self._known.groups[after.id] = after
        elif isinstance(after, Person):
            self._known.people[after.id] = after
        _, new = differences(before, after)
        change = ImportedChange(
            action="create" if before is None else "change",
            subject=subject,
            id=after.id,
            name=name,
            row=self._index,
            fields=() if before is None else tuple(new),
            secret=UNSET if secret is None else secret,
        )
        self.changes.append(change)


_Record = Group | Person | Limit | KeyRecord


def _keep(turn: Turn, plan: _Plan) -> None:
    told_before: dict[str, Any] = {}
    told_after: dict[str, Any] = {}
    new: list[_Record] = []
    for id_, (before, after) in plan.records.items():
        old, fields = differences(before, after)
        # One entry for all of it: nothing in it may be left of a person who is removed later.
        told_after[id_] = {name: value for name, value in fields.items() if name not in PERSONAL}
        if old is not None:
            told_before[id_] = {n: value for n, value in old.items() if n not in PERSONAL}
        if before is None:
            new.append(after)
        elif isinstance(after, KeyRecord):
            changed = {name: getattr(after, name) for name in fields}
            turn.change_key(after.id, audited=False, **changed)
        else:
            turn.update(after, audited=False)
    turn.insert_all(new)
    turn.note("import", "people", "", told_before or None, told_after)


def _refusal_of_all(refusals: Sequence[tuple[int, Refusal]]) -> Refusal:
    """Tell of the first few."""
    told = "; ".join(f"row {row + 1}: {one.message}" for row, one in refusals[:_MAX_TOLD])
    more = len(refusals) - _MAX_TOLD
    message = f"{told}; {more} more" if more > 0 else told
    row, first = refusals[0]
    param = f"rows[{row}]" if first.param is None else f"rows[{row}].{first.param}"
    if first.status == conflict("").status:
        return conflict(message, param)
    return invalid_parameter(param, message)


def _in_field(refusal: Refusal, name: str, field: str) -> Refusal:
    """Name the field of the row that a field of what is kept comes from."""
    if refusal.param != name:
        return refusal
    return replace(refusal, param=field, message=refusal.message.replace(f"'{name}'", f"'{field}'"))


def _unmade(change: ImportedChange) -> ImportedChange:
    """Show a change that was not made: what is new has neither an id nor a secret."""
    if change.action == "change":
        return change
    return msgspec.structs.replace(change, id=UNSET, secret=UNSET)


def is_new_key(change: ImportedChange) -> bool:
    """Return whether a change makes a key."""
    return change.subject == "key" and change.action == "create"


def secrets_table(imported: Imported) -> str:
    """Return the secrets of the keys that were made, as CSV."""
    keys = [change for change in imported.changes if is_new_key(change)]
    return to_csv(("key", "id", "secret"), [(key.name, key.id, key.secret) for key in keys])


def detail_of(change: ImportedChange, row: PersonRow) -> str:
    """Say what becomes of it, of what the row says."""
    if change.subject == "limit":
        return f"${row.monthly_usd or 0:,f} a month"
    said = {
        "person": (("group_id", "group", row.group), ("email", "email", row.email)),
        "key": (
            ("person_id", "person", row.name),
            ("models", "models", ", ".join(row.models or ())),
            ("tags", "tags", ", ".join(row.tags or ())),
        ),
    }.get(change.subject, ())
    is_new = change.action == "create"
    return "; ".join(
        f"{title} {value}"
        for field, title, value in said
        if value and (is_new or field in change.fields)
    )
