"""Groups, people, limits, trail, gateways, alerts: answers of the admin API and to commands.

A call is a value and so is its answer. The API takes calls out of HTTP requests; the command line
makes them itself where it works on the store, and sends them where it works through a gateway.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from apertis.gateway.admin.alerts import AlertListFields, alert_page
from apertis.gateway.admin.audit import AuditFields, audit_page
from apertis.gateway.admin.keys import find_named
from apertis.gateway.admin.limits import (
    LIMIT_FORBIDDEN,
    LimitAdministration,
    LimitChanges,
    LimitFields,
    LimitListFields,
    LimitPage,
    LimitRemoval,
    LimitView,
    limit_views,
    limits_asked_for,
)
from apertis.gateway.admin.managed import (
    ManagedAdministration,
    ManagedFields,
    group_of,
    list_managed,
    read_managed,
    save_managed,
    view,
)
from apertis.gateway.admin.people import (
    AdoptFields,
    GroupFields,
    GroupListFields,
    GroupPage,
    GroupView,
    PeopleAdministration,
    PersonFields,
    PersonListFields,
    PersonPage,
    PersonView,
    group_view,
    person_view,
)
from apertis.gateway.admin.people_import import ImportFields, import_people
from apertis.gateway.admin.reading import cut, read_body_as, read_query_as
from apertis.gateway.admin.status import replica_page
from apertis.gateway.errors import Refusal, not_found
from apertis.gateway.people.organization import Organization

if TYPE_CHECKING:
    from apertis.gateway.budgets.limit import Limit
    from apertis.gateway.people.record import Group, Person
    from apertis.gateway.store.database import Store


class Call(Struct, frozen=True, kw_only=True):
    """A request to one of the resources, whoever makes it."""

    actor: str
    # The id in the path, where there is one.
    id: str = ""
    query: str = ""
    body: bytes = b""
    # Change it only if it is still of this version.
    version: int | None = None

    # What somebody sent is in no representation.
    __repr__ = object.__repr__


Answer = Struct | Refusal
Work = Callable[[Call], Awaitable[Answer]]

GROUPS = "/admin/v1/groups"
PEOPLE = "/admin/v1/people"
LIMITS = "/admin/v1/limits"
AUDIT = "/admin/v1/audit"
REPLICAS = "/admin/v1/replicas"
ALERTS = "/admin/v1/alerts"
MANAGED = "/admin/v1/managed-settings"

_STATUS_CANNOT_BE_SET = {"status": "POST to its /enable or /disable, or DELETE it"}
_KEPT = dict.fromkeys(("id", "created_at"), "the gateway keeps it itself")
_FORBIDDEN_GROUP = {**_KEPT, "status": "DELETE it", "parent_id": "give the name or id in 'parent'"}
_FORBIDDEN_PERSON = {
    **_KEPT,
    **_STATUS_CANNOT_BE_SET,
    "group_id": "give the group's name or id in 'group'",
}
_FORBIDDEN_LIMIT = {**_KEPT, "status": "DELETE it"}


class Resources:
    """The operations on groups, people, limits, the audit trail and the gateways.

    `now` gives Unix seconds; `catch_up` is called after each change.
    """

    def __init__(
        self,
        store: Store,
        now: Callable[[], float],
        catch_up: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._now = now
        self._catch_up = catch_up
        self._people = PeopleAdministration(store.organization, now, catch_up)
        self.managed = ManagedAdministration(store.managed_settings, now)
        self._limits = LimitAdministration(store.organization, now, catch_up)

    def routes(self) -> tuple[tuple[str, str, Work], ...]:
        """List the operations, by method and path."""
        group, person, limit = (path + "/{id}" for path in (GROUPS, PEOPLE, LIMITS))
        return (
            ("GET", GROUPS, self.list_groups),
            ("POST", GROUPS, self.create_group),
            ("GET", group, self.read_group),
            ("PATCH", group, self.change_group),
            ("DELETE", group, self.remove_group),
            ("GET", PEOPLE, self.list_people),
            ("POST", PEOPLE, self.create_person),
            ("POST", PEOPLE + "/import", self.import_people),
            ("POST", PEOPLE + "/adopt-owners", self.adopt_owners),
            ("GET", person, self.read_person),
            ("PATCH", person, self.change_person),
            ("DELETE", person, self.remove_person),
            ("POST", person + "/enable", self.enable_person),
            ("POST", person + "/disable", self.disable_person),
            ("GET", LIMITS, self.list_limits),
            ("POST", LIMITS, self.create_limit),
            ("GET", limit, self.read_limit),
            ("PATCH", limit, self.change_limit),
            ("DELETE", limit, self.remove_limit),
            ("GET", AUDIT, self.read_audit),
            ("GET", REPLICAS, self.list_replicas),
            ("GET", ALERTS, self.list_alerts),
            ("GET", MANAGED, self.list_managed),
            ("POST", MANAGED, self.save_managed),
            ("GET", MANAGED + "/{id}", self.read_managed),
            ("DELETE", MANAGED + "/{id}", self.remove_managed),
        )

    async def answer(self, method: str, path: str, call: Call) -> Answer:
        """Answer a call of one of the routes, as a command makes it."""
        (work,) = (work for at, of, work in self.routes() if (at, of) == (method, path))
        return await work(call)

    async def list_groups(self, call: Call) -> Answer:
        """List groups in pages."""
        asked = read_query_as(call.query, GroupListFields)
        if isinstance(asked, Refusal):
            return asked
        known = await self._known()
        status = asked.status or "enabled"

        def wanted(group: Group) -> bool:
            return status in (group.status, "all") and asked.name in (None, group.name)

        page = cut(known.groups.values(), asked, wanted, "group")
        if isinstance(page, Refusal):
            return page
        people = _members(known)
        views = tuple(group_view(group, known, people[group.id]) for group in page.records)
        return GroupPage(data=views, has_more=page.has_more, **page.borders)

    async def create_group(self, call: Call) -> Answer:
        """Make a group."""
        fields = read_body_as(call.body, GroupFields, _FORBIDDEN_GROUP)
        if isinstance(fields, Refusal):
            return fields
        return await self._group(await self._people.create_group(fields, call.actor))

    async def read_group(self, call: Call) -> Answer:
        """Show one group."""
        found = (await self._known()).groups.get(call.id)
        return await self._group(found or not_found(f"There is no group '{call.id[:100]}'"))

    async def change_group(self, call: Call) -> Answer:
        """Set the fields that are given."""
        fields = read_body_as(call.body, GroupFields, _FORBIDDEN_GROUP)
        if isinstance(fields, Refusal):
            return fields
        return await self._group(
            await self._people.change_group(call.id, fields, call.actor, call.version)
        )

    async def remove_group(self, call: Call) -> Answer:
        """Remove a group that nothing is in."""
        return await self._group(await self._people.remove_group(call.id, call.actor))

    async def list_people(self, call: Call) -> Answer:
        """List people in pages."""
        asked = read_query_as(call.query, PersonListFields)
        if isinstance(asked, Refusal):
            return asked
        known = await self._known()
        group_id: str | None = None
        if asked.group is not None:
            group = find_named(tuple(known.groups.values()), asked.group, "group", "group")
            if isinstance(group, Refusal):
                return group
            group_id = group.id

        def wanted(person: Person) -> bool:
            right = asked.status in (person.status, "all")
            return (
                (person.status != "removed" if asked.status is None else right)
                and asked.name in (None, person.name)
                and asked.email in (None, person.email)
                and group_id in (None, person.group_id)
            )

        page = cut(known.people.values(), asked, wanted, "person")
        if isinstance(page, Refusal):
            return page
        views = tuple(person_view(person, known) for person in page.records)
        return PersonPage(data=views, has_more=page.has_more, **page.borders)

    async def create_person(self, call: Call) -> Answer:
        """Make a person."""
        fields = read_body_as(call.body, PersonFields, _FORBIDDEN_PERSON)
        if isinstance(fields, Refusal):
            return fields
        return await self._person(await self._people.create_person(fields, call.actor))

    async def read_person(self, call: Call) -> Answer:
        """Show one person."""
        found = (await self._known()).people.get(call.id)
        return await self._person(found or not_found(f"There is no person '{call.id[:100]}'"))

    async def change_person(self, call: Call) -> Answer:
        """Set the fields that are given."""
        fields = read_body_as(call.body, PersonFields, _FORBIDDEN_PERSON)
        if isinstance(fields, Refusal):
            return fields
        return await self._person(
            await self._people.change_person(call.id, fields, call.actor, call.version)
        )

    async def remove_person(self, call: Call) -> Answer:
        """Erase a person."""
        return await self._person(await self._people.remove_person(call.id, call.actor))

    async def enable_person(self, call: Call) -> Answer:
        """Let a person's keys in again."""
        result = await self._people.set_person_status(call.id, "enabled", call.actor)
        return await self._person(result)

    async def disable_person(self, call: Call) -> Answer:
        """Keep all keys of a person out."""
        result = await self._people.set_person_status(call.id, "disabled", call.actor)
        return await self._person(result)

    async def adopt_owners(self, call: Call) -> Answer:
        """Make people of the owners that keys name."""
        asked = read_body_as(call.body or b"{}", AdoptFields)
        if isinstance(asked, Refusal):
            return asked
        return await self._people.adopt_owners(call.actor, dry_run=asked.dry_run)

    async def import_people(self, call: Call) -> Answer:
        """Import people; the secrets of new keys are in this response only."""
        asked = read_body_as(call.body, ImportFields)
        if isinstance(asked, Refusal):
            return asked
        return await import_people(
            self._store.organization,
            asked.rows,
            actor=call.actor,
            now=self._now(),
            dry_run=asked.dry_run,
            zone=asked.zone,
            catch_up=self._catch_up,
        )

    async def list_limits(self, call: Call) -> Answer:
        """List limits in pages, with what is spent of them."""
        asked = read_query_as(call.query, LimitListFields)
        if isinstance(asked, Refusal):
            return asked
        known = await self._known()
        keys = await self._store.keys.list()
        wanted = limits_asked_for(asked, known, keys)
        if isinstance(wanted, Refusal):
            return wanted
        page = cut(known.limits.values(), asked, wanted, "limit")
        if isinstance(page, Refusal):
            return page
        views = await self._views(known, *page.records)
        return LimitPage(data=views, has_more=page.has_more, **page.borders)

    async def create_limit(self, call: Call) -> Answer:
        """Make a limit."""
        fields = read_body_as(call.body, LimitFields, _FORBIDDEN_LIMIT)
        if isinstance(fields, Refusal):
            return fields
        return await self._limit(await self._limits.create(fields, call.actor))

    async def read_limit(self, call: Call) -> Answer:
        """Show one limit."""
        found = (await self._known()).limits.get(call.id)
        return await self._limit(found or not_found(f"There is no limit '{call.id[:100]}'"))

    async def change_limit(self, call: Call) -> Answer:
        """Set the fields that are given."""
        fields = read_body_as(call.body, LimitChanges, {**_FORBIDDEN_LIMIT, **LIMIT_FORBIDDEN})
        if isinstance(fields, Refusal):
            return fields
        return await self._limit(await self._limits.change(call.id, fields, call.actor))

    async def remove_limit(self, call: Call) -> Answer:
        """Remove a limit."""
        asked = read_query_as(call.query, LimitRemoval)
        if isinstance(asked, Refusal):
            return asked
        return await self._limit(await self._limits.remove(call.id, call.actor, asked.version))

    async def read_audit(self, call: Call) -> Answer:
        """Read the audit trail in pages."""
        asked = read_query_as(call.query, AuditFields)
        if isinstance(asked, Refusal):
            return asked
        return await audit_page(self._store.audit, asked, self._now())

    async def list_replicas(self, _: Call) -> Answer:
        """Show the gateways of the store."""
        return await replica_page(self._store)

    async def list_alerts(self, call: Call) -> Answer:
        """List alerts in pages, with what became of each."""
        asked = read_query_as(call.query, AlertListFields)
        return asked if isinstance(asked, Refusal) else await alert_page(self._store.alerts, asked)

    async def list_managed(self, _: Call) -> Answer:
        """List the managed settings of all groups."""
        return await list_managed(self.managed, await self._known())

    async def read_managed(self, call: Call) -> Answer:
        """Show the managed settings of a group, or of everybody."""
        return await read_managed(self.managed, await self._known(), call.id)

    async def save_managed(self, call: Call) -> Answer:
        """Keep managed settings, or only check them."""
        fields = read_body_as(call.body, ManagedFields)
        if isinstance(fields, Refusal):
            return fields
        return await save_managed(self.managed, await self._known(), fields, call.actor)

    async def remove_managed(self, call: Call) -> Answer:
        """Remove the managed settings of a group, or of everybody."""
        removed = await self.managed.remove(group_of(call.id), None, call.actor)
        return removed if isinstance(removed, Refusal) else view(removed, await self._known())

    async def _known(self) -> Organization:
        return Organization(await self._store.organization.all())

    async def _group(self, result: Group | Refusal) -> GroupView | Refusal:
        if isinstance(result, Refusal):
            return result
        known = await self._known()
        return group_view(result, known, _members(known)[result.id])

    async def _person(self, result: Person | Refusal) -> PersonView | Refusal:
        return result if isinstance(result, Refusal) else person_view(result, await self._known())

    async def _limit(self, result: Limit | Refusal) -> LimitView | Refusal:
        if isinstance(result, Refusal):
            return result
        (view,) = await self._views(await self._known(), result)
        return view

    async def _views(self, known: Organization, *limits: Limit) -> tuple[LimitView, ...]:
        names = {id_: one.name for id_, one in known.groups.items()}
        names |= {id_: one.name for id_, one in known.people.items()}
        for limit in limits:
            if limit.level == "key" and limit.subject_id not in names:
                key = await self._store.keys.get(limit.subject_id)
                if key is not None:
                    names[key.id] = key.name
        return await limit_views(limits, self._store.organization, names, self._now())


def _members(known: Organization) -> Counter[str]:
    return Counter(
        person.group_id
        for person in known.people.values()
        if person.group_id is not None and person.status != "removed"
    )
