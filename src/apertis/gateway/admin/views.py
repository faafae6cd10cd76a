"""JSON representations of keys and upstreams, for the admin API and for `--json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from apertis.gateway.keys.record import SETTINGS, KeyKind, KeyRecord, KeySettings, Status
from apertis.gateway.keys.validation import moment
from apertis.gateway.units import Time, iso

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from apertis.gateway.routing.router import UpstreamState

# What a view shows besides the settings: after which of them, and as what.
_SHOWN_AFTER: dict[str, tuple[tuple[Any, ...], ...]] = {
    "owner": (
        ("person", Annotated[str | None, Meta(description="Whose key it is, by name.")]),
        ("person_id", str | None),
        ("group", Annotated[str | None, Meta(description="The key's own group, by name.")]),
        ("group_id", str | None),
    ),
    "tags": (("hint", Annotated[str, Meta(description="The end of the secret.")]),),
    "admin": (
        ("status", Status),
        (
            "kind",
            Annotated[
                KeyKind,
                Meta(description="sign_in: of Claude Code's sign-in; chat: of the console's chat."),
            ],
        ),
    ),
    "quota_units": (
        ("used_units", int),
        ("remaining_units", Annotated[int | None, Meta(description="null: unlimited.")]),
    ),
}
_AT_THE_END: tuple[tuple[Any, ...], ...] = (
    ("created_at", Time),
    (
        "previous_secret_until",
        Annotated[Time, Meta(description="After a rotation: the old secret works until then.")]
        | UnsetType,
        UNSET,
    ),
    (
        "secret",
        Annotated[str, Meta(description="Only in the response that creates or rotates the key.")]
        | UnsetType,
        UNSET,
    ),
)


def _shown() -> Iterator[tuple[Any, ...]]:
    yield "id", str
    for name, setting in SETTINGS.items():
        shown: Any = Time if setting.rule is moment else setting.type
        shown = shown | None if setting.nullable else shown
        yield name, Annotated[shown, Meta(description=setting.view)] if setting.view else shown
        yield from _SHOWN_AFTER.get(name, ())
    yield from _AT_THE_END


if TYPE_CHECKING:

    class KeyView(KeySettings, kw_only=True, frozen=True):
        """A key as administrators see it: its settings with times as text, and its state."""

        id: str
        person: str | None
        person_id: str | None
        group: str | None
        group_id: str | None
        hint: str
        status: Status
        kind: KeyKind
        used_units: int
        remaining_units: int | None
        expires_at: str | None  # type: ignore[assignment] # pyright: ignore[reportIncompatibleVariableOverride]
        created_at: str
        previous_secret_until: str | UnsetType = UNSET
        secret: str | UnsetType = UNSET

else:
    KeyView = msgspec.defstruct(
        "KeyView",
        list(_shown()),
        module=__name__,
        namespace={
            "__doc__": "A key as administrators see it. Money is in units: 500,000 are 1 US dollar."
        },
        kw_only=True,
        frozen=True,
    )


class KeyPage(Struct, kw_only=True, frozen=True):
    """One page of keys, oldest first."""

    data: tuple[KeyView, ...]
    has_more: bool
    first_id: str | None
    last_id: str | None


def key_view(
    record: KeyRecord, names: Mapping[str, str] | None = None, secret: str | None = None
) -> KeyView:
    """Show a key; `secret` only in the response to the request that made it.

    `names` are those of people and groups, by their ids.
    """
    known = names or {}
    quota, until = record.quota_units, record.previous_until
    settings: dict[str, Any] = {name: getattr(record, name) for name in SETTINGS}
    if record.expires_at is not None:
        settings["expires_at"] = iso(record.expires_at)
    return KeyView(
        **settings,
        id=record.id,
        person=known.get(record.person_id or ""),
        person_id=record.person_id,
        group=known.get(record.group_id or ""),
        group_id=record.group_id,
        hint=record.hint,
        status=record.status,
        kind=record.kind,
        used_units=record.used_units,
        remaining_units=None if quota is None else max(quota - record.used_units, 0),
        created_at=iso(record.created_at),
        previous_secret_until=UNSET if until is None else iso(until),
        secret=UNSET if secret is None else secret,
    )


class UpstreamView(Struct, kw_only=True, frozen=True):
    """The health of an upstream, as observed by requests."""

    name: str
    breaker: Annotated[str, Meta(description="closed, open or half_open.")]
    cause: Annotated[str | None, Meta(description="Why it is not closed.")]
    failures: Annotated[int, Meta(description="In a row.")]
    usable: Annotated[bool, Meta(description="Whether it is asked before the others failed.")]


class UpstreamList(Struct, kw_only=True, frozen=True):
    """The state of each upstream's breaker."""

    data: tuple[UpstreamView, ...]


class Purged(Struct, kw_only=True, frozen=True):
    """The number of responses removed from the response cache."""

    purged: int


def upstream_view(state: UpstreamState) -> UpstreamView:
    """Show how an upstream fares."""
    return UpstreamView(
        name=state.name,
        breaker=state.breaker.name.lower(),
        cause=None if state.cause is None else state.cause.name.lower(),
        failures=state.failures,
        usable=state.usable,
    )
