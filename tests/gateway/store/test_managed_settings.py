"""Managed settings in the store: one of each group, changed by what they are then."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import pytest

from apertis.gateway.store.audit import AuditQuery
from apertis.gateway.store.managed_settings import ManagedSettings

if TYPE_CHECKING:
    from tests.kit.stores import Opened


def kept(group_id: str = "", version: int = 1) -> ManagedSettings:
    return ManagedSettings(
        group_id=group_id, uuid="u", settings="{}", version=version, changed_at=0
    )


def told(one: ManagedSettings | None) -> dict[str, object] | None:
    return None if one is None else {"version": one.version}


def first(one: ManagedSettings, _: ManagedSettings | None) -> ManagedSettings:
    return one


def test_each_group_has_its_own(opened: Opened) -> None:
    stored = opened.store.managed_settings
    for group in ("", "group_1"):
        opened.run(stored.change(group, partial(first, kept(group)), told, "key_1"))
    assert opened.run(stored.all()) == {"": kept(), "group_1": kept("group_1")}
    assert opened.run(stored.of(["group_1", "group_2"])) == {"group_1": kept("group_1")}
    opened.run(stored.change("", lambda _: None, told, "key_1"))
    assert list(opened.run(stored.all())) == ["group_1"]
    # What is not there need not be removed.
    opened.run(stored.change("", lambda _: None, told, "key_1"))
    entries = opened.run(opened.store.audit.list(AuditQuery(subject="managed_settings")))
    assert [(one.action, one.subject_id) for one in entries] == [
        ("remove", "everybody"),
        ("create", "group_1"),
        ("create", "everybody"),
    ]


def test_a_decision_that_fails_leaves_them_as_they_are(opened: Opened) -> None:
    stored = opened.store.managed_settings
    opened.run(stored.change("", lambda _: kept(), told, "key_1"))

    def fail(_: ManagedSettings | None) -> ManagedSettings:
        raise LookupError

    with pytest.raises(LookupError):
        opened.run(stored.change("", fail, told, "key_1"))
    assert opened.run(stored.all()) == {"": kept()}


def test_changes_at_once_come_one_after_the_other(opened: Opened) -> None:
    stored = opened.store.managed_settings
    opened.run(stored.change("", lambda _: kept(), told, "key_1"))

    def more(before: ManagedSettings | None) -> ManagedSettings:
        assert before is not None
        return msgspec.structs.replace(before, version=before.version + 1)

    async def together() -> None:
        await asyncio.gather(*(stored.change("", more, told, "key_1") for _ in range(8)))

    opened.run(together())
    assert opened.run(stored.all())[""].version == 9
    assert "{}" not in repr(kept())
