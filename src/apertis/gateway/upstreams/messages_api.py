"""Common parts of upstreams that speak the Messages API: their models, and their errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from apertis.gateway.upstreams.asking import ask
from apertis.gateway.upstreams.contract import NO_LIST, Document, UpstreamFailure, UpstreamTimeouts
from apertis.gateway.upstreams.outcome import Fault, Outcome, outcome_of_error, outcome_of_status
from apertis.models.json import json_or_none, with_sound_text
from apertis.sansio.slices import items, slices
from apertis.version import __version__

if TYPE_CHECKING:
    from apertis.gateway.upstreams.contract import UpstreamAnswer, UpstreamRequest

_TIMEOUTS = UpstreamTimeouts(connect=10.0, first_byte=20.0, idle=20.0)
_USER_AGENT = f"apertis/{__version__}"
# What an upstream says is bounded, whatever it is.
_MAX_BODY_BYTES = 16 * 2**20
_MAX_MODELS = 10_000
# An upstream that does not have the endpoint.
_NO_SUCH_THING = frozenset({404, 405, 501})

_MODEL = msgspec.json.Decoder(Document)


class MessagesApi(ABC):
    """An upstream with the paths and the errors of the Messages API."""

    @abstractmethod
    async def open(
        self, request: UpstreamRequest, timeouts: UpstreamTimeouts
    ) -> UpstreamAnswer | UpstreamFailure:
        """Send one request, and wait for the head of its response."""

    async def models(self) -> dict[str, Document] | UpstreamFailure:
        """Read all models by id, in its order; `NO_LIST` itself where it has no list."""
        found: dict[str, Document] = {}
        target = "/v1/models?limit=1000"
        while True:
            body = await self._get(target)
            if body is None:
                return found or NO_LIST
            if isinstance(body, UpstreamFailure):
                return body
            page = slices(with_sound_text(body), ("data", "has_more", "last_id"))
            entries = None if page is None else items(page.get("data", b""))
            if page is None or entries is None:
                return UpstreamFailure(Fault.BROKEN, "its list of models cannot be read")
            before = len(found)
            for entry in entries:
                # One that cannot be read does not hide the others.
                document = json_or_none(entry, _MODEL)
                if document is not None and (name := id_of(document)) is not None:
                    found.setdefault(name, document)
            last_id = json_or_none(page.get("last_id", b""), str) or ""
            # An upstream that does not heed the cursor gives the same page for ever.
            grew = before < len(found) < _MAX_MODELS
            if not (page.get("has_more") == b"true" and last_id and grew):
                return found
            target = f"/v1/models?limit=1000&after_id={quote(last_id, safe='')}"

    async def model(self, name: str) -> Document | UpstreamFailure | None:
        """Read one model by its id or alias; None where it does not know it."""
        body = await self._get(f"/v1/models/{quote(name, safe='')}")
        if body is None or isinstance(body, UpstreamFailure):
            return body
        document = json_or_none(with_sound_text(body), _MODEL)
        if document is None:
            return UpstreamFailure(Fault.BROKEN, "its description of a model cannot be read")
        return document if id_of(document) is not None else None

    async def _get(self, target: str) -> bytes | UpstreamFailure | None:
        """Return the body of a 200; None where there is no such thing."""
        said = await ask(self, target, _USER_AGENT, _TIMEOUTS, _MAX_BODY_BYTES)
        if isinstance(said, UpstreamFailure):
            return said
        status, _, body = said
        if status in _NO_SUCH_THING:
            return None
        if status != 200:
            return UpstreamFailure(Fault.BROKEN, f"it answered {status} when asked")
        if len(body) > _MAX_BODY_BYTES:
            return UpstreamFailure(Fault.BROKEN, "what it says of its models is too large")
        return body

    def outcome_of_status(self, status: int) -> Outcome:
        """Classify a response by its status."""
        return outcome_of_status(status)

    def outcome_of_error(self, error_type: str | None) -> Outcome:
        """Classify the `error` event of a stream by its `error.type`."""
        return outcome_of_error(error_type)


def id_of(document: Document) -> str | None:
    """Return the id of a model as an upstream describes it."""
    return json_or_none(document.get("id", b""), str) or None
