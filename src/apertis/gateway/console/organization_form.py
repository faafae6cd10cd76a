"""Forms of people and groups: only what was changed in them is sent on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from apertis.gateway.console.key_form import Field

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_COUNTS = ("tokens_per_minute", "in_flight")
_NEVER_EMPTY = ("name", "role")


def rate_fields(value: Mapping[str, str]) -> tuple[Field, ...]:
    """Return the fields of rates, which are counted over all keys of a person or group."""
    return (
        Field(
            "requests_limit",
            "Requests",
            "Of all their keys, such as 3000/1m. Empty: no limit.",
            value["requests_limit"],
        ),
        Field(
            "tokens_per_minute",
            "Tokens a minute",
            "Of all their keys. Empty: no limit.",
            value["tokens_per_minute"],
        ),
        Field(
            "in_flight",
            "Requests at once",
            "Of all their keys. Empty: no limit.",
            value["in_flight"],
        ),
    )


def body_of(form: Mapping[str, str], shown: Mapping[str, str], settable: Collection[str]) -> bytes:
    """Return the JSON body of what was changed in a form; what is empty is none."""
    given: dict[str, Any] = {}
    for name in shown.keys() & settable:
        text = form.get(name, shown[name]).strip()
        if text == shown[name]:
            continue
        is_count = name in _COUNTS and text.isascii() and text.isdecimal()
        value: Any = int(text) if is_count else text
        given[name] = None if text == "" and name not in _NEVER_EMPTY else value
    return msgspec.json.encode(given)


def id_of(made: msgspec.Struct) -> str:
    """Return the id of what a resource answers with."""
    found: str = getattr(made, "id")  # noqa: B009 - each answer has it, the type of all has not.
    return found
