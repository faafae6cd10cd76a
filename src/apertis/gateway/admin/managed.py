"""Managed settings of Claude Code: read, checked, compared, kept, for each group.

They are code on colleagues' machines: what runs programs, redirects traffic or loosens permissions
is named before they are kept.
"""

from __future__ import annotations

import difflib
import json
import uuid
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import msgspec
from msgspec import Meta, Struct

from apertis.gateway.admin.keys import find_named
from apertis.gateway.errors import (
    Refusal,
    conflict,
    invalid_parameter,
    not_found,
)
from apertis.gateway.serving.managed import EVERYBODY, canonical, checksum_of
from apertis.gateway.store.managed_settings import ManagedSettings
from apertis.gateway.units import iso

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from apertis.gateway.people.organization import Organization
    from apertis.gateway.store.managed_settings import StoredManagedSettings

EVERYBODY_ID = "everybody"
"""The id under which those of everybody are asked for."""
MAX_BYTES = 256 * 1024
_MAX_DEPTH = 32
_PROGRAMS = "runs a program on each machine"
_TRAFFIC = "sends requests, or their credentials, elsewhere"
_LOOSE = "changes what Claude Code may do without asking"
_LOADS = "loads code or tools from elsewhere"
DANGERS: Mapping[str, str] = {
    "hooks": _PROGRAMS,
    "apiKeyHelper": _PROGRAMS,
    "awsAuthRefresh": _PROGRAMS,
    "awsCredentialExport": _PROGRAMS,
    "gcpAuthRefresh": _PROGRAMS,
    "otelHeadersHelper": _PROGRAMS,
    "proxyAuthHelper": _PROGRAMS,
    "policyHelper": _PROGRAMS,
    "statusLine": _PROGRAMS,
    "subagentStatusLine": _PROGRAMS,
    "fileSuggestion": _PROGRAMS,
    "worktree": _PROGRAMS,
    "env": "sets variables of each session: programs, endpoints, proxies and certificates too",
    "permissions": _LOOSE,
    "sandbox": _LOOSE,
    "autoMode": _LOOSE,
    "defaultMode": _LOOSE,
    "skipDangerousModePermissionPrompt": _LOOSE,
    "skipWebFetchPreflight": _LOOSE,
    "useAutoModeDuringPlan": _LOOSE,
    "parentSettingsBehavior": _LOOSE,
    "disableAllHooks": "switches colleagues' own hooks off",
    "mcpServers": _LOADS,
    "managedMcpServers": _LOADS,
    "enableAllProjectMcpServers": _LOADS,
    "enabledMcpjsonServers": _LOADS,
    "enabledPlugins": _LOADS,
    "extraKnownMarketplaces": _LOADS,
    "autoMemoryDirectory": _LOADS,
    "wslInheritsWindowsSettings": _LOADS,
    "channelsEnabled": _LOADS,
    "allowedChannelPlugins": _LOADS,
    "forceLoginMethod": _TRAFFIC,
    "forceLoginGatewayUrl": _TRAFFIC,
    "gatewayInternalNetworks": _TRAFFIC,
    "allowedHttpHookUrls": _TRAFFIC,
    "httpHookAllowedEnvVars": _TRAFFIC,
    "modelOverrides": _TRAFFIC,
    "sshConfigs": _TRAFFIC,
    "claudeMd": "is read as instructions by each session",
    "agent": "changes the instructions and tools of each session",
    "outputStyle": "changes the instructions of each session",
}
"""Keys that act on a colleague's machine, at any depth, with what they do."""


# Letters and marks that have no picture, by which models can be told what nobody sees.
_BLANK = frozenset(
    chr(one)
    for first, last in (
        *((0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F)),
        *((0x2800, 0x2800), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0)),
        (0xE0100, 0xE01EF),
    )
    for one in range(first, last + 1)
)


class Danger(Struct, frozen=True):
    """A setting that does more than choose among harmless things, by its path."""

    path: str
    does: str


class Preview(NamedTuple):
    """Settings that may be kept: their canonical JSON, its checksum, what they do, what changes.

    Lines of `diff` begin with `+`, `-` or a space.
    """

    text: str
    checksum: str
    dangers: tuple[Danger, ...]
    diff: tuple[str, ...]

    # Settings may have credentials.
    def __repr__(self) -> str:
        """Say which they are."""
        return f"Preview({self.checksum!r})"


class ManagedFields(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Settings to keep; with `dry_run` they are only checked."""

    settings: Annotated[msgspec.Raw, Meta(description="An object: Claude Code's managed settings.")]
    group: Annotated[
        str | None, Meta(description="A group's name or id; null: everybody without nearer ones.")
    ] = None
    version: Annotated[
        int | None,
        Meta(description="The version that was seen, 0 for none; another one is a conflict."),
    ] = None
    dry_run: bool = False


class ManagedView(Struct, kw_only=True, frozen=True):
    """Managed settings of a group, or with null of everybody."""

    id: str
    group: str | None
    group_id: str | None
    uuid: str
    checksum: str
    version: int
    changed_at: Annotated[str, Meta(description="ISO 8601, in UTC.")]
    dangers: tuple[Danger, ...]
    settings: Annotated[msgspec.Raw, Meta(description="An object.")]


class ManagedPage(Struct, kw_only=True, frozen=True):
    """The managed settings of all groups that have any."""

    data: tuple[ManagedView, ...]


class _Stale(Exception):
    """Somebody else was faster."""


def read_settings(text: str) -> dict[str, Any] | Refusal:
    """Read settings that somebody wrote: an object, within bounds, with each key once."""
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        return invalid_parameter("settings", f"The settings are longer than {MAX_BYTES} bytes")
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        return _too_deep()
    except ValueError as error:
        return invalid_parameter("settings", f"The settings are not JSON: {error}")
    if not isinstance(value, dict):
        return invalid_parameter("settings", "The settings are a JSON object: { ... }")
    settings = cast("dict[str, Any]", value)
    if _depth(settings) > _MAX_DEPTH:
        return _too_deep()
    try:
        canonical(settings)
    except ValueError as error:
        return invalid_parameter("settings", f"The settings cannot be sent to clients: {error}")
    return settings


def dangers_of(settings: Mapping[str, Any]) -> tuple[Danger, ...]:
    """Name what does more than choose among harmless things, wherever it stands."""
    return tuple(_dangers(settings, ""))


def preview(text: str, before: str | None) -> Preview | Refusal:
    """Check settings, and say what they do and change."""
    settings = read_settings(text)
    if isinstance(settings, Refusal):
        return settings
    kept = canonical(settings)
    old = [] if before is None else pretty(before).splitlines()
    lines = difflib.unified_diff(old, pretty(kept).splitlines(), lineterm="", n=3)
    # Without the names of files, of which there are none.
    return Preview(kept, checksum_of(kept), dangers_of(settings), tuple(lines)[2:])


def pretty(text: str) -> str:
    """Write canonical settings for people to read and edit: as they are, and all of them.

    What would not be seen, would begin a line or would turn the order of others is escaped.
    """
    return _seen(json.dumps(json.loads(text), indent=2, ensure_ascii=False))


class ManagedAdministration:
    """Every change that an administrator can make to managed settings. `now` is Unix seconds."""

    def __init__(self, stored: StoredManagedSettings, now: Callable[[], float]) -> None:
        self._stored = stored
        self._now = now

    async def all(self) -> Mapping[str, ManagedSettings]:
        """Return them by group."""
        return await self._stored.all()

    async def find(self, group_id: str) -> ManagedSettings | None:
        """Return those of a group."""
        return (await self._stored.of([group_id])).get(group_id)

    async def save(
        self, group_id: str, text: str, seen: int | None, actor: str
    ) -> ManagedSettings | Refusal:
        """Keep settings of a group, if they are as they were when somebody saw them."""
        settings = read_settings(text)
        if isinstance(settings, Refusal):
            return settings
        kept, now = canonical(settings), self._now()

        def decide(before: ManagedSettings | None) -> ManagedSettings:
            _refuse_stale(before, seen)
            if before is not None and before.settings == kept:
                return before
            # Of settings that were removed in between, nobody has seen this version.
            version = max(int(now * 1000), 0 if before is None else before.version + 1)
            return ManagedSettings(
                group_id=group_id,
                uuid=str(uuid.uuid4()) if before is None else before.uuid,
                settings=kept,
                version=version,
                changed_at=int(now),
            )

        try:
            await self._stored.change(group_id, decide, _told, actor)
        except _Stale:
            return _STALE
        return await self.find(group_id) or _STALE

    async def remove(
        self, group_id: str, seen: int | None, actor: str
    ) -> ManagedSettings | Refusal:
        """Remove the settings of a group: those of the next group around it hold then."""
        removed: list[ManagedSettings] = []

        def decide(before: ManagedSettings | None) -> None:
            _refuse_stale(before, seen)
            removed.extend([] if before is None else [before])

        try:
            await self._stored.change(group_id, decide, _told, actor)
        except _Stale:
            return _STALE
        return removed[-1] if removed else _none_of(group_id)


def view(kept: ManagedSettings, organization: Organization) -> ManagedView:
    """Show settings."""
    group = organization.groups.get(kept.group_id)
    return ManagedView(
        id=kept.group_id or EVERYBODY_ID,
        group=None if group is None else group.name,
        group_id=kept.group_id or None,
        uuid=kept.uuid,
        checksum=checksum_of(kept.settings),
        version=kept.version,
        changed_at=iso(kept.changed_at),
        dangers=dangers_of(json.loads(kept.settings)),
        settings=msgspec.Raw(kept.settings.encode()),
    )


async def list_managed(managed: ManagedAdministration, organization: Organization) -> ManagedPage:
    """Show all of them, those of everybody first."""
    found = sorted((await managed.all()).values(), key=lambda one: one.group_id)
    return ManagedPage(data=tuple(view(one, organization) for one in found))


async def read_managed(
    managed: ManagedAdministration, organization: Organization, named: str
) -> ManagedView | Refusal:
    """Show those of a group, by its id."""
    group_id = group_of(named)
    found = await managed.find(group_id)
    return _none_of(group_id) if found is None else view(found, organization)


async def save_managed(
    managed: ManagedAdministration, organization: Organization, fields: ManagedFields, actor: str
) -> ManagedView | Refusal:
    """Keep settings as the API is given them, or only check them."""
    text = bytes(fields.settings).decode()
    group_id = EVERYBODY
    if fields.group is not None:
        groups = tuple(organization.groups.values())
        group = find_named(groups, fields.group, "group", "group")
        if isinstance(group, Refusal):
            return group
        group_id = group.id
    if not fields.dry_run:
        kept = await managed.save(group_id, text, fields.version, actor)
        return kept if isinstance(kept, Refusal) else view(kept, organization)
    before = await managed.find(group_id)
    checked = preview(text, None if before is None else before.settings)
    if isinstance(checked, Refusal):
        return checked
    return view(
        ManagedSettings(
            group_id=group_id,
            uuid="" if before is None else before.uuid,
            settings=checked.text,
            version=0 if before is None else before.version,
            changed_at=0 if before is None else before.changed_at,
        ),
        organization,
    )


def group_of(named: str) -> str:
    """Return the group's id of what stands in a path."""
    return EVERYBODY if named == EVERYBODY_ID else named


_STALE = conflict(
    "Somebody else changed these settings in the meantime: look at them as they are now, and make "
    "your change in those"
)


def _refuse_stale(before: ManagedSettings | None, seen: int | None) -> None:
    if seen is not None and seen != (0 if before is None else before.version):
        raise _Stale


def _none_of(group_id: str) -> Refusal:
    return not_found(f"There are no managed settings of '{(group_id or EVERYBODY_ID)[:100]}'")


def _told(kept: ManagedSettings | None) -> dict[str, object] | None:
    # Values may be credentials, and the trail is shown to others than administrators.
    if kept is None:
        return None
    settings: dict[str, object] = json.loads(kept.settings)
    return {"checksum": checksum_of(kept.settings), "keys": sorted(settings)}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name[:100]!r} stands twice in one object")
        found[name] = value
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _too_deep() -> Refusal:
    return invalid_parameter("settings", f"The settings are nested deeper than {_MAX_DEPTH}")


def _depth(value: object) -> int:
    deepest, level = 0, [value]
    while level and deepest <= _MAX_DEPTH:
        deepest += 1
        level = [inner for one in level for inner in _inner(one)]
    return deepest


def _inner(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(cast("dict[str, object]", value).values())
    return cast("list[object]", value) if isinstance(value, list) else []


def _seen(text: str) -> str:
    return "".join(
        one if one == "\n" or (one.isprintable() and one not in _BLANK) else json.dumps(one)[1:-1]
        for one in text
    )


def _dangers(value: object, path: str) -> Iterator[Danger]:
    if isinstance(value, dict):
        for name, inner in cast("dict[str, object]", value).items():
            where = f"{path}.{_seen(name)}" if path else _seen(name)
            if name == "env" and isinstance(inner, dict):
                names = ", ".join(map(_seen, cast("dict[str, object]", inner))) or "none"
                yield Danger(where, f"{DANGERS[name]} ({names})")
            elif name in DANGERS:
                yield Danger(where, DANGERS[name])
            else:
                yield from _dangers(inner, where)
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from _dangers(inner, path)
