"""Signatures: for one purpose each, and void on every gateway once the key is another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.gateway.signin.signing import Signing
from apertis.gateway.store.audit import AuditQuery

if TYPE_CHECKING:
    from tests.kit.stores import Opened


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_mac_holds_for_its_purpose_and_its_text_alone(opened: Opened) -> None:
    signing = Signing(opened.store.secrets, Clock())
    mac = opened.run(signing.mac("cookie", "one"))
    assert opened.run(signing.is_mac("cookie", "one", mac))
    for purpose, text, given in (
        ("form", "one", mac),
        ("cookie", "two", mac),
        ("cookie", "one", mac[:-1]),
        ("cookie", "one", ""),
        ("cookie", "one", "\N{SNOWMAN}"),
    ):
        assert not opened.run(signing.is_mac(purpose, text, given))


def test_gateways_of_a_store_accept_each_others_signatures(opened: Opened) -> None:
    here, there = (Signing(opened.store.secrets, Clock()) for _ in range(2))
    mac = opened.run(here.mac("cookie", "one"))
    assert opened.run(there.is_mac("cookie", "one", mac))


def test_another_key_voids_all_signatures_at_once_here_and_within_a_second_elsewhere(
    opened: Opened,
) -> None:
    clock = Clock()
    here, there = (Signing(opened.store.secrets, clock) for _ in range(2))
    mac = opened.run(there.mac("cookie", "one"))
    opened.run(here.rotate("key_a"))
    assert not opened.run(here.is_mac("cookie", "one", mac))
    clock.now += 1
    assert not opened.run(there.is_mac("cookie", "one", mac))
    assert opened.run(there.is_mac("cookie", "one", opened.run(here.mac("cookie", "one"))))


def test_the_audit_trail_tells_of_another_key_and_not_of_the_key(opened: Opened) -> None:
    opened.run(Signing(opened.store.secrets, Clock()).rotate("key_a"))
    (entry,) = opened.run(opened.store.audit.list(AuditQuery()))
    assert (entry.actor, entry.action, entry.subject, entry.subject_id) == (
        *("key_a", "rotate", "secret"),
        "console sessions",
    )
    assert entry.before is None
    assert entry.after is None
