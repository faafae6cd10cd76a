"""A tool: a function with a name, a description and a schema, which the model may call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from apertis.models import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class ToolError(Exception):
    """A failure that a tool tells the model: text, or content blocks."""

    def __init__(self, content: Any) -> None:
        super().__init__(content if isinstance(content, str) else "the tool failed")
        self.content = content


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function that the model may call."""

    name: str
    description: str = ""
    input_schema: dict[str, Any]
    function: Callable[..., Any]
    idempotent: bool = False
    needs_approval: bool = False
    timeout: float | None = None
    is_async: bool = False

    def to_param(self) -> dict[str, Any]:
        """Return the tool as a request has it."""
        described = {"description": self.description} if self.description else {}
        return {"name": self.name, **described, "input_schema": self.input_schema}

    def call(self, input: Mapping[str, Any]) -> object:
        """Call the function; return its result, or what is to be awaited."""
        return self.function(**input)


def result_content(value: Any) -> Any:
    """Return what a tool returned as the content of a `tool_result`: text, or a list of blocks."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    blocks = cast("list[object]", value) if isinstance(value, list) else []
    if blocks and all(_is_block(block) for block in blocks):
        return blocks
    return msgspec.json.encode(value).decode()


def _is_block(value: object) -> bool:
    return isinstance(value, Model) or (isinstance(value, dict) and "type" in value)
