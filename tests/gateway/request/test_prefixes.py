"""A changed prompt is found at the breakpoint whose prefix changed, however its marks move."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.request.body import Body, peek
from apertis.gateway.request.prefixes import Prefixes, Seen

MARK: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}
SESSION = ("key", "session")


def text(value: str, *, marked: bool = False) -> dict[str, Any]:
    return {"type": "text", "text": value, **(MARK if marked else {})}


def prompt(*turns: Any, spaced: bool = False, **fields: Any) -> Body:
    messages = [
        {"role": ("user", "assistant")[place % 2], "content": turn}
        for place, turn in enumerate(turns)
    ]
    whole = {"model": "m", "max_tokens": 1, **fields, "messages": messages}
    separators = None if spaced else (",", ":")
    body = peek(json.dumps(whole, separators=separators).encode(), needs_max_tokens=True)
    assert isinstance(body, Body)
    return body


def change(*bodies: Body) -> int | None:
    prefixes = Prefixes(b"secret")
    seen: Seen | None = None
    for body in bodies:
        seen = prefixes.see(SESSION, body)
        if seen is not None:
            prefixes.keep(seen)
    return None if seen is None else seen.change


TOOLS = [{"name": "a", "input_schema": {}}, {"name": "b", "input_schema": {}, **MARK}]
SYSTEM = [text("You are kind."), text("Be brief.", marked=True)]


@pytest.mark.parametrize("spaced", [False, True])
def test_a_conversation_whose_marks_move_has_not_changed(*, spaced: bool) -> None:
    first = prompt([text("one", marked=True)], tools=TOOLS, system=SYSTEM, spaced=spaced)
    later = prompt(
        [text("one")],
        [text("two")],
        [text("three"), text("four", marked=True)],
        tools=TOOLS,
        system=SYSTEM,
        spaced=spaced,
    )
    as_strings = prompt(
        "one",
        "two",
        [text("three"), text("four", marked=True)],
        tools=TOOLS,
        system=SYSTEM,
        spaced=spaced,
    )
    assert change(first) is None
    assert change(first, later) == 0
    assert change(first, as_strings) == change(first, as_strings, later) == 0


@pytest.mark.parametrize(
    ("fields", "turn", "expected"),
    [
        ({"tools": [{"name": "c"}, *TOOLS]}, "one", 1),
        ({"tools": TOOLS[:1]}, "one", 1),
        ({"system": [text("You are kind. It is 9 o'clock."), SYSTEM[1]]}, "one", 2),
        ({"system": "You are kind."}, "one", 2),
        ({}, "other", 3),
    ],
)
def test_the_first_breakpoint_that_changed_is_told(
    fields: dict[str, Any], turn: str, expected: int
) -> None:
    plain: dict[str, Any] = {"tools": TOOLS, "system": SYSTEM}
    first = prompt([text("one", marked=True)], **plain)
    later = prompt([text(turn)], "two", [text("three", marked=True)], **{**plain, **fields})
    assert change(first, later) == expected


def test_a_prompt_that_became_shorter_has_changed() -> None:
    long = prompt("one", "two", [text("three", marked=True)])
    assert change(long, prompt([text("one", marked=True)])) == 1


def test_the_role_of_a_message_is_a_part_of_it() -> None:
    one = prompt([text("a", marked=True)])
    data = one.data.replace(b'"user"', b'"assistant"')
    other = peek(data, needs_max_tokens=True)
    assert isinstance(other, Body)
    assert change(one, other) == 1


def test_a_mark_of_the_whole_request_is_at_its_end() -> None:
    first = prompt("one", **MARK)
    assert change(first, prompt("one", "two", "three", **MARK)) == 0
    assert change(first, prompt("other", "two", "three", **MARK)) == 1


def test_prompts_without_marks_are_not_looked_at() -> None:
    prefixes = Prefixes(b"secret")
    assert prefixes.see(SESSION, prompt("one")) is None
    assert len(prefixes) == 0


def test_a_prompt_that_was_not_answered_is_not_remembered() -> None:
    prefixes = Prefixes(b"secret")
    assert prefixes.see(SESSION, prompt([text("one", marked=True)])) is not None
    seen = prefixes.see(SESSION, prompt([text("two", marked=True)]))
    assert seen is not None
    assert seen.change is None


def test_the_quietest_conversation_is_forgotten_first() -> None:
    prefixes = Prefixes(b"secret", max_conversations=2)
    body = prompt([text("one", marked=True)])

    def see(session: str) -> int | None:
        seen = prefixes.see((session,), body)
        assert seen is not None
        prefixes.keep(seen)
        return seen.change

    assert [see(name) for name in "abacba"] == [None, None, 0, None, None, None]
    assert len(prefixes) == 2


def test_hashes_are_keyed_and_nothing_of_a_prompt_is_kept_or_shown() -> None:
    body = prompt([text("a secret plan", marked=True)])
    one, other = Prefixes(b"one").see(SESSION, body), Prefixes(b"other").see(SESSION, body)
    assert one is not None
    assert other is not None
    assert one.breakpoints != other.breakpoints
    assert "plan" not in repr(one)
    assert "secret" not in repr(Prefixes(b"secret"))


BLOCKS = st.lists(st.text(max_size=5), min_size=1, max_size=4)


@given(
    st.lists(BLOCKS, min_size=1, max_size=5), st.lists(BLOCKS, min_size=1, max_size=5), st.data()
)
def test_a_prefix_changed_exactly_where_the_blocks_before_it_did(
    first: list[list[str]], later: list[list[str]], data: st.DataObject
) -> None:
    flat = [(turn, block) for turn, blocks in enumerate(first) for block in range(len(blocks))]
    marked = sorted(data.draw(st.sets(st.sampled_from(flat), min_size=1, max_size=4)))
    same = data.draw(st.integers(0, len(first)))
    after = [*first[:same], *later]
    before_body = prompt(
        *(
            [text(block, marked=(turn, n) in marked) for n, block in enumerate(blocks)]
            for turn, blocks in enumerate(first)
        )
    )
    after_body = prompt(
        *([text(block) for block in blocks] for blocks in after[:-1]),
        [text(block, marked=True) for block in after[-1]],
    )

    def prefix(of: list[list[str]], turn: int, block: int) -> list[list[str]] | None:
        if turn >= len(of) or block >= len(of[turn]):
            return None
        return [*of[:turn], of[turn][: block + 1]]

    changed = (
        number
        for number, (turn, block) in enumerate(marked, 1)
        if prefix(first, turn, block) != prefix(after, turn, block)
    )
    assert change(before_body, after_body) == next(changed, 0)
