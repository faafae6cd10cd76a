"""A limit is what an administrator made of it, or a key's quota."""

from __future__ import annotations

from apertis.gateway.budgets.limit import Limit, account_id, quota_limit
from apertis.gateway.keys.record import KeyRecord


def record(quota_units: int | None) -> KeyRecord:
    return KeyRecord(
        id="key_1", name="ci", sha256="0" * 64, hint="sk-...", created_at=7, quota_units=quota_units
    )


def test_a_quota_is_the_total_limit_of_its_key() -> None:
    limit = quota_limit(record(500))
    assert limit is not None
    assert (limit.level, limit.subject_id, limit.period) == ("key", "key_1", "total")
    assert (limit.amount_units, limit.most_units, limit.created_at) == (500, 500, 7)
    assert account_id(limit, 0) == "quota-key_1@0"


def test_a_key_without_a_quota_has_no_limit_of_its_own() -> None:
    assert quota_limit(record(None)) is None


def test_an_overdraft_is_handed_out_on_top() -> None:
    limit = Limit(id="lim_1", level="gateway", subject_id="", amount_units=100, overdraft_units=20)
    assert limit.most_units == 120


def test_accounts_have_names_that_records_can_list() -> None:
    limit = Limit(id="lim_1", level="group", subject_id="grp_1", amount_units=1, period="month")
    names = [account_id(limit, 1_800_000_000), account_id(limit, 1_800_000_000, "ab12")]
    assert names == ["lim_1@1800000000", "lim_1@1800000000/ab12"]
    assert not any(mark in name for name in names for mark in ",=")
