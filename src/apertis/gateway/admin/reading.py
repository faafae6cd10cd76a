"""Validation of bodies and query strings into msgspec types; what does not fit is a refusal."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Generic, Literal, Protocol, TypeVar
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct, UnsetType

from apertis.gateway.budgets.periods import time_zone
from apertis.gateway.errors import Refusal, invalid_parameter, invalid_request
from apertis.gateway.units import read_moment, read_span
from apertis.models.json import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import tzinfo

    from apertis.gateway.keys.record import KeyRecord

_T = TypeVar("_T", bound=msgspec.Struct)

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_AT = re.compile(r"(.*) - at `\$\.([a-z_0-9]+)[^`]*`", re.DOTALL)
_TYPE_NAME = re.compile(r"`([a-z |]+)`")
_WORDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
}


def read_body_as(
    body: bytes, type: type[_T], forbidden: Mapping[str, str] | None = None
) -> _T | Refusal:
    """Read a JSON object. `forbidden` says of fields that cannot be set why, or what to do."""
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.ValidationError as error:
        return _refusal_of(str(error), type, forbidden or {})
    except UNREADABLE as error:
        return invalid_request(f"The body is not JSON: {error}")


def read_query_as(query: str, type: type[_T]) -> _T | Refusal:
    """Read a query string; each field may be given once."""
    fields: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in fields:
            return invalid_parameter(name[:100], f"'{name[:100]}' is given twice in the query")
        fields[name] = value
    try:
        return msgspec.convert(fields, type, strict=False)
    except msgspec.ValidationError as error:
        return _refusal_of(str(error), type, {})


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggest the known name that is meant, as the end of a sentence; else list them all."""
    names = list(known)
    close = difflib.get_close_matches(name[:100], names, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(names)}"


def _refusal_of(message: str, type: type[msgspec.Struct], forbidden: Mapping[str, str]) -> Refusal:
    unknown = _UNKNOWN.fullmatch(message)
    if unknown:
        name = unknown[1][:100]
        if name in forbidden:
            return invalid_parameter(name, f"'{name}' cannot be set: {forbidden[name]}")
        known = type.__struct_encode_fields__
        return invalid_parameter(name, f"Unknown field '{name}'{nearest(name, known)}")
    placed = _AT.fullmatch(message)
    if placed:
        return invalid_parameter(placed[2], f"'{placed[2]}': {_in_words(placed[1])}")
    return invalid_request(f"The body must be a JSON object: {_in_words(message)}")


def _in_words(message: str) -> str:
    def words(match: re.Match[str]) -> str:
        return " or ".join(_WORDS.get(name, name) for name in match[1].split(" | "))

    text = _TYPE_NAME.sub(words, message)
    return text[:1].lower() + text[1:]


def read_times(
    first: str | UnsetType | None, last: str | UnsetType | None, zone: str, now: float
) -> tuple[int | None, int | None] | Refusal:
    """Read the parameters `from` and `to` as Unix milliseconds; None: no limit.

    Each is a date, a time or a span ago; `zone` is that of a local time.
    """
    try:
        place = time_zone(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return invalid_parameter("zone", f"'zone': no time zone '{zone[:100]}'")
    since = _moment_ms("from", first, now, place)
    if isinstance(since, Refusal):
        return since
    until = _moment_ms("to", last, now, place, whole_day=True)
    return until if isinstance(until, Refusal) else (since, until)


def _moment_ms(
    param: str, text: str | UnsetType | None, now: float, zone: tzinfo, *, whole_day: bool = False
) -> int | Refusal | None:
    if not isinstance(text, str):
        return None
    span = read_span(text)
    seconds = read_moment(text, whole_day=whole_day, zone=zone) if span is None else int(now) - span
    if seconds is None or seconds < 0:
        message = f"'{param}' must be a date or time as 2026-12-31T18:00Z, or a span ago as 7d"
        return invalid_parameter(param, f"{message}, not {text[:100]!r}")
    return seconds * 1000


class PageFields(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The part of a list that is asked for; oldest first."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after_id: str | None = None
    before_id: str | None = None


class ListFields(PageFields, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Filters for listing keys: oldest first, deleted ones only if `status` asks for them."""

    name: str | None = None
    owner: str | None = None
    tag: str | None = None
    status: Literal["enabled", "disabled", "deleted", "all"] | None = None


class CacheFields(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The cached responses to drop: those of one key (by id), or all of them."""

    key: str | None = None


class _Kept(Protocol):
    """The parts of a record that give it its place in a list."""

    @property
    def id(self) -> str: ...
    @property
    def created_at(self) -> int: ...
    @property
    def sequence(self) -> int: ...


_Record = TypeVar("_Record", bound=_Kept)


@dataclass(frozen=True, slots=True)
class PageOf(Generic[_Record]):
    """One page of records."""

    records: tuple[_Record, ...]
    has_more: bool

    @property
    def borders(self) -> dict[str, str | None]:
        """The ids that the next and the previous page are asked for with."""
        ids = [record.id for record in self.records]
        return {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}


def page_of(records: Iterable[KeyRecord], asked: ListFields) -> PageOf[KeyRecord] | Refusal:
    """Cut the page of keys that is asked for."""
    return cut(records, asked, lambda record: _is_asked_for(record, asked), "key")


def cut(
    records: Iterable[_Record], asked: PageFields, wanted: Callable[[_Record], bool], what: str
) -> PageOf[_Record] | Refusal:
    """Cut the page that is asked for; `has_more` counts in the direction of the asking."""
    if asked.after_id is not None and asked.before_id is not None:
        return invalid_parameter("before_id", "Give 'after_id' or 'before_id', not both")
    ordered = sorted(records, key=lambda record: (record.created_at, record.sequence, record.id))
    border = asked.after_id or asked.before_id
    if border is not None:
        at = next((i for i, record in enumerate(ordered) if record.id == border), None)
        if at is None:
            param = "after_id" if asked.after_id else "before_id"
            return invalid_parameter(param, f"'{param}': there is no {what} '{border[:100]}'")
        ordered = ordered[at + 1 :] if asked.after_id else ordered[:at]
    found = [record for record in ordered if wanted(record)]
    part = found[-asked.limit :] if asked.before_id else found[: asked.limit]
    return PageOf(tuple(part), len(found) > len(part))


def _is_asked_for(record: KeyRecord, asked: ListFields) -> bool:
    if asked.status is None:
        right_status = record.status != "deleted"
    else:
        right_status = asked.status in (record.status, "all")
    return (
        right_status
        and asked.name in (None, record.name)
        and asked.owner in (None, record.owner)
        and (asked.tag is None or asked.tag in record.tags)
    )
