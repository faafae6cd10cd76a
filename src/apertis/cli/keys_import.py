"""`apertis keys import`: people with their groups, budgets and keys, out of a spreadsheet."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from apertis.cli.administration import (
    Administration,
    GatewayOptions,
    administration_of,
    confirm,
    place_options,
)
from apertis.cli.exit_codes import ExitCode
from apertis.cli.tables import show_table
from apertis.cli.terminal import echo, echo_json, json_option, one_line, yes_option
from apertis.errors import ApertisError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apertis.gateway.admin.people_csv import People, Problem
    from apertis.gateway.admin.people_import import Imported, PersonRow

_EPILOG = """\b
Columns, in any order, with a line of their names on top:
  name         the person; the only column that there must be
  email        address
  group        made where there is none of this name
  monthly_usd  budget a month, in US dollars: 50 or 12.50
  key          name of the key; without this column that of the person
  models       models that the key may use, with commas or spaces
  tags         tags of the key, with commas

An empty cell leaves what is there as it is. Commas, semicolons or tabs stand
between cells, as spreadsheets save them. People, groups and keys are known by
their names: the same import again changes nothing. It is all or nothing, and
each wrong cell is told with its line.

\b
Examples:
  apertis keys import people.csv --dry-run
  apertis keys import people.csv --secrets secrets.csv
"""
_OPTION_OF = {"rows": "FILE", "zone": "--zone"}
_IMPORT = "/admin/v1/people/import"
_SUBJECTS = {"limit": "budget"}


@click.command("import", epilog=_EPILOG)
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option(
    "--secrets",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="New file for the secrets of new keys, which only you can read.",
)
@click.option("--print-secrets", is_flag=True, help="Print the secrets of new keys.")
@click.option(
    "--zone", default="UTC", show_default=True, help="Time zone of the months of new budgets."
)
@yes_option
@json_option
@place_options
def import_keys(
    *,
    file: BinaryIO,
    dry_run: bool,
    secrets: Path | None,
    print_secrets: bool,
    zone: str,
    yes: bool,
    as_json: bool,
    place: GatewayOptions,
) -> None:
    """Import people with their groups, budgets and keys from a CSV file."""
    from apertis.gateway.admin.people_csv import problems_of_rows, read_people
    from apertis.gateway.admin.people_import import is_new_key

    people = read_people(file.read())
    administration = administration_of(place, _OPTION_OF, may_make=not dry_run)
    planned = _ask(administration, people.rows, zone, dry_run=True)
    problems = [*people.problems, *problems_of_rows(planned, people)]
    if problems:
        _tell(file.name, problems)
        click.get_current_context().exit(ExitCode.USAGE)
    if dry_run or not planned.changes:
        _show(planned, people, as_json=as_json)
        return
    new_keys = sum(is_new_key(change) for change in planned.changes)
    if new_keys and secrets is None and not print_secrets:
        raise ParameterError(
            f"--secrets FILE is for the secrets of {new_keys} new keys, which are shown only now; "
            "or add --print-secrets"
        )
    confirm(administration, f"Import {len(people.rows)} people?", yes=yes, always=False)
    with contextlib.ExitStack() as undo:
        target = open_secrets(secrets, undo) if secrets is not None and new_keys else None
        imported = _ask(administration, people.rows, zone, dry_run=False)
        # From here on keys have these secrets: the file stays whatever happens.
        undo.pop_all()
    if target is not None and secrets is not None:
        _write(imported, secrets, target)
    _show(imported, people, as_json=as_json, with_secrets=print_secrets)


def _ask(
    administration: Administration, rows: Sequence[PersonRow], zone: str, *, dry_run: bool
) -> Imported:
    from apertis.gateway.admin.people_import import Imported, ImportFields

    fields = ImportFields(rows=tuple(rows), dry_run=dry_run, zone=zone)
    return administration.ask("POST", _IMPORT, Imported, body=fields)


def _tell(name: str, problems: Sequence[Problem]) -> None:
    for line, column, message in sorted(problems, key=lambda problem: problem.line):
        said = message if column is None else f"'{column}' {message}"
        echo(f"apertis: {one_line(f'{name}, line {line}: {said}')}", err=True)
    echo("apertis: nothing was changed", err=True)


def open_secrets(path: Path, undo: contextlib.ExitStack) -> int:
    """Make the file before any key: who cannot write it gets no keys without secrets."""
    try:
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ParameterError(f"--secrets {path}: there is such a file already") from None
    except OSError as error:
        raise ParameterError(f"--secrets {path}: {error.strerror}") from None
    undo.callback(path.unlink)
    undo.callback(os.close, target)
    return target


def _write(imported: Imported, path: Path, target: int) -> None:
    from apertis.gateway.admin.people_import import is_new_key, secrets_table

    table, count = secrets_table(imported), sum(map(is_new_key, imported.changes))
    try:
        with os.fdopen(target, "w", encoding="utf-8", newline="") as file:
            file.write(table)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ApertisError(
            f"the keys are made, but {path} could not be written ({error.strerror}): give new "
            "secrets to them with 'apertis keys rotate'"
        ) from error
    echo(f"apertis: the secrets of {count} new keys are in {path}", err=True)


def _show(imported: Imported, people: People, *, as_json: bool, with_secrets: bool = False) -> None:
    import msgspec

    from apertis.gateway.admin.people_import import detail_of

    if as_json:
        changes = imported.changes
        if not with_secrets:
            changes = tuple(
                msgspec.structs.replace(change, secret=msgspec.UNSET) for change in changes
            )
        echo_json(msgspec.structs.replace(imported, changes=changes))
        return
    titles = ["Line", "Change", "What", "Name", "To"]
    rows = [
        [
            str(people.lines[change.row]),
            change.action,
            _SUBJECTS.get(change.subject, change.subject),
            change.name,
            detail_of(change, people.rows[change.row]),
        ]
        for change in imported.changes
    ]
    if with_secrets:
        titles.append("Secret")
        for row, change in zip(rows, imported.changes, strict=True):
            row.append(change.secret if isinstance(change.secret, str) else "")
    show_table(titles, rows, empty="Nothing changes: all of it is so already.", right=("Line",))
    count, same = len(imported.changes), f"{imported.unchanged} of {len(people.rows)} people"
    told = f"{count} changes {'would be' if imported.dry_run else 'are'} made; {same}"
    echo(f"apertis: {told if count else same} stay as they are", err=True)
