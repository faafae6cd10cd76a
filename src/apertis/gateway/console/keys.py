"""Keys: found as one types, made, changed, rotated and deleted."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from msgspec import UNSET, UnsetType

from apertis.gateway.admin.key_fields import DEFAULT_GRACE_SECONDS
from apertis.gateway.admin.key_search import ORDERS, STATUSES, KeyFilter, key_status
from apertis.gateway.admin.keys import find_named
from apertis.gateway.admin.usage_report import days_of
from apertis.gateway.console.key_form import fields_of, groups_seen, key_form
from apertis.gateway.console.limit_lines import limits_of_key
from apertis.gateway.console.pages import Done, Page, Place, link
from apertis.gateway.console.set_up import set_up
from apertis.gateway.errors import Refusal, access_denied, conflict, invalid_parameter, not_found
from apertis.gateway.keys.secrets import MAX_GRACE_SECONDS
from apertis.gateway.people.record import Group, Person
from apertis.gateway.signin.roles import (
    changes_key,
    changes_limits,
    fills_group,
    gives_key,
    rotates_key,
    sees_key,
    sees_person,
)
from apertis.gateway.units import read_moment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from apertis.gateway.admin.key_fields import KeyFields
    from apertis.gateway.admin.key_search import KeyStatus
    from apertis.gateway.console.pages import Asked, Parts, Response
    from apertis.gateway.keys.directory import Key
    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.people.organization import Organization
    from apertis.gateway.signin.roles import Viewer

PAGE_LENGTH = 50
DAYS = 30
# What a list of suggestions has at most: a browser shows a few of them.
MAX_SUGGESTED = 300
_NOT_YOURS = access_denied("Your role does not allow to change this key")
_STATUS_WORDS = {"living": "all but deleted", "all": "all, deleted ones too"}
_ORDER_WORDS = {"newest": "newest first", "name": "by name", "used": "most used first"}
GRACES = (
    (0, "at once"),
    (3600, "in an hour"),
    (DEFAULT_GRACE_SECONDS, "in a day"),
    (7 * DEFAULT_GRACE_SECONDS, "in a week"),
)
_Named = TypeVar("_Named", Person, Group)
_T = TypeVar("_T")


class KeyLine(NamedTuple):
    """A key as the list shows it. Times are Unix seconds."""

    record: KeyRecord
    person: Person | None
    group: Group | None
    status: KeyStatus
    used: int
    last_used: float | None


async def see(parts: Parts, asked: Asked) -> Page:
    """List the keys that are asked for."""
    viewer, organization = asked.viewer, parts.organization
    found = parts.key_search.find(
        _filter(asked, organization),
        lambda record: sees_key(viewer, record, organization),
        parts.now(),
    )
    shown, pager = page_of(asked, found)
    named = asked.query.get("person", "").strip()
    person = organization.people.get(named)
    context = {
        "lines": await lines_of(parts, shown),
        **pager,
        "statuses": [(one, _STATUS_WORDS.get(one, one)) for one in STATUSES],
        "orders": [(one, _ORDER_WORDS[one]) for one in ORDERS],
        "groups": [("", "all"), *((one.id, one.name) for one in groups_seen(viewer, organization))],
        # By their id where a link leads here, and by their name where somebody enters it.
        "person": named if person is None or not sees_person(viewer, person) else person.name,
        "people": _suggested(viewer, organization),
        "makes": makes_keys(viewer),
        "now": parts.now(),
    }
    return Page("keys.html", "Keys", context)


async def see_new(parts: Parts, asked: Asked) -> Page | Refusal:
    """Show the form of a new key."""
    # A link may enter no more: none leads somebody to give rights.
    return _new(parts, asked, asked.given("person", "group"))


async def create(parts: Parts, asked: Asked) -> Response:
    """Make a key; its secret is on this page only."""
    viewer, organization = asked.viewer, parts.organization
    fields = fields_of(viewer, asked.form, None, organization, asked.zone)
    if isinstance(fields, Refusal):
        return _new(parts, asked, asked.form, fields)
    refusal = _may_give(viewer, fields, organization) or _refuse_useless(parts, fields)
    made = refusal or await parts.keys.create(fields, viewer.actor)
    if isinstance(made, Refusal):
        return _new(parts, asked, asked.form, made)
    return secret_page(asked, made.record, made.secret, f"/console/keys/{made.record.id}")


async def see_one(parts: Parts, asked: Asked) -> Page | Refusal:
    """Show one key."""
    key = _seen(parts, asked)
    return key if isinstance(key, Refusal) else await _one(parts, asked, key)


async def change(parts: Parts, asked: Asked) -> Response:
    """Set the fields that somebody changed in the form."""
    key = _changeable(parts, asked)
    if isinstance(key, Refusal):
        return key
    viewer, organization, record = asked.viewer, parts.organization, key.record
    fields = fields_of(viewer, asked.form, record, organization, asked.zone)
    if isinstance(fields, Refusal):
        return await _one(parts, asked, key, fields)
    refusal = _may_give(viewer, fields, organization, record) or _refuse_taken(parts, fields)
    if refusal is None:
        version = number_in(asked.form.get("version", ""))
        kept = await parts.keys.change(record.id, fields, viewer.actor, version)
        refusal = kept if isinstance(kept, Refusal) else None
    if refusal is not None:
        return await _one(parts, asked, key, refusal)
    return Done(asked.path, "The key was changed.")


async def set_status(parts: Parts, asked: Asked) -> Response:
    """Enable or disable a key."""
    key = _changeable(parts, asked)
    if isinstance(key, Refusal):
        return key
    status = asked.form.get("status")
    if status not in ("enabled", "disabled"):
        return invalid_parameter("status", "'status' must be enabled or disabled")
    kept = await parts.keys.set_status(
        key.record.id, "enabled" if status == "enabled" else "disabled", asked.viewer.actor
    )
    if isinstance(kept, Refusal):
        return await _one(parts, asked, key, kept)
    return Done(f"/console/keys/{kept.id}", f"The key is {kept.status} now.")


async def rotate(parts: Parts, asked: Asked) -> Response:
    """Give a key another secret, which is on this page only."""
    key = _seen(parts, asked)
    if isinstance(key, Refusal):
        return key
    made = await rotated(parts, asked, key, f"/console/keys/{key.record.id}")
    if isinstance(made, Refusal):
        return await _one(parts, asked, key, made)
    return made


async def see_delete(parts: Parts, asked: Asked) -> Page | Refusal:
    """Ask whether a key is to be deleted."""
    key = _changeable(parts, asked)
    if isinstance(key, Refusal):
        return key
    return Page("key_delete.html", f"Delete {key.record.name}?", {"record": key.record})


async def delete(parts: Parts, asked: Asked) -> Response:
    """Delete a key for good."""
    key = _changeable(parts, asked)
    if isinstance(key, Refusal):
        return key
    kept = await parts.keys.delete(key.record.id, asked.viewer.actor)
    if isinstance(kept, Refusal):
        return await _one(parts, asked, key, kept)
    return Done("/console/keys", f"The key {key.record.name} was deleted.")


async def rotated(parts: Parts, asked: Asked, key: Key, address: str) -> Page | Refusal:
    """Rotate a key that somebody may rotate, and show the new secret.

    `address` is the page that is loaded when this one is loaded again.
    """
    record, viewer = key.record, asked.viewer
    if not rotates_key(viewer, record, parts.organization):
        return access_denied("Your role does not allow to rotate this key")
    seconds = number_in(asked.form.get("grace_seconds", str(DEFAULT_GRACE_SECONDS)))
    if not 0 <= seconds <= MAX_GRACE_SECONDS:
        return invalid_parameter("grace_seconds", "The old secret cannot work for so long")
    made = await parts.keys.rotate(record.id, seconds, viewer.actor)
    if isinstance(made, Refusal):
        return made
    return secret_page(asked, made.record, made.secret, address, rotated=True)


def secret_page(
    asked: Asked, record: KeyRecord, secret: str, address: str, *, rotated: bool = False
) -> Page:
    """Show the secret of a key, once, with the lines by which programs use it."""
    context = {
        "record": record,
        "secret": secret,
        "programs": set_up(asked.base_url, secret, record.models),
        "address": address,
        "rotated": rotated,
    }
    title = f"New secret of {record.name}" if rotated else f"The key {record.name}"
    return Page("key_secret.html", title, context, scripts=("secret.js",))


async def lines_of(parts: Parts, keys: Sequence[Key]) -> list[KeyLine]:
    """Return what a list shows of keys: with what is used, and when it was used last."""
    organization, now = parts.organization, parts.now()
    uses = await parts.store.keys.uses([key.record.id for key in keys])
    lines: list[KeyLine] = []
    for key in keys:
        record, use = key.record, uses.get(key.record.id)
        # The store hears of usage a moment later than the key's account, but of all gateways'.
        used = max(key.used_units, 0 if use is None else use.used_units)
        last = None if use is None or use.last_used_ms is None else use.last_used_ms / 1000
        person = organization.person_of(record)
        group_id = record.group_id or (None if person is None else person.group_id)
        group = organization.groups.get(group_id or "")
        lines.append(KeyLine(record, person, group, key_status(record, now), used, last))
    return lines


def page_of(asked: Asked, found: Sequence[_T]) -> tuple[Sequence[_T], dict[str, int | str]]:
    """Return the page of a list that is asked for, and what its template shows of the others."""
    pages = max(-(-len(found) // PAGE_LENGTH), 1)
    page = min(max(number_in(asked.query.get("page", "")), 1), pages)
    query = {name: value for name, value in asked.query.items() if value}
    pager: dict[str, int | str] = {
        "total": len(found),
        "page": f"Page {page} of {pages}",
        "previous": link(asked.path, {**query, "page": page - 1}) if page > 1 else "",
        "next": link(asked.path, {**query, "page": page + 1}) if page < pages else "",
    }
    return found[(page - 1) * PAGE_LENGTH : page * PAGE_LENGTH], pager


def makes_keys(viewer: Viewer) -> bool:
    """Return whether somebody may make any key at all."""
    return viewer.is_administrator or fills_any_group(viewer)


def fills_any_group(viewer: Viewer) -> bool:
    """Return whether there is a group that somebody may put keys and people into."""
    return any(fills_group(viewer, group_id) for group_id in viewer.group_ids)


def _new(
    parts: Parts, asked: Asked, entered: Mapping[str, str], refusal: Refusal | None = None
) -> Page | Refusal:
    viewer, organization = asked.viewer, parts.organization
    if not makes_keys(viewer):
        return access_denied("Your role does not allow to make keys")
    form = key_form(viewer, None, organization, asked.zone, entered)
    context = {"form": form, "people": _suggested(viewer, organization)}
    return Page("key_new.html", "New key", context).refused(refusal)


async def _one(parts: Parts, asked: Asked, key: Key, refusal: Refusal | None = None) -> Page:
    viewer, organization, record = asked.viewer, parts.organization, key.record
    person = organization.person_of(record)
    (line,) = await lines_of(parts, [key])
    changes = changes_key(viewer, record, organization) and record.status != "deleted"
    form = None
    if changes:
        entered = None if refusal is None else asked.form
        form = key_form(viewer, record, organization, asked.zone, entered)
    days = await days_of(
        parts.store.usage, DAYS, zone=asked.zone, now=parts.now(), keys=(record.id,)
    )
    context: dict[str, Any] = {
        "line": line,
        "form": form,
        "rotates": rotates_key(viewer, record, organization),
        "now": parts.now(),
        "graces": GRACES,
        "default_grace": DEFAULT_GRACE_SECONDS,
        "limits": await limits_of_key(parts, record, person),
        "limits_of": f"key:{record.id}",
        "adds_limit": changes and changes_limits(viewer, "key", record, organization),
        "days": days,
        "programs": set_up(asked.base_url, models=record.models),
        "people": _suggested(viewer, organization),
    }
    return Page("key.html", record.name, context).refused(refusal)


def _suggested(viewer: Viewer, organization: Organization) -> list[str]:
    found = (
        person.name
        for person in organization.people.values()
        if person.status == "enabled" and gives_key(viewer, person, None)
    )
    return list(islice(found, MAX_SUGGESTED))


def _seen(parts: Parts, asked: Asked) -> Key | Refusal:
    """Return the key of the path; of one that somebody may not see nothing is told."""
    key_id = asked.params["id"]
    key = parts.directory.get(key_id)
    if key is None or not sees_key(asked.viewer, key.record, parts.organization):
        return not_found(f"There is no key '{key_id[:100]}'")
    return key


def _changeable(parts: Parts, asked: Asked) -> Key | Refusal:
    key = _seen(parts, asked)
    if isinstance(key, Refusal) or changes_key(asked.viewer, key.record, parts.organization):
        return key
    return _NOT_YOURS


def _may_give(
    viewer: Viewer, fields: KeyFields, organization: Organization, record: KeyRecord | None = None
) -> Refusal | None:
    """Say why somebody may not make a key of this person and group; None if they may."""
    given = cast("Any", fields)
    if record is not None and given.person is UNSET and given.group is UNSET:
        return None
    person = _named(
        given.person, None if record is None else record.person_id, organization.people, "person"
    )
    if isinstance(person, Refusal):
        return person
    group = _named(
        given.group, None if record is None else record.group_id, organization.groups, "group"
    )
    if isinstance(group, Refusal):
        return group
    if gives_key(viewer, person, None if group is None else group.id):
        return None
    return access_denied(
        "Keys that you make are for the members of your groups, or in one of these groups"
    )


def _refuse_useless(parts: Parts, fields: KeyFields) -> Refusal | None:
    """Refuse a new key that nobody could use, or that could not be told from another.

    Whoever sends the form a second time, by loading the page again, gets no second key either.
    """
    expires_at = read_moment(fields.expires_at) if isinstance(fields.expires_at, str) else None
    if expires_at is not None and expires_at <= parts.now():
        return invalid_parameter("expires_at", "'Last day' is over: the key would never work")
    return _refuse_taken(parts, fields)


def _refuse_taken(parts: Parts, fields: KeyFields) -> Refusal | None:
    for key in parts.directory.all():
        if key.record.name == fields.name and key.record.status != "deleted":
            message = f"There is a key '{key.record.name}' already: choose another name"
            return conflict(message, "name")
    return None


def _named(
    name: str | UnsetType | None, before: str | None, known: Mapping[str, _Named], what: str
) -> _Named | Refusal | None:
    if isinstance(name, UnsetType):
        return None if before is None else known.get(before)
    return None if name is None else find_named(tuple(known.values()), name, what, what)


def _filter(asked: Asked, organization: Organization) -> KeyFilter:
    query = asked.query
    status, order = query.get("status", "living"), query.get("order", "newest")
    group_id = query.get("group") or None
    return KeyFilter(
        text=query.get("q", ""),
        status=status if status in STATUSES else "living",
        person_id=_person_id(query.get("person", "").strip(), organization),
        group_ids=None if group_id is None else organization.groups_within(group_id),
        tag=query.get("tag", "").strip() or None,
        order=order if order in ORDERS else "newest",
    )


def _person_id(named: str, organization: Organization) -> str | None:
    """Return the id of who is named; what names nobody is nobody's id, and None is for all."""
    found = (one.id for one in organization.people.values() if one.name == named)
    return next(found, named) if named else None


def number_in(text: str) -> int:
    """Read a number of a form or query; -1 if it is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < len("1" * 18) else -1


PLACES = (
    Place("/keys", "keys", see),
    Place("/keys/new", "keys", see_new, create),
    Place("/keys/{id}", "keys", see_one, change),
    Place("/keys/{id}/status", "keys", None, set_status),
    Place("/keys/{id}/rotate", "keys", None, rotate),
    Place("/keys/{id}/delete", "keys", see_delete, delete),
)
