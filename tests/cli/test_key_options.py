"""The options that say what a key is, read to the fields of a key."""

from __future__ import annotations

from typing import Any

import click
import pytest

from apertis.cli.key_options import OPTION_OF, fields_of, key_options
from apertis.errors import ParameterError
from apertis.gateway.admin.key_fields import GIVEN, changes_of


def changes(**options: object) -> Any:
    return changes_of(fields_of(options))


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ({"quota_units": "1_000,000"}, "quota_units", 1_000_000),
        ({"quota_units": "unlimited"}, "quota_units", None),
        ({"quota_usd": "2.5"}, "quota_units", 1_250_000),
        ({"models": ("a, b", "c")}, "models", ("a", "b", "c")),
        ({"expires_at": "2027-01-01"}, "expires_at", 1_798_761_600),
        ({"admin": True}, "admin", True),
        ({"response_cache": "on"}, "response_cache", True),
        ({"owner": "ann"}, "owner", "ann"),
    ],
)
def test_an_option_becomes_the_field_that_it_names(
    options: dict[str, object], field: str, value: object
) -> None:
    assert changes(**options) == {field: value}


def test_options_that_are_not_given_change_nothing() -> None:
    assert changes(owner=None, models=(), quota_units=None) == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"quota_units": "much"}, "--quota takes a whole number or 'unlimited', not 'much'"),
        ({"quota_units": "1", "quota_usd": "1"}, "--quota and --quota-usd exclude each other"),
        ({"quota_usd": "much"}, "--quota-usd: "),
    ],
)
def test_what_cannot_be_is_said_of_the_option(options: dict[str, object], said: str) -> None:
    with pytest.raises(ParameterError) as caught:
        fields_of(options)
    assert str(caught.value).startswith(said)


def test_every_setting_with_a_help_has_its_option() -> None:
    @click.command()
    @key_options
    def command(**_: object) -> None: ...

    shown = {option for param in command.params for option in param.opts}
    assert {OPTION_OF[name] for name, setting in GIVEN.items() if setting.help} <= shown
