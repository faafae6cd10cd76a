"""The form that makes or changes a key: its fields as texts, and texts as its fields."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast, get_origin

import msgspec

from apertis.gateway.admin.key_fields import GIVEN, KeyFields, read_fields
from apertis.gateway.admin.people_csv import read_dollars
from apertis.gateway.budgets.periods import time_zone
from apertis.gateway.errors import Refusal, invalid_parameter
from apertis.gateway.signin.roles import fills_group, sees_group, sets_key_field
from apertis.gateway.units import iso, read_moment, usd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.gateway.keys.record import KeyRecord, Setting
    from apertis.gateway.people.organization import Organization
    from apertis.gateway.people.record import Group
    from apertis.gateway.signin.roles import Viewer

# Money is asked for in dollars.
_IN_OTHER_WORDS = {"quota_units": "quota_usd"}
_LABELS = {
    "person": ("Person", "Whose key it is; it counts in this person's budgets."),
    "group": ("Group", "Of a key that is nobody's, or counts in another group besides."),
    "quota_usd": ("Quota", "US dollars in all, such as 20 or 12.50. Empty: unlimited."),
    "expires_at": ("Last day", "The day after which it does not work any more. Empty: none."),
    "models": ("Models", "Such as claude-sonnet-*, claude-haiku-4-5. Empty: all."),
    "tags": ("Tags", "With commas between them."),
    "owner": ("Owner", "A note of whose it is, where there is no person."),
    "addresses": ("Addresses", "Such as 10.0.0.0/8. Empty: all."),
    "requests_limit": ("Requests", "Such as 3000/1m; 0 for no limit. Empty: as configured."),
    "tokens_per_minute": ("Tokens a minute", "0 for no limit. Empty: as configured."),
    "in_flight": ("Requests at once", "0 for no limit. Empty: as configured."),
    "fallback_models": ("Fallback models", "In this order, with commas between them."),
    "fallback_timeout_ms": ("Fallback after", "Milliseconds. Empty: as configured."),
    "fallback_enabled": ("Fallback", ""),
}
_MAIN = ("name", "person", "group", "quota_usd", "expires_at", "models")
_CHOICES = {True: "yes", False: "no", None: ""}
_BETWEEN_WORDS = re.compile(r"[,;\s]+")


class Field(NamedTuple):
    """A field of the form, with what stands in it."""

    name: str
    label: str
    hint: str
    value: str
    # Values and their words where it is a choice.
    options: tuple[tuple[str, str], ...] = ()
    type: str = "text"


class KeyForm(NamedTuple):
    """The fields that most keys need, and all others."""

    main: tuple[Field, ...]
    more: tuple[Field, ...]


def key_form(
    viewer: Viewer,
    record: KeyRecord | None,
    organization: Organization,
    zone: str,
    entered: Mapping[str, str] | None = None,
) -> KeyForm:
    """Return the form for a key, or for a new one; what was entered stays in it."""
    shown = texts_of(record, organization, zone)
    groups = tuple(
        group.name for group in groups_seen(viewer, organization) if fills_group(viewer, group.id)
    )
    fields = {
        name: _field(name, setting, (entered or {}).get(name, shown[name]), groups)
        for name, setting in _asked_for().items()
        if sets_key_field(viewer, name)
    }
    main = tuple(fields.pop(name) for name in _MAIN)
    return KeyForm(main, tuple(fields.values()))


def fields_of(
    viewer: Viewer,
    form: Mapping[str, str],
    record: KeyRecord | None,
    organization: Organization,
    zone: str,
) -> KeyFields | Refusal:
    """Read the fields of a form that are other than those of the key, or of a new one."""
    shown = texts_of(record, organization, zone)
    given: dict[str, Any] = {}
    for name, setting in _asked_for().items():
        text = form.get(name, shown[name]).strip()
        if text == shown[name] or not sets_key_field(viewer, name):
            continue
        value = _value(name, setting, text, zone)
        if isinstance(value, Refusal):
            return value
        given[name] = value
    return read_fields(msgspec.json.encode(given))


def texts_of(record: KeyRecord | None, organization: Organization, zone: str) -> dict[str, str]:
    """Return the fields of a key as they stand in the form; empty ones for a new key."""
    texts: dict[str, str] = {}
    for name, setting in _asked_for().items():
        if record is None:
            texts[name] = "no" if setting.type is bool and not setting.nullable else ""
        elif name == "person":
            person = organization.person_of(record)
            texts[name] = "" if person is None else person.name
        elif name == "group":
            group = organization.groups.get(record.group_id or "")
            texts[name] = "" if group is None else group.name
        elif name == "quota_usd":
            texts[name] = "" if record.quota_units is None else usd(record.quota_units)
        elif name == "expires_at":
            texts[name] = _last_day(record.expires_at, zone)
        else:
            texts[name] = _text(getattr(record, name))
    return texts


def groups_seen(viewer: Viewer, organization: Organization) -> list[Group]:
    """Return the groups that somebody sees, by name."""
    return sorted(
        (
            group
            for group in organization.groups.values()
            if group.status == "enabled" and sees_group(viewer, group.id)
        ),
        key=lambda group: group.name.casefold(),
    )


def _asked_for() -> dict[str, Setting]:
    return {name: setting for name, setting in GIVEN.items() if name not in _IN_OTHER_WORDS}


def _field(name: str, setting: Setting, value: str, groups: tuple[str, ...]) -> Field:
    label, hint = _LABELS.get(name, (setting.title or name.capitalize(), setting.help))
    options: tuple[tuple[str, str], ...] = ()
    if name == "group":
        # What it is in stays a choice, whoever looks at it.
        names = dict.fromkeys((*groups, value) if value else groups)
        options = (("", "none of its own"), *((one, one) for one in names))
    elif setting.type is bool:
        options = (("no", "no"), ("yes", "yes"))
        if setting.nullable:
            options = (("", "as configured"), *options)
    return Field(name, label, hint, value, options, "date" if name == "expires_at" else "text")


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return _CHOICES[value]
    return ", ".join(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else str(value)


def _value(name: str, setting: Setting, text: str, zone: str) -> Any:
    """Turn a text into the value of a field; what cannot be one is refused where it is read."""
    if setting.type is bool:
        return {"yes": True, "no": False, "": None}.get(text, text)
    if text == "":
        if setting.nullable:
            return None
        return [] if get_origin(setting.type) is tuple else ""
    if get_origin(setting.type) is tuple:
        words = text.split(",") if name == "tags" else _BETWEEN_WORDS.split(text)
        return [word.strip() for word in words if word.strip()]
    if name == "quota_usd":
        dollars = read_dollars(text)
        message = f"'Quota' is {text[:40]!r}: expected US dollars such as 20 or 12.50"
        return invalid_parameter(name, message) if dollars is None else dollars
    if name == "expires_at":
        # The whole day counts, as people have it where they are.
        end = read_moment(text, whole_day=True, zone=time_zone(zone))
        return text if end is None else iso(end)
    return int(text) if setting.type is int and text.isdecimal() and text.isascii() else text


def _last_day(expires_at: int | None, zone: str) -> str:
    if expires_at is None:
        return ""
    return datetime.fromtimestamp(expires_at - 1, time_zone(zone)).date().isoformat()
