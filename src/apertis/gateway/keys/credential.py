"""The key that a request presents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from apertis.gateway.errors import Refusal, invalid_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.gateway.exchange import RawHeaders

__all__ = ["credential_of", "refuse_repeated"]

_NAMES: Final = (b"authorization", b"x-api-key")


def credential_of(headers: Mapping[str, str]) -> str | None:
    """Read the key that a request presents; `Authorization: Bearer` wins over `x-api-key`.

    Header names are lower-case. None: the request presents no key at all.
    """
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("x-api-key", "").strip() or None


def refuse_repeated(headers: RawHeaders) -> Refusal | None:
    """Refuse a header with a key that is there twice: two readers could take another one each."""
    names = [name for name, _ in headers]
    for name in _NAMES:
        if names.count(name) > 1:
            return invalid_request(f"The header '{name.decode()}' is there more than once")
    return None
