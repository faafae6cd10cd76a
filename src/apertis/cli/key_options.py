"""The options that say what a key is, for `apertis keys create` and `update`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

import click
import msgspec

from apertis.errors import ParameterError

if TYPE_CHECKING:
    from apertis.gateway.admin.key_fields import KeyFields

__all__ = ["OPTION_OF", "fields_of", "key_options"]

_F = TypeVar("_F", bound=Callable[..., object])

# The option that sets each field.
OPTION_OF = {
    "name": "--name",
    "owner": "--owner",
    "tags": "--tag",
    "admin": "--admin",
    "quota_units": "--quota",
    "quota_usd": "--quota-usd",
    "models": "--model",
    "addresses": "--address",
    "expires_at": "--expires",
    "fallback_models": "--fallback-model",
    "fallback_timeout_ms": "--fallback-timeout",
    "fallback_enabled": "--fallback",
    "requests_limit": "--rate",
    "tokens_per_minute": "--tokens-per-minute",
    "in_flight": "--in-flight",
    "response_cache": "--cache",
    "billing_policy": "--billing-policy",
}

_OPTIONS = (
    click.option("--owner", metavar="TEXT", help="Whose key it is; '' for nobody's."),
    click.option("--tag", "tags", multiple=True, metavar="TAG", help="A tag; 'none' for none."),
    click.option(
        "--quota",
        "quota_units",
        metavar="UNITS",
        help="What it may spend in all: 500,000 units are 1 US dollar; or 'unlimited'.",
    ),
    click.option("--quota-usd", metavar="USD", help="The same in US dollars, such as 12.50."),
    click.option(
        "--model", "models", multiple=True, metavar="MODEL", help="A model it may use; or 'all'."
    ),
    click.option(
        "--address",
        "addresses",
        multiple=True,
        metavar="ADDRESS",
        help="An address or network that it may be used from, such as 10.0.0.0/8; or 'all'.",
    ),
    click.option(
        "--expires",
        "expires_at",
        metavar="WHEN",
        help="When it ends: 30d (also h, m, w) from now, 2026-12-31 (UTC), or 'never'.",
    ),
    click.option(
        "--fallback-model",
        "fallback_models",
        multiple=True,
        metavar="MODEL",
        help="A model to fall back to, in this order; or 'none'.",
    ),
    click.option(
        "--fallback-timeout",
        "fallback_timeout_ms",
        metavar="MS",
        help="How long a model has until the next is asked; or 'default'.",
    ),
    click.option("--fallback", "fallback_enabled", flag_value="on", help="Fall back on failures."),
    click.option("--no-fallback", "fallback_enabled", flag_value="off", help="Do not."),
    click.option(
        "--default-fallback",
        "fallback_enabled",
        flag_value="default",
        help="Do as the gateway is configured.",
    ),
    click.option(
        "--rate",
        "requests_limit",
        metavar="RATE",
        help="Requests in a time, such as 3000/1m; 0 for no limit, or 'default'.",
    ),
    click.option(
        "--tokens-per-minute", metavar="N", help="Tokens a minute; 0 for no limit, or 'default'."
    ),
    click.option("--in-flight", metavar="N", help="Requests at once; 0 for none, or 'default'."),
    click.option(
        "--cache/--no-cache",
        "response_cache",
        default=None,
        help="Answer repeated requests from the response cache.",
    ),
    click.option(
        "--billing-policy/--no-billing-policy",
        "billing_policy",
        default=None,
        help="Whether its requests may let somebody else be billed.",
    ),
    click.option("--admin/--no-admin", default=None, help="Whether it may administer the gateway."),
)


def key_options(command: _F) -> _F:
    """Add them all, in this order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def fields_of(options: dict[str, object]) -> KeyFields:
    """Turn the options that were given into fields; `ParameterError` names the wrong one."""
    from apertis.gateway.admin.key_fields import KeyFields

    given = {
        name: _READERS[name](value) if name in _READERS else value
        for name, value in options.items()
        if value is not None and value != ()
    }
    if {"quota_units", "quota_usd"} <= given.keys():
        raise ParameterError("--quota and --quota-usd exclude each other", param="quota_usd")
    try:
        return msgspec.convert(given, KeyFields)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$.")
        name = place.strip("`").partition("[")[0]
        message = f"{OPTION_OF.get(name, 'a field')}: {what[:1].lower()}{what[1:]}"
        raise ParameterError(message.replace("`", ""), param=name) from None


def _words_or(nothing: str, cleared: object) -> Callable[[object], object]:
    """Read a repeated option whose values may also be joined by commas."""

    def read(values: object) -> object:
        given = cast("tuple[str, ...]", values)
        words = [word.strip() for value in given for word in value.split(",")]
        return cleared if words == [nothing] else [word for word in words if word]

    return read


def _whole(option: str, word: str) -> Callable[[object], object]:
    def read(value: object) -> object:
        text = str(value).strip().replace("_", "").replace(",", "")
        if text == word:
            return None
        if text.isascii() and text.isdecimal():
            return int(text)
        raise ParameterError(f"{option} takes a whole number or '{word}', not {str(value)!r}")

    return read


def _moment(value: object) -> object:
    from apertis.gateway.units import iso, read_span

    if value == "never":
        return None
    span = read_span(str(value))
    if span is None:
        return value
    return iso(time.time() + span)


_FALLBACK = {"on": True, "off": False, "default": None}

_READERS: dict[str, Callable[[object], object]] = {
    "owner": lambda value: value or None,
    "tags": _words_or("none", ()),
    "quota_units": _whole("--quota", "unlimited"),
    "quota_usd": lambda value: None if value == "unlimited" else value,
    "models": _words_or("all", None),
    "addresses": _words_or("all", None),
    "expires_at": _moment,
    "fallback_models": _words_or("none", ()),
    "fallback_timeout_ms": _whole("--fallback-timeout", "default"),
    "fallback_enabled": lambda value: _FALLBACK[str(value)],
    "requests_limit": lambda v: None if v == "default" else "0" if v == "none" else v,
    "tokens_per_minute": _whole("--tokens-per-minute", "default"),
    "in_flight": _whole("--in-flight", "default"),
}
