"""A conversation is recognized, and remembered for a while."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.routing import AffinityTable, affinity_of

parts = st.binary(max_size=40)


def test_claude_codes_session_is_the_conversation() -> None:
    headers = {"x-claude-code-session-id": "0a1b-2c"}
    assert affinity_of(headers, b"a", b"b", b"c") == "0a1b-2c"
    assert affinity_of(headers, b"", b"", b"") == "0a1b-2c"


def test_a_very_long_session_is_shortened_and_stays_itself() -> None:
    def session(name: str) -> str | None:
        return affinity_of({"x-claude-code-session-id": name}, b"", b"", b"")

    long = session("x" * 5000)
    assert long is not None
    assert len(long) == 32
    assert session("x" * 5000) == long != session("x" * 5001)


def test_without_a_prompt_there_is_no_conversation() -> None:
    assert affinity_of({}, b"", b"", b"") is None
    assert affinity_of({}, b"", b"[]", b"") is None


@settings(max_examples=100)
@given(parts, parts, parts, parts, parts, parts)
def test_only_equal_prefixes_are_one_conversation(
    a: bytes, b: bytes, c: bytes, d: bytes, e: bytes, f: bytes
) -> None:
    first, second = affinity_of({}, a, b, b"m" + c), affinity_of({}, d, e, b"m" + f)
    assert (first == second) == ((a, b, c) == (d, e, f))


def test_length_beginning_and_end_of_a_long_part_count() -> None:
    long = b"x" * 100_000
    known = affinity_of({}, long, b"", b"m")
    assert known == affinity_of({}, long, b"", b"m")
    assert known != affinity_of({}, long + b"x", b"", b"m")
    assert known != affinity_of({}, b"y" + long[1:], b"", b"m")
    assert known != affinity_of({}, long[:-1] + b"y", b"", b"m")


def test_a_conversation_is_forgotten_after_its_time() -> None:
    table = AffinityTable(60.0)
    table.put("c", "m", "a", 0.0)
    assert table.get("c", "m", 59.0) == "a"
    assert table.get("c", "m", 60.0) is None
    assert len(table) == 0


def test_each_answer_lets_it_live_on() -> None:
    table = AffinityTable(60.0)
    for now in (0.0, 50.0, 100.0):
        table.put("c", "m", "a", now)
    assert table.get("c", "m", 150.0) == "a"


def test_each_model_has_an_upstream_of_its_own() -> None:
    table = AffinityTable(60.0)
    table.put("c", "m", "a", 0.0)
    table.put("c", "n", "b", 0.0)
    assert (table.get("c", "m", 1.0), table.get("c", "n", 1.0)) == ("a", "b")
    table.remove("c", "m")
    table.remove("c", "m")
    assert (table.get("c", "m", 1.0), table.get("c", "n", 1.0)) == (None, "b")


def test_the_table_is_bounded_and_drops_the_least_recently_used() -> None:
    table = AffinityTable(60.0, limit=3)
    for name in ("a", "b", "c", "a", "d"):
        table.put(name, "m", "u", 0.0)
    assert len(table) == 3
    assert [table.get(name, "m", 1.0) for name in "abcd"] == ["u", None, "u", "u"]
