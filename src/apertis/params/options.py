"""The objects among the parameters of a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Required, TypeAlias

if TYPE_CHECKING:
    from typing import TypedDict
else:
    from apertis.params.content import TypedDict

Display: TypeAlias = Literal["summarized", "omitted", "updates"]
Effort: TypeAlias = Literal["low", "medium", "high", "xhigh", "max"]


class ThinkingEnabledParam(TypedDict, total=False):
    """Think, within a budget."""

    type: Required[Literal["enabled"]]
    budget_tokens: Required[int]
    """At least 1024, and less than `max_tokens`."""
    display: Display | None
    """Amount of thinking that the response shows."""
    block_binding: Mapping[str, Any] | str


class ThinkingAdaptiveParam(TypedDict, total=False):
    """Think as much as the task wants."""

    type: Required[Literal["adaptive"]]
    display: Display | None
    """Amount of thinking that the response shows."""
    block_binding: Mapping[str, Any] | str


class ThinkingBetweenToolsParam(TypedDict, total=False):
    """Think between tool calls."""

    type: Required[Literal["between_tools"]]
    display: Display | None
    """Amount of thinking that the response shows."""


class ThinkingDisabledParam(TypedDict):
    """Do not think."""

    type: Literal["disabled"]


ThinkingParam: TypeAlias = (
    ThinkingEnabledParam | ThinkingAdaptiveParam | ThinkingBetweenToolsParam | ThinkingDisabledParam
)


class JSONSchemaFormatParam(TypedDict):
    """JSON output that fits a schema."""

    type: Literal["json_schema"]
    schema: Mapping[str, Any]


class TaskBudgetParam(TypedDict, total=False):
    """A token budget for a task of many requests."""

    type: Required[Literal["tokens"]]
    total: Required[int]
    remaining: int | None


class OutputConfigParam(TypedDict, total=False):
    """Format and effort of the response."""

    effort: Effort | None
    """Effort that the model puts into the response."""
    format: JSONSchemaFormatParam | None
    task_budget: TaskBudgetParam | None


class MetadataParam(TypedDict, total=False):
    """Metadata about the request."""

    user_id: str | None
    """An opaque id of the end user: no name, no address."""


class SkillParam(TypedDict, total=False):
    """A skill to load into the container."""

    type: Required[Literal["anthropic", "custom"]]
    skill_id: Required[str]
    version: str


class ContainerParam(TypedDict, total=False):
    """The container in which the service runs code."""

    id: str | None
    """That of an earlier response, to go on in it."""
    skills: Iterable[SkillParam] | None


class DiagnosticsParam(TypedDict, total=False):
    """Ask why the prompt cache did not help."""

    previous_message_id: str | None
    """The message to compare with."""


class TokensParam(TypedDict):
    """A number of input tokens."""

    type: Literal["input_tokens"]
    value: int


class ToolUsesParam(TypedDict):
    """A number of tool uses."""

    type: Literal["tool_uses"]
    value: int


class ThinkingTurnsParam(TypedDict, total=False):
    """A number of turns with thinking, or all of them."""

    type: Required[Literal["thinking_turns", "all"]]
    value: int


class ClearToolUsesParam(TypedDict, total=False):
    """Clear old tool results from the context."""

    type: Required[Literal["clear_tool_uses_20250919"]]
    trigger: TokensParam | ToolUsesParam
    """From when on."""
    keep: ToolUsesParam
    """Number of the last ones to keep."""
    clear_at_least: TokensParam | None
    clear_tool_inputs: bool | Iterable[str] | None
    """Also the inputs: of all tools, or of these."""
    exclude_tools: Iterable[str] | None


class ClearThinkingParam(TypedDict, total=False):
    """Clear old thinking from the context."""

    type: Required[Literal["clear_thinking_20251015"]]
    keep: ThinkingTurnsParam | Literal["all"]
    """Number of the last turns to keep it in."""


class CompactParam(TypedDict, total=False):
    """Sum the conversation up when it gets long."""

    type: Required[Literal["compact_20260112"]]
    trigger: TokensParam | None
    instructions: str | None
    pause_after_compaction: bool
    """Stop there, with the stop reason `compaction`."""


class ContextManagementParam(TypedDict, total=False):
    """Edits of the context that the service may make."""

    edits: Iterable[ClearToolUsesParam | ClearThinkingParam | CompactParam | Mapping[str, Any]]


class MCPToolConfigurationParam(TypedDict, total=False):
    """The tools of an MCP server that may be used."""

    enabled: bool | None
    allowed_tools: Iterable[str] | None


class MCPServerParam(TypedDict, total=False):
    """An MCP server that the service calls."""

    type: Required[Literal["url"]]
    name: Required[str]
    url: Required[str]
    authorization_token: str | None
    tool_configuration: MCPToolConfigurationParam | None


class FallbackParam(TypedDict, total=False):
    """A model that answers when the one before it refuses."""

    model: Required[str]
    max_tokens: int | None
    thinking: ThinkingParam | None
    output_config: OutputConfigParam | None
    speed: Literal["standard", "fast"] | None


class FallbackCreditTokenParam(TypedDict, total=False):
    """The token of a refusal, which pays for another attempt."""

    token: Required[str]
    mode: Literal["strict", "best_effort"]


class CompressionParam(TypedDict, total=False):
    """Shortening of a long history by Apertis, before the model reads it."""

    enabled: Required[bool]
    strategy: Literal["on", "conservative", "aggressive"]
    threshold: int
    """From how many tokens on."""
    keep_turns: int
    """Number of the last turns that are never changed."""
    model: str
    """Model that compresses; `auto` leaves the choice to the service."""
