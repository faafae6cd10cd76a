"""The last requests, and the life of one; never what was said in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import msgspec

from apertis.accounting.tokens import CLASSES, COUNTED, counts_of
from apertis.gateway.budgets.limit import quota_limit
from apertis.gateway.budgets.periods import time_zone
from apertis.gateway.budgets.telling import limit_text, subject
from apertis.gateway.console.audit import named
from apertis.gateway.console.meanings import (
    FALLBACK_REASONS,
    REQUEST_CLASSES,
    Meaning,
    meaning_of,
)
from apertis.gateway.console.pages import Done, Page, Place, link
from apertis.gateway.errors import Refusal, invalid_parameter
from apertis.gateway.keys.matching import compile_models
from apertis.gateway.signin.roles import (
    sees_group,
    sees_key,
    sees_page,
    sees_person,
    usage_scope,
)
from apertis.gateway.store.records import RecentQuery
from apertis.gateway.units import read_moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from apertis.accounting.prices import Price
    from apertis.accounting.record import UsageRecord
    from apertis.gateway.console.audit import Named
    from apertis.gateway.console.pages import Asked, Parts
    from apertis.gateway.store.records import Recent

_PAGE = 50
# From the end of a request to its place here: it is moved to the store (below a second), a
# rendering serves all for five, and a page asks again every two.
DELAY_SECONDS = 8
_FILTERS = ("key", "who", "model", "status", "session", "upstream", "until")
PLACE = re.compile(r"([0-9]{1,16})-(.{1,300})", re.DOTALL)
_FIRST_FAILURE, _CLIENT_LEFT, _FIRST_FAULT, _END_STATUS = 400, 499, 500, 1000
# Words for statuses: from which one on, and before which.
STATUSES: Mapping[str, tuple[int | None, int | None]] = {
    "ok": (None, _FIRST_FAILURE),
    "error": (_FIRST_FAILURE, None),
    "refused": (_FIRST_FAILURE, _CLIENT_LEFT),
    "left": (_CLIENT_LEFT, _FIRST_FAULT),
    "failed": (_FIRST_FAULT, None),
}
_MILLION = 1_000_000
_BAR = 1000


class Row(NamedTuple):
    """A request among others."""

    record: UsageRecord
    link: str
    seconds: float
    key: Named
    session: str
    state: str
    kind: str
    prompt: int


class Priced(NamedTuple):
    """Tokens of one class and what they cost at today's price."""

    title: str
    number: int
    price: int | None
    units: float | None
    per: str


class Times(NamedTuple):
    """A bar of what a request waited for, in thousandths of its time."""

    first_byte: int
    rest: int


async def see(parts: Parts, asked: Asked) -> Page | Done:
    """Show the last requests."""
    wanted = asked.query.get("id", "").strip()
    if wanted:
        return Done(link_of(wanted))
    query = query_of(parts, asked)
    refusal = query if isinstance(query, Refusal) else None
    found: Recent | None = None
    if not isinstance(query, Refusal):
        found = await parts.store.usage.recent(query)
    filters = asked.given(*_FILTERS)
    is_first = "before" not in asked.query
    is_paused = asked.query.get("paused") == "1"
    older = ""
    if found is not None and found.next is not None:
        older = link(asked.path, {**filters, "before": place_of(found.next)})
    return Page(
        "requests.html",
        "Requests",
        {
            "rows": rows_of(parts, asked, () if found is None else found.records),
            "looked_until": None
            if found is None or found.looked_until_ms is None
            else found.looked_until_ms / 1000,
            "filters": {name: asked.query.get(name, "") for name in _FILTERS},
            "models": models_of(parts),
            "statuses": STATUSES,
            "is_first": is_first,
            "is_live": is_first and not is_paused and refusal is None,
            "is_paused": is_paused,
            "here": link(asked.path, filters),
            "paused": link(asked.path, {**filters, "paused": "1"}),
            "older": older,
            "delay": DELAY_SECONDS,
        },
    ).refused(refusal)


def query_of(parts: Parts, asked: Asked) -> RecentQuery | Refusal:
    """Read what is asked for; whose requests it may be is part of the question."""
    of = {name: asked.query.get(name, "").strip() for name in (*_FILTERS, "before")}
    query = scoped(asked, limit=_PAGE)
    changes: dict[str, object] = {}
    if of["key"]:
        key_id = _key_called(of["key"], parts, asked)
        if key_id is None:
            return invalid_parameter("key", f"No key is called '{of['key'][:100]}'")
        changes["keys"] = (key_id,)
    if of["who"]:
        who = _who_is_called(of["who"], parts, asked)
        if who is None:
            return invalid_parameter("who", f"No person or group is called '{of['who'][:100]}'")
        changes |= who
    if of["model"]:
        changes["models"] = (of["model"],)
    if of["upstream"]:
        changes["upstreams"] = (of["upstream"],)
    if of["session"]:
        changes["sessions"] = (of["session"],)
    changes |= _status(of["status"])
    if of["until"]:
        until = read_moment(of["until"], whole_day=True, zone=time_zone(asked.zone))
        if until is None:
            message = f"'{of['until'][:100]}' is no date or time, such as 2026-12-31T18:00"
            return invalid_parameter("until", message)
        changes["until_ms"] = until * 1000
    if of["before"]:
        place = PLACE.fullmatch(of["before"])
        if place is None:
            return invalid_parameter("before", "That page is not there: begin with the newest")
        changes["before"] = (int(place[1]), place[2])
    return msgspec.structs.replace(query, **changes)


def scoped(asked: Asked, **fields: object) -> RecentQuery:
    """Return a question for the requests that the viewer may see."""
    scope = usage_scope(asked.viewer)
    plain = RecentQuery(of_keys=scope.keys, of_people=scope.people, of_groups=scope.groups)
    return msgspec.structs.replace(plain, **fields)


def rows_of(parts: Parts, asked: Asked, records: Iterable[UsageRecord]) -> list[Row]:
    """Show records as the rows of a table."""
    return [
        Row(
            record=record,
            link=link_of(record.request_id),
            seconds=record.at_ms / 1000,
            key=named_key(record.key_id, parts, asked),
            session="" if record.session is None else session_link(record.session),
            state=_state(record),
            kind=_kind(record),
            prompt=record.tokens.prompt,
        )
        for record in records
    ]


def named_key(key_id: str, parts: Parts, asked: Asked) -> Named:
    """Name a key; one that the viewer may not see today has no link."""
    found = named(key_id, parts)
    key = parts.directory.get(key_id)
    if key is None or not sees_key(asked.viewer, key.record, parts.organization):
        return found._replace(link="")
    return found


def models_of(parts: Parts) -> list[str]:
    """List the models that the settings name."""
    return sorted({model.id for each in parts.settings().upstreams for model in each.models})


def place_of(place: tuple[int, str]) -> str:
    """Write a place among requests as it stands in a URL, where `PLACE` reads it."""
    at_ms, request_id = place
    return f"{at_ms}-{request_id}"


def link_of(request_id: str) -> str:
    """Return the page of a request."""
    return f"/console/requests/{quote(request_id, safe='')}"


def session_link(session: str) -> str:
    """Return the page of a session."""
    return f"/console/sessions/{quote(session, safe='')}"


async def see_one(parts: Parts, asked: Asked) -> Page:
    """Show the life of one request."""
    request_id = asked.params["id"]
    record = await parts.store.usage.get(request_id)
    scope = usage_scope(asked.viewer)
    if record is None or not scope.has(record.key_id, record.person_id, record.group_id):
        return Page(
            "request_missing.html",
            "Request",
            {"id": request_id, "delay": DELAY_SECONDS},
            status=404,
            error="There is no such request here.",
        )
    price = parts.price(record.model)
    priced = _priced(record, price)
    listed = round(sum(each.units or 0 for each in priced)) if price is not None else None
    return Page(
        "request.html",
        "Request",
        {
            "record": record,
            "at": record.at_ms / 1000,
            "key": named_key(record.key_id, parts, asked),
            "person": None if record.person_id is None else named(record.person_id, parts),
            "group": None if record.group_id is None else named(record.group_id, parts),
            "state": _state(record),
            "kind": _kind(record),
            "meaning": _meaning(record),
            "fallback": FALLBACK_REASONS.get(
                record.fallback_reason or "", record.fallback_reason or ""
            ),
            "priced": priced,
            "listed": listed,
            "is_list_price": listed is not None and abs(listed - record.cost_units) <= 1,
            # One that is gone from the settings has no page.
            "upstreams": parts.upstreams() if sees_page(asked.viewer, "upstreams") else (),
            "limits": _limits(parts, record),
            "times": _times(record),
            "session": "" if record.session is None else session_link(record.session),
            "request_class": REQUEST_CLASSES.get(record.request_class or "", ""),
        },
    )


def _status(text: str) -> dict[str, object]:
    if not text:
        return {}
    if text in STATUSES:
        first, end = STATUSES[text]
    elif text.isascii() and text.isdecimal() and int(text) < _END_STATUS:
        first, end = int(text), int(text) + 1
    else:
        return {"codes": (text,)}
    return {"min_status": first, "end_status": end}


def _key_called(text: str, parts: Parts, asked: Asked) -> str | None:
    """Return the id of a key by that or its name; None where the viewer sees no such key."""
    organization = parts.organization
    key = parts.directory.get(text)
    if key is None:
        key = next((each for each in parts.directory.all() if each.record.name == text), None)
    if key is None:
        # What a key used is there when it is erased.
        return text if asked.viewer.sees_all and text.startswith("key_") else None
    return key.record.id if sees_key(asked.viewer, key.record, organization) else None


def _who_is_called(text: str, parts: Parts, asked: Asked) -> dict[str, object] | None:
    organization = parts.organization
    for person in organization.people.values():
        if text in (person.id, person.name) and sees_person(asked.viewer, person):
            return {"people": (person.id,)}
    for group in organization.groups.values():
        if text in (group.id, group.name) and sees_group(asked.viewer, group.id):
            return {"groups": organization.groups_within(group.id)}
    return None


def _state(record: UsageRecord) -> str:
    if record.status == _CLIENT_LEFT:
        return "caller left"
    if record.status >= _FIRST_FAILURE:
        return record.code or "error"
    if record.interrupted:
        return "interrupted"
    return "from the cache" if record.cached else "ok"


def _kind(record: UsageRecord) -> str:
    if record.status >= _FIRST_FAULT:
        return "bad"
    if record.status >= _FIRST_FAILURE or record.interrupted:
        return "warn"
    return "good"


def _meaning(record: UsageRecord) -> Meaning | None:
    if record.status < _FIRST_FAILURE and not record.interrupted:
        return None
    return meaning_of(record.status, record.code, interrupted=record.interrupted)


def _priced(record: UsageRecord, price: Price | None) -> list[Priced]:
    found: list[Priced] = []
    for name, count in zip(COUNTED, counts_of(record.tokens), strict=True):
        if not count and COUNTED[name].rare:
            continue
        is_token = name in CLASSES
        own = None
        if price is not None:
            own = getattr(price, name) if is_token else price.web_search
        found.append(
            Priced(
                COUNTED[name].title,
                count,
                # Of a million tokens, or of a thousand searches.
                None if own is None else own if is_token else own // 1000,
                None if own is None else count * own / _MILLION,
                "per million" if is_token else "per thousand",
            )
        )
    return found


def _limits(parts: Parts, record: UsageRecord) -> list[str]:
    """Name the limits that count such a request, as they are today."""
    organization = parts.organization
    key = parts.directory.get(record.key_id)
    found = [] if key is None else [*organization.limits_of("key", key.record.id)]
    if key is not None and (quota := quota_limit(key.record)) is not None:
        found.append(quota)
    if record.person_id is not None:
        found += organization.limits_of("person", record.person_id)
    for group in organization.groups_above(record.group_id):
        found += organization.limits_of("group", group.id)
    found += organization.limits_of("gateway")
    return [
        limit_text(limit, subject(limit, None if key is None else key.record, organization))
        for limit in found
        if limit.created_at * 1000 <= record.at_ms
        and (limit.models is None or compile_models(limit.models).allows(record.model))
    ]


def _times(record: UsageRecord) -> Times:
    total = max(record.total_ms, 1)
    first = min(record.total_ms if record.first_byte_ms is None else record.first_byte_ms, total)
    share = first * _BAR // total
    return Times(share, _BAR - share)


PLACES = (
    Place("/requests", "requests", see, shared=True),
    Place("/requests/{id:path}", "requests", see_one),
)
