"""Sessions of Claude Code: what each cost, its agents, and how well its prompts were cached."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from apertis.accounting.tokens import COLUMNS, PROMPT_CLASSES
from apertis.gateway.admin.cache_report import add_up
from apertis.gateway.console.meanings import MISSES, REQUEST_CLASSES
from apertis.gateway.console.pages import Done, Page, Place, link
from apertis.gateway.console.requests import (
    PLACE,
    named_key,
    place_of,
    rows_of,
    scoped,
    session_link,
)
from apertis.gateway.errors import Refusal, invalid_parameter
from apertis.gateway.signin.roles import sees_key
from apertis.gateway.store.records import SessionQuery, UsageQuery

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from apertis.gateway.console.audit import Named
    from apertis.gateway.console.pages import Asked, Parts
    from apertis.gateway.store.records import SessionRow, UsageRow

_PAGE = 50
_DAY_MS = 86_400_000
_DEFAULT_DAYS = 7
# Days back that can be chosen, and their words; 0: all.
SPANS: Final[Mapping[int, str]] = {
    1: "today",
    7: "7 days",
    30: "30 days",
    90: "90 days",
    0: "all time",
}
ORDERS: Final = {"last": "used last", "cost": "most expensive"}


class Session(NamedTuple):
    """A session among others."""

    id: str
    link: str
    key: Named
    first: float
    last: float
    row: SessionRow
    prompt: int
    read: float | None


class Part(NamedTuple):
    """The sums of a part of a session: an agent, a class of requests or a model."""

    name: str
    note: str
    requests: int
    failed: int
    prompt: int
    output: int
    read: float | None
    cost_units: int


class Agent(NamedTuple):
    """An agent of a session, and its requests by class and model; the session's own has no name."""

    name: str
    whole: Part
    parts: tuple[Part, ...]


async def see(parts: Parts, asked: Asked) -> Page | Done:
    """Show the sessions of some days."""
    wanted = asked.query.get("session", "").strip()
    if wanted:
        return Done(session_link(wanted))
    query = _query(parts, asked)
    refusal = query if isinstance(query, Refusal) else None
    rows: list[SessionRow] = []
    if isinstance(query, SessionQuery):
        rows = await parts.store.usage.sessions(msgspec.structs.replace(query, limit=_PAGE + 1))
    offset = query.offset if isinstance(query, SessionQuery) else 0
    filters = asked.given("key", "days", "order")
    return Page(
        "sessions.html",
        "Sessions",
        {
            "sessions": [_session(row, parts, asked) for row in rows[:_PAGE]],
            "filters": {
                "key": asked.query.get("key", ""),
                "days": asked.query.get("days", str(_DEFAULT_DAYS)),
                "order": asked.query.get("order", "last"),
            },
            "spans": [(str(days), words) for days, words in SPANS.items()],
            "orders": list(ORDERS.items()),
            "newest": link(asked.path, filters) if offset else "",
            "older": link(asked.path, {**filters, "after": str(offset + _PAGE)})
            if len(rows) > _PAGE
            else "",
        },
    ).refused(refusal)


async def see_one(parts: Parts, asked: Asked) -> Page:
    """Show one session: its agents, costs and requests."""
    session, keys = asked.params["id"], _keys(parts, asked)
    rows: list[SessionRow] = []
    if keys is not None:
        # A month of days is little; all of them is asked for only where it is not among these.
        for since_ms in (int(parts.now() * 1000) - 30 * _DAY_MS, 0):
            query = SessionQuery(since_ms=since_ms, keys=keys, sessions=(session,))
            rows = rows or await parts.store.usage.sessions(query)
    if not rows:
        return Page(
            "session_missing.html",
            "Session",
            {"id": session},
            status=404,
            error="There is no such session here.",
        )
    first_ms, last_ms = min(row.first_ms for row in rows), max(row.last_ms for row in rows)
    # Whole days are added up already.
    since_ms, until_ms = first_ms // _DAY_MS * _DAY_MS, (last_ms // _DAY_MS + 1) * _DAY_MS
    # A whole day where its last request is not known.
    end_ms = last_ms + 1 if last_ms % _DAY_MS else until_ms
    usage = UsageQuery(
        since_ms=since_ms,
        until_ms=until_ms,
        sessions=(session,),
        keys=tuple(row.key for row in rows),
    )
    found = await parts.store.usage.report(
        msgspec.structs.replace(usage, group_by=("agent", "request_class", "model"))
    )
    place = PLACE.fullmatch(asked.query.get("before", ""))
    recent = await parts.store.usage.recent(
        scoped(
            asked,
            before=None if place is None else (int(place[1]), place[2]),
            sessions=(session,),
            since_ms=first_ms,
            until_ms=end_ms,
            limit=_PAGE,
        )
    )
    causes = None
    if asked.query.get("causes") == "1":
        own = msgspec.structs.replace(usage, since_ms=first_ms, until_ms=end_ms)
        totals, _ = add_up(await parts.store.usage.cache_report(own), parts.price)
        causes = totals.view()
    records = recent.records
    whole = _part("", "", found)
    return Page(
        "session.html",
        "Session",
        {
            "id": session,
            "here": session_link(session),
            "keys": [named_key(row.key, parts, asked) for row in rows],
            "whole": whole,
            "agents": _agents(found),
            "classes": _by(found, "request_class", REQUEST_CLASSES),
            "models": _by(found, "model", {}),
            "first": first_ms / 1000,
            "last": last_ms / 1000,
            "rows": rows_of(parts, asked, records),
            "older": link(asked.path, {"before": place_of(recent.next)}) if recent.next else "",
            "is_first": place is None,
            "causes": causes,
            "misses": MISSES,
        },
    )


def _query(parts: Parts, asked: Asked) -> SessionQuery | Refusal | None:
    days, order = asked.query.get("days", ""), asked.query.get("order", "last")
    after, key = asked.query.get("after", "0"), asked.query.get("key", "").strip()
    if days not in ("", *map(str, SPANS)):
        return invalid_parameter("days", f"'days' is one of {', '.join(map(str, SPANS))}")
    if order not in ORDERS:
        return invalid_parameter("order", f"'order' is one of {', '.join(ORDERS)}")
    if not (after.isascii() and after.isdecimal() and len(after) < 10):
        return invalid_parameter("after", "That page is not there: begin with the newest")
    keys = _keys(parts, asked)
    if keys is None:
        return None
    if key:
        called = [
            each.record.id
            for each in parts.directory.all()
            if key in (each.record.id, each.record.name)
            and sees_key(asked.viewer, each.record, parts.organization)
        ]
        if not called:
            return invalid_parameter("key", f"No key is called '{key[:100]}'")
        keys = tuple(called)
    back = int(days or _DEFAULT_DAYS)
    # Whole days, today among them.
    since_ms = int(parts.now() * 1000) - (back - 1) * _DAY_MS if back else 0
    return SessionQuery(
        since_ms=since_ms,
        keys=keys,
        order="cost" if order == "cost" else "last",
        offset=int(after),
    )


def _keys(parts: Parts, asked: Asked) -> tuple[str, ...] | None:
    """Return the keys whose sessions are shown: empty for all, None where there are none."""
    if asked.viewer.sees_all:
        return ()
    keys = tuple(
        key.record.id
        for key in parts.directory.all()
        if sees_key(asked.viewer, key.record, parts.organization)
    )
    return keys or None


def _session(row: SessionRow, parts: Parts, asked: Asked) -> Session:
    prompt = _prompt(row)
    return Session(
        id=row.session,
        link=session_link(row.session),
        key=named_key(row.key, parts, asked),
        first=row.first_ms / 1000,
        last=row.last_ms / 1000,
        row=row,
        prompt=prompt,
        read=row.cache_read_tokens / prompt if prompt else None,
    )


def _prompt(row: SessionRow | UsageRow) -> int:
    return sum(getattr(row, COLUMNS[name]) for name in PROMPT_CLASSES)


def _part(name: str, note: str, rows: Iterable[UsageRow]) -> Part:
    rows = tuple(rows)
    prompt = sum(map(_prompt, rows))
    read = sum(row.cache_read_tokens for row in rows)
    return Part(
        name,
        note,
        requests=sum(row.requests for row in rows),
        failed=sum(row.failed for row in rows),
        prompt=prompt,
        output=sum(row.output_tokens for row in rows),
        read=read / prompt if prompt else None,
        cost_units=sum(row.cost_units for row in rows),
    )


def _by(rows: Iterable[UsageRow], name: str, notes: Mapping[str, str]) -> list[Part]:
    groups: dict[str, list[UsageRow]] = {}
    for row in rows:
        groups.setdefault(getattr(row, name) or "", []).append(row)
    found = [_part(value, notes.get(value, ""), members) for value, members in groups.items()]
    return sorted(found, key=lambda part: (-part.cost_units, part.name))


def _agents(rows: Iterable[UsageRow]) -> list[Agent]:
    groups: dict[str, list[UsageRow]] = {}
    for row in rows:
        groups.setdefault(row.agent or "", []).append(row)
    found: list[Agent] = []
    for name, members in groups.items():
        inner = [_part(row.request_class or "", row.model or "", [row]) for row in members]
        inner.sort(key=operator.attrgetter("name", "note"))
        found.append(Agent(name, _part(name, "", members), tuple(inner)))
    # The session's own requests first, then the dearest agent.
    return sorted(found, key=_order)


def _order(agent: Agent) -> Any:
    return bool(agent.name), -agent.whole.cost_units, agent.name


PLACES = (
    Place("/sessions", "sessions", see, shared=True),
    Place("/sessions/{id:path}", "sessions", see_one),
)
