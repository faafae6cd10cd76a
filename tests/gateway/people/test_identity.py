"""What is believed of what an identity provider says of somebody."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.config import OidcSettings
from apertis.gateway.keys import validation
from apertis.gateway.people.identity import Identity, group_by, identity_of, refuse, role_by

ISSUER = "https://login.example.com"


def read(**claims: Any) -> Identity:
    return identity_of(ISSUER, {"sub": "1", **claims}, "groups")


@pytest.mark.parametrize("verified", [True, "true"])
def test_an_email_address_counts_where_the_provider_verified_it(verified: object) -> None:
    assert read(email="ann@example.com", email_verified=verified).email == "ann@example.com"


@pytest.mark.parametrize("verified", [False, "false", None, 1, "yes", [True], "True"])
def test_an_email_address_that_is_not_verified_is_none(verified: object) -> None:
    assert read(email="ann@example.com", email_verified=verified).email is None
    assert read(email="ann@example.com").email is None


@pytest.mark.parametrize(
    ("claim", "groups"),
    [
        (["a", "b"], ("a", "b")),
        ("a", ("a",)),
        ([1, "b", None, ["c"]], ("b",)),
        (None, ()),
        (7, ()),
        ({"a": 1}, ()),
    ],
)
def test_groups_are_texts_in_whatever_form_they_come(
    claim: object, groups: tuple[str, ...]
) -> None:
    assert read(groups=claim).groups == groups


@pytest.mark.parametrize(
    "claims",
    [
        {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://x"}}},
        {"hasgroups": True},
        {"hasgroups": "true"},
    ],
)
@pytest.mark.parametrize(
    "settings",
    [
        OidcSettings(groups={"a": "A"}),
        OidcSettings(roles={"a": "viewer"}),
        OidcSettings(allowed_groups=("a",)),
    ],
)
def test_nobody_leaves_their_group_because_the_provider_tells_no_groups(
    claims: dict[str, object], settings: OidcSettings
) -> None:
    told = refuse(read(**claims), settings)
    assert told is not None
    assert "more groups" in told.message
    assert refuse(read(**claims), OidcSettings()) is None
    assert refuse(read(**claims, groups=["a"]), settings) is None
    assert refuse(read(_claim_names={"address": "src1"}, groups=["a"]), settings) is None


def test_the_name_is_the_first_that_there_is() -> None:
    assert read(name="Ann", preferred_username="a").name == "Ann"
    assert read(name=" \n ", preferred_username="ann\tb").name == "ann b"
    assert read(email="ann@example.com").name == "ann@example.com"
    assert read().name == "1"


@given(st.text(max_size=400), st.text(max_size=400))
def test_names_and_ids_are_always_such_as_people_can_have(subject: str, name: str) -> None:
    one = identity_of(ISSUER, {"sub": subject, "name": name}, "groups")
    for field in ("name", "external_id"):
        assert not list(validation.label(field, getattr(one, field)))


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_two_accounts_and_no_two_issuers_have_the_same_id(one: str, other: str) -> None:
    ids = {
        identity_of(issuer, {"sub": sub}, "groups").external_id
        for issuer in (ISSUER, "https://other.example.com")
        for sub in (one, other)
    }
    assert len(ids) == 2 * len({one, other})


def test_a_slash_at_the_end_of_an_issuer_makes_no_other_people() -> None:
    same = identity_of(f"{ISSUER}/", {"sub": "1"}, "groups")
    assert same.external_id == read().external_id == f"{ISSUER}#1"


@pytest.mark.parametrize(
    ("email", "allowed"),
    [
        ("ann@example.com", True),
        ("ann@EXAMPLE.com", True),
        ("ann@sub.example.com", False),
        ("ann@example.com.evil.example", False),
        ("ann@notexample.com", False),
        ('"x@example.com"@evil.example', False),
        (None, False),
    ],
)
def test_only_allowed_domains_sign_in(email: str | None, allowed: bool) -> None:
    settings = OidcSettings(allowed_domains=("Example.com",))
    one = Identity(external_id="a", subject="a", name="A", email=email)
    assert (refuse(one, settings) is None) is allowed
    assert refuse(one, OidcSettings()) is None


def test_only_allowed_groups_sign_in() -> None:
    settings = OidcSettings(allowed_groups=("a", "b"))
    assert refuse(read(groups=["b", "c"]), settings) is None
    assert refuse(read(groups=["c", "A"]), settings) is not None
    assert refuse(read(), settings) is not None


def test_of_several_roles_the_one_that_may_do_most_counts() -> None:
    settings = OidcSettings(
        roles={"v": "viewer", "a": "administrator", "g": "group_administrator"},
        default_role="member",
    )
    assert role_by(read(groups=["v", "a", "g"]), settings) == "administrator"
    assert role_by(read(groups=["v", "g"]), settings) == "group_administrator"
    assert role_by(read(groups=["v", "x"]), settings) == "viewer"
    assert role_by(read(groups=["A"]), settings) == "member"
    assert role_by(read(groups=["a"]), OidcSettings()) is None


def test_of_several_groups_the_first_of_the_settings_counts() -> None:
    settings = OidcSettings(groups={"two": "Second", "one": "First"})
    assert group_by(read(groups=["one", "two"]), settings) == "Second"
    assert group_by(read(groups=["one"]), settings) == "First"
    assert group_by(read(groups=["three"]), settings) is None
