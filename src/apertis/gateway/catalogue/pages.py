"""The pages of `GET /v1/models` (https://docs.claude.com/en/api/models-list)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec

from apertis.gateway.errors import Refusal, invalid_parameter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from apertis.gateway.catalogue.entries import Entry

__all__ = ["page"]

MAX_LIMIT = 1000
# Anthropic's is 20, but clients of the other shapes do not ask for a second page.
_DEFAULT_LIMIT = MAX_LIMIT


def page(entries: Sequence[Entry], query: str) -> bytes | Refusal:
    """The page that a query asks for: `limit`, `after_id` or `before_id`, `lifecycle`.

    `has_more` says whether models are left in the direction of the paging, `first_id` and `last_id`
    are the cursors for the pages before and after; null on an empty page.
    """
    given = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
    states = given.get("lifecycle")
    if states:
        entries = [entry for entry in entries if entry.lifecycle in states.split(",")]
    limit = _limit(given)
    if isinstance(limit, Refusal):
        return limit
    span = _span([entry.id for entry in entries], given, limit)
    if isinstance(span, Refusal):
        return span
    start, end, has_more = span
    chosen = entries[start:end]
    return msgspec.json.encode(
        {
            "object": "list",
            "data": [entry.document for entry in chosen],
            "has_more": has_more,
            "first_id": chosen[0].id if chosen else None,
            "last_id": chosen[-1].id if chosen else None,
        }
    )


def _limit(given: Mapping[str, str]) -> int | Refusal:
    text = given.get("limit")
    if text is None:
        return _DEFAULT_LIMIT
    # Nobody reads a number of a thousand digits.
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0
    if not 1 <= number <= MAX_LIMIT:
        message = f"limit must be a whole number from 1 to {MAX_LIMIT}, not '{text[:40]}'"
        return invalid_parameter("limit", message)
    return number


def _span(
    ids: Sequence[str], given: Mapping[str, str], limit: int
) -> tuple[int, int, bool] | Refusal:
    """The first place of the page, the one behind its last, and whether more follow."""
    if "after_id" in given and "before_id" in given:
        return invalid_parameter("before_id", "only one of after_id and before_id may be given")
    for name in ("after_id", "before_id"):
        if name in given and given[name] not in ids:
            return invalid_parameter(name, f"{name}: there is no model '{given[name][:200]}'")
    if "before_id" in given:
        end = ids.index(given["before_id"])
        start = max(0, end - limit)
        return start, end, start > 0
    start = ids.index(given["after_id"]) + 1 if "after_id" in given else 0
    end = min(start + limit, len(ids))
    return start, end, end < len(ids)
