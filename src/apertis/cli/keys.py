"""`apertis keys`: create, list and change the gateway's keys."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from apertis.cli.administration import (
    Administration,
    GatewayOptions,
    administration_of,
    confirm,
    place_options,
)
from apertis.cli.key_options import OPTION_OF, fields_of, key_options
from apertis.cli.key_tables import key_sheet, key_table
from apertis.cli.keys_import import import_keys
from apertis.cli.terminal import echo, echo_json, json_option, printable, yes_option
from apertis.errors import ParameterError

if TYPE_CHECKING:
    from apertis.gateway.admin.key_fields import KeyFields
    from apertis.gateway.admin.views import KeyView

_EPILOG = """\b
Examples:
  apertis keys create --name ci --quota-usd 20 --expires 90d
  apertis keys create --name ann --model claude-haiku-4-5 --address 10.0.0.0/8
  apertis keys list
  apertis keys update ci --quota unlimited --model all --expires never
  apertis keys rotate ci --grace 24h
  apertis keys disable ann
  apertis keys list --url https://claude.example.com
  apertis keys import people.csv --secrets secrets.csv
  KEY=$(apertis keys create --name bot)   the secret alone goes to stdout

\b
Keys are named by their id or their name. The gateway is the one of --url, or
of APERTIS_BASE_URL if APERTIS_API_KEY is an administrator's key there; else
it is the data on this machine, which --data and --config name as for 'apertis
serve'. Changes act on a running gateway within a second.
"""


@click.group("keys", epilog=_EPILOG)
def command() -> None:
    """Create, list and change the gateway's keys."""


command.add_command(import_keys)
_key = click.argument("key")


@command.command("create")
@click.option("--name", required=True, metavar="NAME", help="Name of the key.")
@key_options
@json_option
@place_options
def create(*, as_json: bool, place: GatewayOptions, **options: object) -> None:
    """Create a key and show its secret, once: only its hash is stored.

    Options you leave out set no limit: no quota, all models, all addresses, no expiry.
    """
    fields = fields_of(options)
    _refuse_past(fields)
    administration = _open(place, may_make=True)
    _refuse_taken(administration, fields)
    _show_secret(administration.create(fields), as_json=as_json)


@command.command("list")
@click.option("--all", "with_deleted", is_flag=True, help="Include deleted keys.")
@json_option
@place_options
def list_keys(*, with_deleted: bool, as_json: bool, place: GatewayOptions) -> None:
    """List the keys."""
    keys = [key for key in _open(place).all_keys() if with_deleted or key.status != "deleted"]
    if as_json:
        echo_json(keys)
    else:
        key_table(keys)


@command.command("show")
@_key
@json_option
@place_options
def show(*, key: str, as_json: bool, place: GatewayOptions) -> None:
    """Show one key."""
    _show(_open(place).find(key), as_json=as_json)


@command.command("update")
@_key
@click.option("--name", metavar="NAME", help="New name.")
@key_options
@json_option
@place_options
def update(*, key: str, as_json: bool, place: GatewayOptions, **options: object) -> None:
    """Change the given options of a key."""
    fields = fields_of(options)
    administration = _open(place)
    found = administration.find(key)
    if isinstance(fields.name, str) and fields.name != found.name:
        _refuse_taken(administration, fields)
    _show(administration.change(found.id, fields), as_json=as_json)


@command.command("rotate")
@_key
@click.option(
    "--grace",
    default="24h",
    show_default=True,
    metavar="SPAN",
    help="Time that the old secret still works; 0 for none.",
)
@yes_option
@json_option
@place_options
def rotate(*, key: str, grace: str, yes: bool, as_json: bool, place: GatewayOptions) -> None:
    """Give a key a new secret, and show it once."""
    from apertis.gateway.keys.secrets import MAX_GRACE_SECONDS
    from apertis.gateway.units import read_span

    seconds = 0 if grace == "0" else read_span(grace)
    if seconds is None or seconds > MAX_GRACE_SECONDS:
        most = MAX_GRACE_SECONDS // 86_400
        raise ParameterError(f"--grace must be a span up to {most}d, such as 24h, not {grace!r}")
    administration = _open(place)
    found = administration.find(key)
    confirm(administration, f"Give {_called(found)} another secret?", yes=yes, always=False)
    _show_secret(administration.rotate(found.id, seconds), as_json=as_json)


@command.command("disable")
@_key
@yes_option
@json_option
@place_options
def disable(*, key: str, yes: bool, as_json: bool, place: GatewayOptions) -> None:
    """Disable a key; 'enable' reverses it."""
    administration = _open(place)
    found = administration.find(key)
    confirm(administration, f"Disable {_called(found)}?", yes=yes, always=False)
    _tell(administration.set_status(found.id, "disabled"), as_json=as_json)


@command.command("enable")
@_key
@json_option
@place_options
def enable(*, key: str, as_json: bool, place: GatewayOptions) -> None:
    """Enable a disabled key."""
    administration = _open(place)
    found = administration.find(key)
    _tell(administration.set_status(found.id, "enabled"), as_json=as_json)


@command.command("delete")
@_key
@yes_option
@json_option
@place_options
def delete(*, key: str, yes: bool, as_json: bool, place: GatewayOptions) -> None:
    """Delete a key for good; its usage is kept. Asks first on a terminal."""
    administration = _open(place)
    found = administration.find(key)
    confirm(administration, f"Delete {_called(found)} for good?", yes=yes, always=True)
    _tell(administration.delete(found.id), as_json=as_json)


def _open(place: GatewayOptions, *, may_make: bool = False) -> Administration:
    return administration_of(place, OPTION_OF, may_make=may_make)


def _refuse_past(fields: KeyFields) -> None:
    """Reject the creation of a key that nobody could use."""
    from apertis.gateway.units import iso, read_moment

    if not isinstance(fields.expires_at, str):
        return
    expires_at, now = read_moment(fields.expires_at), time.time()
    if expires_at is not None and expires_at <= now:
        raise ParameterError(
            f"--expires is {iso(expires_at)}, and it is {iso(now)} already", param="expires_at"
        )


def _refuse_taken(administration: Administration, fields: KeyFields) -> None:
    """Reject a name that another key has: commands could not tell the two apart."""
    for key in administration.all_keys():
        if key.name == fields.name and key.status != "deleted":
            raise ParameterError(
                f"--name {printable(key.name)} is taken, by {printable(key.id)}: choose another",
                param="name",
            )


def _called(key: KeyView) -> str:
    return f"{printable(key.name)} ({printable(key.id)})"


def _show(key: KeyView, *, as_json: bool) -> None:
    if as_json:
        echo_json(key)
    else:
        key_sheet(key)


def _tell(key: KeyView, *, as_json: bool) -> None:
    if as_json:
        echo_json(key)
    else:
        echo(f"{_called(key)} is {key.status}.")


def _show_secret(key: KeyView, *, as_json: bool) -> None:
    if as_json:
        echo_json(key)
        return
    # The secret alone goes to stdout, so that a program can take it from there.
    echo(f"The secret of {_called(key)} is shown only now; only its hash is kept:", err=True)
    echo(str(key.secret))
