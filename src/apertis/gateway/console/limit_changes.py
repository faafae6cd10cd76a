"""Changes of limits: a form, what it would change in words, and only then the change.

A form carries the version of the limit that it was made of, so that of two who change it at once
the second is told, and nothing is overwritten.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import msgspec

from apertis.gateway.admin.keys import find_key, find_named
from apertis.gateway.admin.limits import (
    LEVELS,
    LimitChanges,
    LimitFields,
    LimitView,
    changed_limit,
    new_limit,
)
from apertis.gateway.admin.reading import read_body_as
from apertis.gateway.admin.resources import Call
from apertis.gateway.budgets.limit import DEFAULT_THRESHOLDS, QUOTA
from apertis.gateway.budgets.periods import PERIODS
from apertis.gateway.console.key_form import groups_seen
from apertis.gateway.console.limit_previews import (
    NAMES,
    Preview,
    Subject,
    preview_of,
    subject_of,
)
from apertis.gateway.console.limits import EACH, dollars, show_limits
from apertis.gateway.console.pages import Done, Page, Place
from apertis.gateway.errors import Refusal, access_denied, invalid_request, not_found
from apertis.gateway.signin.roles import sees_group, sees_key, sees_person
from apertis.gateway.units import read_usd, usd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.gateway.budgets.limit import Limit
    from apertis.gateway.console.pages import Asked, Parts
    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.people.record import Group, Person

_MAX_SUGGESTED = 300
_SEPARATORS = re.compile(r"[\s,;%]+")
_AMOUNTS = ("amount", "overdraft", "store_loss")
_CHANGEABLE = ("amount", "overdraft", "thresholds", "contact", "cheaper_model", "store_loss")
_ALL = (*_CHANGEABLE, "period", "zone", "models", "per_session")
_EMPTY = dict.fromkeys(_ALL, "") | {
    "period": "month",
    "thresholds": ", ".join(map(str, DEFAULT_THRESHOLDS)),
}
_NOT_YOURS = access_denied("Your role may not change this limit.")


async def see_limit(parts: Parts, asked: Asked) -> Page | Done | Refusal:
    """Show a limit, with the form that changes it."""
    limit_id = asked.params["id"]
    if limit_id.startswith(QUOTA):
        # A key's quota is a field of the key.
        return Done(f"/console/keys/{limit_id.removeprefix(QUOTA)}")
    await parts.newer()
    found = _find(parts, asked, limit_id)
    if isinstance(found, Refusal):
        return found
    return await _limit_page(parts, *found)


async def change_limit(parts: Parts, asked: Asked) -> Page | Done | Refusal:
    """Say what a change or a removal would do, or do it."""
    await parts.newer()
    found = _find(parts, asked, asked.params["id"])
    if isinstance(found, Refusal):
        return found
    limit, subject = found
    if not subject.may_change:
        return _NOT_YOURS
    step, is_removal = asked.form.get("step"), asked.form.get("act") == "remove"
    entered = None if is_removal else {name: asked.form.get(name, "") for name in _CHANGEABLE}
    if step == "edit":
        return await _limit_page(parts, limit, subject, entered)
    result: LimitView | Preview | Refusal
    if entered is None:
        result = await _removal(parts, asked, limit, subject)
    else:
        result = await _change(parts, asked, limit, subject, entered)
    if isinstance(result, Refusal):
        await parts.newer()
        now = parts.organization.limits[limit.id]
        return await _limit_page(parts, now, subject, entered, result)
    if isinstance(result, LimitView):
        if is_removal:
            return Done("/console/budgets", f"The limit of {subject.words} is removed.")
        return _saved(result, subject)
    hidden = {"act": "remove"} if entered is None else entered
    title = f"{'Remove' if is_removal else 'Change'} the limit of {subject.words}?"
    return _preview_page(asked, title, result, {**hidden, "version": str(limit.version)})


async def see_new(parts: Parts, asked: Asked) -> Page | Refusal:
    """Show the form of a new limit, or ask whose it is to be."""
    await parts.newer()
    if asked.viewer.role not in ("administrator", "group_administrator"):
        return _NOT_YOURS
    if "of" not in asked.query and "name" not in asked.query and "level" not in asked.query:
        return _whose(parts, asked)
    subject = _subject(parts, asked, asked.query)
    if isinstance(subject, Refusal):
        return _whose(parts, asked, subject)
    if not subject.may_change:
        return _whose(parts, asked, _NOT_YOURS)
    return _new_page(subject, {**_EMPTY, "zone": asked.zone})


async def make_limit(parts: Parts, asked: Asked) -> Page | Done | Refusal:
    """Say what a new limit would do, or make it."""
    await parts.newer()
    form = asked.form
    subject = _subject(parts, asked, {"of": form.get("of", "")})
    if isinstance(subject, Refusal):
        return subject
    if not subject.may_change:
        return _NOT_YOURS
    entered = {name: form.get(name, "") for name in _ALL}
    if form.get("step") == "edit":
        return _new_page(subject, entered)
    body = _body(entered)
    if isinstance(body, Refusal):
        return _new_page(subject, entered, body)
    body[subject.level] = subject.id or True
    encoded = msgspec.json.encode(body)
    if form.get("step") == "save":
        made = await parts.resources.create_limit(Call(actor=asked.viewer.actor, body=encoded))
        if isinstance(made, LimitView):
            return _saved(made, subject)
        refusal = made if isinstance(made, Refusal) else None
        return _new_page(subject, entered, refusal)
    fields = read_body_as(encoded, LimitFields)
    if isinstance(fields, Refusal):
        return _new_page(subject, entered, fields)
    key = parts.directory.get(subject.id) if subject.level == "key" else None
    keys = () if key is None else (key.record,)
    limit = new_limit(fields, parts.organization, keys, int(parts.now()))
    if isinstance(limit, Refusal):
        return _new_page(subject, entered, limit)
    preview = await preview_of(parts, asked, subject, None, limit)
    title = f"Limit {subject.words}?"
    return _preview_page(asked, title, preview, {**entered, "of": subject.place})


async def _change(
    parts: Parts, asked: Asked, limit: Limit, subject: Subject, entered: Mapping[str, str]
) -> LimitView | Preview | Refusal:
    body = _body(entered)
    if isinstance(body, Refusal):
        return body
    encoded = msgspec.json.encode({**body, "version": _version(asked)})
    if asked.form.get("step") == "save":
        call = Call(actor=asked.viewer.actor, id=limit.id, body=encoded)
        return _view(await parts.resources.change_limit(call))
    fields = read_body_as(encoded, LimitChanges)
    if isinstance(fields, Refusal):
        return fields
    changed = changed_limit(fields, parts.organization, limit.id)
    if isinstance(changed, Refusal):
        return changed
    return await preview_of(parts, asked, subject, limit, changed)


async def _removal(
    parts: Parts, asked: Asked, limit: Limit, subject: Subject
) -> LimitView | Preview | Refusal:
    version = _version(asked)
    if asked.form.get("step") == "save":
        query = f"version={version}"
        call = Call(actor=asked.viewer.actor, id=limit.id, query=query)
        return _view(await parts.resources.remove_limit(call))
    changed = changed_limit(LimitChanges(version=version), parts.organization, limit.id)
    if isinstance(changed, Refusal):
        return changed
    return await preview_of(parts, asked, subject, limit, None)


def _view(answer: msgspec.Struct | Refusal) -> LimitView | Refusal:
    assert isinstance(answer, LimitView | Refusal)  # noqa: S101 - limits give nothing else.
    return answer


def _version(asked: Asked) -> int:
    """Return the version that a form was made of; none has the one that stands for no number."""
    text = asked.form.get("version", "")
    return int(text[:18]) if text.isascii() and text.isdecimal() else -1


def _find(parts: Parts, asked: Asked, limit_id: str) -> tuple[Limit, Subject] | Refusal:
    limit = parts.organization.limits.get(limit_id)
    subject = None
    if limit is not None:
        subject = subject_of(parts, asked.viewer, limit.level, limit.subject_id)
    if limit is None or subject is None:
        return not_found(f"There is no limit '{limit_id[:100]}'.")
    return limit, subject


def _subject(parts: Parts, asked: Asked, query: Mapping[str, str]) -> Subject | Refusal:
    """Find whom a new limit is to be of: by level and id, or by level and name."""
    level, _, id_ = query.get("of", "").partition(":")
    level = level or query.get("level", "")
    if level not in LEVELS:
        return invalid_request(f"A limit is of one of {', '.join(LEVELS)}.")
    organization, viewer = parts.organization, asked.viewer
    if name := query.get("name", "").strip():
        found: KeyRecord | Person | Group | Refusal
        if level == "key":
            keys = [key.record for key in parts.directory.all()]
            seen = [record for record in keys if sees_key(viewer, record, organization)]
            found = find_key(seen, name)
        elif level == "person":
            people = [one for one in organization.people.values() if sees_person(viewer, one)]
            found = find_named(people, name, "person")
        else:
            groups = organization.groups.values()
            found = find_named([one for one in groups if sees_group(viewer, one.id)], name, "group")
        if isinstance(found, Refusal):
            return found
        id_ = found.id
    elif not id_ and level != "gateway":
        return invalid_request(f"Say which {level}: give its name or id.")
    subject = subject_of(parts, viewer, level, id_)
    return subject or not_found(f"There is no {level} '{(name or id_)[:100]}'.")


def _body(entered: Mapping[str, str]) -> dict[str, Any] | Refusal:
    """Turn what was entered into the fields of the admin API; an amount never is a float."""
    body: dict[str, Any] = {}
    for name in _AMOUNTS:
        text = entered[name].strip()
        amount = read_usd(text)
        if text and amount is None:
            return invalid_request(
                f"{NAMES[name]}: write US dollars, such as 12.50 or 1,000, with at most six digits "
                f"behind the point, not '{text[:40]}'."
            )
        if not text and name == "amount":
            return invalid_request("Amount: say how many US dollars.")
        missing = None if name == "store_loss" else "0"
        body[f"{name}_usd"] = missing if amount is None else str(amount)
    percents = [word for word in _SEPARATORS.split(entered["thresholds"]) if word]
    if not all(word.isascii() and word.isdecimal() and len(word) < 6 for word in percents):
        return invalid_request(
            f"{NAMES['thresholds']}: write percents, such as 50, 75, 100, "
            f"not '{entered['thresholds'][:40]}'."
        )
    body["thresholds"] = [int(word) for word in percents]
    for name in ("contact", "cheaper_model"):
        body[name] = entered[name].strip() or None
    if "period" in entered:
        body["period"] = entered["period"]
        body["zone"] = entered["zone"].strip() or "UTC"
        body["models"] = [word for word in _SEPARATORS.split(entered["models"]) if word] or None
        body["per_session"] = bool(entered["per_session"])
    return body


def _entered(limit: Limit) -> dict[str, str]:
    """Return a limit as its form has it."""
    loss = limit.store_loss_units
    return {
        "amount": usd(limit.amount_units),
        "overdraft": usd(limit.overdraft_units),
        "thresholds": ", ".join(map(str, limit.thresholds)),
        "contact": limit.contact or "",
        "cheaper_model": limit.cheaper_model or "",
        "store_loss": "" if loss is None else usd(loss),
    }


async def _limit_page(
    parts: Parts,
    limit: Limit,
    subject: Subject,
    entered: Mapping[str, str] | None = None,
    refusal: Refusal | None = None,
) -> Page:
    now = _entered(limit)
    shown = (await show_limits(parts, (limit,), {subject.id: subject.name}))[limit.id]
    entered = entered or now
    return Page(
        "limit.html",
        f"Limit of {subject.words}",
        {
            "shown": shown,
            "subject": subject,
            "entered": entered,
            # Besides what was entered, what it is now.
            "now": {
                name: text
                for name, text in now.items()
                if text != (entered[name].strip() or ("0" if name == "overdraft" else ""))
            },
            "names": NAMES,
            "version": limit.version,
            "has_form": subject.may_change and limit.status == "enabled",
        },
    ).refused(refusal and replace(refusal, message=_told(refusal)))


def _told(refusal: Refusal) -> str:
    if refusal.param != "version":
        return refusal.message
    return (
        "Somebody else changed this limit after you opened it, so nothing was changed now. Below "
        "is what you entered, and below each field what it is now."
    )


def _new_page(subject: Subject, entered: Mapping[str, str], refusal: Refusal | None = None) -> Page:
    return Page(
        "limit_new.html",
        f"New limit of {subject.words}",
        {
            "subject": subject,
            "entered": entered,
            "names": NAMES,
            "periods": [(period, period) for period in PERIODS],
        },
    ).refused(refusal)


def _whose(parts: Parts, asked: Asked, refusal: Refusal | None = None) -> Page:
    levels = LEVELS if asked.viewer.is_administrator else LEVELS[:-1]
    names = chain(
        (group.name for group in groups_seen(asked.viewer, parts.organization)),
        (
            person.name
            for person in parts.organization.people.values()
            if person.status == "enabled" and sees_person(asked.viewer, person)
        ),
    )
    return Page(
        "limit_whose.html",
        "New limit",
        {
            "levels": [(level, level) for level in reversed(levels)],
            "level": asked.query.get("level", "group"),
            "name": asked.query.get("name", ""),
            "suggested": list(islice(names, _MAX_SUGGESTED)),
        },
    ).refused(refusal)


def _preview_page(asked: Asked, title: str, preview: Preview, hidden: Mapping[str, str]) -> Page:
    return Page(
        "limit_preview.html",
        title,
        {"preview": preview, "path": asked.path, "hidden": hidden},
    )


def _saved(view: LimitView, subject: Subject) -> Done:
    amount = f"{dollars(view.amount_units)} {EACH[view.period]}"
    return Done(f"/console/budgets/limits/{view.id}", f"The limit of {subject.words} is {amount}.")


PLACES = (
    Place("/budgets/limits/{id}", "budgets", see_limit, change_limit),
    Place("/budgets/new", "budgets", see_new, make_limit),
)
