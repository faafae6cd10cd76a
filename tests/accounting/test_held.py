"""What is set aside covers what a held conversation and a chain of models can cost."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.accounting.counts import UsageCounts
from apertis.accounting.estimate import Attempt, Estimate, Held, unknown_held
from apertis.accounting.prices import LIST_PRICES, Price, cost_units
from apertis.accounting.tokens import Tokens

PRICES = st.sampled_from([*LIST_PRICES.values()])
SPEEDS = st.sampled_from([None, "standard", "fast"])


def body(**fields: Any) -> bytes:
    given = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}
    return msgspec.json.encode({**given, **fields})


@st.composite
def firsts(draw: st.DrawFn) -> bytes:
    """The request that begins a conversation: tools and caching are said here alone."""
    fields: dict[str, Any] = {}
    if draw(st.booleans()):
        uses = draw(st.sampled_from([None, 1, 30]))
        fields["tools"] = [{"type": "web_search_20250305", "name": "s", "max_uses": uses}]
    if draw(st.booleans()):
        ttl = draw(st.sampled_from([None, "5m", "1h"]))
        fields["cache_control"] = {"type": "ephemeral", "ttl": ttl}
    return body(**fields)


def split(data: st.DataObject, tokens: int, *, hour: bool) -> Tokens:
    """How an upstream may bill a prompt: in any classes that it is cached in."""
    read = data.draw(st.integers(0, tokens))
    write_5m = data.draw(st.integers(0, tokens - read))
    write_1h = data.draw(st.integers(0, tokens - read - write_5m)) if hour else 0
    return Tokens(tokens - read - write_5m - write_1h, 0, read, write_5m, write_1h)


@given(st.data(), firsts(), st.integers(0, 400_000), PRICES, st.integers(0, 200), SPEEDS)
def test_no_turn_of_a_conversation_costs_more_than_was_set_aside(
    data: st.DataObject, first: bytes, reported: int, price: Price, most: int, speed: str | None
) -> None:
    held = Estimate(first).held_after(reported, None)
    for turn in range(3):
        asked = body(max_tokens=most, **({} if speed is None else {"speed": speed}))
        reserved = Estimate(asked).reservation_units(most, (price,), held=held)
        prompt = held.tokens + len(asked) // 2 + held.allowance
        used = msgspec.structs.replace(
            split(data, min(prompt, 1_000_000), hour=held.hour),
            output=data.draw(st.integers(0, most)),
            web_search_requests=data.draw(st.integers(0, held.searches)),
            fast=speed == "fast",
        )
        assert cost_units(used, price) <= reserved, turn
        following = Estimate(asked).held_after(used.total, held)
        # What was said when it began holds on.
        assert (following.searches, following.hour) == (held.searches, held.hour)
        held = following


@given(PRICES, st.integers(0, 500))
def test_an_unknown_conversation_is_a_whole_window_and_may_search(price: Price, most: int) -> None:
    asked = body(max_tokens=most)
    reserved = Estimate(asked).reservation_units(most, (price,), held=unknown_held(200_000))
    used = Tokens(cache_write_5m=200_000, output=most, web_search_requests=10)
    assert cost_units(used, price) <= reserved
    assert reserved > Estimate(asked).reservation_units(most, (price,), held=Held(199_000, 10))


@given(
    st.lists(st.tuples(PRICES, st.integers(0, 900) | st.none(), st.booleans() | st.none())),
    PRICES,
    SPEEDS,
)
def test_a_chain_is_set_aside_model_by_model(
    hops: list[tuple[Price, int | None, bool | None]], price: Price, speed: str | None
) -> None:
    asked = body(**({} if speed is None else {"speed": speed}))
    chain = tuple(Attempt((price,), most, fast) for price, most, fast in hops)
    reserved = Estimate(asked).reservation_units(50, (price,), chain=chain)
    prompt = -(-len(asked) // 2)
    spent = cost_units(Tokens(input=prompt, output=50, fast=speed == "fast"), price)
    for own, most, fast in hops:
        is_fast = speed == "fast" if fast is None else fast
        used = Tokens(input=prompt, output=50 if most is None else most, fast=is_fast)
        spent += cost_units(used, own)
    assert spent <= reserved
    for end in range(len(chain)):
        shorter = Estimate(asked).reservation_units(50, (price,), chain=chain[:end])
        assert shorter < reserved


def test_of_the_turns_of_an_answer_the_last_is_what_is_held() -> None:
    def context(*iterations: object, **usage: int) -> int:
        counts = UsageCounts()
        counts.update(
            {"input_tokens": 700, "output_tokens": 30, **usage, "iterations": [*iterations]}
        )
        return counts.context()

    turn = {"type": "message", "input_tokens": 5, "output_tokens": 2}
    last = {**turn, "type": "fallback_message", "cache_read_input_tokens": 100}
    advice = {"type": "advisor_message", "input_tokens": 9_000, "output_tokens": 1}
    assert context() == 730
    assert context(cache_read_input_tokens=9, cache_creation_input_tokens=1) == 740
    assert context(turn, last) == 107
    assert context(turn, advice) == 7
    # What says nothing is passed over.
    assert context(turn, {}, "x", {"type": "message"}) == 7


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({"tools": [{"type": "code_execution_20250825", "name": "c"}]}, 20_000),
        ({"tools": [{"type": "web_fetch_20250910", "name": "f"}]}, 12_000),
        ({"tools": [{"type": "memory_20250818", "name": "m"}]}, 6_000),
        ({"mcp_servers": [{"type": "url", "url": "https://a.example"}]}, 6_000),
        ({"container": "container_1"}, 8_000),
        ({"container": {"skills": [{"skill_id": "xlsx"}]}}, 8_000),
        ({"container": None}, 0),
    ],
)
def test_each_tool_that_reads_on_its_own_has_its_allowance(
    fields: dict[str, Any], tokens: int
) -> None:
    assert Estimate(body(**fields)).held_after(1, None).allowance == tokens
    more = Estimate(body(**fields)).input_tokens - Estimate(body()).input_tokens
    # The text of the fields counts besides, and so does what the API puts around tools.
    assert tokens <= more <= tokens + 1_100


def test_the_price_of_an_allowance_holds_on_in_a_conversation() -> None:
    first = body(tools=[{"type": "code_execution_20250825", "name": "c"}])
    held = Estimate(body()).held_after(50, Estimate(first).held_after(10, None))
    assert held == Held(50, allowance=20_000)
