"""Headers and refusals that tell callers of their budgets."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.budgets.lease import Chain, Lease
from apertis.gateway.budgets.limit import Limit, quota_limit
from apertis.gateway.budgets.periods import Span, span_of
from apertis.gateway.budgets.telling import (
    last_to_reset,
    percent_used,
    short_dollars,
    shortage_refusal,
    store_away_refusal,
    subject,
    usage_headers,
)
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.people.organization import Changes, Organization
from apertis.gateway.people.record import Group, Person

NOW = 1_795_000_000.0
"""2026-11-18 12:26:40 UTC."""
NEXT_MONTH = 1_796_083_200
DOLLAR = 500_000


def lease_of(spent: int = 0, amount: int = 100 * DOLLAR, **fields: Any) -> Lease:
    """A budget that is known here as a whole."""
    given = {"id": "limit_1", "level": "group", "subject_id": "group_1", "period": "month"}
    limit = Limit(**{**given, "amount_units": amount, **fields})
    lease = Lease("account", limit, span_of(limit.period, limit.zone, NOW))
    lease.is_whole = True
    lease.spent = lease.settled = lease.account_spent = spent
    lease.grant(limit.most_units)
    return lease


def said(*leases: Lease) -> dict[str, str]:
    prefix = "anthropic-ratelimit-unified-"
    headers = [(name.decode(), value.decode()) for name, value in usage_headers(leases)]
    assert all(name.startswith(prefix) for name, _ in headers)
    return {name.removeprefix(prefix): value for name, value in headers}


@pytest.mark.parametrize(
    ("cents", "utilization", "threshold"),
    [
        (0, "0.00", None),
        (5_000, "0.50", None),
        (7_499, "0.74", None),
        (7_500, "0.75", "0.75"),
        (9_499, "0.94", "0.75"),
        (9_500, "0.95", "0.95"),
        (9_999, "0.99", "0.95"),
        (10_000, "0.99", "0.95"),
        (15_000, "0.99", "0.95"),
    ],
)
def test_headers_say_how_much_is_used(cents: int, utilization: str, threshold: str | None) -> None:
    status = "allowed" if threshold is None else "allowed_warning"
    expected = {
        "status": status,
        "representative-claim": "overage",
        "overage-status": status,
        "overage-utilization": utilization,
        "reset": str(NEXT_MONTH),
        "overage-reset": str(NEXT_MONTH),
    }
    if threshold is not None:
        expected["overage-surpassed-threshold"] = threshold
    assert said(lease_of(cents * 5_000)) == expected


def test_a_total_has_no_reset() -> None:
    assert not {"reset", "overage-reset"} & said(lease_of(period="total")).keys()


def test_without_a_budget_nothing_is_said() -> None:
    assert usage_headers([]) == []


def test_of_several_budgets_the_fullest_is_told() -> None:
    day = lease_of(30 * DOLLAR, period="day")
    month = lease_of(80 * DOLLAR)
    assert said(day, month)["reset"] == str(NEXT_MONTH) == said(month, day)["reset"]
    day = lease_of(90 * DOLLAR, period="day")
    assert said(month, day)["reset"] == str(day.span.end)


def test_of_equally_full_budgets_the_one_that_resets_last_is_told() -> None:
    assert said(lease_of(period="day"), lease_of(), lease_of(period="week"))["reset"] == str(
        NEXT_MONTH
    )


@given(
    amount=st.integers(0, 10**9),
    overdraft=st.integers(0, 10**9),
    spent=st.integers(0, 3 * 10**9),
    period=st.sampled_from(("day", "week", "month", "total")),
    reserved=st.integers(0, 10**6),
)
def test_headers_never_say_used_up_while_requests_are_allowed(
    amount: int, overdraft: int, spent: int, period: str, reserved: int
) -> None:
    lease = lease_of(spent, amount, overdraft_units=overdraft, period=period)
    chain = Chain([lease])
    allowed = chain.reserve(reserved)
    if allowed:
        chain.settle(reserved, reserved)
    headers = said(lease)
    assert float(headers["overage-utilization"]) < 1
    assert headers["status"] != "rejected"
    assert 0 <= percent_used(spent, amount) <= 99
    threshold = float(headers.get("overage-surpassed-threshold", 0))
    assert threshold <= float(headers["overage-utilization"])


def rejected(lease: Lease, **options: Any) -> dict[str, str]:
    refusal = shortage_refusal(lease, DOLLAR // 100, "the group 'research'", now=NOW, **options)
    assert (refusal.status, refusal.type, refusal.code) == (402, "billing_error", "quota_exceeded")
    unified = refusal.unified
    assert unified is not None
    assert (unified.status, unified.type, unified.code) == (429, "billing_error", "quota_exceeded")
    assert unified.message == refusal.message
    lines = {name.decode(): value.decode() for name, value in unified.header_lines()}
    assert lines.pop("x-should-retry") == "false"
    assert (b"x-should-retry", b"false") in refusal.header_lines()
    assert lines.pop("content-type") == "application/json"
    return {name.removeprefix("anthropic-ratelimit-unified-"): v for name, v in lines.items()}


@pytest.mark.parametrize(
    ("period", "name"), [("day", "daily"), ("week", "weekly"), ("month", "monthly")]
)
def test_a_used_up_budget_has_the_shape_of_the_protocol(period: str, name: str) -> None:
    lease = lease_of(100 * DOLLAR, level="person", period=period)
    end = lease.span.end
    assert end is not None
    assert rejected(lease) == {
        "retry-after": str(int(end - NOW)),
        "status": "rejected",
        "reset": str(end),
        "overage-reset": str(end),
        "overage-utilization": "1",
        "overage-surpassed-threshold": "1",
        "overage-period": name,
        "overage-disabled-reason": "org_spend_cap_reached",
    }


def test_a_used_up_total_has_neither_reset_nor_period() -> None:
    assert rejected(lease_of(100 * DOLLAR, level="key", period="total")) == {
        "status": "rejected",
        "overage-utilization": "1",
        "overage-surpassed-threshold": "1",
        "overage-disabled-reason": "org_spend_cap_reached",
    }


@pytest.mark.parametrize(
    ("level", "scope"),
    [("key", None), ("person", None), ("group", "group_pool"), ("gateway", "group_pool")],
)
def test_a_shared_pool_says_so(level: str, scope: str | None) -> None:
    assert rejected(lease_of(100 * DOLLAR, level=level)).get("overage-scope") == scope


def test_a_wait_ends_with_the_period() -> None:
    lease = lease_of(100 * DOLLAR, period="day")
    lease.span = Span(0, int(NOW) + 1)
    assert rejected(lease)["retry-after"] == "1"
    lease.span = Span(0, int(NOW) - 5)
    assert rejected(lease)["retry-after"] == "1"


def test_a_refusal_says_which_limit_and_when_and_whom_to_ask() -> None:
    lease = lease_of(
        99 * DOLLAR, zone="Europe/Berlin", contact="finance@example.com", models=("claude-opus-*",)
    )
    refusal = shortage_refusal(lease, 2 * DOLLAR, "the group 'research'", now=NOW)
    assert refusal.message == (
        "You have exceeded your quota: $1.000000 are left of the monthly limit of the group "
        "'research' for claude-opus-* ($100.00), and this request may cost up to $2.000000; it "
        "resets at 2026-12-01 00:00 Europe/Berlin; ask finance@example.com for more"
    )


def test_what_would_fit_with_its_whole_conversation_is_asked_for_that() -> None:
    refusal = shortage_refusal(lease_of(), 1, "the group 'x'", now=NOW, fits_alone=True)
    assert (refusal.status, refusal.error_code) == (400, "thread_unsupported_request")
    assert refusal.unified is None


def test_once_blocked_the_budget_that_resets_last_is_named() -> None:
    day, month = lease_of(100 * DOLLAR, period="day"), lease_of(100 * DOLLAR)
    total = lease_of(100 * DOLLAR, period="total")
    plenty = lease_of(period="total")
    assert last_to_reset(Chain([day, month, plenty]), day, 5) is month
    assert last_to_reset(Chain([day, total, month]), day, 5) is total
    assert last_to_reset(Chain([day, plenty]), day, 5) is day
    # The store may have more of what lacks here.
    month.left = DOLLAR
    assert last_to_reset(Chain([day, month]), day, 5) is day


def test_without_the_store_claude_code_is_told_so() -> None:
    refusal = store_away_refusal()
    assert (refusal.status, refusal.code) == (503, "service_unavailable")
    assert (b"x-should-retry", b"true") in refusal.header_lines()
    unified = refusal.unified
    assert unified is not None
    assert (unified.status, unified.type) == (429, "billing_error")
    assert sorted(unified.header_lines()) == [
        (b"anthropic-ratelimit-unified-overage-disabled-reason", b"fetch_error"),
        (b"content-type", b"application/json"),
        (b"x-should-retry", b"false"),
    ]


def test_what_is_allowed_without_the_store_is_named() -> None:
    lease = lease_of(store_loss_units=5 * DOLLAR, contact="ops@example.com")
    refusal = store_away_refusal(lease.limit, "the group 'research'")
    assert refusal.message == (
        "The gateway's store does not answer, and what can be spent without it is used up: the "
        "monthly limit of the group 'research' allows $5.00 for that case; ask ops@example.com"
    )


@pytest.mark.parametrize(
    ("setting", "to_claude_code", "status"),
    [
        ("auto", False, 402),
        ("auto", True, 429),
        ("402", True, 402),
        ("402", False, 402),
        ("429", True, 429),
        ("429", False, 429),
    ],
)
def test_the_setting_decides_who_is_told_how(
    setting: Any, *, to_claude_code: bool, status: int
) -> None:
    refusal = shortage_refusal(lease_of(), 1, "the group 'x'", now=NOW)
    assert refusal.told(to_claude_code=to_claude_code, budgets=setting).status == status


def test_limits_are_named_as_callers_know_them() -> None:
    record = KeyRecord(
        id="key_1", name="ci", hint="sk-...", sha256="", created_at=0, quota_units=20 * DOLLAR
    )
    organization = Organization(
        Changes(
            groups=(Group(id="group_1", name="research"),),
            people=(Person(id="person_1", name="Ada"),),
        )
    )
    quota = quota_limit(record)
    assert quota is not None
    assert subject(quota, record, organization) == "the API key 'ci'"
    limit = lease_of().limit
    assert subject(limit, record, organization) == "the group 'research'"
    person = msgspec.structs.replace(limit, level="person", subject_id="person_1")
    assert subject(person, record, organization) == "the person 'Ada'"
    gateway = msgspec.structs.replace(limit, level="gateway", subject_id="")
    assert subject(gateway, record, organization) == "the whole gateway"
    text = shortage_refusal(lease_of(id=quota.id, subject_id="key_1"), 1, "the API key 'ci'", now=0)
    assert "of the quota of the API key 'ci' ($100.00)" in text.message


@pytest.mark.parametrize(
    ("units", "written"), [(50 * DOLLAR, "$50.00"), (DOLLAR // 4, "$0.25"), (1, "$0.000002")]
)
def test_amounts_are_exact_and_short(units: int, written: str) -> None:
    assert short_dollars(units) == written
