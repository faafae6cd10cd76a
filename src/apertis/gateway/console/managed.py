"""Settings of Claude Code for the people of a group: edited as text, shown before they are saved.

What is saved is what was shown: the form of the preview has the checksum of the settings that it
shows, and the version that they were compared with.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from apertis.gateway.admin.managed import (
    EVERYBODY_ID,
    Preview,
    group_of,
    pretty,
    preview,
)
from apertis.gateway.console.pages import Done, Page, Place
from apertis.gateway.errors import Refusal, conflict, not_found

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from apertis.gateway.console.pages import Asked, Parts, Response
    from apertis.gateway.store.managed_settings import ManagedSettings

_PATH = "/console/managed"
_OTHERS = conflict("These are not the settings that were shown: look at them, and save them then")


async def see(parts: Parts, _: Asked) -> Page:
    """List the groups, and which of them have settings of their own."""
    found = await parts.resources.managed.all()
    return Page("managed.html", "Managed settings", {"rows": list(_rows(parts, found))})


async def see_one(parts: Parts, asked: Asked) -> Response:
    """Show the settings of a group, to edit."""
    name = _name(parts, asked.params["id"])
    if isinstance(name, Refusal):
        return name
    kept = await parts.resources.managed.find(group_of(asked.params["id"]))
    text = "{}" if kept is None else pretty(kept.settings)
    return _page(asked, name, kept, text)


async def change(parts: Parts, asked: Asked) -> Response:
    """Show what a change would do, save what was shown, or remove the settings."""
    id_, form = asked.params["id"], asked.form
    name = _name(parts, id_)
    if isinstance(name, Refusal):
        return name
    managed, group_id = parts.resources.managed, group_of(id_)
    # A browser sends lines as networks do.
    text = form.get("settings", "").replace("\r\n", "\n")
    seen = form.get("version", "")
    version = int(seen) if seen.isascii() and seen.isdecimal() and len(seen) < 20 else -1
    action = form.get("action", "preview")
    kept = await managed.find(group_id)
    if action == "remove":
        removed = await managed.remove(group_id, version, asked.viewer.actor)
        if isinstance(removed, Refusal):
            current = "{}" if kept is None else pretty(kept.settings)
            return _page(asked, name, kept, current, refusal=removed)
        return Done(_PATH, f"The settings of {name} are removed.")
    shown = preview(text, None if kept is None else kept.settings)
    if isinstance(shown, Refusal):
        return _page(asked, name, kept, text, refusal=shown)
    if action != "save":
        return _page(asked, name, kept, text, shown)
    if form.get("checksum") != shown.checksum:
        return _page(asked, name, kept, text, shown, _OTHERS)
    saved = await managed.save(group_id, text, version, asked.viewer.actor)
    if isinstance(saved, Refusal):
        # With what is there now beside it, so that the change can be made in that.
        kept = await managed.find(group_id)
        again = preview(text, None if kept is None else kept.settings)
        return _page(asked, name, kept, text, again if isinstance(again, Preview) else None, saved)
    return Done(
        f"{_PATH}/{id_}", f"The settings of {name} are saved. Claude Code fetches them hourly."
    )


def _page(
    asked: Asked,
    name: str,
    kept: ManagedSettings | None,
    text: str,
    shown: Preview | None = None,
    refusal: Refusal | None = None,
) -> Page:
    context: dict[str, Any] = {
        "action": f"{_PATH}/{asked.params['id']}",
        "name": name,
        "text": text,
        "version": 0 if kept is None else kept.version,
        "exists": kept is not None,
        "changed_at": None if kept is None else kept.changed_at,
        "shown": shown,
        "lines": [] if shown is None else [(_KINDS[line[0]], line) for line in shown.diff],
    }
    status = 200 if refusal is None else refusal.status
    error = "" if refusal is None else refusal.message
    return Page("managed_edit.html", f"Managed settings of {name}", context, status, error)


_KINDS = {"+": "added", "-": "removed", "@": "at", " ": ""}


def _name(parts: Parts, id_: str) -> str | Refusal:
    if id_ == EVERYBODY_ID:
        return EVERYBODY_ID
    group = parts.organization.groups.get(id_)
    if group is None or group.status == "removed":
        return not_found(f"There is no group '{id_[:100]}'")
    return group.name


def _rows(parts: Parts, found: Mapping[str, ManagedSettings]) -> Iterator[dict[str, Any]]:
    groups = [one for one in parts.organization.groups.values() if one.status != "removed"]
    names = {group.id: group.name for group in sorted(groups, key=lambda one: one.name.casefold())}
    for group_id, name in {"": EVERYBODY_ID, **names}.items():
        kept = found.get(group_id)
        settings: dict[str, Any] = {} if kept is None else json.loads(kept.settings)
        yield {
            "url": f"{_PATH}/{group_id or EVERYBODY_ID}",
            "name": name,
            "exists": kept is not None,
            "keys": sorted(settings),
            "changed_at": None if kept is None else kept.changed_at,
        }


PLACES = (
    Place("/managed", "managed", see),
    Place("/managed/{id}", "managed", see_one, change),
)
