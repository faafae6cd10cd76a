"""`apertis journal`: what a gateway left that will not start again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from apertis.cli.administration import actor
from apertis.cli.store import CommandStore, StoreFiles, store_of
from apertis.cli.terminal import echo, echo_json, json_option
from apertis.gateway.units import usd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from apertis.gateway.budgets.accounts import Closed

_EPILOG = """\b
Examples:
  apertis journal replay /mnt/old/usage-journal --config apertis.toml
  apertis journal forget web-3 --config apertis.toml

\b
A gateway that starts again with its data books its journal itself: there is
nothing to do then.
"""


@click.group("journal", epilog=_EPILOG)
def command() -> None:
    """Settle what a gateway left that will not start again.

    Each gateway of a PostgreSQL database writes its usage to a journal on its own disk first. What
    one had reserved that died is kept from the others until its journal is booked or given up.
    """


def _files(command: Callable[..., object]) -> Callable[..., object]:
    config = click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="The gateway's configuration file, for the location of its store.",
    )
    data = click.option(
        "--data",
        type=click.Path(path_type=Path),
        help="The gateway's data: a directory, or its SQLite file.",
    )
    return data(config(json_option(command)))


@command.command("replay")
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path))
@_files
def replay_command(*, path: Path, data: Path | None, config: Path | None, as_json: bool) -> None:
    """Book the journal in PATH, and free what its gateway had reserved.

    PATH is a gateway's folder `usage-journal`, or its data directory. The gateway must have ended.
    What it is known to have had under way when it was last heard of counts as spent. Doing it again
    books nothing twice.
    """
    from apertis.gateway.store.replay import replay

    files = StoreFiles(data, config)
    who = actor()
    done = CommandStore(files, may_make=False).do(lambda store: replay(store, path, actor=who))
    if as_json:
        echo_json(done)
        return
    echo(f"{done.records} records read, {done.booked} of them new, into {store_of(files)}")
    if done.damaged:
        echo(f"{done.damaged} damaged lines were not booked; they are kept in {path}")
    for replica in done.replicas:
        _show_closed(replica, [lease for lease in done.closed if lease.replica == replica])


@command.command("forget")
@click.argument("replica")
@_files
def forget_command(*, replica: str, data: Path | None, config: Path | None, as_json: bool) -> None:
    """Give up the journal of REPLICA, and free what it had reserved.

    For a gateway whose disk is lost. What it had under way when it was last heard of counts as
    spent; what it spent otherwise and had not booked, a second's requests as a rule, is in no
    budget and no report. The audit trail says who did it.
    """
    who = actor()
    closed = CommandStore(StoreFiles(data, config), may_make=False).do(
        lambda store: store.accounts.forget(replica, actor=who)
    )
    if as_json:
        echo_json({"replica": replica, "closed": msgspec.to_builtins(closed)})
        return
    _show_closed(replica, closed)


def _show_closed(replica: str, closed: Sequence[Closed]) -> None:
    lost = sum(lease.lost_units for lease in closed)
    freed = sum(lease.freed_units for lease in closed)
    echo(
        f"{replica}: {len(closed)} leases closed, ${usd(freed)} free again, "
        f"${usd(lost)} of requests that were under way count as spent"
    )
