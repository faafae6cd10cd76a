"""The parameters of each call.

`create` and `stream` take what `CreateParams` lists; `stream=True` is not among it, because what
`create` gives depends on it, so it stands in the method's own signature.

Checkers see each of these closed: a name that is not listed is an error. What the service takes
beyond the list goes into `extra_body`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Required

from apertis.params.content import CacheControlParam, MessagesParam, SystemParam
from apertis.params.options import (
    CompressionParam,
    ContainerParam,
    ContextManagementParam,
    DiagnosticsParam,
    FallbackCreditTokenParam,
    FallbackParam,
    MCPServerParam,
    MetadataParam,
    OutputConfigParam,
    ThinkingParam,
)
from apertis.params.tools import ToolChoiceParam, ToolUnionParam

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal
    from os import PathLike

    from typing_extensions import TypedDict

    from apertis.sansio.timeouts import Timeout
    from apertis.tools.loop import ToolCall
    from apertis.tools.settings import RunnableTool
else:
    from apertis.params.content import TypedDict

    # The values of programs have no schema, and their modules are not loaded for the parameters.
    Decimal = RunnableTool = Timeout = ToolCall = Any

    class Callable:
        """A value that has no schema."""

        def __class_getitem__(cls, _: object) -> Any:
            return Any

    PathLike = Callable


class _CallOptions(TypedDict, total=False):
    extra_headers: Mapping[str, str | None]
    """Headers for this call; None leaves out one that would be sent."""
    extra_query: Mapping[str, str | int | float | bool | None]
    """Query parameters for this call."""
    timeout: float | Timeout | None
    """Deadlines for this call, in seconds; None for none."""
    max_retries: int
    """Maximum number of retries of this call."""


class _BodyOptions(_CallOptions, total=False):
    extra_body: Mapping[str, Any]
    """Fields of the request that are not listed here."""
    betas: list[str] | tuple[str, ...]
    """Beta features, by name: the header `anthropic-beta`."""
    user_profile_id: str | None
    """The user profile that the request is made for; sent as a header."""
    workspace_id: str | None
    """The workspace that the request is made in; sent as a header."""


class _PromptFields(TypedDict, total=False):
    model: Required[str]
    """The model that is to answer, by its id."""
    messages: Required[MessagesParam]
    """The conversation so far; answers can stand in it as received."""
    system: SystemParam
    """Instructions: text, or a list of text blocks."""
    tool_choice: ToolChoiceParam
    """Choice of a tool: the model may, must or must not call one."""
    thinking: ThinkingParam
    """Extended thinking before the response."""
    output_config: OutputConfigParam
    """The effort, and the form of the response."""
    cache_control: CacheControlParam | None
    """Cache control for the last block that can be cached."""
    context_management: ContextManagementParam | None
    """Edits of the context that the service may make. Beta."""
    mcp_servers: Iterable[MCPServerParam]
    """MCP servers that the service may call. Beta."""
    speed: Literal["standard", "fast"] | None
    """`fast` answers sooner and costs more."""


class _ToolFields(TypedDict, total=False):
    tools: Iterable[ToolUnionParam]
    """Tools that the model may call."""


class _MessageFields(_PromptFields, total=False):
    max_tokens: Required[int]
    """The most tokens that the response may have; 0 fills the prompt cache without a response."""
    temperature: float
    """From 0, nearly the same response each time, to 1."""
    top_p: float
    """Choose among the likeliest words that add up to this probability."""
    top_k: int
    """Choose among this many of the likeliest words."""
    stop_sequences: list[str] | tuple[str, ...]
    """Texts at which the response ends."""
    metadata: MetadataParam
    """The end user that the request is made for."""
    container: ContainerParam | str | None
    """The container in which code runs: its id, or its id and skills."""
    diagnostics: DiagnosticsParam | None
    """Ask why the prompt cache did not help."""
    inference_geo: str | None
    """Region in which the model runs."""
    service_tier: Literal["auto", "standard_only"]
    """Use of reserved capacity."""
    fallbacks: Iterable[FallbackParam] | Literal["default"] | None
    """Models that answer when the requested one refuses. Beta."""
    fallback_credit_token: str | FallbackCreditTokenParam | None
    """Credit for another attempt after a refusal. Beta."""
    compaction: Mapping[str, Any] | None
    """Summing up of the conversation. Beta."""
    thread: Mapping[str, Any] | str | None
    """A conversation that the service keeps. Beta."""
    billing_policy: Mapping[str, Any] | str | None
    """Account that the request is charged to. Beta."""
    fallback_models: list[str] | tuple[str, ...]
    """Models for Apertis to ask when the first one fails: at most five, in order."""
    fallback_timeout: int
    """Time that Apertis waits for a model before the next, in milliseconds, 5000 to 300000."""
    fallback_enabled: bool
    """Use `fallback_models`; off by default."""
    compression: CompressionParam
    """Shortening of a long history by Apertis."""
    n: int
    """Number of responses; for upstreams that support it."""
    stop: str | list[str]
    """The same as `stop_sequences`, at most four."""
    seed: int
    """For answers that repeat, where the upstream can."""
    user: str
    """The same as `metadata.user_id`."""
    presence_penalty: float
    """From -2 to 2: dislike of words that were there at all."""
    frequency_penalty: float
    """From -2 to 2: dislike of words by how often they were there."""
    logit_bias: Mapping[str, float]
    """From -100 to 100, by token."""
    response_format: Mapping[str, Any]
    """The form of the response, in the words of other APIs; `output_config` is the API's own."""


class _Create(_MessageFields, _ToolFields, _BodyOptions, total=False):
    """The parameters of `messages.create`, but for `stream`."""


class _CountTokens(_PromptFields, _ToolFields, _BodyOptions, total=False):
    """The parameters of `messages.count_tokens`: those that make up the prompt."""


class _RunOptions(TypedDict, total=False):
    tools: Iterable[RunnableTool | Callable[..., Any] | ToolUnionParam]
    """Tools that the run calls, functions to make tools of, and tools of the service."""
    max_turns: int | None
    """The most requests."""
    max_total_tokens: int | None
    """The most tokens of all turns, read and generated; no turn is sent that could exceed it."""
    max_cost_usd: Decimal | float | str | None
    """The most dollars of all turns, at list prices; no turn is sent that could exceed it."""
    max_seconds: float | None
    """Time for the whole run; what runs by then is given up."""
    max_concurrent_calls: int | None
    """Number of calls that run at the same time; None for all calls of a turn."""
    tool_timeout: float | None
    """Seconds for each call whose tool has no `timeout` of its own; 300 by default."""
    approve: Callable[[ToolCall], Any] | None
    """Function that decides on each call: True, False, `Allow(input=...)`, `Deny(reason)`, or None
    to pause."""
    checkpoint: str | PathLike[str] | Callable[[str], Any] | None
    """Path of the checkpoint, or a function that keeps it; written after each step."""
    context_budget: int | None
    """Input tokens from which on the service clears old tool results from the context. Beta."""
    keep_tool_choice: bool
    """Keep a `tool_choice` that forces a call; else it is `auto` after one turn."""
    progress: Any
    """Function that is told of each step, or True for a bar."""


class _Run(_MessageFields, _RunOptions, _BodyOptions, total=False):
    """The parameters of `messages.run`, but for `stream`."""


class _ToolRunner(_Run, total=False):
    """The parameters of `messages.tool_runner`, but for `stream`."""

    max_iterations: int | None
    """The same as `max_turns`."""


class _Resume(_RunOptions, _BodyOptions, total=False):
    """The settings of a run that `messages.resume` changes; the others are in the checkpoint."""

    max_tokens: int
    """The most tokens that a response may have."""


class _BatchRequest(TypedDict):
    """One request of a batch."""

    custom_id: str
    """The caller's name for it, unique in the batch; the results carry it."""
    params: BatchMessageParams
    """Parameters as for `messages.create`."""


class _BatchCreate(_BodyOptions, total=False):
    """The parameters of `messages.batches.create`."""

    requests: Required[Iterable[BatchRequestParam]]
    """Up to 100,000 requests, or 256 MB of them."""


class _Options(_CallOptions, total=False):
    """The parameters of a call that has no body."""

    betas: list[str] | tuple[str, ...]
    """Beta features, by name: the header `anthropic-beta`."""


class _Verb(TypedDict, total=False):
    """The parameters of `client.get`, `client.post` and their like."""

    cast_to: Any
    """The value wanted: a model, `dict`, `str`, `bytes`, `type(None)`, or `httpx2.Response`."""
    body: Any
    """The body, as JSON."""
    options: Mapping[str, Any]
    """`headers`, `params`, `extra_json`, `timeout`, `max_retries`."""
    stream: bool
    """The response is an event stream."""
    stream_cls: Any
    """The class of such a stream; there is one."""


class _List(_Options, total=False):
    """The parameters of a list."""

    limit: int
    """Number of items on a page, 1 to 1000; 20 by default."""
    after_id: str
    """The page that follows this item."""
    before_id: str
    """The page that precedes this item."""


class _ModelList(_List, total=False):
    """The parameters of `models.list`."""

    lifecycle: Literal["active", "deprecated", "retired"] | list[str]
    """Only models that are at this point of their life."""


if TYPE_CHECKING:

    class CreateParams(_Create, total=False, closed=True):
        """The parameters of `messages.create`, but for `stream`."""

    class StreamParams(_Create, total=False, closed=True):
        """The parameters of `messages.stream`."""

    class CountTokensParams(_CountTokens, total=False, closed=True):
        """The parameters of `messages.count_tokens`: those that make up the prompt."""

    class RunParams(_Run, total=False, closed=True):
        """The parameters of `messages.run`, but for `stream`."""

    class ToolRunnerParams(_ToolRunner, total=False, closed=True):
        """The parameters of `messages.tool_runner`, but for `stream`."""

    class ResumeParams(_Resume, total=False, closed=True):
        """The settings that `messages.resume` changes."""

    class BatchMessageParams(_MessageFields, _ToolFields, total=False, closed=True):
        """Parameters of a request in a batch: those of `messages.create` without call options."""

    class BatchRequestParam(_BatchRequest, closed=True):
        """One request of a batch."""

    class BatchCreateParams(_BatchCreate, total=False, closed=True):
        """The parameters of `messages.batches.create`."""

    class OptionParams(_Options, total=False, closed=True):
        """The parameters of a call that has no body."""

    class VerbParams(_Verb, total=False, closed=True):
        """The parameters of `client.get`, `client.post` and their like."""

    class ListParams(_List, total=False, closed=True):
        """The parameters of a list."""

    class ModelListParams(_ModelList, total=False, closed=True):
        """The parameters of `models.list`."""

else:
    # Python learns to close a TypedDict only in 3.15.
    CreateParams = StreamParams = _Create
    CountTokensParams = _CountTokens
    RunParams, ToolRunnerParams, ResumeParams = _Run, _ToolRunner, _Resume

    class BatchMessageParams(_MessageFields, _ToolFields, total=False):
        """Parameters of a request in a batch: those of `messages.create` without call options."""

    BatchRequestParam = _BatchRequest
    BatchCreateParams = _BatchCreate
    OptionParams = _Options
    VerbParams = _Verb
    ListParams = _List
    ModelListParams = _ModelList
