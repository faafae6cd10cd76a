"""`apertis limits`: budgets of keys, people, groups and the whole gateway."""

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
from apertis.cli.organization import all_limits, fields_of
from apertis.cli.tables import show_sheet, show_table
from apertis.cli.terminal import (
    cents,
    echo,
    echo_json,
    is_terminal,
    json_option,
    printable,
    yes_option,
)
from apertis.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.admin.limits import LimitView

_EPILOG = """\b
Examples:
  apertis limits create --group research --usd 500
  apertis limits create --person Ann --usd 5 --period day --zone Europe/Berlin
  apertis limits create --gateway --usd 2000 --contact ops@example.com
  apertis limits create --key ci --usd 2 --period day --model 'claude-opus-*'
  apertis limits list --group research
  apertis limits update limit_... --usd 800 --warn 80,100
  apertis limits remove limit_...

\b
A level can have any number of limits, and each has an id. A key's own total
is its quota: 'apertis keys update KEY --quota-usd 20'. The gateway is found
as 'apertis keys' finds it, and changes act on it within a second.
"""
_OPTIONS = {
    "key": "--key",
    "person": "--person",
    "group": "--group",
    "gateway": "--gateway",
    "amount_usd": "--usd",
    "amount_units": "--units",
    "overdraft_usd": "--overdraft-usd",
    "period": "--period",
    "zone": "--zone",
    "models": "--model",
    "per_session": "--per-session",
    "thresholds": "--warn",
    "contact": "--contact",
    "cheaper_model": "--cheaper-model",
    "store_loss_usd": "--store-loss-usd",
}
_PERIODS = ("day", "week", "month", "total")
_limit = click.argument("limit")


def _subject_options(command: Callable[..., object]) -> Callable[..., object]:
    options = (
        click.option("--key", metavar="KEY", help="Of a key: its name or id."),
        click.option("--person", metavar="PERSON", help="Of a person."),
        click.option("--group", metavar="GROUP", help="Of a group, and all that is in it."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _changeable_options(command: Callable[..., object]) -> Callable[..., object]:
    options = (
        click.option("--usd", "amount_usd", metavar="USD", help="Amount in US dollars."),
        click.option("--units", "amount_units", metavar="UNITS", help="Amount in units instead."),
        click.option(
            "--overdraft-usd", metavar="USD", help="What a nearly empty budget may be overdrawn."
        ),
        click.option(
            "--warn", "thresholds", metavar="PERCENTS", help="When to tell: 80,100; or 'none'."
        ),
        click.option("--contact", metavar="WHOM", help="Whom to ask for more; errors say it."),
        click.option(
            "--cheaper-model", metavar="MODEL", help="Model that answers when it is used up."
        ),
        click.option(
            "--store-loss-usd", metavar="USD", help="What may be spent while the store is away."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group("limits", epilog=_EPILOG)
def command() -> None:
    """Budgets of keys, people, groups and the whole gateway."""


@command.command("create")
@_subject_options
@click.option("--gateway", is_flag=True, help="Of all that the gateway spends.")
@_changeable_options
@click.option(
    "--period",
    type=click.Choice(_PERIODS),
    default="month",
    show_default=True,
    help="When it renews.",
)
@click.option("--zone", metavar="ZONE", help="Time zone of the period.  [default: UTC]")
@click.option("--model", "models", multiple=True, metavar="MODEL", help="Count only this model.")
@click.option("--per-session", is_flag=True, help="Give each session the amount to itself.")
@json_option
@place_options
def create(
    *, models: tuple[str, ...], as_json: bool, place: GatewayOptions, **options: object
) -> None:
    """Limit what a key, a person, a group or the gateway may spend in a period.

    The period, zone and models cannot change: make another limit, and remove this one. What was
    spent in the running period counts in the new one.
    """
    from apertis.gateway.admin.limits import LimitFields, LimitView
    from apertis.gateway.admin.resources import LIMITS

    given = _read(options)
    if sum(bool(options[name]) for name in ("key", "person", "group", "gateway")) != 1:
        message = "give one of --key, --person, --group and --gateway"
        raise ParameterError(message, param="key")
    given["gateway"] = options["gateway"] or None
    given["per_session"] = options["per_session"] or None
    given["models"] = [one.strip() for text in models for one in text.split(",")] or None
    fields = fields_of(LimitFields, given, _OPTIONS)
    made = _open(place, may_make=True).ask("POST", LIMITS, LimitView, body=fields)
    _show(made, as_json=as_json)


@command.command("list")
@_subject_options
@click.option("--all", "with_removed", is_flag=True, help="Include removed limits.")
@json_option
@place_options
def list_limits(
    *, with_removed: bool, as_json: bool, place: GatewayOptions, **options: str | None
) -> None:
    """List the limits, with what is spent of them in the running period."""
    query: dict[str, object] = {name: value for name, value in options.items() if value is not None}
    if with_removed:
        query["status"] = "all"
    found = all_limits(_open(place), query)
    if as_json:
        echo_json(found)
        return
    people = is_terminal()
    show_table(
        ("Of", "Amount", "Spent", "Left", "%", "Each", "Resets", "Id"),
        [
            (
                _called(limit),
                _dollars(limit.amount_units, limit.amount_usd, people=people),
                _dollars(limit.spent_units, limit.spent_usd, people=people),
                _dollars(limit.left_units, limit.left_usd, people=people),
                "-" if limit.percent is None else str(limit.percent),
                _each(limit),
                _resets(limit, people=people),
                limit.id,
            )
            for limit in found
        ],
        empty="No limits.",
        right=("Amount", "Spent", "Left", "%"),
        whole=("Id", "Resets", "Each"),
        spare=("Left", "%"),
        dim=[limit.status == "removed" for limit in found],
    )


@command.command("show")
@_limit
@json_option
@place_options
def show(*, limit: str, as_json: bool, place: GatewayOptions) -> None:
    """Show one limit."""
    from apertis.gateway.admin.limits import LimitView
    from apertis.gateway.admin.resources import LIMITS

    _show(_open(place).ask("GET", LIMITS + "/{id}", LimitView, id=limit), as_json=as_json)


@command.command("update")
@_limit
@_changeable_options
@json_option
@place_options
def update(*, limit: str, as_json: bool, place: GatewayOptions, **options: object) -> None:
    """Change the given options of a limit; what is spent stays."""
    from apertis.gateway.admin.limits import LimitChanges, LimitView
    from apertis.gateway.admin.resources import LIMITS

    fields = fields_of(LimitChanges, _read(options), _OPTIONS)
    changed = _open(place).ask("PATCH", LIMITS + "/{id}", LimitView, id=limit, body=fields)
    _show(changed, as_json=as_json)


@command.command("remove")
@_limit
@yes_option
@json_option
@place_options
def remove(*, limit: str, yes: bool, as_json: bool, place: GatewayOptions) -> None:
    """Remove a limit; what was spent is kept. Asks first on a terminal."""
    from apertis.gateway.admin.limits import LimitView
    from apertis.gateway.admin.resources import LIMITS

    administration = _open(place)
    found = administration.ask("GET", LIMITS + "/{id}", LimitView, id=limit)
    told = f"${found.amount_usd} {_each(found)} of {_called(found)}"
    confirm(administration, f"Remove the limit {told}?", yes=yes, always=True)
    removed = administration.ask("DELETE", LIMITS + "/{id}", LimitView, id=found.id)
    if as_json:
        echo_json(removed)
    else:
        echo(f"The limit {printable(told)} is removed.")


def _open(place: GatewayOptions, *, may_make: bool = False) -> Administration:
    return administration_of(place, _OPTIONS, may_make=may_make)


def _read(options: dict[str, object]) -> dict[str, object]:
    """Turn the options into the fields that they set."""
    given = dict(options)
    units = given.get("amount_units")
    if isinstance(units, str):
        number = units.replace("_", "").replace(",", "")
        if not (number.isascii() and number.isdecimal()):
            message = f"--units takes a whole number, not {units!r}"
            raise ParameterError(message, param="amount_units")
        given["amount_units"] = int(number)
    percents = given.get("thresholds")
    if isinstance(percents, str):
        words = [word.strip().rstrip("%") for word in percents.split(",")]
        if words == ["none"]:
            words = []
        if not all(word.isascii() and word.isdecimal() for word in words):
            message = f"--warn takes percents such as 50,80,100, not {percents!r}"
            raise ParameterError(message, param="thresholds")
        given["thresholds"] = [int(word) for word in words]
    return given


def _show(limit: LimitView, *, as_json: bool) -> None:
    if as_json:
        echo_json(limit)
        return
    spent = f"${limit.spent_usd} ({limit.spent_units} units)"
    if limit.percent is not None:
        spent += f", {limit.percent} %"
    percents = ", ".join(f"{percent} %" for percent in limit.thresholds)
    loss = limit.store_loss_units
    facts = [
        ("Of", _called(limit)),
        ("Id", limit.id),
        ("Status", limit.status),
        ("Amount", f"${limit.amount_usd} ({limit.amount_units} units) {_each(limit)}"),
        ("Spent", spent),
        ("Left", f"${limit.left_usd}"),
        ("Held by batches", f"{limit.held_units} units"),
        ("With gateways", f"{limit.leased_units} units"),
        ("Resets", limit.resets_at or "never"),
        ("Time zone", limit.zone),
        ("Overdraft", f"{limit.overdraft_units} units"),
        ("Tells at", percents or "-"),
        ("Contact", limit.contact or "-"),
        ("Cheaper model", limit.cheaper_model or "-"),
        ("Without the store", "-" if loss is None else f"{loss} units"),
        ("Created", limit.created_at),
    ]
    show_sheet(facts)


def _called(limit: LimitView) -> str:
    """Say whose limit it is."""
    if limit.level == "gateway":
        return "the gateway"
    return f"{limit.level} {limit.subject or limit.subject_id}"


def _each(limit: LimitView) -> str:
    told = "in all" if limit.period == "total" else f"a {limit.period}"
    if limit.per_session:
        told += " and session"
    return told if limit.models is None else f"{told}, {', '.join(limit.models)}"


def _resets(limit: LimitView, *, people: bool) -> str:
    if limit.resets_at is None:
        return "never"
    return limit.resets_at[:10] if people else limit.resets_at


def _dollars(units: int, exactly: str, *, people: bool) -> str:
    return cents(units) if people else f"${exactly}"
