"""The tools that a request offers to the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Required, TypeAlias

from apertis.params.content import CacheControlParam, CitationsParam

if TYPE_CHECKING:
    from typing import TypedDict
else:
    from apertis.params.content import TypedDict

AllowedCaller: TypeAlias = Literal[
    "direct", "code_execution_20250825", "code_execution_20260120", "code_execution_20260521"
]


class _ToolOptions(TypedDict, total=False):
    cache_control: CacheControlParam | None
    defer_loading: bool
    """Leave the tool out of the prompt until a tool search finds it."""
    allowed_callers: Iterable[AllowedCaller]
    """Allowed callers of the tool: the model itself, or code that it runs."""
    strict: bool
    """Hold the tool's input to its schema."""


class ToolParam(_ToolOptions, total=False):
    """A tool of the caller: the model calls it, the caller runs it."""

    type: Literal["custom"] | None
    name: Required[str]
    description: str
    """Purpose of the tool, when to use it, and what it returns. The model reads nothing else
    about it."""
    input_schema: Required[Mapping[str, Any]]
    """The JSON Schema of its input, an object."""
    input_examples: Iterable[Mapping[str, Any]]
    """Inputs that show how it is meant."""
    eager_input_streaming: bool | None
    """Stream the input as the model writes it, before it is known to be valid JSON."""


class BashToolParam(_ToolOptions, total=False):
    """A shell that the caller runs."""

    type: Required[Literal["bash_20250124", "bash_20241022"]]
    name: Required[Literal["bash"]]
    input_examples: Iterable[Mapping[str, Any]]


class TextEditorToolParam(_ToolOptions, total=False):
    """A text editor that the caller runs."""

    type: Required[
        Literal[
            "text_editor_20250124",
            "text_editor_20250429",
            "text_editor_20250728",
            "text_editor_20241022",
        ]
    ]
    name: Required[Literal["str_replace_editor", "str_replace_based_edit_tool"]]
    """`str_replace_editor` up to `20250124`, `str_replace_based_edit_tool` from `20250429`."""
    max_characters: int | None
    """Maximum number of characters of a file shown at once; from `20250728`."""
    input_examples: Iterable[Mapping[str, Any]]


class MemoryToolParam(_ToolOptions, total=False):
    """A directory of notes that the caller keeps."""

    type: Required[Literal["memory_20250818"]]
    name: Required[Literal["memory"]]
    input_examples: Iterable[Mapping[str, Any]]


class UserLocationParam(TypedDict, total=False):
    """About where the user is."""

    type: Required[Literal["approximate"]]
    city: str | None
    region: str | None
    country: str | None
    """Two letters, ISO 3166-1."""
    timezone: str | None
    """An IANA name: `Europe/Berlin`."""


class WebSearchToolParam(_ToolOptions, total=False):
    """Web search, run by the service."""

    type: Required[Literal["web_search_20250305", "web_search_20260209", "web_search_20260318"]]
    name: Required[Literal["web_search"]]
    max_uses: int | None
    allowed_domains: Iterable[str] | None
    """Only these; not together with `blocked_domains`."""
    blocked_domains: Iterable[str] | None
    user_location: UserLocationParam | None
    response_inclusion: Literal["full", "excluded"]
    """Inclusion of the search results in the response; from `20260318`."""


class WebFetchToolParam(_ToolOptions, total=False):
    """Reading of pages, run by the service."""

    type: Required[
        Literal[
            "web_fetch_20250910", "web_fetch_20260209", "web_fetch_20260309", "web_fetch_20260318"
        ]
    ]
    name: Required[Literal["web_fetch"]]
    max_uses: int | None
    max_content_tokens: int | None
    """Maximum number of tokens of a page that the model gets."""
    allowed_domains: Iterable[str] | None
    """Only these; not together with `blocked_domains`."""
    blocked_domains: Iterable[str] | None
    citations: CitationsParam | None
    use_cache: bool
    """Use of the service's cache for a page; from `20260309`."""
    response_inclusion: Literal["full", "excluded"]
    """Inclusion of the fetched content in the response; from `20260318`."""


class CodeExecutionToolParam(_ToolOptions, total=False):
    """A sandbox for code, run by the service."""

    type: Required[
        Literal[
            "code_execution_20250522",
            "code_execution_20250825",
            "code_execution_20260120",
            "code_execution_20260521",
        ]
    ]
    name: Required[Literal["code_execution"]]


class ToolSearchToolParam(_ToolOptions, total=False):
    """A search among the tools with `defer_loading`, run by the service."""

    type: Required[
        Literal[
            "tool_search_tool_regex_20251119",
            "tool_search_tool_regex",
            "tool_search_tool_bm25_20251119",
            "tool_search_tool_bm25",
        ]
    ]
    name: Required[Literal["tool_search_tool_regex", "tool_search_tool_bm25"]]


class ToolsetParam(_ToolOptions, total=False):
    """The tools for a browser or a computer that the caller runs."""

    type: Required[Literal["browser_toolset_20260801", "computer_toolset_20260801"]]
    name: str
    display_width_px: int
    display_height_px: int
    configs: Mapping[str, Any] | None
    """Settings of single tools, by name."""


class ComputerUseToolParam(_ToolOptions, total=False):
    """A screen, a mouse and a keyboard that the caller runs; the form before the toolset."""

    type: Required[Literal["computer_20241022", "computer_20250124", "computer_20251124"]]
    name: Required[Literal["computer"]]
    display_width_px: Required[int]
    display_height_px: Required[int]
    display_number: int | None
    enable_zoom: bool
    input_examples: Iterable[Mapping[str, Any]]


class AdvisorToolParam(_ToolOptions, total=False):
    """Another model to ask, run by the service."""

    type: Required[Literal["advisor_20260301"]]
    name: Required[Literal["advisor"]]
    model: Required[str]
    max_uses: int | None
    max_tokens: int | None
    caching: CacheControlParam | None


class MCPToolConfigParam(TypedDict, total=False):
    """Settings of an MCP server's tool."""

    enabled: bool
    defer_loading: bool


class MCPToolsetParam(TypedDict, total=False):
    """The tools of an MCP server that stands in `mcp_servers`."""

    type: Required[Literal["mcp_toolset"]]
    mcp_server_name: Required[str]
    default_config: MCPToolConfigParam
    configs: Mapping[str, MCPToolConfigParam] | None
    """Settings of single tools, by name."""
    cache_control: CacheControlParam | None


ServerToolParam: TypeAlias = (
    BashToolParam
    | TextEditorToolParam
    | MemoryToolParam
    | WebSearchToolParam
    | WebFetchToolParam
    | CodeExecutionToolParam
    | ToolSearchToolParam
    | ToolsetParam
    | ComputerUseToolParam
    | AdvisorToolParam
    | MCPToolsetParam
)

if TYPE_CHECKING:
    from typing import Protocol

    class ToolDefinition(Protocol):
        """A tool that `@tool` makes of a function, or another object that defines one."""

        def to_param(self) -> Mapping[str, Any]:
            """Return the tool as a request has it."""
            ...

    # The mapping is for tools that are newer than this version, or come from a catalogue.
    ToolUnionParam: TypeAlias = ToolParam | ServerToolParam | Mapping[str, Any] | ToolDefinition
else:
    ToolUnionParam = Any


class ToolChoiceAutoParam(TypedDict, total=False):
    """The model decides whether to call a tool."""

    type: Required[Literal["auto"]]
    disable_parallel_tool_use: bool
    """At most one call."""


class ToolChoiceAnyParam(TypedDict, total=False):
    """The model must call a tool, and decides which."""

    type: Required[Literal["any"]]
    disable_parallel_tool_use: bool
    """Exactly one call."""


class ToolChoiceToolParam(TypedDict, total=False):
    """The model must call this tool."""

    type: Required[Literal["tool"]]
    name: Required[str]
    disable_parallel_tool_use: bool
    """Exactly one call."""


class ToolChoiceNoneParam(TypedDict):
    """The model must not call a tool."""

    type: Literal["none"]


ToolChoiceParam: TypeAlias = (
    ToolChoiceAutoParam | ToolChoiceAnyParam | ToolChoiceToolParam | ToolChoiceNoneParam
)
