"""The body of a new batch, read, and written for the upstream that runs it.

Each request of a batch is read like a request of its own: its model and its `max_tokens`, and the
declared edits. What is edited is spliced into the original bytes; a batch without edits stays the
very body that came. https://docs.claude.com/en/api/creating-message-batches
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from apertis.gateway.errors import Refusal, invalid_request, invalid_value, missing_parameter
from apertis.gateway.request.asked import NOTHING, Asked, read_asked
from apertis.gateway.request.body import Body, declared_edits, peek, positions, read_object
from apertis.models.json import json_or_none
from apertis.sansio.slices import BATCH_BOUNDS, MAX_BATCH_REQUESTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.gateway.request.body import Edits

_MAX_ID_LENGTH = 256

_ENTRIES = msgspec.json.Decoder(list[msgspec.Raw])


class BatchRequest(NamedTuple):
    """One request of a batch, and where its `params` stand in the body."""

    custom_id: str
    model: str
    max_tokens: int
    start: int
    end: int
    edits: Edits | None
    """Edits besides the model's name; None for none."""
    asked: Asked = NOTHING


class BatchBody:
    """A batch as received. Nothing but its bytes and a few facts of each request is kept."""

    __slots__ = ("data", "fallbacks", "models", "requests")

    def __init__(self, data: bytes, requests: list[BatchRequest]) -> None:
        self.data = data
        self.requests = requests
        self.models: dict[str, int] = {}
        """The models that are asked for, each with the place of the first request that does."""
        for place, request in enumerate(requests):
            self.models.setdefault(request.model, place)
        self.fallbacks: dict[str, int] = {}
        """The models that their upstream may ask in turn, likewise."""
        for place, request in enumerate(requests):
            if request.asked.fallbacks is not None:
                for hop in request.asked.fallbacks.hops:
                    self.fallbacks.setdefault(hop.model, place)

    def params(self, request: BatchRequest) -> bytes:
        """Give the `params` of a request as received."""
        return self.data[request.start : request.end]

    def to(self, names: Mapping[str, str]) -> bytes:
        """Give the body with each model under its name in `names`, or else its own."""
        data = self.data
        pieces: list[bytes] = []
        position = 0
        for request in self.requests:
            name = names.get(request.model, request.model)
            chain = request.asked.fallbacks
            named = chain.named(names) if chain is not None and names else None
            if name == request.model and request.edits is None and named is None:
                continue
            pieces += (data[position : request.start], self._edited(request, name, named))
            position = request.end
        if not pieces:
            return data
        pieces.append(data[position:])
        return b"".join(pieces)

    def _edited(self, request: BatchRequest, name: str, fallbacks: bytes | None) -> bytes:
        params = read_object(self.params(request))
        if isinstance(params, Refusal):
            raise AssertionError(f"was read before: {params.message}")
        replaced: dict[str, bytes] = {}
        if name != request.model:
            replaced["model"] = msgspec.json.encode(name)
        if fallbacks is not None:
            replaced["fallbacks"] = fallbacks
        edits = request.edits
        if edits is None:
            return params.edited(replaced)
        return params.edited({**edits.replace, **replaced}, edits.remove, edits.add)


def read_batch(data: bytes) -> BatchBody | Refusal:
    """Read a batch, or say what of which request is wrong: `param` is like `requests.3.params.n`.

    A batch of 256 MB takes seconds: large ones are to be read in a thread.
    """
    body = read_object(data, BATCH_BOUNDS)
    if isinstance(body, Refusal):
        return body
    if "requests" not in body:
        return missing_parameter("requests")
    start, end = body.span("requests")
    entries = json_or_none(memoryview(data)[start:end], _ENTRIES)
    if entries is None:
        return invalid_value("requests", "a list of requests")
    if not 1 <= len(entries) <= MAX_BATCH_REQUESTS:
        return invalid_value("requests", f"1 to {MAX_BATCH_REQUESTS} of them, not {len(entries)}")
    requests: list[BatchRequest] = []
    ids: set[str] = set()
    for place, (position, entry) in enumerate(positions(data, start, entries)):
        request = _read_request(place, position, entry)
        if isinstance(request, Refusal):
            return request
        if request.custom_id in ids:
            other = f"another request of the batch has the custom_id {request.custom_id!r} too"
            return invalid_value(f"requests.{place}.custom_id", other)
        ids.add(request.custom_id)
        requests.append(request)
    return BatchBody(data, requests)


def _read_request(place: int, position: int, data: bytes) -> BatchRequest | Refusal:
    entry = read_object(data)
    if isinstance(entry, Refusal):
        return _within(f"requests.{place}", entry)
    for name in ("custom_id", "params"):
        if name not in entry:
            return missing_parameter(f"requests.{place}.{name}")
    custom_id = entry.value("custom_id", str)
    if not custom_id or len(custom_id) > _MAX_ID_LENGTH or not custom_id.isprintable():
        return invalid_value(f"requests.{place}.custom_id", "a string of 1 to 64 characters")
    params = peek(entry.raw("params") or b"", needs_max_tokens=True)
    if isinstance(params, Refusal):
        return _within(f"requests.{place}.params", params)
    edits = _edits(params)
    if isinstance(edits, Refusal):
        return _within(f"requests.{place}.params", edits)
    asked = read_asked(params)
    if isinstance(asked, Refusal):
        return _within(f"requests.{place}.params", asked)
    start, end = entry.span("params")
    return BatchRequest(
        custom_id, params.model, params.max_tokens, position + start, position + end, edits, asked
    )


def _edits(params: Body) -> Edits | Refusal | None:
    if params.value("fallback_enabled", bool):
        return invalid_value(
            "fallback_enabled", "a request of a batch does not fall back; leave it out"
        )
    edits = declared_edits(params)
    if isinstance(edits, Refusal):
        return edits
    return edits if edits.remove else None


def _within(place: str, refusal: Refusal) -> Refusal:
    """Return the refusal of a part of the batch, as one that names the part."""
    if refusal.param is None:
        return replace(invalid_request(f"{place}: {refusal.message}"), param=place)
    param = f"{place}.{refusal.param}"
    message = refusal.message.replace(f"'{refusal.param}'", f"'{param}'", 1)
    return replace(refusal, param=param, message=message)
