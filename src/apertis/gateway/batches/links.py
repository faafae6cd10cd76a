"""The addresses that a batch's description names: this gateway's, not the upstream's.

A client follows `results_url` with its own key, so it has to lead back here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from apertis.gateway.errors import Refusal
from apertis.gateway.peek import read_object
from apertis.gateway.slices import with_sound_text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BATCHES_PATH", "batch_path", "origin_of", "with_own_links"]

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
