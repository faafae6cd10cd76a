"""Forms of people and groups: what was changed in them, as JSON."""

from __future__ import annotations

import json

import pytest

from apertis.gateway.console.organization_form import body_of, rate_fields

SHOWN = {"name": "Ann", "email": "", "group": "Research", "in_flight": "3", "role": "member"}


@pytest.mark.parametrize(
    ("form", "given"),
    [
        ({}, {}),
        (SHOWN, {}),
        ({"name": " Ann "}, {}),
        ({"name": "Bea"}, {"name": "Bea"}),
        ({"group": ""}, {"group": None}),
        ({"in_flight": ""}, {"in_flight": None}),
        ({"in_flight": "12"}, {"in_flight": 12}),
        # What is wrong is told where it is read.
        ({"in_flight": "many"}, {"in_flight": "many"}),
        ({"name": ""}, {"name": ""}),
        ({"unknown": "x"}, {}),
    ],
)
def test_only_what_was_changed_is_sent_on(form: dict[str, str], given: dict[str, object]) -> None:
    assert json.loads(body_of(form, SHOWN, SHOWN.keys())) == given


def test_what_may_not_be_set_is_not_sent_on() -> None:
    form = {"name": "Bea", "role": "administrator"}
    assert json.loads(body_of(form, SHOWN, {"name"})) == {"name": "Bea"}


def test_rates_have_a_field_each() -> None:
    shown = {"requests_limit": "1/1m", "tokens_per_minute": "", "in_flight": "3"}
    assert {field.name: field.value for field in rate_fields(shown)} == shown
