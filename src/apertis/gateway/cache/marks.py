"""The headers that ask for the response cache, and those that tell of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from apertis.gateway.errors import Refusal, invalid_parameter

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CACHE_HEADER", "MISS", "hit_headers", "wants_cache"]

CACHE_HEADER: Final = "x-response-cache"

MISS: Final = ((b"x-response-cache", b"miss"),)


def wants_cache(headers: Mapping[str, str], key_setting: bool) -> bool | Refusal:
    """Whether a request is to be answered from the cache, and its answer kept there.

    Its header `x-response-cache: on` or `off` wins over the key's setting.
    """
    said = headers.get(CACHE_HEADER)
    if said is None:
        return key_setting
    word = said.strip().lower()
    if word not in {"on", "off"}:
        return invalid_parameter(
            CACHE_HEADER, f"Invalid value for header '{CACHE_HEADER}': 'on' or 'off'"
        )
    return word == "on"


def hit_headers(age_seconds: int) -> tuple[tuple[bytes, bytes], ...]:
    """The header pairs of an answer from the cache."""
    return (b"x-response-cache", b"hit"), (b"age", b"%d" % age_seconds)
