"""Upstreams: their health and latency, what is left of their limits, and a try of one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import msgspec

from apertis.gateway.admin.status import replica_page
from apertis.gateway.config.settings import UPSTREAM_KINDS
from apertis.gateway.console.doctor import WORDS
from apertis.gateway.console.pages import Done, Page, Place
from apertis.gateway.doctor import upstream_finding
from apertis.gateway.errors import access_denied, not_found
from apertis.gateway.routing.breaker import BreakerState, Cause
from apertis.gateway.store.histogram import percentile
from apertis.gateway.store.records import UsageQuery
from apertis.gateway.units import read_moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from apertis.gateway.config import UpstreamSettings
    from apertis.gateway.console.pages import Asked, Parts, Response
    from apertis.gateway.finding import Finding
    from apertis.gateway.routing.router import UpstreamState
    from apertis.gateway.store.records import UsageRow

_PAGE = "upstreams"
_QUARTER_MS = 900_000
_HOUR_MS = 4 * _QUARTER_MS
_DAY_MS = 24 * _HOUR_MS
_ADMINISTRATORS_ONLY = access_denied("Only an administrator tries an upstream.")
_LIMIT = "anthropic-ratelimit-"
_MAX_OTHER = 40
_CAUSES: Mapping[Cause, str] = {
    Cause.BAD_HOST: "several requests in a row failed there",
    Cause.BAD_KEY: "it rejected the gateway's key",
}


class Health(NamedTuple):
    """The state of an upstream, in words."""

    words: str
    kind: str
    why: str


class Sums(NamedTuple):
    """Requests of an upstream, their errors and times."""

    name: str
    requests: int = 0
    failed: int = 0
    share: float | None = None
    first_p50: int | None = None
    first_p95: int | None = None
    total_p50: int | None = None
    total_p95: int | None = None


class RateLimit(NamedTuple):
    """A limit of the gateway's account at an upstream, as its last response said it."""

    name: str
    limit: str
    remaining: str
    reset: float | None
    percent_used: int | None


class Tried(NamedTuple):
    """The result of a try: when (Unix seconds), how long it took, and the finding."""

    at: float
    milliseconds: float
    finding: Finding


class Shown(NamedTuple):
    """An upstream as it is shown."""

    own: UpstreamSettings
    where: str
    link: str
    health: Health
    failures: int
    hour: Sums
    limits: tuple[RateLimit, ...]
    tried: Tried | None


async def see(parts: Parts, _: Asked) -> Page:
    """Show all upstreams, with the last hour, and the gateways that use them."""
    since_ms = _since(parts, _HOUR_MS)
    rows = await parts.store.usage.report(
        UsageQuery(since_ms=since_ms, group_by=("upstream",), with_times=True)
    )
    hours = {row.upstream: row for row in rows}
    states = {state.name: state for state in parts.upstream_states()}
    replicas = await replica_page(parts.store)
    return Page(
        "upstreams.html",
        "Upstreams",
        {
            "upstreams": [
                _shown(own, parts, states.get(own.name), hours.get(own.name))
                for own in parts.settings().upstreams
            ],
            "since": since_ms / 1000,
            "replicas": replicas.data,
            "seconds": read_moment,
        },
    )


async def see_one(parts: Parts, asked: Asked) -> Response:
    """Show one upstream, by model and by hour of the last day."""
    own = _upstream(parts, asked)
    if own is None:
        return not_found("No upstream has this name today; an earlier configuration may have.")
    hour_ms, day_ms = _since(parts, _HOUR_MS), _since(parts, _DAY_MS)
    usage = parts.store.usage
    plain = UsageQuery(upstreams=(own.name,), zone=asked.zone, with_times=True)
    last = await usage.report(_of(plain, hour_ms))
    models = await usage.report(_of(plain, day_ms, "model"))
    hours = await usage.report(_of(plain, day_ms, "hour"))
    states = {state.name: state for state in parts.upstream_states()}
    headers = parts.upstream_headers().get(own.name, ())
    return Page(
        "upstream.html",
        "Upstream",
        {
            "each": _shown(own, parts, states.get(own.name), last[0] if last else None),
            "since": hour_ms / 1000,
            "models": sorted(
                (_sums(row.model or "", row) for row in models), key=lambda sums: -sums.requests
            ),
            "hours": [_sums(row.hour or "", row) for row in reversed(hours)],
            "other_limits": other_limits(headers),
            "seen": _date(headers),
            "words": WORDS,
            "may_try": asked.viewer.is_administrator,
            "seconds": read_moment,
        },
    )


async def try_one(parts: Parts, asked: Asked) -> Response:
    """Ask an upstream for its models, over a connection of its own, as the doctor does."""
    if not asked.viewer.is_administrator:
        return _ADMINISTRATORS_ONLY
    own = _upstream(parts, asked)
    if own is None:
        return not_found("No upstream has this name today.")
    at, began = parts.now(), time.perf_counter()
    finding = await upstream_finding(own, parts.settings())
    tried = Tried(at, (time.perf_counter() - began) * 1000, finding)
    kept: dict[str, Tried] = parts.kept.setdefault(_PAGE, {})
    kept[own.name] = tried
    return Done(_link(own.name), f"Tried it: {tried.milliseconds:,.0f} ms.")


def health_of(state: UpstreamState | None) -> Health:
    """Say in words how an upstream is."""
    if state is None:
        return Health("not known", "", "")
    why = "" if state.cause is None else _CAUSES[state.cause]
    if state.breaker is BreakerState.OPEN:
        wait = f"{why}; it is tried again in {state.open_seconds:,.0f} s, or when no other is well"
        return Health("left alone", "bad", wait)
    if state.breaker is BreakerState.HALF_OPEN:
        return Health("on trial", "warn", f"{why}; the next request tries it")
    if state.failures:
        row = "the last request failed" if state.failures == 1 else "the last requests failed"
        return Health("well", "good", f"{row} there, which is not enough to leave it alone")
    return Health("well", "good", "")


def rate_limits(headers: Iterable[tuple[bytes, bytes]]) -> tuple[RateLimit, ...]:
    """Read what is left of the limits of requests and tokens, as the API's headers say it."""
    groups: dict[str, dict[str, str]] = {}
    for name, value in _limit_headers(headers):
        what, _, part = name.rpartition("-")
        if part in ("limit", "remaining", "reset"):
            groups.setdefault(what, {})[part] = value
    found: list[RateLimit] = []
    for what, said in groups.items():
        if "limit" not in said or "remaining" not in said:
            continue
        limit, remaining = _number(said["limit"]), _number(said["remaining"])
        percent = None
        if limit and remaining is not None:
            percent = max(0, min(100, 100 - remaining * 100 // limit))
        reset = read_moment(said["reset"]) if "reset" in said else None
        found.append(
            RateLimit(what.replace("-", " "), said["limit"], said["remaining"], reset, percent)
        )
    return tuple(found)


def other_limits(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Return what else an upstream says of its limits, as it says it."""
    known = {limit.name for limit in rate_limits(headers)}
    return [
        (name, value)
        for name, value in _limit_headers(headers)
        if name.rpartition("-")[0].replace("-", " ") not in known
    ][:_MAX_OTHER]


def _limit_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [
        (name.decode("latin-1").removeprefix(_LIMIT), value.decode("latin-1"))
        for name, value in headers
        if name.startswith(_LIMIT.encode())
    ]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 18 else None


def _date(headers: Iterable[tuple[bytes, bytes]]) -> str:
    return next((value.decode("latin-1") for name, value in headers if name == b"date"), "")


def _since(parts: Parts, span_ms: int) -> int:
    # Whole quarter hours are added up already.
    return (int(parts.now() * 1000) - span_ms) // _QUARTER_MS * _QUARTER_MS


def _of(plain: UsageQuery, since_ms: int, *group_by: str) -> UsageQuery:
    return msgspec.structs.replace(plain, since_ms=since_ms, group_by=group_by)


def _upstream(parts: Parts, asked: Asked) -> UpstreamSettings | None:
    name = asked.params["name"]
    return next((own for own in parts.settings().upstreams if own.name == name), None)


def _shown(
    own: UpstreamSettings, parts: Parts, state: UpstreamState | None, row: UsageRow | None
) -> Shown:
    kept: Mapping[str, Tried] = parts.kept.get(_PAGE, {})
    headers: Sequence[tuple[bytes, bytes]] = parts.upstream_headers().get(own.name, ())
    return Shown(
        own=own,
        where=own.base_url or UPSTREAM_KINDS[own.kind].url or "built in",
        link=_link(own.name),
        health=health_of(state),
        failures=0 if state is None else state.failures,
        hour=_sums(own.name, row) if row is not None else Sums(own.name),
        limits=rate_limits(headers),
        tried=kept.get(own.name),
    )


def _sums(name: str, row: UsageRow) -> Sums:
    return Sums(
        name,
        row.requests,
        row.failed,
        row.failed / row.requests if row.requests else None,
        percentile(row.first_byte_times, 50),
        percentile(row.first_byte_times, 95),
        percentile(row.total_times, 50),
        percentile(row.total_times, 95),
    )


def _link(name: str) -> str:
    return f"/console/upstreams/{quote(name, safe='')}"


PLACES = (
    Place("/upstreams", "upstreams", see, shared=True),
    Place("/upstreams/{name}", "upstreams", see_one, try_one),
)
