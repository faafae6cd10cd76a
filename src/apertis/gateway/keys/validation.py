"""The rules of a key's settings: each takes a field and its value, and tells what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from apertis.gateway.keys.matching import parse_network
from apertis.limiting.rates import parse_rate

if TYPE_CHECKING:
    from collections.abc import Iterable

# The service's documented bounds for fallback.
MAX_FALLBACK_MODELS = 5
MIN_FALLBACK_MS = 5_000
MAX_FALLBACK_MS = 300_000
# Sums of a few such amounts still fit an integer column of every store.
MAX_UNITS = 2**62
MAX_ENTRIES = 1_000
_MAX_TAGS = 50
MAX_LABEL_LENGTH = 200
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


Rule = Callable[[str, Any], Iterator[Problem]]


def label(field: str, text: str, longest: int = MAX_LABEL_LENGTH) -> Iterator[Problem]:
    """Allow one line of text."""
    if not (0 < len(text) <= longest and text.isprintable() and text == text.strip()):
        rule = f"1 to {longest} printable characters, without spaces at either end"
        yield Problem(field, text, rule)


def key_name(field: str, name: str) -> Iterator[Problem]:
    """Allow a label that nobody takes for an id."""
    yield from label(field, name)
    if _KEY_ID.fullmatch(name):
        yield Problem(field, name, "a name that does not look like a key's id")


def tags(field: str, values: tuple[str, ...]) -> Iterator[Problem]:
    """Allow a few labels, each once."""
    if len(values) > _MAX_TAGS:
        yield Problem(field, f"{len(values)} tags", f"at most {_MAX_TAGS}")
    for index, tag in enumerate(values):
        yield from label(f"{field}[{index}]", tag, _MAX_TAG_LENGTH)
    yield from _repeated(field, values)


def at_most(most: int, unit: str) -> Rule:
    """Allow counts from 0."""

    def rule(field: str, value: int) -> Iterator[Problem]:
        if not 0 <= value <= most:
            yield Problem(field, value, f"0 to {most} {unit}, or null")

    return rule


moment = at_most(_LAST_SECOND, "Unix seconds")


def models(field: str, entries: tuple[str, ...]) -> Iterator[Problem]:
    """Allow ids of models and beginnings of them."""
    yield from _entry_count(field, entries, "null for all models")
    rule = "a model's id, or the beginning of one and a star: claude-haiku-*"
    for index, entry in enumerate(entries):
        if not (_MODEL.fullmatch(entry) or _PATTERN.fullmatch(entry)):
            yield Problem(f"{field}[{index}]", entry, rule)


def addresses(field: str, entries: tuple[str, ...]) -> Iterator[Problem]:
    """Allow addresses and networks."""
    yield from _entry_count(field, entries, "null for all addresses")
    for index, entry in enumerate(entries):
        try:
            parse_network(entry)
        except ValueError as error:
            rule = f"an address or a network such as 10.0.0.0/8 or 2001:db8::/32 ({error})"
            yield Problem(f"{field}[{index}]", entry, rule)


def fallback_models(field: str, entries: tuple[str, ...]) -> Iterator[Problem]:
    """Allow a few ids of models, each once."""
    if len(entries) > MAX_FALLBACK_MODELS:
        yield Problem(field, list(entries), f"at most {MAX_FALLBACK_MODELS} models")
    for index, entry in enumerate(entries):
        if not _MODEL.fullmatch(entry):
            yield Problem(f"{field}[{index}]", entry, "a model's id")
    yield from _repeated(field, entries)


def fallback_timeout(field: str, value: int) -> Iterator[Problem]:
    """Allow what the service documents."""
    if not MIN_FALLBACK_MS <= value <= MAX_FALLBACK_MS:
        rule = f"{MIN_FALLBACK_MS} to {MAX_FALLBACK_MS} milliseconds, or null"
        yield Problem(field, value, rule)


def requests_limit(field: str, text: str) -> Iterator[Problem]:
    """Allow a rate."""
    try:
        parse_rate(text)
    except ValueError as error:
        rule = f"a rate such as 3000/1m, 0 for no limit, or null ({error})"
        yield Problem(field, text, rule)


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
