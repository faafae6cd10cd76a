"""`apertis groups`: create, list and change the groups of people and keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from apertis.cli.administration import (
    Administration,
    GatewayOptions,
    administration_of,
    confirm,
    place_options,
)
from apertis.cli.organization import (
    RATE_OPTIONS,
    all_groups,
    called,
    fields_of,
    find_group,
    rate_options,
)
from apertis.cli.tables import show_sheet, show_table
from apertis.cli.terminal import echo, echo_json, json_option, yes_option

if TYPE_CHECKING:
    from apertis.gateway.admin.people import GroupView

_EPILOG = """\b
Examples:
  apertis groups create research
  apertis groups create vision --parent research
  apertis groups update vision --parent sales --rate 600/1m
  apertis limits create --group research --usd 500
  apertis groups remove vision

\b
Groups are named by their id or their name. The gateway is found as
'apertis keys' finds it, and changes act on it within a second.
"""
_OPTIONS = {"name": "--name", "parent": "--parent", **RATE_OPTIONS}
_group = click.argument("group")
_parent = click.option("--parent", metavar="GROUP", help="Group that it is in; or 'none'.")


@click.group("groups", epilog=_EPILOG)
def command() -> None:
    """Create, list and change the groups of people and keys."""


@command.command("create")
@click.argument("name")
@_parent
@rate_options
@json_option
@place_options
def create(*, name: str, as_json: bool, place: GatewayOptions, **options: object) -> None:
    """Create a group. People and keys count in it and in all groups that it is in."""
    from apertis.gateway.admin.people import GroupFields, GroupView
    from apertis.gateway.admin.resources import GROUPS

    fields = fields_of(GroupFields, {"name": name, **options}, _OPTIONS)
    _show(_open(place, may_make=True).ask("POST", GROUPS, GroupView, body=fields), as_json=as_json)


@command.command("list")
@click.option("--all", "with_removed", is_flag=True, help="Include removed groups.")
@json_option
@place_options
def list_groups(*, with_removed: bool, as_json: bool, place: GatewayOptions) -> None:
    """List the groups, each below the one that it is in."""
    found = all_groups(_open(place), {"status": "all"} if with_removed else None)
    if as_json:
        echo_json(found)
        return
    ordered = list(_as_tree(found))
    show_table(
        ("Name", "Id", "People", "Requests", "Tokens a minute", "In flight"),
        [
            (
                f"{'  ' * depth}{group.name}",
                group.id,
                str(group.people),
                *(_told(value) for value in _rates(group)),
            )
            for group, depth in ordered
        ],
        empty="No groups.",
        right=("People", "Tokens a minute", "In flight"),
        whole=("Name", "Id"),
        spare=("In flight", "Tokens a minute"),
        dim=[group.status == "removed" for group, _ in ordered],
    )


@command.command("show")
@_group
@json_option
@place_options
def show(*, group: str, as_json: bool, place: GatewayOptions) -> None:
    """Show one group."""
    _show(find_group(_open(place), group), as_json=as_json)


@command.command("update")
@_group
@click.option("--name", metavar="NAME", help="New name.")
@_parent
@rate_options
@json_option
@place_options
def update(*, group: str, as_json: bool, place: GatewayOptions, **options: object) -> None:
    """Change the given options of a group, such as the group that it is in."""
    from apertis.gateway.admin.people import GroupFields, GroupView
    from apertis.gateway.admin.resources import GROUPS

    fields = fields_of(GroupFields, options, _OPTIONS)
    administration = _open(place)
    found = find_group(administration, group)
    changed = administration.ask("PATCH", GROUPS + "/{id}", GroupView, id=found.id, body=fields)
    _show(changed, as_json=as_json)


@command.command("remove")
@_group
@yes_option
@json_option
@place_options
def remove(*, group: str, yes: bool, as_json: bool, place: GatewayOptions) -> None:
    """Remove an empty group, with its limits; its usage is kept. Asks first on a terminal."""
    from apertis.gateway.admin.people import GroupView
    from apertis.gateway.admin.resources import GROUPS

    administration = _open(place)
    found = find_group(administration, group)
    confirm(administration, f"Remove {called(found)} for good?", yes=yes, always=True)
    removed = administration.ask("DELETE", GROUPS + "/{id}", GroupView, id=found.id)
    if as_json:
        echo_json(removed)
    else:
        echo(f"{called(found)} is removed.")


def _open(place: GatewayOptions, *, may_make: bool = False) -> Administration:
    return administration_of(place, _OPTIONS, may_make=may_make)


def _show(group: GroupView, *, as_json: bool) -> None:
    if as_json:
        echo_json(group)
        return
    requests, tokens, in_flight = _rates(group)
    show_sheet(
        [
            ("Name", group.name),
            ("Id", group.id),
            ("Status", group.status),
            ("In", group.parent or "-"),
            ("People", str(group.people)),
            ("Requests", _told(requests)),
            ("Tokens a minute", _told(tokens)),
            ("In flight", _told(in_flight)),
            ("Created", group.created_at),
        ]
    )


def _rates(group: GroupView) -> tuple[object, object, object]:
    return group.requests_limit, group.tokens_per_minute, group.in_flight


def _told(value: object) -> str:
    return "no limit" if value is None else str(value)


def _as_tree(groups: list[GroupView]) -> list[tuple[GroupView, int]]:
    """Put each group below its parent, with its depth."""
    inside: dict[str | None, list[GroupView]] = {}
    shown = {group.id for group in groups}
    for group in groups:
        parent = group.parent_id if group.parent_id in shown else None
        inside.setdefault(parent, []).append(group)
    ordered: list[tuple[GroupView, int]] = []

    def add(parent: str | None, depth: int) -> None:
        for group in inside.get(parent, ()):
            ordered.append((group, depth))
            add(group.id, depth + 1)

    add(None, 0)
    return ordered
