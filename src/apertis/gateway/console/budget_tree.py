"""The tree of groups, people and keys with their limits, as far as somebody sees it.

It is made of what this gateway knows in memory. Of large groups a part is shown, and the rest in
pages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from apertis.gateway.budgets.limit import quota_limit
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.signin.roles import changes_limits, sees_group, sees_key, sees_person

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from apertis.gateway.budgets.limit import Level, Limit
    from apertis.gateway.keys.directory import Directory
    from apertis.gateway.people.organization import Organization
    from apertis.gateway.people.record import Group, Person
    from apertis.gateway.signin.roles import Viewer

_One = TypeVar("_One", "Group", "Person", KeyRecord)

# Shown of a group or a person in the whole tree, and of all of them together.
_MAX_MEMBERS: Final = 25
_MAX_KEYS: Final = 5
_MAX_MEMBERS_IN_ALL: Final = 300
# Shown at once of one group or person, and of what was searched for.
PAGE: Final = 50
# So many groups at the top are open, if there are limits in them.
_MAX_OPEN: Final = 8
NO_GROUP: Final = "none"


@dataclass(slots=True)
class Node:
    """A group, a person, a key or the gateway in the tree."""

    level: Level
    id: str
    name: str
    link: str = ""
    note: str = ""
    may_add: bool = False
    limits: tuple[Limit, ...] = ()
    groups: list[Node] = field(default_factory=list["Node"])
    members: list[Node] = field(default_factory=list["Node"])
    more: int = 0
    """Members that are not in `members`."""
    people: int = 0
    keys: int = 0
    is_open: bool = False

    @property
    def place(self) -> str:
        """The value of `at` that shows it alone."""
        return f"{self.level}:{self.id}" if self.id else NO_GROUP


class Tree:
    """The organization as somebody sees it."""

    def __init__(self, organization: Organization, directory: Directory, viewer: Viewer) -> None:
        self._viewer = viewer
        self._directory = directory
        self._known = organization
        self._groups_in: dict[str | None, list[Group]] = {}
        self._people_in: dict[str | None, list[Person]] = {}
        self._keys_of: dict[str, list[KeyRecord]] = {}
        self._keys_in: dict[str | None, list[KeyRecord]] = {}
        self._left = _MAX_MEMBERS_IN_ALL
        for group in organization.groups.values():
            if group.status != "removed" and sees_group(viewer, group.id):
                self._groups_in.setdefault(group.parent_id, []).append(group)
        for person in organization.people.values():
            if person.status != "removed" and sees_person(viewer, person):
                self._people_in.setdefault(person.group_id, []).append(person)
        for key in directory.all():
            record = key.record
            if record.status == "deleted" or not sees_key(viewer, record, organization):
                continue
            if record.person_id is not None:
                self._keys_of.setdefault(record.person_id, []).append(record)
            else:
                self._keys_in.setdefault(record.group_id, []).append(record)

    def roots(self) -> list[Node]:
        """Return the groups at the top, each with what is in it, and who is in no group."""
        tops = self._groups_in.get(None, [])
        if not self._viewer.sees_all:
            tops = [self._known.groups[id_] for id_ in self._viewer.group_ids[:1]]
        nodes = [self._inner(group) for group in _by_name(tops)]
        if self._viewer.sees_all:
            nobody = self.no_group()
            nodes += [nobody] if nobody.members else []
        for node in nodes[:_MAX_OPEN]:
            _open(node)
        return nodes

    def group(self, group: Group, first: int = 0) -> Node:
        """Return a group with the groups in it, and a page of its members."""
        node = self._group(group)
        inner = _by_name(self._groups_in.get(group.id, []))
        node.groups = [self._inner(one) for one in inner]
        self._fill(node, group.id, first, PAGE)
        _open(node)
        node.is_open = True
        return node

    def no_group(self, first: int = 0, most: int = _MAX_MEMBERS) -> Node:
        """Return the people and keys that are in no group."""
        node = Node("group", "", "In no group")
        self._fill(node, None, first, most)
        return node

    def person(self, person: Person, first: int = 0, most: int = PAGE) -> Node:
        """Return a person with a part of its keys."""
        keys = self._keys_of.get(person.id, [])
        shown = sorted(keys, key=self._key_order)[first : first + most]
        words = (
            "" if person.role == "member" else person.role.replace("_", " "),
            "" if person.status == "enabled" else person.status,
        )
        return Node(
            "person",
            person.id,
            person.name,
            f"/console/people/{person.id}",
            note=", ".join(word for word in words if word),
            may_add=changes_limits(self._viewer, "person", person, self._known),
            limits=self._known.limits_of("person", person.id),
            members=[self.key(record) for record in shown],
            more=len(keys) - first - len(shown),
            keys=len(keys),
        )

    def key(self, record: KeyRecord) -> Node:
        """Return a key; its quota is a limit, too."""
        quota = quota_limit(record)
        return Node(
            "key",
            record.id,
            record.name,
            f"/console/keys/{record.id}",
            note="" if record.status == "enabled" else record.status,
            may_add=changes_limits(self._viewer, "key", record, self._known),
            limits=(
                *(() if quota is None else (quota,)),
                *self._known.limits_of("key", record.id),
            ),
        )

    def found(self, text: str) -> list[Node]:
        """Return what has this in its name, or as its id; one more than a page if there is more."""
        wanted = text.casefold()
        nodes: list[Node] = []

        def add(kind: Iterable[_One], make: Callable[[_One], Node]) -> None:
            for one in kind:
                if len(nodes) <= PAGE and (wanted in one.name.casefold() or one.id == text):
                    nodes.append(make(one))

        for groups in self._groups_in.values():
            add(groups, self._group)
        for people in self._people_in.values():
            add(people, lambda person: self.person(person, most=0))
        for owned in (self._keys_of, self._keys_in):
            for keys in owned.values():
                add(keys, self.key)
        return nodes

    def of_gateway(self) -> Node:
        """Return the whole gateway, with its limits."""
        may_change = changes_limits(self._viewer, "gateway", "", self._known)
        limits = self._known.limits_of("gateway")
        return Node("gateway", "", "The whole gateway", may_add=may_change, limits=limits)

    def of_limit(self, limit: Limit) -> Node | None:
        """Return what a limit is of, with this limit alone; None if it is not to be seen."""
        viewer, known, node = self._viewer, self._known, None
        person, group = known.people.get(limit.subject_id), known.groups.get(limit.subject_id)
        key = self._directory.get(limit.subject_id)
        if limit.level == "gateway" and viewer.sees_all:
            node = self.of_gateway()
        elif limit.level == "group" and group is not None and sees_group(viewer, group.id):
            node = self._group(group)
        elif limit.level == "person" and person is not None and sees_person(viewer, person):
            node = self.person(person, most=0)
        elif limit.level == "key" and key is not None and sees_key(viewer, key.record, known):
            node = self.key(key.record)
        if node is not None:
            node.limits, node.more = (limit,), 0
        return node

    def full_quotas(self, percent: int) -> list[Limit]:
        """Return the quotas of keys of which so much is spent, as this gateway knows it."""
        found: list[Limit] = []
        for key in self._directory.all():
            quota = None if key.record.status == "deleted" else quota_limit(key.record)
            if quota and key.used_units * 100 >= quota.amount_units * percent > 0:
                found.append(quota)
        return found

    def _inner(self, group: Group) -> Node:
        """Return a group with all that is in it, as far as there is room in the tree."""
        node = self._group(group)
        node.groups = [self._inner(one) for one in _by_name(self._groups_in.get(group.id, []))]
        self._fill(node, group.id, 0, _MAX_MEMBERS)
        return node

    def _group(self, group: Group) -> Node:
        return Node(
            "group",
            group.id,
            group.name,
            f"/console/groups/{group.id}",
            may_add=changes_limits(self._viewer, "group", group.id, self._known),
            limits=self._known.limits_of("group", group.id),
        )

    def _fill(self, node: Node, group_id: str | None, first: int, most: int) -> None:
        """Add members from `first` on; those with limits come before others."""
        people = self._people_in.get(group_id, [])
        keys = self._keys_in.get(group_id, [])
        ordered: list[Person | KeyRecord] = [
            *sorted(people, key=self._person_order),
            *sorted(keys, key=self._key_order),
        ]
        shown = ordered[first : first + min(most, self._left)]
        self._left -= len(shown)
        for one in shown:
            if isinstance(one, KeyRecord):
                node.members.append(self.key(one))
            else:
                member = self.person(one, most=min(_MAX_KEYS, self._left))
                self._left -= len(member.members)
                node.members.append(member)
        node.more = len(ordered) - first - len(shown)
        node.people = len(people) + sum(inner.people for inner in node.groups)
        node.keys = (
            len(keys)
            + sum(len(self._keys_of.get(person.id, ())) for person in people)
            + sum(inner.keys for inner in node.groups)
        )

    def _person_order(self, person: Person) -> tuple[bool, str]:
        limited = bool(self._known.limits_of("person", person.id)) or any(
            self._is_limited(record) for record in self._keys_of.get(person.id, ())
        )
        return not limited, person.name.casefold()

    def _key_order(self, record: KeyRecord) -> tuple[bool, str]:
        return not self._is_limited(record), record.name.casefold()

    def _is_limited(self, record: KeyRecord) -> bool:
        return record.quota_units is not None or bool(self._known.limits_of("key", record.id))


def _open(node: Node) -> None:
    """Open what has limits in it."""
    inner = [*node.groups, *node.members]
    node.is_open = any(True for _ in limits_in(inner))
    for one in inner:
        _open(one)


def limits_in(nodes: Iterable[Node]) -> Iterator[Limit]:
    """Return all limits of these, and of what is shown in them."""
    for node in nodes:
        yield from node.limits
        yield from limits_in(node.groups)
        yield from limits_in(node.members)


def names_in(nodes: Iterable[Node]) -> dict[str, str]:
    """Return the names of these, and of what is shown in them, by their ids."""
    found: dict[str, str] = {}
    for node in nodes:
        found |= {node.id: node.name, **names_in(node.groups), **names_in(node.members)}
    return found


def _by_name(groups: Iterable[Group]) -> list[Group]:
    return sorted(groups, key=lambda group: group.name.casefold())
