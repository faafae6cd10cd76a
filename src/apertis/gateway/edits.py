"""The declared edits: fields of the gateway's own, which an upstream of this format must not see.

`fallback_*` and `compression` are the service's. The others are OpenAI-style parameters that the
service accepts on Messages as well; each is mapped to the field that means the same here, dropped
when its value changes nothing, or refused when it cannot be honoured. Everything else is passed
on as it came.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from apertis.gateway.errors import Refusal, invalid_parameter

if TYPE_CHECKING:
    from apertis.gateway.peek import Body

__all__ = ["FALLBACK_FIELDS", "Edits", "declared_edits"]

FALLBACK_FIELDS = ("fallback_models", "fallback_timeout", "fallback_enabled")
# Values of OpenAI-style parameters that change nothing about an answer.
_WITHOUT_EFFECT: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "seed": (),
}
_INSTEAD = {
    "n": "Claude gives one answer a request; only 1 is possible",
    "presence_penalty": "Claude has no such parameter; only 0 is possible",
    "frequency_penalty": "Claude has no such parameter; only 0 is possible",
    "logit_bias": "Claude has no such parameter; only an empty one is possible",
    "response_format": "use 'output_config' with a 'format' of type 'json_schema' instead",
    "seed": "Claude cannot repeat an answer; leave it out",
}
_OWN = frozenset({*FALLBACK_FIELDS, "compression", "stop", "user", *_WITHOUT_EFFECT})
_MOST_STOPS = 4
# Numbers of thousands of digits, and deep nesting.
_UNREADABLE = (msgspec.DecodeError, RecursionError)
_METADATA = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)


@dataclass(frozen=True, slots=True)
class Edits:
    """Top-level fields to remove, to replace and to add, values as JSON."""

    remove: tuple[str, ...] = ()
    replace: dict[str, bytes] = field(default_factory=dict[str, bytes])
    add: dict[str, bytes] = field(default_factory=dict[str, bytes])


_NONE = Edits()


def declared_edits(body: Body) -> Edits | Refusal:
    """Say what of a body is to be edited, or which field cannot be honoured."""
    own = _OWN.intersection(body.names)
    if not own:
        return _NONE
    edits = Edits(tuple(sorted(own)))
    for name in edits.remove:
        if name in FALLBACK_FIELDS:
            continue
        try:
            value = msgspec.json.decode(body.raw(name) or b"null")
        except _UNREADABLE:
            return invalid_parameter(name, f"Invalid value for parameter '{name}': too large")
        if value is None:
            continue
        refusal: Refusal | None = None
        if name == "compression":
            refusal = _compression(value)
        elif name == "stop":
            refusal = _stop(body, value, edits)
        elif name == "user":
            refusal = _user(body, value, edits)
        elif not any(value == harmless for harmless in _WITHOUT_EFFECT[name]):
            refusal = invalid_parameter(
                name, f"Invalid value for parameter '{name}': {_INSTEAD[name]}"
            )
        if refusal is not None:
            return refusal
    return edits


def _compression(value: object) -> Refusal | None:
    try:
        asked = msgspec.convert(value, dict[str, object])
    except msgspec.ValidationError:
        asked = {}
    if asked.get("enabled") is False:
        return None
    return invalid_parameter(
        "compression",
        "Invalid value for parameter 'compression': this gateway does not compress histories; "
        'leave it out, or send {"enabled": false}',
    )


def _stop(body: Body, value: object, edits: Edits) -> Refusal | None:
    if "stop_sequences" in body:
        return invalid_parameter(
            "stop", "Invalid value for parameter 'stop': 'stop_sequences' is there already"
        )
    try:
        stops = msgspec.convert(value, list[str] | str)
    except msgspec.ValidationError:
        stops = []
    if isinstance(stops, str):
        stops = [stops]
    if not 0 < len(stops) <= _MOST_STOPS:
        return invalid_parameter(
            "stop",
            f"Invalid value for parameter 'stop': a string, or 1 to {_MOST_STOPS} of them",
        )
    edits.add["stop_sequences"] = msgspec.json.encode(stops)
    return None


def _user(body: Body, value: object, edits: Edits) -> Refusal | None:
    if not isinstance(value, str):
        return invalid_parameter("user", "Invalid value for parameter 'user': a string")
    raw = body.raw("metadata")
    fields: dict[str, msgspec.Raw] = {}
    known: object = None
    try:
        fields = _METADATA.decode(raw or b"null") or fields
        known = msgspec.json.decode(fields.get("user_id", b"null"))
    except _UNREADABLE:
        # What is no object, or no name, is another one than this.
        known = 0
    own = msgspec.json.encode(value)
    if known not in (None, value):
        return invalid_parameter(
            "user", "Invalid value for parameter 'user': 'metadata' names another 'user_id'"
        )
    merged = msgspec.json.encode({**fields, "user_id": msgspec.Raw(own)})
    (edits.add if raw is None else edits.replace)["metadata"] = merged
    return None
