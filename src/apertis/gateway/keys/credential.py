"""The key that a request presents."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["credential_of"]


def credential_of(headers: Mapping[str, str]) -> str | None:
    """Read the key that a request presents; `Authorization: Bearer` wins over `x-api-key`.

    Header names are lower-case. None: the request presents no key at all.
    """
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("x-api-key", "").strip() or None
