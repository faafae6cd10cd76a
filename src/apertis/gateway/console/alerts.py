"""The alerts that were told, what became of each at its targets, and tests of the targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, get_args
from urllib.parse import quote, urlencode

from apertis.gateway.admin.alerts import AlertPage, try_targets
from apertis.gateway.admin.resources import Call
from apertis.gateway.config.targets import host_alone
from apertis.gateway.console.pages import Page, Place, link
from apertis.gateway.errors import Refusal, access_denied
from apertis.gateway.store.alerts import Kind, Severity
from apertis.gateway.units import read_moment

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from apertis.gateway.admin.alerts import AlertView, TriedTarget
    from apertis.gateway.console.pages import Asked, Parts

_PAGE = 50
_FILTERS = ("kind", "level", "failed")
_STATES = {"delivered": "good", "failed": "bad", "waiting": "warn"}
_LEVELS = {"info": "", "warning": "warn", "error": "bad"}
KIND_WORDS: Mapping[Kind, str] = {
    "budget": "budget",
    "breaker": "upstream",
    "key": "key ends",
    "spike": "spending",
    "journal": "journal",
    "test": "test",
}
_NOT_YOURS = access_denied("Only administrators send tests.")


class Way(NamedTuple):
    """An alert on its way to one target."""

    target: str
    state: str
    kind: str
    attempts: int
    next: int | None
    ended: int | None
    error: str | None


class Told(NamedTuple):
    """An alert as the page shows it."""

    id: str
    seconds: int | None
    kind: str
    level: str
    level_kind: str
    text: str
    link: str
    ways: tuple[Way, ...]


class Target(NamedTuple):
    """A target as it is set, without anything secret."""

    name: str
    host: str
    kinds: tuple[str, ...]
    level: str
    is_signed: bool


async def see(parts: Parts, asked: Asked) -> Page:
    """Show the alerts and the targets."""
    return await _page(parts, asked)


async def send_test(parts: Parts, asked: Asked) -> Page | Refusal:
    """Send a test through the targets, and show what became of it."""
    if not asked.viewer.is_administrator:
        return _NOT_YOURS
    name = asked.form.get("target") or None
    outcomes = await try_targets(parts.settings().alerts, parts.now(), name)
    if isinstance(outcomes, Refusal):
        return await _page(parts, asked, refusal=outcomes)
    return await _page(parts, asked, outcomes)


async def _page(
    parts: Parts,
    asked: Asked,
    outcomes: tuple[TriedTarget, ...] = (),
    refusal: Refusal | None = None,
) -> Page:
    filters = asked.given(*_FILTERS)
    query = {**filters, "limit": str(_PAGE), **asked.given("after_id")}
    call = Call(actor=asked.viewer.actor, query=urlencode(query, errors="replace"))
    found = await parts.resources.list_alerts(call)
    page = AlertPage(data=(), has_more=False, last_id=None)
    if isinstance(found, AlertPage):
        page = found
    elif isinstance(found, Refusal):
        refusal = found
    older = {**filters, "after_id": page.last_id or ""}
    upstreams = parts.upstreams()
    return Page(
        "alerts.html",
        "Alerts",
        {
            "alerts": [_told(view, upstreams) for view in page.data],
            "targets": [
                Target(
                    target.name,
                    host_alone(target.url.reveal()),
                    target.kinds,
                    target.level,
                    target.secret is not None,
                )
                for target in parts.settings().alerts.targets
            ],
            "outcomes": outcomes,
            "filters": {name: asked.query.get(name, "") for name in _FILTERS},
            "kinds": [("", "all"), *KIND_WORDS.items()],
            "levels": [("", "all"), *((level, level) for level in get_args(Severity))],
            "words": KIND_WORDS,
            "newest": link(asked.path, filters) if "after_id" in query else "",
            "older": link(asked.path, older) if page.has_more else "",
        },
    ).refused(refusal)


def _told(view: AlertView, upstreams: Container[str]) -> Told:
    return Told(
        id=view.id,
        seconds=read_moment(view.at),
        kind=KIND_WORDS[view.kind],
        level=view.level,
        level_kind=_LEVELS[view.level],
        text=view.text,
        link=_subject(view, upstreams),
        ways=tuple(
            Way(
                way.target,
                way.state,
                _STATES[way.state],
                way.attempts,
                None if way.next_attempt_at is None else read_moment(way.next_attempt_at),
                None if way.ended_at is None else read_moment(way.ended_at),
                way.error,
            )
            for way in view.deliveries
        ),
    )


def _subject(view: AlertView, upstreams: Container[str]) -> str:
    """Return the page of what an alert is about; none if there is no such page."""
    subject: Mapping[str, object] = view.data.get("subject") or {}
    if isinstance(limit := view.data.get("limit_id"), str):
        return f"/console/budgets/limits/{quote(limit)}"
    if isinstance(upstream := view.data.get("upstream"), str):
        # One that is gone from the settings has no page.
        return f"/console/upstreams/{quote(upstream, safe='')}" if upstream in upstreams else ""
    if view.kind == "key" and isinstance(key := subject.get("id"), str):
        return f"/console/keys/{quote(key)}"
    return "/console/overview" if view.kind == "spike" else ""


PLACES = (Place("/alerts", "alerts", see, send_test, shared=True),)
