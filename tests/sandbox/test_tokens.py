from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apertis.sandbox.tokens import text_tokens

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = "word " * 2000
MARK = {"cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("four", 1), ("fives", 2)])
def test_four_characters_are_a_token(text: str, tokens: int) -> None:
    assert text_tokens(text) == tokens


@given(st.text(min_size=1, max_size=50), st.text(min_size=1, max_size=50))
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_more_words_are_never_fewer_tokens(client: Any, one: str, more: str) -> None:
    fewer = client.count(one).json["input_tokens"]
    assert 0 < fewer <= client.count(one + more).json["input_tokens"]


def test_tools_and_images_count(
    client: Any,
    weather: Any,
    picture: Callable[[str, int, int], bytes],
    image_block: Callable[..., Any],
) -> None:
    bare = client.count("Hi").json["input_tokens"]
    assert client.count("Hi", tools=[weather]).json["input_tokens"] > bare + 300
    small = client.count([image_block(picture("png", 75, 100))]).json["input_tokens"]
    large = client.count([image_block(picture("png", 750, 1000))]).json["input_tokens"]
    assert large - small == 990


def usage(client: Any, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.ask(**fields).json["usage"]
    return found


def test_a_marked_prefix_is_written_to_the_cache_and_does_not_count_as_fresh(client: Any) -> None:
    system = [{"type": "text", "text": LONG, **MARK}]
    found = usage(client, content="Hi", system=system)
    assert found["cache_creation_input_tokens"] == text_tokens(LONG)
    assert found["cache_creation"]["ephemeral_5m_input_tokens"] == text_tokens(LONG)
    assert found["cache_read_input_tokens"] == 0
    assert found["input_tokens"] < 10


def test_a_later_turn_reads_what_an_earlier_one_wrote(client: Any) -> None:
    messages = [
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Two"},
        {"role": "user", "content": "Three"},
    ]
    system = [{"type": "text", "text": LONG, **MARK}]
    found = usage(client, messages=messages, system=system)
    assert found["cache_read_input_tokens"] == text_tokens(LONG)
    assert found["cache_creation_input_tokens"] == 0


def test_an_hour_is_booked_as_an_hour(client: Any) -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    found = usage(client, content=LONG, cache_control=mark)
    assert found["cache_creation"]["ephemeral_5m_input_tokens"] == 0
    assert found["cache_creation"]["ephemeral_1h_input_tokens"] > 2000
    assert found["input_tokens"] == 0


def test_a_short_prefix_is_not_cached(client: Any) -> None:
    found = usage(client, content="Hi", system=[{"type": "text", "text": "Short", **MARK}])
    assert found["cache_creation_input_tokens"] == found["cache_read_input_tokens"] == 0
    assert found["input_tokens"] > 0


def test_the_classes_add_up_to_the_count(client: Any) -> None:
    system = [{"type": "text", "text": LONG, **MARK}]
    found = usage(client, content="Hi", system=system)
    total = found["input_tokens"] + found["cache_creation_input_tokens"]
    assert client.count("Hi", system=system).json["input_tokens"] == total
