"""Money around one request: set aside before, booked once, whatever ends it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.accounting.prices import PriceTable
from apertis.accounting.tokens import Tokens, Use
from apertis.gateway.errors import Refusal
from apertis.gateway.keys.directory import Directory, Key
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.request.body import Body, peek
from apertis.gateway.request.charge import Charge, Hop, Ledger, Prices, Shortage
from apertis.gateway.request.context import Progress, RequestContext
from tests.kit.chains import Books, money_of, quota_chain

if TYPE_CHECKING:
    from apertis.accounting.record import UsageRecord

OPUS, HAIKU = "claude-opus-4-5", "claude-haiku-4-5"
PLENTY = 10**9


class Desk:
    """A ledger with one key, and requests that are put to it."""

    def __init__(self, quota: int | None = PLENTY, *, free: bool = False) -> None:
        self.books = Books()
        self.prices = Prices(PriceTable(), unpriced_is_free=free)
        self.ledger = Ledger(self.prices, self.books, lambda: 2.5, lambda: 1.0)
        record = KeyRecord(
            id="key_a", name="a", sha256="0" * 64, hint="", quota_units=quota, created_at=0
        )
        key = Directory([record]).get("key_a")
        assert key is not None
        self.key: Key = key
        self.chain = quota_chain(key)
        self.progress = Progress(RequestContext("req_1", 3.0, 1.0, "POST", "/v1/messages"))
        self.progress.key = key

    def open(
        self, *models: str, max_tokens: int = 500, chain: tuple[Hop, ...] = (), free: bool = False
    ) -> Charge | Refusal | Shortage:
        asked = {"model": models[0], "max_tokens": max_tokens, "messages": []}
        body = peek(json.dumps(asked).encode(), needs_max_tokens=True)
        assert isinstance(body, Body)
        self.progress.model = self.progress.requested_model = models[0]
        self.progress.status = 200
        self.progress.chain = self.chain
        return self.ledger.open(self.progress, self.chain, body, models, chain, free=free)

    def opened(self, *models: str, **options: Any) -> Charge:
        charge = self.open(*(models or (OPUS,)), **options)
        assert isinstance(charge, Charge)
        return charge

    @property
    def money(self) -> tuple[int, int]:
        """What the key has reserved, and what it has used."""
        money = money_of(self.key)
        return money.reserved, money.used

    @property
    def record(self) -> UsageRecord:
        (record,) = self.books.records
        return record


def use(input_tokens: int, output_tokens: int, model: str | None = None) -> Use:
    return Use(Tokens(input=input_tokens, output=output_tokens), model=model)


def test_what_was_used_is_booked_and_the_rest_given_back() -> None:
    desk = Desk()
    charge = desk.opened()
    assert desk.money[0] > 0
    charge.settle(use(100, 20))
    cost = desk.prices.cost(OPUS, Tokens(input=100, output=20))
    assert desk.money == (0, cost)
    record = desk.record
    assert (record.key_id, record.model, record.cost_units) == ("key_a", OPUS, cost)
    assert (record.tokens.input, record.tokens.output, record.estimated) == (100, 20, False)
    assert (record.at_ms, record.total_ms) == (3000, 1500)


@given(
    st.lists(
        st.sampled_from(["settle", "settle_unread", "abandon", "interrupted"]),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_whatever_ends_it_a_request_is_booked_once(ends: list[str], sent: bool) -> None:
    desk = Desk()
    charge = desk.opened()
    if sent:
        desk.progress.sent = 1.0
    for end in ends:
        match end:
            case "settle":
                charge.settle(use(10, 5))
            case "interrupted":
                charge.settle(use(10, 1), interrupted=True)
            case "settle_unread":
                charge.settle_unread(3)
            case _:
                charge.abandon()
        assert charge.settled
    reserved, used = desk.money
    nothing = ends[0] == "abandon" and not sent
    assert (reserved, len(desk.books.records)) == (0, 0 if nothing else 1)
    assert used == sum(record.cost_units for record in desk.books.records)


def test_a_reservation_is_for_the_dearest_model_that_may_answer() -> None:
    alone, both = Desk(), Desk()
    alone.opened(HAIKU)
    both.opened(HAIKU, OPUS)
    assert both.money[0] > alone.money[0] > 0


def test_each_model_of_a_chain_is_reserved_on_top() -> None:
    alone, chained = Desk(), Desk()
    alone.opened(OPUS)
    chained.opened(OPUS, chain=(Hop((HAIKU,)),))
    assert chained.money[0] > alone.money[0]


def test_a_quota_that_does_not_suffice_is_named() -> None:
    desk = Desk(quota=5)
    shortage = desk.open(OPUS)
    assert isinstance(shortage, Shortage)
    assert desk.money == (0, 0)
    lacking = shortage.chain.lacking(shortage.units)
    assert lacking is not None
    assert lacking.free == 5 < shortage.units


@pytest.mark.parametrize(
    ("quota", "free", "allowed"),
    [(PLENTY, False, False), (PLENTY, True, True), (None, False, True)],
)
def test_a_model_without_a_price_is_for_keys_that_pay_nothing(
    quota: int | None, free: bool, allowed: bool
) -> None:
    desk = Desk(quota, free=free)
    charge = desk.open("nobody-knows")
    assert isinstance(charge, Charge) is allowed
    assert desk.prices.may_be_used("nobody-knows", limited=quota is not None) is allowed
    if isinstance(charge, Refusal):
        assert "nobody-knows" in charge.message


@pytest.mark.parametrize("end", ["settle", "settle_unread", "abandon"])
def test_the_record_says_what_was_reserved(end: str) -> None:
    desk = Desk()
    charge = desk.opened()
    reserved = desk.money[0]
    desk.progress.sent = 1.0
    getattr(charge, end)(*([7] if end == "settle_unread" else []))
    assert desk.record.reserved_units == reserved > 0


def test_the_record_of_a_stream_that_begins_says_what_was_reserved() -> None:
    desk = Desk()
    desk.opened().begin(None)
    (begun,) = desk.books.begun
    assert begun.reserved_units == desk.money[0] > 0


def test_a_key_without_a_quota_reserves_nothing_and_is_booked_all_the_same() -> None:
    desk = Desk(quota=None)
    charge = desk.opened()
    assert desk.money == (0, 0)
    charge.settle(use(100, 20))
    assert desk.record.cost_units == desk.prices.cost(OPUS, Tokens(input=100, output=20)) > 0


def test_what_somebody_else_pays_is_counted_and_costs_nothing() -> None:
    desk = Desk()
    charge = desk.opened(free=True)
    charge.settle(use(100, 20))
    assert desk.money == (0, 0)
    assert (desk.record.cost_units, desk.record.tokens.input) == (0, 100)


def test_the_model_that_answered_is_the_one_that_is_paid() -> None:
    desk = Desk()
    desk.opened(OPUS, HAIKU).settle(use(100, 20, HAIKU), [use(1000, 0, OPUS)])
    used = desk.prices.cost(HAIKU, Tokens(input=100, output=20))
    assert desk.record.model == HAIKU
    assert desk.record.cost_units == used + desk.prices.cost(OPUS, Tokens(input=1000))


def test_a_response_that_does_not_say_what_it_used_costs_what_was_reserved() -> None:
    desk = Desk()
    charge = desk.opened()
    reserved = desk.money[0]
    charge.settle_unread(7)
    assert desk.money == (0, reserved)
    assert (desk.record.estimated, desk.record.tokens.output) == (True, 7)
    assert "cannot be read" in (desk.progress.reason or "")


def test_missing_counts_are_estimated_within_what_the_request_allows() -> None:
    desk = Desk()
    desk.opened(max_tokens=50).settle(use(10, 10**12), output_seen=9)
    assert desk.record.estimated
    assert desk.record.tokens.output <= 50
    assert "output_tokens" in (desk.progress.reason or "")


def test_a_caller_who_left_pays_for_what_was_sent() -> None:
    desk = Desk()
    charge = desk.opened()
    desk.progress.sent = 1.0
    charge.abandon()
    assert (desk.record.status, desk.record.interrupted, desk.record.estimated) == (499, True, True)
    assert desk.record.tokens.input > 0


def test_a_stream_that_begins_is_kept_in_case_that_its_end_never_comes() -> None:
    desk = Desk()
    charge = desk.opened()
    charge.begin(use(100, 1))
    (begun,) = desk.books.begun
    assert begun.cost_units == desk.prices.cost(OPUS, Tokens(input=100, output=1))
    assert desk.books.records == []
    assert not charge.settled


def test_while_nothing_can_be_kept_nobody_is_served() -> None:
    desk = Desk()
    assert desk.ledger.closed(desk.chain) is None
    desk.books.trouble = "the disk is full"
    refusal = desk.ledger.closed(desk.chain)
    assert refusal is not None
    assert refusal.status == 503
    assert "the disk is full" in refusal.message


def test_a_model_is_known_by_every_name_that_upstreams_have_for_it() -> None:
    names = {OPUS: ("opus-here",)}
    table = PriceTable()
    prices = Prices(table, unpriced_is_free=False, other_names=lambda name: names.get(name, ()))
    assert prices.id_of("opus-here", (HAIKU, OPUS)) == OPUS
    assert prices.id_of("elsewhere", (HAIKU, OPUS)) == "elsewhere"
    assert prices.of(OPUS) is prices.of(OPUS)
