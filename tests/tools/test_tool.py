"""Tools, their errors, and what they return as the content of a result."""

from __future__ import annotations

from typing import Any

import pytest

from apertis.models import TextBlock
from apertis.tools.tool import Tool, ToolError, result_content

BLOCK = {"type": "text", "text": "x"}


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("x", "x"),
        (None, ""),
        (5, "5"),
        ({"a": [1]}, '{"a":[1]}'),
        ([BLOCK], [BLOCK]),
        ([TextBlock(text="x")], [TextBlock(text="x")]),
        ([1, 2], "[1,2]"),
        ([], "[]"),
    ],
)
def test_what_a_tool_returns_is_text_or_blocks(value: Any, content: Any) -> None:
    assert result_content(value) == content


def test_a_tool_is_sent_as_its_name_description_and_schema() -> None:
    schema = {"type": "object"}
    tool = Tool(name="look", description="Look.", input_schema=schema, function=len)
    assert tool.to_param() == {"name": "look", "description": "Look.", "input_schema": schema}


def test_a_tool_error_keeps_what_it_tells_the_model() -> None:
    assert ToolError([BLOCK]).content == [BLOCK]
    assert str(ToolError("no")) == "no"
