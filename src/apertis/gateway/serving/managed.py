"""Settings of Claude Code that a caller's group has: `GET /managed/settings`.

The client polls about once an hour, and says which settings it holds by their checksum: SHA-256 of
their JSON with sorted keys and without spaces, as JavaScript writes it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec

from apertis.gateway.errors import Refusal, StoreUnavailableError, not_found, service_unavailable
from apertis.gateway.request.forward import WholeAnswer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from apertis.gateway.budgets.budgets import Budgets
    from apertis.gateway.keys.directory import Key
    from apertis.gateway.request.context import Progress
    from apertis.gateway.upstreams.contract import Request

EVERYBODY = ""
"""The group of settings that are everybody's who has none nearer."""
_NO_POLICY = not_found("There are no managed settings for this caller")
_STORE_AWAY = service_unavailable("The gateway's store does not answer at the moment")


class Policy(Protocol):
    """The settings of a group, as they are kept."""

    @property
    def uuid(self) -> str:
        """Their id."""
        ...

    @property
    def settings(self) -> str:
        """Their canonical JSON."""
        ...


class ManagedSettingsRoute:
    """The endpoint; `stored` reads the settings of some groups, by their ids."""

    def __init__(
        self,
        budgets: Budgets,
        stored: Callable[[Collection[str]], Awaitable[Mapping[str, Policy]]],
    ) -> None:
        self._budgets = budgets
        self._stored = stored

    async def __call__(
        self, progress: Progress, key: Key, request: Request, _name: str
    ) -> WholeAnswer | Refusal:
        """Answer with the settings of the innermost group that has any, else everybody's."""
        organization = self._budgets.organization
        person = progress.person or organization.person_of(key.record)
        groups = [group.id for group in organization.groups_of(key.record, person)]
        try:
            found = await self._stored([*groups, EVERYBODY])
        except StoreUnavailableError:
            return _STORE_AWAY
        policy = next((found[one] for one in (*groups, EVERYBODY) if one in found), None)
        if policy is None:
            return _NO_POLICY
        checksum = checksum_of(policy.settings)
        headers = [
            (b"content-type", b"application/json"),
            (b"etag", f'"{checksum}"'.encode()),
            (b"cache-control", b"no-store"),
        ]
        if _has(request.headers.get("if-none-match", ""), checksum):
            return WholeAnswer(304, headers[1:], b"")
        body = msgspec.json.encode(
            {
                "uuid": policy.uuid,
                "checksum": checksum,
                "settings": msgspec.Raw(policy.settings.encode()),
            }
        )
        return WholeAnswer(200, headers, body)


def checksum_of(canonical_text: str) -> str:
    """Return the checksum of settings, as the client computes it from those it holds."""
    return f"sha256:{hashlib.sha256(canonical_text.encode()).hexdigest()}"


def canonical(value: object) -> str:
    """Write JSON with sorted keys and without spaces, byte for byte as JavaScript does.

    `ValueError` for numbers that it would write differently, and for broken text.
    """
    text = json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    text.encode()
    return text


_MAX_INTEGER = 2**53 - 1
# Below it Python writes an exponent, and JavaScript does not yet.
_MIN_FRACTION = 1e-4


def _plain(value: object) -> Any:
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        return {name: _plain(fields[name]) for name in sorted(fields, key=_units)}
    if isinstance(value, list):
        return [_plain(one) for one in cast("list[object]", value)]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and abs(value) > _MAX_INTEGER:
        raise ValueError(f"{value} is a number that clients cannot hold exactly")
    if isinstance(value, float) and abs(value) < _MIN_FRACTION:
        raise ValueError(f"{value} is too small a number")
    return value


def _units(name: str) -> bytes:
    # JavaScript compares texts by their UTF-16 units.
    return name.encode("utf-16-be", "surrogatepass")


def _has(if_none_match: str, checksum: str) -> bool:
    # A star asks whether there are any: it is answered like a first request.
    known = (one.strip().removeprefix("W/").strip('"') for one in if_none_match.split(","))
    return checksum in known
