"""Console sessions over the store: whom a cookie stands for, and when it stands for nobody."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from apertis.gateway.errors import Refusal
from apertis.gateway.keys.directory import Directory
from apertis.gateway.keys.secrets import hash_secret
from apertis.gateway.people.organization import Changes, Organization
from apertis.gateway.people.record import Group, Person
from apertis.gateway.signin.console_sessions import ConsoleSessions, SignedIn
from apertis.gateway.signin.signing import Signing
from apertis.gateway.store.audit import AuditQuery
from apertis.gateway.store.console_sessions import MAX_SESSIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.signin.roles import Viewer
    from tests.kit.stores import Opened

HERE = "192.0.2.1"


class House:
    """A gateway's part in it: people and keys in memory, and a clock that stands."""

    def __init__(self, opened: Opened, keys: tuple[KeyRecord, ...] = ()) -> None:
        self.opened = opened
        self.now = 1_790_000_000.0
        self.people: dict[str, Person] = {}
        self.groups = (Group(id="group_a", name="A"),)
        self.directory = Directory(keys)
        self.sessions = ConsoleSessions(
            opened.store.console_sessions,
            Signing(opened.store.secrets, lambda: self.now),
            self.directory,
            lambda: Organization(
                Changes(groups=self.groups, people=tuple(self.people.values()), limits=())
            ),
            lambda: self.now,
        )

    def person(self, **fields: Any) -> Person:
        made = Person(**{"id": "person_a", "name": "Ann", **fields})
        self.people[made.id] = made
        return made

    def enter(self, person: Person | None = None, earlier: str | None = None, **more: Any) -> str:
        secret = "sk-a" if more.get("key") is not None else None
        given = {
            "way": "oidc",
            "key": None,
            "secret": secret,
            "address": HERE,
            "seconds": 600,
            **more,
        }
        entered = self.opened.run(self.sessions.begin(person=person, earlier=earlier, **given))
        assert isinstance(entered, SignedIn)
        return entered.cookie

    def who(self, cookie: str | None, address: str = HERE) -> Viewer | None:
        found: Viewer | None = self.opened.run(self.sessions.find(cookie, address))
        return found

    def told(self) -> list[tuple[str, str, str, Any]]:
        entries = self.opened.run(self.opened.store.audit.list(AuditQuery()))
        return [
            (
                entry.actor,
                entry.action,
                entry.subject,
                None if entry.after is None else msgspec.json.decode(entry.after),
            )
            for entry in reversed(entries)
        ]


@pytest.fixture
def house(opened: Opened) -> House:
    return House(opened)


def test_a_cookie_stands_for_who_signed_in_until_its_time_is_over(house: House) -> None:
    cookie = house.enter(house.person(role="viewer"))
    viewer = house.who(cookie)
    assert viewer is not None
    assert (viewer.role, viewer.actor) == ("viewer", "person_a")
    house.now += 600
    assert house.who(cookie) is None


def test_the_store_knows_no_id_that_a_cookie_could_be_made_of(house: House) -> None:
    cookie = house.enter(house.person())
    (kept,) = house.opened.run(
        house.opened.store.console_sessions.of("person:person_a", int(house.now))
    )
    assert cookie.partition(".")[0] not in str(msgspec.structs.asdict(kept))


@pytest.mark.parametrize("change", ["", "x", "{}x", "x{}", "{}.{}", "."])
def test_a_cookie_that_was_made_up_stands_for_nobody(house: House, change: str) -> None:
    cookie = house.enter(house.person())
    assert house.who(change.format(cookie, cookie)) is None
    assert house.who(None) is None


def test_whoever_reads_a_representation_is_not_signed_in_by_it(house: House) -> None:
    begun = house.opened.run(
        house.sessions.begin(way="oidc", person=house.person(), key=None, address=HERE, seconds=600)
    )
    assert repr(begun) == "SignedIn('person:person_a')"


def test_an_id_with_another_sessions_mac_stands_for_nobody(house: House) -> None:
    one, other = house.enter(house.person()), house.enter(house.person())
    assert house.who(f"{one.partition('.')[0]}.{other.partition('.')[2]}") is None


def test_every_sign_in_has_an_id_of_its_own_and_ends_the_one_before(house: House) -> None:
    person = house.person()
    first = house.enter(person)
    second = house.enter(person, earlier=first)
    assert first.partition(".")[0] != second.partition(".")[0]
    assert house.who(first) is None
    assert house.who(second) is not None


def test_a_cookie_that_was_planted_ends_nothing_and_is_not_taken_over(house: House) -> None:
    person = house.person()
    first = house.enter(person)
    planted = f"{first.partition('.')[0]}.{'0' * 64}"
    second = house.enter(person, earlier=planted)
    assert house.who(first) is not None
    assert second.partition(".")[0] not in planted


def test_the_person_who_is_disabled_or_removed_is_out_at_once(house: House) -> None:
    cookie = house.enter(house.person())
    for status in ("disabled", "removed"):
        house.person(status=status)
        assert house.who(cookie) is None
    house.people.clear()
    assert house.who(cookie) is None


def test_a_session_never_gets_more_than_at_its_sign_in_and_gets_less_at_once(house: House) -> None:
    cookie = house.enter(house.person(role="viewer", group_id="group_a"))
    for now, role in (
        ("administrator", "viewer"),
        ("viewer", "viewer"),
        ("group_administrator", "member"),
        ("member", "member"),
    ):
        house.person(role=now, group_id="group_a")
        viewer = house.who(cookie)
        assert viewer is not None
        assert viewer.role == role


def test_a_key_with_a_list_of_addresses_is_signed_in_from_these_alone(
    opened: Opened, make_key: Callable[..., KeyRecord]
) -> None:
    key = make_key(sha256=hash_secret("sk-a"), addresses=("192.0.2.0/28",))
    house = House(opened, (key,))
    cookie = house.enter(None, way="key", key=key)
    assert house.who(cookie) is not None
    assert house.who(cookie, "198.51.100.7") is None


def test_another_secret_of_the_key_signs_out_who_came_by_the_one_before(
    opened: Opened, make_key: Callable[..., KeyRecord]
) -> None:
    key = make_key(id="key_a", sha256=hash_secret("sk-a"))
    house = House(opened, (key,))
    early = house.enter(None, key=key, way="key")
    rotated = msgspec.structs.replace(
        key,
        sha256=hash_secret("sk-b"),
        previous_sha256=key.sha256,
        previous_until=int(house.now) + 60,
        version=key.version + 1,
    )
    house.directory.apply((rotated,))
    # In the grace of the old secret one still comes by it, for as long as it works.
    late = house.enter(None, key=rotated, way="key")
    new = house.enter(None, key=rotated, way="key", secret="sk-b")
    assert [house.who(one) is not None for one in (early, late, new)] == [True, True, True]
    house.now += 60
    assert [house.who(one) is not None for one in (early, late, new)] == [False, False, True]


@pytest.mark.parametrize("owner", ["person_b", None])
def test_a_key_that_is_given_to_somebody_else_signs_out_who_had_it(
    opened: Opened, make_key: Callable[..., KeyRecord], owner: str | None
) -> None:
    key = make_key(sha256=hash_secret("sk-a"), id="key_a", person_id="person_a")
    house = House(opened, (key,))
    ann = house.person()
    house.person(id="person_b", name="Bob")
    cookie = house.enter(ann, key=key, way="key")
    assert house.who(cookie) is not None
    given = msgspec.structs.replace(key, person_id=owner, version=key.version + 1)
    house.directory.apply((given,))
    assert house.who(cookie) is None


def test_signing_out_ends_one_session_and_everywhere_all_of_them(house: House) -> None:
    person = house.person()
    one, two, three = (house.enter(person) for _ in range(3))
    other = house.enter(house.person(id="person_b", name="Bob"))
    viewer = house.who(one)
    assert viewer is not None
    house.opened.run(house.sessions.end(viewer, viewer.session, HERE))
    assert [house.who(cookie) is None for cookie in (one, two, three, other)] == [
        *(True, False, False, False)
    ]
    viewer = house.who(two)
    assert viewer is not None
    house.opened.run(house.sessions.end_all(viewer, HERE))
    assert [house.who(cookie) is None for cookie in (two, three, other)] == [True, True, False]


def test_nobody_ends_a_session_of_somebody_else_by_its_name(house: House) -> None:
    own, other = house.enter(house.person()), house.enter(house.person(id="person_b", name="Bob"))
    viewer, theirs = house.who(own), house.who(other)
    assert viewer is not None
    assert theirs is not None
    house.opened.run(house.sessions.end(viewer, theirs.session, HERE))
    house.now += 2
    assert house.who(other) is not None


def test_another_gateway_hears_of_it_within_a_second(opened: Opened) -> None:
    here, there = House(opened), House(opened)
    cookie = here.enter(here.person())
    there.person()
    assert there.who(cookie) is not None
    viewer = here.who(cookie)
    assert viewer is not None
    opened.run(here.sessions.end_all(viewer, HERE))
    there.now += 1
    assert there.who(cookie) is None


def test_who_signs_in_after_signing_out_everywhere_is_signed_in(house: House) -> None:
    person = house.person()
    viewer = house.who(house.enter(person))
    assert viewer is not None
    house.opened.run(house.sessions.end_all(viewer, HERE))
    assert house.who(house.enter(person)) is not None


def test_of_one_person_the_newest_sessions_are_kept(house: House) -> None:
    person = house.person()
    first = house.enter(person)
    for _ in range(MAX_SESSIONS):
        house.now += 1
        house.enter(person, seconds=10_000)
    viewer = house.who(house.enter(person))
    assert viewer is not None
    assert len(house.opened.run(house.sessions.of(viewer))) == MAX_SESSIONS
    assert house.who(first) is None


def test_the_audit_trail_tells_of_sign_ins_and_sign_outs_with_the_address(house: House) -> None:
    viewer = house.who(house.enter(house.person()))
    assert viewer is not None
    house.opened.run(house.sessions.end(viewer, viewer.session, HERE))
    house.opened.run(house.sessions.end(viewer, viewer.session, HERE))
    house.opened.run(house.sessions.end_all(viewer, HERE))
    house.opened.run(house.sessions.failed("key", HERE))
    house.opened.run(house.sessions.failed("oidc", HERE, viewer.person))
    assert house.told() == [
        ("person_a", "sign_in", "person", {"way": "oidc", "role": "member", "address": HERE}),
        ("person_a", "sign_out", "person", {"address": HERE}),
        ("person_a", "sign_out_everywhere", "person", {"address": HERE}),
        ("gateway", "fail_sign_in", "console", {"way": "key", "address": HERE}),
        ("person_a", "fail_sign_in", "person", {"way": "oidc", "address": HERE}),
    ]


def test_failures_do_not_fill_the_audit_trail(house: House) -> None:
    for _ in range(130):
        house.opened.run(house.sessions.failed("key", HERE))
    assert len(house.told()) == 100


def test_one_attempt_too_many_is_told_how_long_to_wait(house: House) -> None:
    refused = [house.sessions.attempt(HERE) for _ in range(21)]
    assert refused[:20] == [None] * 20
    last = refused[20]
    assert isinstance(last, Refusal)
    assert (last.status, dict(last.headers)) == (429, {"retry-after": "300"})


def test_the_token_of_forms_is_the_sessions_own_and_not_its_cookies(house: House) -> None:
    one, other = (house.enter(house.person()) for _ in range(2))
    token = house.opened.run(house.sessions.form_token(one))
    assert re.fullmatch("[0-9a-f]{64}", token)
    assert token not in one
    assert house.opened.run(house.sessions.is_form_token(one, token))
    for cookie, given in ((other, token), (one, None), (one, ""), (one, one.partition(".")[2])):
        assert not house.opened.run(house.sessions.is_form_token(cookie, given))
