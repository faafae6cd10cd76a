"""Claude Code's sign-in over a real store, with a clock that the test moves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from apertis.gateway.budgets.limit import Limit
from apertis.gateway.config import read_settings
from apertis.gateway.errors import Refusal
from apertis.gateway.keys.directory import Directory
from apertis.gateway.keys.secrets import hash_secret
from apertis.gateway.people.organization import Organization
from apertis.gateway.people.record import Group, Person
from apertis.gateway.signin import device
from apertis.gateway.signin.device_flow import Begun, Denied, DeviceFlow, Granted
from apertis.gateway.signin.roles import Viewer, role_of
from apertis.gateway.store.audit import AuditQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.store.sign_ins import SignIn
    from tests.kit.stores import Opened

ADDRESS = "192.0.2.1"
HOUR = 3600


class World:
    """A gateway's own view of a store, and somebody's console."""

    def __init__(self, opened: Opened, folder: Path, **settings: str) -> None:
        self.opened, self.store, self.run = opened, opened.store, opened.run
        self.time = 1_800_000_000.0
        self.directory, self.organization = Directory(), Organization()
        environment = {f"APERTIS_SIGN_IN_{name.upper()}": text for name, text in settings.items()}
        config = read_settings(environment, data=folder)
        self.flow = DeviceFlow(
            self.store.sign_ins,
            self.store.secrets,
            self.directory,
            lambda: self.organization,
            lambda: config,
            self.newer,
            lambda: self.time,
        )

    async def newer(self) -> None:
        self.directory.apply(await self.store.keys.changes_since(self.directory.version))
        self.organization.apply(
            await self.store.organization.changes_since(self.organization.version)
        )

    def add(self, record: Any) -> Any:
        kept = self.run(self.store.organization.insert(record))
        self.run(self.newer())
        return kept

    def add_key(self, record: KeyRecord) -> KeyRecord:
        kept: KeyRecord = self.run(self.store.keys.insert(record))
        self.run(self.newer())
        return kept

    def viewer(self, person: Person | None = None, key: KeyRecord | None = None) -> Viewer:
        return Viewer(session="s", role=role_of(person, key), person=person, key=key)

    def begin(self) -> Begun:
        begun = self.run(self.flow.begin("claude-code/2.1", ADDRESS))
        assert isinstance(begun, Begun)
        return begun

    def approve(self, viewer: Viewer, begun: Begun, *, approve: bool = True) -> Any:
        return self.run(self.flow.decide(viewer, begun.user_code, ADDRESS, approve=approve))

    def poll(self, begun: Begun) -> Any:
        return self.run(self.flow.poll(begun.device_code))

    def refresh(self, granted: Granted) -> Any:
        return self.run(self.flow.refresh(granted.tokens.refresh))

    def sign_in(self, viewer: Viewer) -> Granted:
        begun = self.begin()
        approved = self.approve(viewer, begun)
        assert not isinstance(approved, Refusal), approved.message
        granted = self.poll(begun)
        assert isinstance(granted, Granted), granted
        return granted

    def key(self, granted: Granted) -> KeyRecord | None:
        """The record of the key that an access token is the secret of, while it lets in."""
        self.run(self.newer())
        found = self.directory.find(granted.tokens.access, self.time)
        if found is None or (found.record.expires_at or 0) <= self.time:
            return None
        return found.record

    def actions(self) -> list[str]:
        entries = self.run(self.store.audit.list(AuditQuery(subject="sign_in")))
        return [entry.action for entry in reversed(entries)]


@pytest.fixture
def world(opened: Opened, tmp_path: Path) -> World:
    return World(opened, tmp_path)


@pytest.fixture
def ann(world: World) -> Person:
    person: Person = world.add(
        Person(id="person_ann", name="Ann", email="ann@example.com", role="administrator")
    )
    return person


def test_an_approved_code_gives_a_key_of_its_own_once(world: World, ann: Person) -> None:
    begun = world.begin()
    assert world.poll(begun).error == "authorization_pending"
    assert world.poll(begun).error == "slow_down"
    assert world.approve(world.viewer(ann), begun).status == "approved"
    granted = world.poll(begun)
    assert granted.expires_in == HOUR
    assert granted.email == "ann@example.com"
    record = world.key(granted)
    assert record is not None
    assert (record.kind, record.person_id, record.admin) == ("sign_in", "person_ann", False)
    assert record.name == "Claude Code of Ann"
    # Whoever approved it: in the console, too, it is a member's.
    assert role_of(ann, record) == "member"
    assert world.poll(begun).error == "invalid_grant"
    assert world.actions() == ["approve", "create"]


def test_nothing_that_lets_in_is_kept(world: World, ann: Person) -> None:
    begun = world.begin()
    world.approve(world.viewer(ann), begun)
    granted = world.refresh(world.poll(begun))
    told = repr(world.run(world.store.audit.list(AuditQuery())))
    kept = repr(world.run(world.store.sign_ins.list(int(world.time))))
    for secret in (begun.device_code, begun.user_code, *granted.tokens):
        assert secret not in told
        assert device.hash_code(secret) not in told
        assert secret not in kept
        assert secret not in repr((begun, granted))


def test_a_denied_or_expired_code_gives_nothing(world: World, ann: Person) -> None:
    denied, expired = world.begin(), world.begin()
    assert world.approve(world.viewer(ann), denied, approve=False).status == "denied"
    assert world.poll(denied).error == "access_denied"
    # What was decided stays decided.
    assert isinstance(world.approve(world.viewer(ann), denied), Refusal)
    world.time += device.CODE_SECONDS
    assert world.poll(expired).error == "expired_token"
    assert isinstance(world.approve(world.viewer(ann), expired), Refusal)
    # Later nobody remembers it.
    world.time += 2 * HOUR
    world.begin()
    assert world.poll(expired).error == "invalid_grant"
    assert world.actions() == ["deny"]


def test_a_refresh_changes_both_tokens_and_the_old_ones_live_for_a_minute(
    world: World, ann: Person
) -> None:
    first = world.sign_in(world.viewer(ann))
    world.time += HOUR - 100
    second = world.refresh(first)
    assert second.expires_in == HOUR
    assert world.key(first) == world.key(second) is not None
    # The answer was lost, or two asked at once: the same pair again, on any gateway.
    world.time += 30
    again = world.refresh(first)
    assert (again.tokens, again.expires_in) == (second.tokens, HOUR - 30)
    world.time += 30
    assert world.key(first) is None
    assert world.key(second) is not None
    world.time += HOUR
    assert world.key(second) is None
    third = world.refresh(second)
    # What had expired does not live again.
    assert world.key(second) is None
    assert world.key(third) is not None
    assert world.actions() == ["approve", "create", "refresh", "refresh"]


@pytest.mark.parametrize("refreshes", [1, 2, 5])
def test_a_refresh_token_that_is_used_again_ends_the_sign_in(
    world: World, ann: Person, refreshes: int
) -> None:
    granted = first = world.sign_in(world.viewer(ann))
    for _ in range(refreshes):
        granted = world.refresh(granted)
    world.time += device.GRACE_SECONDS
    assert world.refresh(first) == Denied(*world.refresh(first))
    assert world.refresh(first).status == 401
    assert world.refresh(first).error == "invalid_grant"
    # Whoever has the newest one has nothing any more.
    assert world.key(granted) is None
    assert world.refresh(granted).error == "invalid_grant"
    assert world.actions()[-1] == "end"
    assert world.actions().count("end") == 1


def test_many_refreshes_at_once_give_one_pair(world: World, ann: Person) -> None:
    granted = world.sign_in(world.viewer(ann))

    async def together() -> list[Granted | Denied]:
        return await asyncio.gather(*(world.flow.refresh(granted.tokens.refresh) for _ in range(8)))

    assert len({one.tokens for one in world.run(together())}) == 1
    assert world.actions() == ["approve", "create", "refresh"]


def test_many_polls_at_once_redeem_a_code_once(world: World, ann: Person) -> None:
    begun = world.begin()
    world.approve(world.viewer(ann), begun)

    async def together() -> list[Granted | Denied]:
        return await asyncio.gather(*(world.flow.poll(begun.device_code) for _ in range(8)))

    granted = [one for one in world.run(together()) if isinstance(one, Granted)]
    assert len(granted) == 1
    assert world.actions() == ["approve", "create"]


def test_after_thirty_days_somebody_signs_in_again(world: World, ann: Person) -> None:
    granted = world.sign_in(world.viewer(ann))
    for _ in range(30):
        world.time += 86_400 - HOUR
        granted = world.refresh(granted)
    world.time += 30 * HOUR
    assert world.refresh(granted).status == 401
    # Another one's sign-in sweeps it away.
    world.sign_in(world.viewer(ann))
    assert world.actions()[-3:] == ["approve", "create", "end"]
    assert len([key for key in world.directory.all() if key.record.status == "enabled"]) == 1


@pytest.mark.parametrize("by", ["access", "refresh"])
def test_a_revoked_token_ends_the_sign_in(world: World, ann: Person, by: str) -> None:
    granted = world.sign_in(world.viewer(ann))
    world.run(world.flow.revoke("sk-" + "x" * 48))
    world.run(world.flow.revoke(granted.tokens.refresh[:-1]))
    assert world.key(granted) is not None
    for _ in range(2):
        world.run(world.flow.revoke(getattr(granted.tokens, by)))
        assert world.key(granted) is None
    assert world.refresh(granted).status == 401
    assert world.actions() == ["approve", "create", "end"]


def test_an_ordinary_key_is_not_revoked(world: World, make_key: Callable[..., KeyRecord]) -> None:
    secret = "sk-" + "k" * 48
    key = world.add_key(make_key(sha256=hash_secret(secret)))
    world.run(world.flow.revoke(secret))
    kept = world.run(world.store.keys.get(key.id))
    assert kept.status == "enabled"


def test_a_disabled_person_gets_nothing_until_they_are_enabled(world: World, ann: Person) -> None:
    granted, waiting = world.sign_in(world.viewer(ann)), world.begin()
    world.approve(world.viewer(ann), waiting)
    disabled = msgspec.structs.replace(ann, status="disabled")
    world.run(world.store.organization.update(disabled))
    assert world.refresh(granted).status == 401
    assert world.poll(waiting).error == "access_denied"
    world.run(world.store.organization.update(ann))
    assert isinstance(world.refresh(granted), Granted)


def test_a_key_that_is_nobodys_signs_in_for_its_group_while_it_works_itself(
    world: World, make_key: Callable[..., KeyRecord]
) -> None:
    world.add(Group(id="group_1", name="Platform"))
    key = world.add_key(make_key(group_id="group_1", admin=True))
    granted = world.sign_in(world.viewer(key=key))
    record = world.key(granted)
    assert record is not None
    assert (record.person_id, record.group_id, record.admin) == (None, "group_1", False)
    assert granted.email is None
    world.run(world.store.keys.update(key.id, status="disabled"))
    assert world.refresh(granted).status == 401


def test_a_sign_in_ends_with_the_key_that_approved_it(
    world: World, make_key: Callable[..., KeyRecord]
) -> None:
    key = world.add_key(make_key(expires_at=int(world.time) + 600))
    assert world.sign_in(world.viewer(key=key)).expires_in == 600


def test_a_key_with_a_budget_of_its_own_approves_nothing(
    world: World, ann: Person, make_key: Callable[..., KeyRecord]
) -> None:
    with_quota = world.add_key(make_key(quota_units=5, person_id=ann.id))
    with_limit = world.add_key(make_key(person_id=ann.id))
    world.add(
        Limit(
            id="limit_1",
            level="key",
            subject_id=with_limit.id,
            amount_units=5,
            period="month",
            created_at=0,
        )
    )
    begun = world.begin()
    for key in (with_quota, with_limit):
        refused = world.approve(world.viewer(ann, key), begun)
        assert isinstance(refused, Refusal)
        assert refused.status == 403
        assert "a budget of its own" in refused.message
    # They may still say that it was not theirs.
    assert world.approve(world.viewer(ann, with_quota), begun, approve=False).status == "denied"


def test_a_sign_in_approves_no_other(world: World, ann: Person) -> None:
    record = world.key(world.sign_in(world.viewer(ann)))
    refused = world.approve(world.viewer(ann, record), world.begin())
    assert isinstance(refused, Refusal)


def test_an_address_that_enters_wrong_codes_has_to_wait(world: World, ann: Person) -> None:
    begun = world.begin()
    for _ in range(device.MAX_TRIES):
        refused = world.run(world.flow.look_up("BCDF-GHJK", "203.0.113.5"))
        assert refused.status == 404
    refused = world.run(world.flow.look_up(begun.user_code, "203.0.113.5"))
    assert refused.status == 429
    assert not isinstance(world.run(world.flow.look_up(begun.user_code, ADDRESS)), Refusal)
    world.time += device.TRIES_SECONDS - 1
    begun = world.begin()
    world.time += 1
    assert not isinstance(world.run(world.flow.look_up(begun.user_code, "203.0.113.5")), Refusal)


def test_wrong_codes_that_come_at_once_or_from_one_network_are_counted_alike(world: World) -> None:
    async def enter() -> list[int]:
        addresses = [f"2001:db8::{number:x}" for number in range(30)]
        answers = await asyncio.gather(*(world.flow.look_up("BCDF-GHJK", at) for at in addresses))
        return sorted(answer.status for answer in answers if isinstance(answer, Refusal))

    assert world.run(enter()) == [404] * device.MAX_TRIES + [429] * (30 - device.MAX_TRIES)


def test_an_address_has_thirty_codes_that_wait(world: World) -> None:
    for _ in range(device.MAX_WAITING_OF_ADDRESS):
        world.begin()
    for of_all in (ADDRESS, f"::ffff:{ADDRESS}"):
        refused = world.run(world.flow.begin("claude-code/2.1", of_all))
        assert (refused.error, refused.status) == ("slow_down", 429)
    assert isinstance(world.run(world.flow.begin("claude-code/2.1", "192.0.2.2")), Begun)
    world.time += device.CODE_SECONDS
    world.begin()


def test_each_sees_and_ends_their_own_and_an_administrator_all(
    world: World, ann: Person, make_key: Callable[..., KeyRecord]
) -> None:
    group = world.add(Group(id="group_1", name="Platform"))
    bob = world.add(Person(id="person_bob", name="Bob", group_id=group.id))
    eve = world.add(Person(id="person_eve", name="Eve"))
    key = world.add_key(make_key())
    for viewer in (world.viewer(ann), world.viewer(bob), world.viewer(key=key)):
        world.sign_in(viewer)
    administrator = world.viewer(ann)
    leader = msgspec.structs.replace(
        world.viewer(eve), role="group_administrator", group_ids=(group.id,)
    )

    def seen(viewer: Viewer) -> list[SignIn]:
        found: tuple[SignIn, ...] = world.run(world.flow.list(viewer))
        return list(found)

    assert len(seen(administrator)) == 3
    assert [one.person_id for one in seen(world.viewer(bob))] == ["person_bob"]
    assert [one.approved_by_key_id for one in seen(world.viewer(key=key))] == [key.id]
    assert [one.person_id for one in seen(leader)] == ["person_bob"]
    assert seen(world.viewer(eve)) == []
    (bobs,) = seen(world.viewer(bob))
    assert world.run(world.flow.end(world.viewer(eve), bobs.id)).status == 404
    watcher = msgspec.structs.replace(world.viewer(eve), role="viewer")
    assert len(seen(watcher)) == 3
    assert world.run(world.flow.end(watcher, bobs.id)).status == 403
    assert world.run(world.flow.end(world.viewer(bob), bobs.id)) == bobs
    assert world.run(world.flow.end(administrator, bobs.id)).status == 409
    assert len(seen(administrator)) == 2


def test_times_are_settings(opened: Opened, tmp_path: Path) -> None:
    world = World(opened, tmp_path, token_seconds="60", refresh_days="1")
    ann = world.add(Person(id="person_ann", name="Ann"))
    granted = world.sign_in(world.viewer(ann))
    assert granted.expires_in == 60
    world.time += 86_400
    assert world.refresh(granted).status == 401


@pytest.fixture(autouse=True)
def no_leftovers(world: World) -> Iterator[None]:
    """Whatever happens, no key of a sign-in administers, and each has one sign-in."""
    yield
    world.run(world.newer())
    keys = [key.record for key in world.directory.all() if key.record.kind == "sign_in"]
    assert not any(key.admin for key in keys)
    for key in keys:
        assert world.run(world.store.sign_ins.of_key(key.id)).key_id == key.id
