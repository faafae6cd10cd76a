"""Content of the `messages` and the `system` of a request."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Required, TypeAlias

if TYPE_CHECKING:
    from apertis.models import ContentBlock, Message

# pydantic takes only this one before Python 3.12. Who has pydantic has it.
if TYPE_CHECKING or sys.version_info >= (3, 12):
    from typing import TypedDict
else:
    try:
        from typing_extensions import TypedDict
    except ImportError:
        from typing import TypedDict

if TYPE_CHECKING:
    from os import PathLike
    from typing import IO

    FileData: TypeAlias = str | PathLike[str] | IO[bytes]
else:
    # pydantic has no type for an open file.
    FileData = Any

ImageMediaType: TypeAlias = Literal["image/jpeg", "image/png", "image/gif", "image/webp"]


class CacheControlParam(TypedDict, total=False):
    """A mark at the end of a prefix that the service caches."""

    type: Required[Literal["ephemeral"]]
    ttl: Literal["5m", "1h"]
    """Lifetime after the last use; `5m` by default."""


class CitationsParam(TypedDict, total=False):
    """Switch for citations of a document."""

    enabled: bool


class Base64ImageSourceParam(TypedDict):
    """An image in the request itself. `apertis.image(...)` makes one of a file or of bytes."""

    type: Literal["base64"]
    media_type: ImageMediaType
    data: FileData
    """The bytes of the image as base64 text; or a file, by its path or open."""


class Base64PDFSourceParam(TypedDict):
    """A PDF in the request itself. `apertis.document(...)` makes one of a file or of bytes."""

    type: Literal["base64"]
    media_type: Literal["application/pdf"]
    data: FileData
    """The bytes of the PDF as base64 text; or a file, by its path or open."""


class URLSourceParam(TypedDict):
    """An image or a PDF that the service fetches."""

    type: Literal["url"]
    url: str


class FileSourceParam(TypedDict):
    """An image or a document that was uploaded before."""

    type: Literal["file"]
    file_id: str


class PlainTextSourceParam(TypedDict):
    """A document of plain text."""

    type: Literal["text"]
    media_type: Literal["text/plain"]
    data: str
    """The text itself."""


class CharLocationParam(TypedDict, total=False):
    """A range of characters of a plain text document, as received."""

    type: Required[Literal["char_location"]]
    cited_text: Required[str]
    document_index: Required[int]
    document_title: Required[str | None]
    start_char_index: Required[int]
    end_char_index: Required[int]


class PageLocationParam(TypedDict, total=False):
    """A range of pages of a PDF, as received."""

    type: Required[Literal["page_location"]]
    cited_text: Required[str]
    document_index: Required[int]
    document_title: Required[str | None]
    start_page_number: Required[int]
    end_page_number: Required[int]


class ContentBlockLocationParam(TypedDict, total=False):
    """A range of blocks of a document made of blocks, as received."""

    type: Required[Literal["content_block_location"]]
    cited_text: Required[str]
    document_index: Required[int]
    document_title: Required[str | None]
    start_block_index: Required[int]
    end_block_index: Required[int]


class WebSearchResultLocationParam(TypedDict, total=False):
    """A page that web search found, as received."""

    type: Required[Literal["web_search_result_location"]]
    cited_text: Required[str]
    encrypted_index: Required[str]
    title: Required[str | None]
    url: Required[str]


class SearchResultLocationParam(TypedDict, total=False):
    """A range of blocks of a `search_result` block, as received."""

    type: Required[Literal["search_result_location"]]
    cited_text: Required[str]
    search_result_index: Required[int]
    source: Required[str]
    title: Required[str | None]
    start_block_index: Required[int]
    end_block_index: Required[int]


CitationParam: TypeAlias = (
    CharLocationParam
    | PageLocationParam
    | ContentBlockLocationParam
    | WebSearchResultLocationParam
    | SearchResultLocationParam
)


class TextBlockParam(TypedDict, total=False):
    """Text."""

    type: Required[Literal["text"]]
    text: Required[str]
    citations: Iterable[CitationParam | Mapping[str, Any]] | None
    """The citations of a text of the model, as received."""
    cache_control: CacheControlParam | None


class ImageBlockParam(TypedDict, total=False):
    """An image: PNG, JPEG, GIF or WebP."""

    type: Required[Literal["image"]]
    source: Required[Base64ImageSourceParam | URLSourceParam | FileSourceParam]
    transformations: Iterable[Mapping[str, Any]]
    """Transformations of the image before the model sees it."""
    cache_control: CacheControlParam | None


class ContentSourceParam(TypedDict):
    """A document made of blocks, so that citations name them."""

    type: Literal["content"]
    content: str | Iterable[TextBlockParam | ImageBlockParam]


class DocumentBlockParam(TypedDict, total=False):
    """A document to read, and to cite where that is asked for."""

    type: Required[Literal["document"]]
    source: Required[
        Base64PDFSourceParam
        | PlainTextSourceParam
        | ContentSourceParam
        | URLSourceParam
        | FileSourceParam
    ]
    title: str | None
    """Title that citations give the document."""
    context: str | None
    """Context of the document for the model, never cited."""
    citations: CitationsParam | None
    cache_control: CacheControlParam | None


class SearchResultBlockParam(TypedDict, total=False):
    """A result of a search that the caller made, to be cited like one of the service's own."""

    type: Required[Literal["search_result"]]
    source: Required[str]
    """Source of the result: a URL or any name."""
    title: Required[str]
    content: Required[Iterable[TextBlockParam]]
    citations: CitationsParam
    cache_control: CacheControlParam | None


class ThinkingBlockParam(TypedDict):
    """Thinking of an earlier response, with its signature, as received."""

    type: Literal["thinking"]
    thinking: str
    signature: str


class RedactedThinkingBlockParam(TypedDict):
    """Encrypted thinking of an earlier response, as received."""

    type: Literal["redacted_thinking"]
    data: str


class CallerParam(TypedDict, total=False):
    """The caller of a tool, as received."""

    type: Required[str]
    tool_id: str


class ToolUseBlockParam(TypedDict, total=False):
    """A tool call of an earlier response."""

    type: Required[Literal["tool_use"]]
    id: Required[str]
    name: Required[str]
    input: Required[Mapping[str, Any]]
    caller: CallerParam
    cache_control: CacheControlParam | None


class ToolReferenceBlockParam(TypedDict, total=False):
    """A tool that the model may use from here on, by its name."""

    type: Required[Literal["tool_reference"]]
    tool_name: Required[str]
    cache_control: CacheControlParam | None


class BrowserStateBlockParam(TypedDict, total=False):
    """The state of the browser after a step."""

    type: Required[Literal["browser_state"]]
    url: str
    title: str
    cache_control: CacheControlParam | None


ToolResultContentParam: TypeAlias = (
    TextBlockParam
    | ImageBlockParam
    | SearchResultBlockParam
    | DocumentBlockParam
    | ToolReferenceBlockParam
    | BrowserStateBlockParam
)


class ToolResultBlockParam(TypedDict, total=False):
    """The result of a tool call."""

    type: Required[Literal["tool_result"]]
    tool_use_id: Required[str]
    """The id of the `tool_use` block that is answered."""
    content: str | Iterable[ToolResultContentParam]
    is_error: bool
    """The tool failed; `content` says how."""
    cache_control: CacheControlParam | None


class ServerToolUseBlockParam(TypedDict, total=False):
    """A call of one of the service's own tools in an earlier response, as received."""

    type: Required[Literal["server_tool_use"]]
    id: Required[str]
    name: Required[str]
    input: Required[Mapping[str, Any]]
    caller: CallerParam
    cache_control: CacheControlParam | None


class ServerToolResultBlockParam(TypedDict, total=False):
    """The result of a server tool in an earlier response, as received."""

    type: Required[
        Literal[
            "web_search_tool_result",
            "web_fetch_tool_result",
            "code_execution_tool_result",
            "bash_code_execution_tool_result",
            "text_editor_code_execution_tool_result",
            "tool_search_tool_result",
            "advisor_tool_result",
        ]
    ]
    tool_use_id: Required[str]
    content: Required[Mapping[str, Any] | Iterable[Mapping[str, Any]]]
    caller: CallerParam
    cache_control: CacheControlParam | None


class ContainerUploadBlockParam(TypedDict, total=False):
    """A file to put into the container."""

    type: Required[Literal["container_upload"]]
    file_id: Required[str]
    cache_control: CacheControlParam | None


class MCPToolUseBlockParam(TypedDict, total=False):
    """A call of an MCP server's tool in an earlier response, as received."""

    type: Required[Literal["mcp_tool_use"]]
    id: Required[str]
    name: Required[str]
    server_name: Required[str]
    input: Required[Mapping[str, Any]]
    cache_control: CacheControlParam | None


class MCPToolResultBlockParam(TypedDict, total=False):
    """The response of an MCP server in an earlier response, as received."""

    type: Required[Literal["mcp_tool_result"]]
    tool_use_id: Required[str]
    content: str | Iterable[TextBlockParam]
    is_error: bool
    cache_control: CacheControlParam | None


class CompactionBlockParam(TypedDict, total=False):
    """The summary of the conversation before it, as received."""

    type: Required[Literal["compaction"]]
    content: str | None
    encrypted_content: str | None
    cache_control: CacheControlParam | None


class ToolNameParam(TypedDict, total=False):
    """A tool, an MCP tool or all tools of an MCP server, by name."""

    type: Required[Literal["tool_reference", "mcp_tool_reference", "mcp_toolset_reference"]]
    name: str
    server_name: str


class ToolChangeBlockParam(TypedDict, total=False):
    """From here on the model may use a tool, or may no longer."""

    type: Required[Literal["tool_addition", "tool_removal"]]
    tool: Required[ToolNameParam]
    cache_control: CacheControlParam | None


class MidConversationSystemBlockParam(TypedDict, total=False):
    """Instructions from the operator in the middle of a conversation."""

    type: Required[Literal["mid_conv_system"]]
    content: Required[Iterable[TextBlockParam | ToolChangeBlockParam]]
    cache_control: CacheControlParam | None


# Written with the dict call, because `from` is a word of Python.
FallbackBlockParam = TypedDict(
    "FallbackBlockParam",
    {
        "type": Literal["fallback"],
        "from": "Mapping[str, Any]",
        "to": "Mapping[str, Any]",
        "trigger": "Mapping[str, Any] | None",
    },
    total=False,
)

ContentBlockParam: TypeAlias = (
    TextBlockParam
    | ImageBlockParam
    | DocumentBlockParam
    | SearchResultBlockParam
    | ThinkingBlockParam
    | RedactedThinkingBlockParam
    | ToolUseBlockParam
    | ToolResultBlockParam
    | ServerToolUseBlockParam
    | ServerToolResultBlockParam
    | ContainerUploadBlockParam
    | MCPToolUseBlockParam
    | MCPToolResultBlockParam
    | CompactionBlockParam
    | ToolChangeBlockParam
    | MidConversationSystemBlockParam
    | FallbackBlockParam
)

if TYPE_CHECKING:
    Content: TypeAlias = str | Iterable[ContentBlockParam | ContentBlock]
else:
    # Only checkers need to know the models here; loading them is left to those who use them.
    Content = Any


class MessageParam(TypedDict):
    """One turn of a conversation."""

    role: Literal["user", "assistant", "system"]
    """Author of the message. `system` gives instructions in the middle of a conversation."""
    content: Content
    """Text, or a list of blocks; the blocks of a response can stand in it as they are."""


if TYPE_CHECKING:
    MessagesParam: TypeAlias = Iterable[MessageParam | Message]
    SystemParam: TypeAlias = str | Iterable[TextBlockParam]
else:
    MessagesParam = SystemParam = Any
