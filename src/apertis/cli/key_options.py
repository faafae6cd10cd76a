"""The options that say what a key is, for `apertis keys create` and `update`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_origin

import click

from apertis.cli.organization import converted
from apertis.errors import ParameterError
from apertis.gateway.admin.key_fields import GIVEN, KeyFields
from apertis.gateway.keys.validation import moment
from apertis.gateway.units import iso, read_span

if TYPE_CHECKING:
    from apertis.gateway.keys.record import Setting

_F = TypeVar("_F", bound=Callable[..., object])

# The option that sets each field.
OPTION_OF = {name: setting.option.partition("/")[0] for name, setting in GIVEN.items()}

_SWITCH = {"on": True, "off": False, "default": None}


def _options() -> Iterator[Callable[[Any], Any]]:
    # The right over the gateway itself comes last; `--name` stands with each command.
    for name, setting in sorted(GIVEN.items(), key=lambda item: item[0] == "admin"):
        option, text = setting.option, setting.help
        if setting.type is bool and setting.nullable:
            word = option.removeprefix("--")
            other = "Do as the gateway is configured."
            yield click.option(option, name, flag_value="on", help=text)
            yield click.option(f"--no-{word}", name, flag_value="off", help="Do not fall back.")
            yield click.option(f"--default-{word}", name, flag_value="default", help=other)
        elif setting.type is bool:
            yield click.option(option, name, default=None, help=text)
        elif text:
            many = get_origin(setting.type) is tuple
            metavar = setting.metavar
            yield click.option(option, name, multiple=many, metavar=metavar, help=text)


def key_options(command: _F) -> _F:
    """Add them all, in this order."""
    for option in reversed(list(_options())):
        command = option(command)
    return command


def fields_of(options: dict[str, object]) -> KeyFields:
    """Turn the options that were given into fields; `ParameterError` names the wrong one."""
    given = {
        name: _read(GIVEN[name], value)
        for name, value in options.items()
        if value is not None and value != ()
    }
    if {"quota_units", "quota_usd"} <= given.keys():
        raise ParameterError("--quota and --quota-usd exclude each other", param="quota_usd")
    return converted(given, KeyFields, OPTION_OF)


def _read(setting: Setting, value: object) -> object:
    """Read the value of an option, or a repeated option's, which may also be joined by commas."""
    if isinstance(value, tuple):
        given = cast("tuple[str, ...]", value)
        words = [word.strip() for text in given for word in text.split(",")]
        if len(words) == 1 and words[0] in setting.words:
            return setting.words[words[0]]
        return [word for word in words if word]
    if not isinstance(value, str):
        return value
    if setting.type is bool:
        return _SWITCH[value]
    text = value.strip().replace("_", "").replace(",", "") if _is_number(setting) else value
    if text in setting.words:
        return setting.words[text]
    if setting.rule is moment:
        span = read_span(text)
        return text if span is None else iso(time.time() + span)
    if not _is_number(setting):
        return text
    if text.isascii() and text.isdecimal():
        return int(text)
    word = next(iter(setting.words))
    raise ParameterError(f"{setting.option} takes a whole number or '{word}', not {value!r}")


def _is_number(setting: Setting) -> bool:
    return (setting.json or setting.type) is int
