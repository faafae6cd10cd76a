"""A chat with any model that one may use.

The page's script asks `POST /console/chat/messages`, which is `/v1/messages` for whoever is signed
in: `serving/application` takes it through the gateway's own pipeline, with the key that `ChatKeys`
finds here. Conversations stay in the browser.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import msgspec

from apertis.gateway.console.pages import Download, Page, Place
from apertis.gateway.errors import not_found
from apertis.gateway.keys.admission import UNKNOWN_KEY

if TYPE_CHECKING:
    from apertis.accounting.record import UsageRecord
    from apertis.gateway.console.pages import Asked, Parts, Response
    from apertis.gateway.errors import Refusal
    from apertis.gateway.keys.directory import Key
    from apertis.gateway.signin.roles import Viewer

_MAX_PEOPLE = 10_000
# What a request used is in the store a moment after its response.
_LOOKS = 20
_LOOK_SECONDS = 0.25
# Nobody waits for what can be the id of no request.
_REQUEST_ID = re.compile(r"req_[0-9a-f]{28}")


class ChatKeys:
    """The keys that chats are booked on: the viewer's own, or one of kind `chat` for a person."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        # By the ids of people who signed in without a key.
        self._ids: dict[str, str] = {}

    async def find(self, viewer: Viewer) -> Key | Refusal:
        """Return the key of whoever is signed in, with which any request may then be refused."""
        directory = self._parts.directory
        if viewer.key is not None:
            return directory.get(viewer.key.id) or UNKNOWN_KEY
        person = viewer.person
        if person is None:
            return UNKNOWN_KEY
        known = directory.get(self._ids.get(person.id, ""))
        if known is not None and known.record.status != "deleted":
            return known
        record = await self._parts.keys.of_chat(person)
        if len(self._ids) >= _MAX_PEOPLE:
            self._ids.clear()
        self._ids[person.id] = record.id
        return directory.get(record.id) or UNKNOWN_KEY


async def see(parts: Parts, _: Asked) -> Page:
    """Show the page; all else is the script's."""
    limit = parts.settings().server.max_body_bytes
    return Page("chat.html", "Chat", {"max_bytes": limit}, scripts=("markdown.js", "chat.js"))


async def see_cost(parts: Parts, asked: Asked) -> Response:
    """Say what one response of the viewer's own cost, as soon as that is booked."""
    request_id = asked.params["request_id"]
    if _REQUEST_ID.fullmatch(request_id) is None:
        return not_found("There is no such request")
    for look in range(_LOOKS):
        if look:
            await asyncio.sleep(_LOOK_SECONDS)
        record = await parts.store.usage.get(request_id)
        if record is not None:
            break
    else:
        record = None
    if record is None or not _is_own(asked.viewer, record):
        return not_found("Nothing is booked for this request")
    told = msgspec.json.encode({"units": record.cost_units})
    return Download(told, "application/json", "cost.json")


def _is_own(viewer: Viewer, record: UsageRecord) -> bool:
    if viewer.key is not None:
        return record.key_id == viewer.key.id
    return viewer.person is not None and record.person_id == viewer.person.id


PLACES = (
    Place("/chat", "chat", see),
    Place("/chat/costs/{request_id}", "chat", see_cost),
)
