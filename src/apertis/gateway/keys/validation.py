"""What a key's record may say: every value that an administrator sets, held against its rule."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from apertis.gateway.keys.matching import parse_network
from apertis.limiting.rates import parse_rate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from apertis.gateway.keys.record import KeyRecord

__all__ = [
    "MAX_FALLBACK_MODELS",
    "MAX_FALLBACK_MS",
    "MAX_UNITS",
    "MIN_FALLBACK_MS",
    "Problem",
    "problems_of",
]

# The service's documented bounds for fallback.
MAX_FALLBACK_MODELS = 5
MIN_FALLBACK_MS = 5_000
MAX_FALLBACK_MS = 300_000
# Sums of a few such amounts still fit an integer column of every store.
MAX_UNITS = 2**62
MAX_ENTRIES = 1_000
_MAX_TAGS = 50
_MAX_NAME_LENGTH = 200
_MAX_TAG_LENGTH = 100
# 9999-12-31T23:59:59Z: the last second that ISO 8601 writes with four digits.
_LAST_SECOND = 253_402_300_799

# Ids of today and tomorrow, with the modifiers of the service: `code:`, `:web`, `vendor/name`.
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
_PATTERN = re.compile(r"[A-Za-z0-9._:/@+-]{0,200}\*")
_KEY_ID = re.compile(r"key_[A-Za-z0-9]{20}")
_MAX_SHOWN_LENGTH = 80


class Problem(msgspec.Struct, frozen=True):
    """One value that cannot be: where it stands, what it is, and what is expected there."""

    # With an index inside a list: `models[2]`.
    field: str
    value: object
    expected: str

    def __str__(self) -> str:
        shown = repr(self.value)
        if len(shown) > _MAX_SHOWN_LENGTH:
            shown = shown[:_MAX_SHOWN_LENGTH] + "..."
        return f"'{self.field}' is {shown}: expected {self.expected}"


def problems_of(record: KeyRecord) -> list[Problem]:
    """Say everything that is wrong with a record that is about to be kept; empty: nothing is.

    The values have the record's types already. An expiry in the past is allowed: it ends the key.
    """
    return [
        *_label("name", record.name, _MAX_NAME_LENGTH),
        *_name_is_no_id(record.name),
        *([] if record.owner is None else _label("owner", record.owner, _MAX_NAME_LENGTH)),
        *_tags(record.tags),
        *_number("quota_units", record.quota_units, MAX_UNITS, "units (500,000 to the dollar)"),
        *_number("expires_at", record.expires_at, _LAST_SECOND, "Unix seconds"),
        *_models(record.models),
        *_addresses(record.addresses),
        *_fallback(record),
        *_requests_limit(record.requests_limit),
        *_number("tokens_per_minute", record.tokens_per_minute, MAX_UNITS, "tokens, 0 for any"),
        *_number("in_flight", record.in_flight, MAX_UNITS, "requests at once, 0 for any"),
    ]


def _label(field: str, text: str, longest: int) -> Iterator[Problem]:
    if not (0 < len(text) <= longest and text.isprintable() and text == text.strip()):
        rule = f"1 to {longest} printable characters, without spaces at either end"
        yield Problem(field, text, rule)


def _name_is_no_id(name: str) -> Iterator[Problem]:
    if _KEY_ID.fullmatch(name):
        yield Problem("name", name, "a name that does not look like a key's id")


def _tags(tags: tuple[str, ...]) -> Iterator[Problem]:
    if len(tags) > _MAX_TAGS:
        yield Problem("tags", f"{len(tags)} tags", f"at most {_MAX_TAGS}")
    for index, tag in enumerate(tags):
        yield from _label(f"tags[{index}]", tag, _MAX_TAG_LENGTH)
    yield from _repeated("tags", tags)


def _number(field: str, value: int | None, most: int, unit: str) -> Iterator[Problem]:
    if value is not None and not 0 <= value <= most:
        yield Problem(field, value, f"0 to {most} {unit}, or null")


def _models(models: tuple[str, ...] | None) -> Iterator[Problem]:
    if models is None:
        return
    yield from _entry_count("models", models, "null for all models")
    rule = "a model's id, or the beginning of one and a star: claude-haiku-*"
    for index, entry in enumerate(models):
        if not (_MODEL.fullmatch(entry) or _PATTERN.fullmatch(entry)):
            yield Problem(f"models[{index}]", entry, rule)


def _addresses(addresses: tuple[str, ...] | None) -> Iterator[Problem]:
    if addresses is None:
        return
    yield from _entry_count("addresses", addresses, "null for all addresses")
    for index, entry in enumerate(addresses):
        try:
            parse_network(entry)
        except ValueError as error:
            rule = f"an address or a network such as 10.0.0.0/8 or 2001:db8::/32 ({error})"
            yield Problem(f"addresses[{index}]", entry, rule)


def _fallback(record: KeyRecord) -> Iterator[Problem]:
    models, timeout_ms = record.fallback_models, record.fallback_timeout_ms
    if len(models) > MAX_FALLBACK_MODELS:
        yield Problem("fallback_models", list(models), f"at most {MAX_FALLBACK_MODELS} models")
    for index, entry in enumerate(models):
        if not _MODEL.fullmatch(entry):
            yield Problem(f"fallback_models[{index}]", entry, "a model's id")
    yield from _repeated("fallback_models", models)
    if timeout_ms is not None and not MIN_FALLBACK_MS <= timeout_ms <= MAX_FALLBACK_MS:
        rule = f"{MIN_FALLBACK_MS} to {MAX_FALLBACK_MS} milliseconds, or null"
        yield Problem("fallback_timeout_ms", timeout_ms, rule)


def _requests_limit(text: str | None) -> Iterator[Problem]:
    try:
        if text is not None:
            parse_rate(text)
    except ValueError as error:
        rule = f"a rate such as 3000/1m, 0 for no limit, or null ({error})"
        yield Problem("requests_limit", text, rule)


def _entry_count(field: str, entries: tuple[str, ...], instead: str) -> Iterator[Problem]:
    # An empty list would be a key for nothing, or was meant to be one for everything.
    if not 0 < len(entries) <= MAX_ENTRIES:
        rule = f"1 to {MAX_ENTRIES} entries, or {instead}"
        yield Problem(field, f"{len(entries)} entries", rule)


def _repeated(field: str, entries: Iterable[str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        if entry in seen:
            yield Problem(f"{field}[{index}]", entry, "each entry once")
        seen.add(entry)
