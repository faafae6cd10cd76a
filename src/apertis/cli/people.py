"""`apertis people`: create, list and change the people behind the keys."""

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
    all_people,
    called,
    fields_of,
    find_person,
    rate_options,
)
from apertis.cli.tables import show_sheet, show_table
from apertis.cli.terminal import echo, echo_json, json_option, printable, yes_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.admin.people import PersonView

_EPILOG = """\b
Examples:
  apertis people create Ann --group research --email ann@example.com
  apertis keys create --name ann-laptop --person Ann
  apertis limits create --person Ann --usd 50
  apertis people update Ann --group sales
  apertis people disable Ann     all keys of Ann stop within a second
  apertis people remove Ann      name and address are forgotten, sums stay
  apertis people adopt-owners --dry-run

\b
People are named by their id or their name. The gateway is found as
'apertis keys' finds it, and changes act on it within a second.
"""
_OPTIONS = {
    "name": "--name",
    "email": "--email",
    "external_id": "--external-id",
    "group": "--group",
    "role": "--role",
    **RATE_OPTIONS,
}
_ROLES = ("administrator", "group_administrator", "viewer", "member")
_person = click.argument("person")


def _person_options(command: Callable[..., object]) -> Callable[..., object]:
    options = (
        click.option("--email", metavar="ADDRESS", help="Address; or 'none'."),
        click.option("--group", metavar="GROUP", help="Group of the person; or 'none'."),
        click.option("--role", type=click.Choice(_ROLES), help="What the person may administer."),
        click.option("--external-id", metavar="ID", help="Id at an identity provider; or 'none'."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group("people", epilog=_EPILOG)
def command() -> None:
    """Create, list and change the people behind the keys."""


@command.command("create")
@click.argument("name")
@_person_options
@rate_options
@json_option
@place_options
def create(*, name: str, as_json: bool, place: GatewayOptions, **options: object) -> None:
    """Create a person. Give keys to a person with 'apertis keys create --person'."""
    from apertis.gateway.admin.people import PersonFields, PersonView
    from apertis.gateway.admin.resources import PEOPLE

    fields = fields_of(PersonFields, {"name": name, **options}, _OPTIONS)
    made = _open(place, may_make=True).ask("POST", PEOPLE, PersonView, body=fields)
    _show(made, as_json=as_json)


@command.command("list")
@click.option("--group", metavar="GROUP", help="Only the people of this group.")
@click.option("--all", "with_removed", is_flag=True, help="Include removed people.")
@json_option
@place_options
def list_people(
    *, group: str | None, with_removed: bool, as_json: bool, place: GatewayOptions
) -> None:
    """List the people."""
    query: dict[str, object] = {"status": "all"} if with_removed else {}
    if group is not None:
        query["group"] = group
    found = all_people(_open(place), query)
    if as_json:
        echo_json(found)
        return
    show_table(
        ("Name", "Status", "Group", "Email", "Role", "Id"),
        [
            (one.name, one.status, one.group or "", one.email or "", one.role, one.id)
            for one in found
        ],
        empty="No people.",
        whole=("Name", "Id"),
        spare=("Role", "Email"),
        dim=[one.status != "enabled" for one in found],
    )


@command.command("show")
@_person
@json_option
@place_options
def show(*, person: str, as_json: bool, place: GatewayOptions) -> None:
    """Show one person."""
    _show(find_person(_open(place), person), as_json=as_json)


@command.command("update")
@_person
@click.option("--name", metavar="NAME", help="New name.")
@_person_options
@rate_options
@json_option
@place_options
def update(*, person: str, as_json: bool, place: GatewayOptions, **options: object) -> None:
    """Change the given options of a person, such as the group."""
    from apertis.gateway.admin.people import PersonFields, PersonView
    from apertis.gateway.admin.resources import PEOPLE

    fields = fields_of(PersonFields, options, _OPTIONS)
    administration = _open(place)
    found = find_person(administration, person)
    changed = administration.ask("PATCH", PEOPLE + "/{id}", PersonView, id=found.id, body=fields)
    _show(changed, as_json=as_json)


@command.command("disable")
@_person
@yes_option
@json_option
@place_options
def disable(*, person: str, yes: bool, as_json: bool, place: GatewayOptions) -> None:
    """Disable a person and all their keys; 'enable' reverses it."""
    administration = _open(place)
    found = find_person(administration, person)
    question = f"Disable {called(found)} and all their keys?"
    confirm(administration, question, yes=yes, always=False)
    _do(administration, found, "POST", "/disable", as_json=as_json)


@command.command("enable")
@_person
@json_option
@place_options
def enable(*, person: str, as_json: bool, place: GatewayOptions) -> None:
    """Enable a disabled person."""
    administration = _open(place)
    _do(administration, find_person(administration, person), "POST", "/enable", as_json=as_json)


@command.command("remove")
@_person
@yes_option
@json_option
@place_options
def remove(*, person: str, yes: bool, as_json: bool, place: GatewayOptions) -> None:
    """Erase a person for good. Asks first on a terminal.

    The name and the addresses are forgotten, in the audit trail too; keys are deleted and lose
    their names and owners. Usage is kept, under ids.
    """
    administration = _open(place)
    found = find_person(administration, person)
    question = f"Erase {called(found)} and delete all their keys, for good?"
    confirm(administration, question, yes=yes, always=True)
    _do(administration, found, "DELETE", "", as_json=as_json)


@command.command("adopt-owners")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@json_option
@place_options
def adopt_owners(*, dry_run: bool, as_json: bool, place: GatewayOptions) -> None:
    """Make people of the owners of keys, who get the keys.

    Doing it again changes nothing.
    """
    from apertis.gateway.admin.people import Adopted, AdoptFields
    from apertis.gateway.admin.resources import PEOPLE

    fields = AdoptFields(dry_run=dry_run)
    adopted = _open(place).ask("POST", PEOPLE + "/adopt-owners", Adopted, body=fields)
    if as_json:
        echo_json(adopted)
        return
    for key in adopted.keys:
        new = " (new)" if key.person in adopted.people else ""
        verb = "would be" if dry_run else "is"
        told = f"{printable(key.name)} ({printable(key.id)}) {verb} {printable(key.person)}'s{new}."
        echo(told)
    for owner in adopted.skipped:
        echo(f"{printable(owner)} is disabled, or cannot be a person's name: left as it is.")
    if not adopted.keys and not adopted.skipped:
        echo("No key has an owner and no person.")


def _open(place: GatewayOptions, *, may_make: bool = False) -> Administration:
    return administration_of(place, _OPTIONS, may_make=may_make)


def _do(
    administration: Administration, found: PersonView, method: str, action: str, *, as_json: bool
) -> None:
    from apertis.gateway.admin.people import PersonView
    from apertis.gateway.admin.resources import PEOPLE

    changed = administration.ask(method, PEOPLE + "/{id}" + action, PersonView, id=found.id)
    if as_json:
        echo_json(changed)
    else:
        echo(f"{called(found)} is {changed.status}.")


def _show(person: PersonView, *, as_json: bool) -> None:
    if as_json:
        echo_json(person)
        return
    rates = (person.requests_limit, person.tokens_per_minute, person.in_flight)
    requests, tokens, in_flight = ("no limit" if rate is None else str(rate) for rate in rates)
    show_sheet(
        [
            ("Name", person.name),
            ("Id", person.id),
            ("Status", person.status),
            ("Email", person.email or "-"),
            ("Group", person.group or "-"),
            ("Role", person.role),
            ("External id", person.external_id or "-"),
            ("Requests", requests),
            ("Tokens a minute", tokens),
            ("In flight", in_flight),
            ("Created", person.created_at),
        ]
    )
