"""One's own page: budgets, days, models, keys, and the lines that set programs up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.gateway.admin.usage_report import days_of, models_of
from apertis.gateway.console.keys import DAYS, GRACES, lines_of, rotated
from apertis.gateway.console.limit_lines import limits_of_key, limits_of_person
from apertis.gateway.console.pages import Page, Place
from apertis.gateway.console.set_up import set_up
from apertis.gateway.errors import Refusal, not_found
from apertis.gateway.signin.roles import is_own_key, rotates_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apertis.gateway.console.limit_lines import LimitLine
    from apertis.gateway.console.pages import Asked, Parts, Response
    from apertis.gateway.keys.directory import Key
    from apertis.gateway.signin.roles import Viewer

MAX_KEYS = 100


async def see(parts: Parts, asked: Asked) -> Page:
    """Show somebody what is theirs."""
    return await _page(parts, asked)


async def rotate(parts: Parts, asked: Asked) -> Response:
    """Give one of one's own keys another secret, which is on this page only."""
    key = parts.directory.get(asked.params["id"])
    if key is None or not is_own_key(asked.viewer, key.record):
        return not_found("You have no such key")
    made = await rotated(parts, asked, key, "/console/me")
    return await _page(parts, asked, made) if isinstance(made, Refusal) else made


async def _page(parts: Parts, asked: Asked, refusal: Refusal | None = None) -> Page:
    viewer = asked.viewer
    keys = _keys(parts, viewer)
    # A person's usage is that of all their keys, also of those that are deleted. Nobody has all.
    whose = {"keys": ("" if viewer.key is None else viewer.key.id,)}
    if viewer.person is not None:
        whose = {"people": (viewer.person.id,)}
    usage, now = parts.store.usage, parts.now()
    days = await days_of(usage, DAYS, zone=asked.zone, now=now, **whose)
    models = await models_of(usage, DAYS, zone=asked.zone, now=now, **whose)
    record = viewer.key
    context = {
        "limits": await _limits(parts, viewer),
        "days": days,
        "models": models,
        "lines": await lines_of(parts, keys[:MAX_KEYS]),
        "more": max(len(keys) - MAX_KEYS, 0),
        "rotates": {
            key.record.id for key in keys if rotates_key(viewer, key.record, parts.organization)
        },
        "graces": GRACES,
        "allowed": None if record is None else record.models,
        "configured": _configured(parts, viewer),
        "programs": set_up(asked.base_url, models=None if record is None else record.models),
        "spent": sum(row.cost_units for row in days),
        "requests": sum(row.requests for row in days),
        "groups": parts.organization.groups_above(
            None if viewer.person is None else viewer.person.group_id
        ),
    }
    return Page("me.html", "My usage", context).refused(refusal)


async def _limits(parts: Parts, viewer: Viewer) -> Sequence[LimitLine]:
    if viewer.key is not None:
        return await limits_of_key(parts, viewer.key, viewer.person)
    if viewer.person is not None:
        return await limits_of_person(parts, viewer.person)
    return ()


def _configured(parts: Parts, viewer: Viewer) -> list[str]:
    """Return the models of the configuration that somebody may use; others are not listed."""
    key = None if viewer.key is None else parts.directory.get(viewer.key.id)
    models = [model for upstream in parts.settings().upstreams for model in upstream.models]
    allowed = [one for one in models if key is None or key.allows(one.id, one.aliases)]
    return list(dict.fromkeys(model.id for model in allowed))


def _keys(parts: Parts, viewer: Viewer) -> list[Key]:
    """Return somebody's keys that are not deleted, the newest first."""
    found = [
        key
        for key in parts.directory.all()
        if is_own_key(viewer, key.record) and key.record.status != "deleted"
    ]
    found.reverse()
    return found


PLACES = (
    Place("/me", "me", see),
    Place("/me/keys/{id}/rotate", "me", None, rotate),
)
