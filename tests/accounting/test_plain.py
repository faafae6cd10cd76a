"""The quick way to read a body, beside the careful one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.accounting.plain import (
    PlainBody,
    read_plain,
    read_plain_messages,
    read_plain_part,
)
from apertis.accounting.prompt import Prompt, read_prompt

HOUR = {"type": "ephemeral", "ttl": "1h"}


def body(**fields: Any) -> bytes:
    given = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    return msgspec.json.encode({**given, **fields})


@pytest.mark.parametrize(
    ("fields", "plain"),
    [
        ({}, PlainBody(cached=False, hour=False, tools=False, schema=False)),
        ({"cache_control": HOUR}, PlainBody(cached=True, hour=True, tools=False, schema=False)),
        (
            {"tools": [{"name": "t", "input_schema": {}}]},
            PlainBody(cached=False, hour=False, tools=True, schema=False),
        ),
        ({"output_config": {}}, PlainBody(cached=False, hour=False, tools=False, schema=True)),
    ],
)
def test_a_body_that_hides_nothing_is_read_at_once(
    fields: dict[str, Any], plain: PlainBody
) -> None:
    assert read_plain(body(**fields)) == plain


@pytest.mark.parametrize(
    "fields",
    [
        {"speed": "fast"},
        {"inference_geo": "us"},
        {"mcp_servers": []},
        {"unknown": 1},
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "citations": {}}]}]},
        {"tools": [{"type": "web_search_20250305", "name": "s"}]},
        {"cache_control": {"type": "ephemeral", "ttl": "5m"}},
    ],
)
def test_all_else_is_for_the_careful_reader(fields: dict[str, Any]) -> None:
    assert read_plain(body(**fields)) is None


def test_a_part_is_read_by_itself() -> None:
    turn = msgspec.Raw(b'{"role":"user","content":[{"type":"text","cache_control":{"ttl":"1h"}}]}')
    assert read_plain_part(turn, is_tool=False) == PlainBody(
        cached=True, hour=True, tools=False, schema=False
    )
    assert read_plain_part(turn, is_tool=True) is None


BLOCKS = st.fixed_dictionaries(
    {"type": st.just("text"), "text": st.text(max_size=8)},
    optional={"cache_control": st.sampled_from([{"type": "ephemeral"}, HOUR])},
)
TOOLS = st.fixed_dictionaries({"name": st.text(max_size=3), "input_schema": st.just({})})


def seen(prompt: Prompt) -> tuple[object, ...]:
    return tuple(getattr(prompt, name) for name in Prompt.__annotations__ if name != "text_bytes")


@given(st.lists(BLOCKS, max_size=4), st.lists(TOOLS, max_size=2), st.booleans())
def test_both_readers_see_the_same_in_a_plain_body(
    blocks: list[dict[str, Any]], tools: list[dict[str, Any]], schema: bool
) -> None:
    fields: dict[str, Any] = {"messages": [{"role": "user", "content": blocks}], "tools": tools}
    if schema:
        fields["output_config"] = {"format": {"type": "json_schema"}}
    quick = body(**fields)
    assert read_plain(quick) is not None
    # A field that nobody knows changes nothing, but sends the body the other way.
    careful = body(**fields, unknown=1)
    assert read_plain(careful) is None
    assert seen(read_prompt(quick)) == seen(read_prompt(careful))


# Members of a message, each of which may stand twice, be missing or be what none is.
MEMBERS = st.sampled_from(
    [
        '"role":"user"',
        '"role":"assistant"',
        '"content":"Hi \\"[{}]\\" there"',
        '"content": "caf\u00e9"',
        '"content":[{"type":"text","text":"Hi"}]',
        '"content":[{"type":"text","text":"Hi","cache_control":{"ttl":"1h"}}]',
        '"content":[{"type":"tool_result","content":"Hi"}]',
        '"content":[{"type":"image","source":{"type":"url"}}]',
        '"content":[{"type":"document","source":{"type":"file"}}]',
        '"c\\u006fntent":[{"type":"image"}]',
        '"content":null',
        '"content":{"type":"image"}',
        '"CONTENT":"Hi"',
    ]
)
USUAL = st.sampled_from(['{"role":"user","content":"Hi"}', '{"content":"Oh","role":"assistant"}'])
MESSAGES = st.lists(
    USUAL | st.lists(MEMBERS, max_size=3).map(lambda members: "{" + ",".join(members) + "}"),
    max_size=6,
)


@given(
    MESSAGES,
    st.sampled_from([",", ", ", " ,\n"]),
    st.sampled_from(["", " \n", "}", ',"a":1}', "] ]", " ]"]),
)
def test_messages_alone_are_read_as_they_are_in_their_body(
    messages: list[str], comma: str, behind: str
) -> None:
    data = f"[{comma.join(messages)}]".encode()
    read = read_plain_messages(memoryview(data + behind.encode()))
    expected = read_plain(b'{"messages":%b}' % data)
    if behind.strip():
        assert read == (None if expected is None else (expected, len(data)))
    else:
        # Something always follows the messages of a body.
        assert read is None


@pytest.mark.parametrize(
    "hidden",
    [
        b'{"role":"user","content":[{"type":"image"}]}',
        b'{"role":"user","content":{"type":"image"}}',
        b'{"role":"user","content":[{"type":"image"}],"content":"Hi"}',
        # What the others leave out has the length of what this one has twice.
        b'{"content":[{"type":"image"}],"role":"","content":"Hi"}' + b',{"content":"Hi"}' * 5,
    ],
)
def test_no_content_is_hidden_behind_another_one(hidden: bytes) -> None:
    data = b'[{"role":"user","content":"Hi"},%b]}' % hidden
    assert read_plain_messages(memoryview(data)) is None
