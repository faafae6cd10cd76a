"""The content blocks of a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

import msgspec

from apertis.models.citations import Citation  # noqa: TC001 - msgspec reads the annotations.
from apertis.models.model import Model, Tagged, Unknown, no_such_attribute
from apertis.models.results import (  # noqa: TC001 - msgspec reads the annotations.
    AdvisorContent,
    BashCodeExecutionContent,
    CodeExecutionContent,
    TextEditorContent,
    ToolSearchContent,
    WebFetchContent,
    WebSearchContent,
)


class UnknownBlock(Unknown):
    """A content block of a kind that this version does not know."""


class Block(Tagged):
    """The base class of content blocks."""

    unknown_variant: ClassVar[type[Unknown] | None] = UnknownBlock

    # Hidden from checkers, who are to flag an attribute that a block does not have.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name != "text":
                no_such_attribute(self, name)
            raise AttributeError(
                f"this content block is of type {self.type!r} and has no text. "
                "`message.text` is the text of all text blocks; "
                'or take the blocks where `block.type == "text"`'
            )


class TextBlock(Block, tag="text"):
    """Text, and where it comes from when the request asked for citations."""

    type: Literal["text"] = "text"
    text: str
    citations: list[Citation] | None = None

    @property
    def parsed_output(self) -> Any:
        """The value of the type that was asked for by `output_format`; None where there is none."""
        return self.__dict__.get("_parsed_output")

    if not TYPE_CHECKING:

        def __class_getitem__(cls, output: object) -> type[TextBlock]:
            # As for a message: `ParsedTextBlock[T]`.
            return cls


if TYPE_CHECKING:
    T = TypeVar("T")

    class ParsedTextBlock(TextBlock, Generic[T], tag="text"):
        """Text, with the value that it says."""

        @property
        def parsed_output(self) -> T | None:
            """The value of the type that was asked for by `output_format`."""
            ...
else:
    ParsedTextBlock = TextBlock


class ThinkingBlock(Block, tag="thinking"):
    """A model's thinking. Send it back unchanged, with its signature."""

    type: Literal["thinking"] = "thinking"
    thinking: str
    signature: str = ""


class RedactedThinkingBlock(Block, tag="redacted_thinking"):
    """Thinking for the service alone to read. To be sent back as it is."""

    type: Literal["redacted_thinking"] = "redacted_thinking"
    data: str


class Caller(Model):
    """The caller of a tool: the model (`direct`), or code that it ran (`tool_id` names the run)."""

    type: str
    tool_id: str | None = None
    _when_sent: ClassVar[frozenset[str]] = frozenset({"tool_id"})


class ToolUseBlock(Block, tag="tool_use"):
    """The model calls one of the caller's tools; the result goes back under the same id."""

    type: Literal["tool_use"] = "tool_use"
    id: str
    name: str
    input: dict[str, Any]
    caller: Caller | None = None
    toolset_name: str | None = None


class ServerToolUseBlock(Block, tag="server_tool_use"):
    """The model calls a tool that the service runs itself."""

    type: Literal["server_tool_use"] = "server_tool_use"
    id: str
    name: str
    input: dict[str, Any]
    caller: Caller | None = None


class WebSearchToolResultBlock(Block, tag="web_search_tool_result"):
    """The results of a web search."""

    type: Literal["web_search_tool_result"] = "web_search_tool_result"
    tool_use_id: str
    content: WebSearchContent
    caller: Caller | None = None


class WebFetchToolResultBlock(Block, tag="web_fetch_tool_result"):
    """The page that was fetched."""

    type: Literal["web_fetch_tool_result"] = "web_fetch_tool_result"
    tool_use_id: str
    content: WebFetchContent
    caller: Caller | None = None


class CodeExecutionToolResultBlock(Block, tag="code_execution_tool_result"):
    """The result of code that the service ran."""

    type: Literal["code_execution_tool_result"] = "code_execution_tool_result"
    tool_use_id: str
    content: CodeExecutionContent


class BashCodeExecutionToolResultBlock(Block, tag="bash_code_execution_tool_result"):
    """The result of a shell command that the service ran."""

    type: Literal["bash_code_execution_tool_result"] = "bash_code_execution_tool_result"
    tool_use_id: str
    content: BashCodeExecutionContent


class TextEditorCodeExecutionToolResultBlock(Block, tag="text_editor_code_execution_tool_result"):
    """The result of an operation on a file by the service."""

    type: Literal["text_editor_code_execution_tool_result"] = (
        "text_editor_code_execution_tool_result"
    )
    tool_use_id: str
    content: TextEditorContent


class ToolSearchToolResultBlock(Block, tag="tool_search_tool_result"):
    """The tools that a search among the caller's tools found."""

    type: Literal["tool_search_tool_result"] = "tool_search_tool_result"
    tool_use_id: str
    content: ToolSearchContent


class ContainerUploadBlock(Block, tag="container_upload"):
    """A file that was put into the container."""

    type: Literal["container_upload"] = "container_upload"
    file_id: str


class MCPToolUseBlock(Block, tag="mcp_tool_use"):
    """The model calls a tool of an MCP server."""

    type: Literal["mcp_tool_use"] = "mcp_tool_use"
    id: str
    name: str
    server_name: str
    input: dict[str, Any]


class MCPToolResultBlock(Block, tag="mcp_tool_result"):
    """The response of an MCP server."""

    type: Literal["mcp_tool_result"] = "mcp_tool_result"
    tool_use_id: str
    is_error: bool = False
    content: MCPToolResultContent = ""


class MCPToolListingBlock(Block, tag="mcp_tool_listing"):
    """The tools that an MCP server offers."""

    type: Literal["mcp_tool_listing"] = "mcp_tool_listing"
    server_name: str | None = None
    mcp_server_name: str | None = None
    tools: list[dict[str, Any]] | None = None
    _when_sent: ClassVar[frozenset[str]] = frozenset({"server_name"})


class AdvisorToolResultBlock(Block, tag="advisor_tool_result"):
    """The advising model's text."""

    type: Literal["advisor_tool_result"] = "advisor_tool_result"
    tool_use_id: str
    content: AdvisorContent


class CompactionBlock(Block, tag="compaction"):
    """A summary that stands for the conversation before it; None when it could not be made."""

    type: Literal["compaction"] = "compaction"
    content: str | None = None
    encrypted_content: str | None = None
    signature: str | None = None
    tool_changes: list[dict[str, Any]] | None = None


class FallbackHop(Model):
    """A model that a fallback went from or to."""

    model: str


class FallbackTrigger(Model):
    """The reason that another model took over; `type` is `refusal`."""

    type: str
    category: str | None = None


class FallbackBlock(Block, tag="fallback"):
    """From here on another model answers."""

    type: Literal["fallback"] = "fallback"
    from_: FallbackHop = msgspec.field(name="from")
    to: FallbackHop
    trigger: FallbackTrigger | None = None


_Known = (
    TextBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ServerToolUseBlock
    | WebSearchToolResultBlock
    | WebFetchToolResultBlock
    | CodeExecutionToolResultBlock
    | BashCodeExecutionToolResultBlock
    | TextEditorCodeExecutionToolResultBlock
    | ToolSearchToolResultBlock
    | ContainerUploadBlock
    | MCPToolUseBlock
    | MCPToolResultBlock
    | MCPToolListingBlock
    | AdvisorToolResultBlock
    | CompactionBlock
    | FallbackBlock
)
if TYPE_CHECKING:
    ContentBlock = _Known | UnknownBlock
    MCPToolResultContent = str | list[TextBlock | UnknownBlock]
else:
    ContentBlock = _Known
    MCPToolResultContent = str | list[TextBlock]
