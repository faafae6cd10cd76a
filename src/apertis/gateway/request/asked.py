"""Options of a body that cost money and that its own model and messages do not show.

A conversation that the upstream holds, other models that may answer in its place, and somebody
else who is billed. What cannot be read counts as the dearest that it may mean, or is rejected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from apertis.gateway.errors import Refusal, invalid_value
from apertis.gateway.request.body import Body, positions, read_object

if TYPE_CHECKING:
    from collections.abc import Mapping

ASKING: Final = frozenset({"thread", "fallbacks", "billing_policy"})
_MAX_NAME_LENGTH = 256
# The API takes three. Whoever sends thousands must not keep all others waiting.
_MAX_HOPS = 20
# Who is billed where that cannot be read.
_SOMEBODY = "unknown"
_ENTRIES = msgspec.json.Decoder(list[msgspec.Raw])


class Thread(NamedTuple):
    """A conversation that the upstream holds: it begins, or goes on behind an earlier response.

    `previous` is the id of that answer. A `thread` that cannot be read goes on behind one that
    nobody knows: that is the dearest it may mean.
    """

    continues: bool
    previous: str = ""


class Hop(NamedTuple):
    """A model that the upstream may ask in turn, and what differs from the request then."""

    model: str
    max_tokens: int | None
    fast: bool | None
    # Where in the field's bytes the name of the model stands.
    start: int
    end: int


class Fallbacks(NamedTuple):
    """The `fallbacks` of a body: its entries, or any model that there is."""

    raw: bytes
    hops: tuple[Hop, ...] = ()
    any_model: bool = False

    def named(self, names: Mapping[str, str]) -> bytes | None:
        """Give the field with each model under its name in `names`; None when nothing changes."""
        pieces: list[bytes] = []
        position = 0
        for hop in self.hops:
            name = names.get(hop.model, hop.model)
            if name != hop.model:
                pieces += (self.raw[position : hop.start], msgspec.json.encode(name))
                position = hop.end
        return b"".join((*pieces, self.raw[position:])) if pieces else None


class Asked(msgspec.Struct, frozen=True):
    """All of it; nearly always nothing."""

    thread: Thread | None = None
    fallbacks: Fallbacks | None = None
    # Who else is billed, in the API's own word.
    bill_to: str | None = None


NOTHING: Final = Asked()


def read_asked(body: Body) -> Asked | Refusal:
    """Read the fields, or say which one cannot be."""
    if ASKING.isdisjoint(body.fields):
        return NOTHING
    thread = _thread(_given(body, "thread"))
    if isinstance(thread, Refusal):
        return thread
    fallbacks = _fallbacks(_given(body, "fallbacks"))
    if isinstance(fallbacks, Refusal):
        return fallbacks
    bill_to = _bill_to(_given(body, "billing_policy"))
    if isinstance(bill_to, Refusal):
        return bill_to
    return Asked(thread, fallbacks, bill_to)


def _given(body: Body, name: str) -> bytes | None:
    raw = body.raw(name)
    return None if raw == b"null" else raw


def _thread(raw: bytes | None) -> Thread | Refusal | None:
    if raw is None:
        return None
    if not raw.startswith(b"{"):
        return Thread(continues=True)
    fields = read_object(raw)
    if isinstance(fields, Refusal):
        return _unreadable("thread", fields)
    if fields.value("type", str) == "create":
        return Thread(continues=False)
    return Thread(continues=True, previous=fields.value("previous_message_id", str) or "")


def _fallbacks(raw: bytes | None) -> Fallbacks | Refusal | None:
    if raw is None:
        return None
    if not raw.startswith(b"["):
        # "default", or what a later version of the API calls by another name.
        return Fallbacks(raw, any_model=True)
    entries = _ENTRIES.decode(raw)
    if len(entries) > _MAX_HOPS:
        return invalid_value("fallbacks", f"at most {_MAX_HOPS} models are possible")
    hops: list[Hop] = []
    for place, (position, entry) in enumerate(positions(raw, 0, entries)):
        hop = _hop(f"fallbacks.{place}", position, entry)
        if isinstance(hop, Refusal):
            return hop
        hops.append(hop)
    return Fallbacks(raw, tuple(hops))


def _hop(place: str, position: int, entry: bytes) -> Hop | Refusal:
    if not entry.startswith(b"{"):
        return invalid_value(place, "an object with a 'model'")
    fields = read_object(entry)
    if isinstance(fields, Refusal):
        return _unreadable(place, fields)
    model = fields.value("model", str)
    if not model or len(model) > _MAX_NAME_LENGTH:
        return invalid_value(f"{place}.model", f"a string of 1 to {_MAX_NAME_LENGTH} characters")
    max_tokens = None
    if _given(fields, "max_tokens") is not None:
        max_tokens = fields.count("max_tokens")
        if max_tokens is None:
            return invalid_value(f"{place}.max_tokens", "a whole number from 1")
    speed = _given(fields, "speed")
    start, end = fields.span("model")
    return Hop(
        model,
        max_tokens,
        None if speed is None else speed != b'"standard"',
        position + start,
        position + end,
    )


def _bill_to(raw: bytes | None) -> str | Refusal | None:
    if raw is None:
        return None
    if not raw.startswith(b"{"):
        return _SOMEBODY
    fields = read_object(raw)
    if isinstance(fields, Refusal):
        return _unreadable("billing_policy", fields)
    if _given(fields, "bill_to") in (None, b'"self"'):
        return None
    return (fields.value("bill_to", str) or _SOMEBODY)[:_MAX_NAME_LENGTH]


def _unreadable(param: str, refusal: Refusal) -> Refusal:
    return invalid_value(param, refusal.message)
