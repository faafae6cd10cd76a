"""The form of a key: what is shown of a record comes back as no change, and changes as values."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from apertis.gateway.admin.key_fields import GIVEN, KeyFields
from apertis.gateway.console.key_form import fields_of, key_form, texts_of
from apertis.gateway.errors import Refusal
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.people.organization import Organization
from apertis.gateway.signin.roles import Viewer

ADMINISTRATOR = Viewer(session="", role="administrator")
GROUP_ADMINISTRATOR = Viewer(session="", role="group_administrator")
NOBODY = Organization()
RECORD = KeyRecord(id="key_1", name="k", sha256="0", hint="sk-...", created_at=0)


def given_in(form: dict[str, str], record: KeyRecord | None = RECORD, zone: str = "UTC") -> Any:
    fields = fields_of(ADMINISTRATOR, form, record, NOBODY, zone)
    if isinstance(fields, Refusal):
        return fields.param
    return {name: value for name in GIVEN if (value := getattr(fields, name)) is not UNSET}


@given(
    st.builds(
        KeyRecord,
        id=st.just("key_1"),
        sha256=st.just("0"),
        hint=st.just(""),
        created_at=st.just(0),
        name=st.sampled_from(["k", "a & b"]),
        tags=st.sampled_from([(), ("ci",), ("a b", "c")]),
        quota_units=st.none() | st.integers(0, 2**62),
        models=st.sampled_from([None, ("claude-*", "x")]),
        expires_at=st.none() | st.integers(0, 4_000_000_000),
        fallback_enabled=st.sampled_from([None, True, False]),
        tokens_per_minute=st.none() | st.integers(0, 10**9),
        admin=st.booleans(),
    ),
    st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia"]),
)
def test_a_form_that_is_sent_as_it_was_shown_changes_nothing(record: KeyRecord, zone: str) -> None:
    assert given_in(texts_of(record, NOBODY, zone), record, zone) == {}
    # So does one that lacks fields.
    assert given_in({}, record, zone) == {}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("quota_usd", "12,50", "12.50"),
        ("quota_usd", " $1,000.00 ", "1000.00"),
        ("models", "a, b;c\td", ("a", "b", "c", "d")),
        ("tags", "a b, ,c", ("a b", "c")),
        ("expires_at", "2031-05-01", "2031-05-01T22:00:00Z"),
        ("expires_at", "2031-05-01T12:00Z", "2031-05-01T12:00:00Z"),
        ("in_flight", "0", 0),
        ("fallback_enabled", "no", False),
        ("admin", "yes", True),
        ("owner", "Ada", "Ada"),
        ("person", "Ada", "Ada"),
    ],
)
def test_texts_become_the_values_of_their_fields(name: str, text: str, value: object) -> None:
    found = given_in({name: text}, zone="Europe/Berlin")
    assert found.keys() == {name}
    assert str(found[name]) == str(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("quota_usd", "-1"),
        ("quota_usd", "ten"),
        ("in_flight", "many"),
        ("in_flight", "-1"),
        ("tokens_per_minute", "9" * 30),
        ("admin", "perhaps"),
        ("name", ""),
    ],
)
def test_a_text_that_is_no_value_is_refused_by_its_field(name: str, text: str) -> None:
    assert given_in({name: text}) == name


def test_what_is_emptied_is_taken_away() -> None:
    record = msgspec.structs.replace(
        RECORD,
        quota_units=5,
        models=("a",),
        tags=("t",),
        expires_at=10**9,
        fallback_enabled=True,
        in_flight=3,
    )
    names = ("quota_usd", "models", "tags", "expires_at", "fallback_enabled", "in_flight")
    found = given_in(dict.fromkeys(names, ""), record)
    assert found == dict.fromkeys(names) | {"tags": ()}


def test_every_field_of_a_key_is_in_the_form_of_an_administrator() -> None:
    form = key_form(ADMINISTRATOR, None, NOBODY, "UTC")
    names = {field.name for field in (*form.main, *form.more)}
    assert names == GIVEN.keys() - {"quota_units"}
    assert all(field.label for field in (*form.main, *form.more))


def test_who_may_not_set_a_field_neither_sees_nor_sets_it() -> None:
    form = key_form(GROUP_ADMINISTRATOR, None, NOBODY, "UTC")
    assert "admin" not in {field.name for field in (*form.main, *form.more)}
    fields = fields_of(GROUP_ADMINISTRATOR, {"admin": "yes", "name": "k"}, None, NOBODY, "UTC")
    assert isinstance(fields, KeyFields)
    assert (fields.name, getattr(fields, "admin", None)) == ("k", UNSET)
