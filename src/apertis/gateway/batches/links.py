"""The addresses that a batch's description names: this gateway's, not the upstream's.

A client follows `results_url` with its own key, so it has to lead back here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from urllib.parse import parse_qs, quote

import msgspec

from apertis.gateway.errors import Refusal, invalid_value
from apertis.gateway.request.body import read_object
from apertis.models.json import with_sound_text
from apertis.models.pages import span
from apertis.sansio.slices import Shape, read_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from apertis.gateway.store.records import Batch

BATCHES_PATH = "/v1/messages/batches"
_HOST = re.compile(r"[A-Za-z0-9._~\[\]:-]{1,255}")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]{1,100}){1,8}/?")


def batch_path(batch_id: str) -> str:
    """Give the path of a batch."""
    return f"{BATCHES_PATH}/{quote(batch_id, safe='')}"


def origin_of(headers: Mapping[str, str], *, is_tls: bool, from_proxy: bool) -> str:
    """Give the address that the client called the gateway by, without a path: `https://host`.

    `from_proxy` says that a trusted proxy passed the request on: then its `X-Forwarded-Proto`,
    `-Host` and `-Prefix` are believed. Without a usable host it is empty, and links are relative.
    """
    scheme, host, prefix = "https" if is_tls else "http", headers.get("host", ""), ""
    if from_proxy:
        forwarded = _first(headers, "x-forwarded-proto").lower()
        scheme = forwarded if forwarded in {"http", "https"} else scheme
        host = _first(headers, "x-forwarded-host") or host
        prefix = _first(headers, "x-forwarded-prefix")
    if not _HOST.fullmatch(host):
        return ""
    return f"{scheme}://{host}{prefix.rstrip('/') if _PREFIX.fullmatch(prefix) else ''}"


def _first(headers: Mapping[str, str], name: str) -> str:
    # The proxy that the client itself called is the first to write.
    return headers.get(name, "").partition(",")[0].strip()


def with_own_links(body: bytes, batch_id: str, origin: str) -> bytes:
    """Give a batch's description with a `results_url` of this gateway, where it has any."""
    described = read_object(body)
    if isinstance(described, Refusal):
        described = read_object(with_sound_text(body))
    if isinstance(described, Refusal) or described.value("results_url", str) is None:
        return body
    url = f"{origin}{batch_path(batch_id)}/results"
    return described.edited({"results_url": msgspec.json.encode(url)})


class Description(msgspec.Struct, frozen=True):
    """A batch as the API describes it, in part."""

    id: str
    processing_status: str | None = None
    succeeded: int | None = None
    archived_at: str | None = None

    @property
    def is_over(self) -> bool:
        """True if the batch has ended and nothing of it can be billed any more.

        Either no request of it succeeded, or its results are gone for good.
        """
        if self.processing_status != "ended":
            return False
        return self.archived_at is not None or self.succeeded == 0


# Any values: one that is odd does not hide the id of a batch that exists.
class _Said(msgspec.Struct):
    id: Any = None
    processing_status: Any = None
    request_counts: Any = None
    archived_at: Any = None


_SHAPE: Final[Shape] = {
    **dict.fromkeys(("id", "processing_status", "archived_at")),
    "request_counts": {"succeeded": None},
}
_SAID = msgspec.json.Decoder(_Said)


def describe(body: bytes) -> Description | None:
    """Read a description; None for what is none."""
    said = read_or_none(_SAID, body, _SHAPE)
    if said is None or not isinstance(said.id, str) or not said.id:
        return None
    counts = cast("dict[str, Any]", said.request_counts)
    return Description(
        said.id,
        _text(said.processing_status),
        # Without the count of those that succeeded there are none.
        _count(counts.get("succeeded", 0)) if isinstance(said.request_counts, dict) else None,
        _text(said.archived_at),
    )


def _count(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if type(value) is int else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


_USUAL = 20
_MOST = 1000


class PageOfBatches(NamedTuple):
    """A part of a list."""

    entries: Sequence[Batch]
    has_more: bool
    """True if there are more in the direction that was asked for."""

    @property
    def first_id(self) -> str | None:
        """The `before_id` of the page before this one."""
        return self.entries[0].id if self.entries else None

    @property
    def last_id(self) -> str | None:
        """The `after_id` of the page after this one."""
        return self.entries[-1].id if self.entries else None


def page_of(entries: Sequence[Batch], query: str) -> PageOfBatches | Refusal:
    """Cut the page that a query asks for: `limit` (1 to 1,000, else 20), `after_id`, `before_id`.

    An id that is not in the list is rejected: whoever goes on from there would miss something.
    """
    given = {name: values[-1] for name, values in parse_qs(query).items()}
    limit = _limit(given.get("limit"))
    if isinstance(limit, Refusal):
        return limit
    after, before = given.get("after_id"), given.get("before_id")
    if after is not None and before is not None:
        return invalid_value("before_id", "'after_id' is there already")
    try:
        start, end, has_more = span([entry.id for entry in entries], limit, after, before)
    except ValueError:
        name, cursor = ("after_id", after) if before is None else ("before_id", before)
        return invalid_value(name, f"there is no batch {cursor!r:.200}")
    return PageOfBatches(entries[start:end], has_more)


def _limit(text: str | None) -> int | Refusal:
    if text is None:
        return _USUAL
    if text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= _MOST:
        return int(text)
    return invalid_value("limit", f"a whole number from 1 to {_MOST}")
