"""`apertis keys`: make, list and change the gateway's keys."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TypeVar

import click
import msgspec

from apertis.cli.key_options import OPTION_OF, fields_of, key_options
from apertis.cli.key_tables import key_sheet, key_table, printable
from apertis.cli.opened_store import StoreFiles, failure, store_options, with_store
from apertis.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from apertis.gateway.errors import Refusal
    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.routes.admin_keys import KeyAdministration, Made
    from apertis.gateway.routes.admin_views import KeyView
    from apertis.gateway.store.database import Store

__all__ = ["command"]

_T = TypeVar("_T")

_EPILOG = """\b
Examples:
  apertis keys create --name ci --quota-usd 20 --expires 90d
  apertis keys create --name ann --model claude-sonnet-4.5 --address 10.0.0.0/8
  apertis keys list
  apertis keys update ci --quota unlimited --model all --expires never
  apertis keys rotate ci --grace 24h
  apertis keys disable ann
  KEY=$(apertis keys create --name bot)   the secret alone goes to stdout

\b
Keys are named by their id or their name. Changes act on a running gateway within a second: give
the same --data or --config as to 'apertis serve'.
"""


@click.group("keys", epilog=_EPILOG)
def command() -> None:
    """Make, list and change the gateway's keys."""


_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_key = click.argument("key")


@command.command("create")
@click.option("--name", required=True, metavar="NAME", help="What people call it.")
@key_options
@_json
@store_options
def create(*, as_json: bool, data: Path | None, config: Path | None, **options: object) -> None:
    """Make a key, and show its secret: only now, since only its hash is kept.

    What is not said is not limited: no quota, all models, all addresses, no expiry.
    """
    fields = fields_of(options)

    async def work(store: Store) -> Made | Refusal:
        return await _administration(store).create(fields)

    made = with_store(StoreFiles(data, config), work, may_make=True)
    _show_secret(made, as_json=as_json)


@command.command("list")
@click.option("--all", "with_deleted", is_flag=True, help="Deleted ones too.")
@_json
@store_options
def list_keys(*, with_deleted: bool, as_json: bool, data: Path | None, config: Path | None) -> None:
    """List the keys."""

    async def work(store: Store) -> list[KeyRecord]:
        records = await store.keys.list()
        return [record for record in records if with_deleted or record.status != "deleted"]

    records = with_store(StoreFiles(data, config), work)
    if as_json:
        _print_json([_view(record) for record in records])
    else:
        key_table(records)


@command.command("show")
@_key
@_json
@store_options
def show(*, key: str, as_json: bool, data: Path | None, config: Path | None) -> None:
    """Show one key."""
    _change(key, StoreFiles(data, config), None, as_json=as_json)


@command.command("update")
@_key
@click.option("--name", metavar="NAME", help="Another name.")
@key_options
@_json
@store_options
def update(
    *, key: str, as_json: bool, data: Path | None, config: Path | None, **options: object
) -> None:
    """Change what is said; everything else stays as it is."""
    fields = fields_of(options)

    async def work(administration: KeyAdministration, record: KeyRecord) -> KeyRecord | Refusal:
        return await administration.change(record.id, fields)

    _change(key, StoreFiles(data, config), work, as_json=as_json)


@command.command("rotate")
@_key
@click.option(
    "--grace",
    default="24h",
    show_default=True,
    metavar="SPAN",
    help="How long the old secret still works; 0 ends it at once.",
)
@_json
@store_options
def rotate(*, key: str, grace: str, as_json: bool, data: Path | None, config: Path | None) -> None:
    """Give a key another secret, and show it: only now."""
    from apertis.gateway.keys.rotation import LONGEST_GRACE_SECONDS
    from apertis.gateway.routes.admin_moments import read_span

    seconds = 0 if grace == "0" else read_span(grace)
    if seconds is None or seconds > LONGEST_GRACE_SECONDS:
        most = LONGEST_GRACE_SECONDS // 86_400
        raise ParameterError(f"--grace takes a span up to {most}d, such as 24h, not {grace!r}")

    async def work(store: Store) -> Made | Refusal:
        record = await _find(store, key)
        return await _administration(store).rotate(record.id, seconds)

    _show_secret(with_store(StoreFiles(data, config), work), as_json=as_json)


@command.command("disable")
@_key
@_json
@store_options
def disable(*, key: str, as_json: bool, data: Path | None, config: Path | None) -> None:
    """Keep a key out until it is enabled."""
    _change(
        key,
        StoreFiles(data, config),
        lambda administration, record: administration.set_status(record.id, "disabled"),
        as_json=as_json,
        told=True,
    )


@command.command("enable")
@_key
@_json
@store_options
def enable(*, key: str, as_json: bool, data: Path | None, config: Path | None) -> None:
    """Let a disabled key in again."""
    _change(
        key,
        StoreFiles(data, config),
        lambda administration, record: administration.set_status(record.id, "enabled"),
        as_json=as_json,
        told=True,
    )


@command.command("delete")
@_key
@click.option("--yes", is_flag=True, help="Do not ask.")
@_json
@store_options
def delete(*, key: str, yes: bool, as_json: bool, data: Path | None, config: Path | None) -> None:
    """Delete a key for good; its usage is kept. Asks first if stdin is a terminal."""
    files = StoreFiles(data, config)
    if not yes and sys.stdin is not None and sys.stdin.isatty():
        record = with_store(files, lambda store: _find(store, key))
        click.confirm(f"Delete {record.name} ({record.id}) for good?", abort=True, err=True)
        key = record.id
    _change(
        key,
        files,
        lambda administration, record: administration.delete(record.id),
        as_json=as_json,
        told=True,
    )


def _change(
    key: str,
    files: StoreFiles,
    work: Callable[[KeyAdministration, KeyRecord], Awaitable[KeyRecord | Refusal]] | None,
    *,
    as_json: bool,
    told: bool = False,
) -> None:
    """Find a key, do the work on it if there is any, and show it; or tell its status in a line."""

    async def done(store: Store) -> KeyRecord | Refusal:
        record = await _find(store, key)
        return record if work is None else await work(_administration(store), record)

    record = _value(with_store(files, done))
    if as_json:
        _print_json(_view(record))
    elif told:
        click.echo(f"{printable(record.name)} ({record.id}) is {record.status}.")
    else:
        key_sheet(record)


async def _find(store: Store, key: str) -> KeyRecord:
    from apertis.gateway.routes.admin_keys import find_key

    by_id = await store.keys.get(key)
    return by_id or _value(find_key(await store.keys.list(), key))


def _administration(store: Store) -> KeyAdministration:
    from apertis.gateway.routes.admin_keys import KeyAdministration

    return KeyAdministration(store.keys, time.time, store.keys.list)


def _value(result: _T | Refusal) -> _T:
    from apertis.gateway.errors import Refusal

    if isinstance(result, Refusal):
        raise failure(result, OPTION_OF)
    return result


def _view(record: KeyRecord, secret: str | None = None) -> KeyView:
    from apertis.gateway.routes.admin_views import key_view

    return key_view(record, secret)


def _show_secret(result: Made | Refusal, *, as_json: bool) -> None:
    made = _value(result)
    if as_json:
        _print_json(_view(made.record, made.secret))
        return
    # The secret alone goes to stdout, so that a program can take it from there.
    about = f"The secret of {printable(made.record.name)} ({made.record.id})"
    click.echo(f"{about} is shown only now; only its hash is kept:", err=True)
    click.echo(made.secret)


def _print_json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
