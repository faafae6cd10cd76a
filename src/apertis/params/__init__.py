"""Request parameters: TypedDicts, each field documented once, under the field.

::

    CreateParams          what `messages.create` takes; also StreamParams, CountTokensParams
      messages            MessageParam: role, content; a response can stand in it as received
        content           ContentBlockParam: TextBlockParam, ImageBlockParam, ...; any response's
      tools               ToolParam, the service's own: WebSearchToolParam, ...; any mapping
      tool_choice         ToolChoiceParam
      thinking            ThinkingParam
      output_config       OutputConfigParam
      compression         CompressionParam
    RunParams             what `messages.run` takes; ToolRunnerParams, ResumeParams
    BatchCreateParams     requests: BatchRequestParam: custom_id, params
    ListParams            limit, after_id, before_id; ModelListParams
    OptionParams          what every call takes: extra_headers, timeout, max_retries, ...

`apertis.params.results` has what stands in the results of the service's own tools. They all exist
for type checkers and readers: at run time a dict is a dict, and what the service takes
beyond these lists goes through as it is.
"""

from apertis.params.calls import BatchCreateParams as BatchCreateParams
from apertis.params.calls import BatchMessageParams as BatchMessageParams
from apertis.params.calls import BatchRequestParam as BatchRequestParam
from apertis.params.calls import CountTokensParams as CountTokensParams
from apertis.params.calls import CreateParams as CreateParams
from apertis.params.calls import ListParams as ListParams
from apertis.params.calls import ModelListParams as ModelListParams
from apertis.params.calls import OptionParams as OptionParams
from apertis.params.calls import ResumeParams as ResumeParams
from apertis.params.calls import RunParams as RunParams
from apertis.params.calls import StreamParams as StreamParams
from apertis.params.calls import ToolRunnerParams as ToolRunnerParams
from apertis.params.calls import VerbParams as VerbParams
from apertis.params.content import Base64ImageSourceParam as Base64ImageSourceParam
from apertis.params.content import Base64PDFSourceParam as Base64PDFSourceParam
from apertis.params.content import BrowserStateBlockParam as BrowserStateBlockParam
from apertis.params.content import CacheControlParam as CacheControlParam
from apertis.params.content import CallerParam as CallerParam
from apertis.params.content import CharLocationParam as CharLocationParam
from apertis.params.content import CitationParam as CitationParam
from apertis.params.content import CitationsParam as CitationsParam
from apertis.params.content import CompactionBlockParam as CompactionBlockParam
from apertis.params.content import ContainerUploadBlockParam as ContainerUploadBlockParam
from apertis.params.content import Content as Content
from apertis.params.content import ContentBlockLocationParam as ContentBlockLocationParam
from apertis.params.content import ContentBlockParam as ContentBlockParam
from apertis.params.content import ContentSourceParam as ContentSourceParam
from apertis.params.content import DocumentBlockParam as DocumentBlockParam
from apertis.params.content import FallbackBlockParam as FallbackBlockParam
from apertis.params.content import FileSourceParam as FileSourceParam
from apertis.params.content import ImageBlockParam as ImageBlockParam
from apertis.params.content import ImageMediaType as ImageMediaType
from apertis.params.content import MCPToolResultBlockParam as MCPToolResultBlockParam
from apertis.params.content import MCPToolUseBlockParam as MCPToolUseBlockParam
from apertis.params.content import MessageParam as MessageParam
from apertis.params.content import MessagesParam as MessagesParam
from apertis.params.content import (
    MidConversationSystemBlockParam as MidConversationSystemBlockParam,
)
from apertis.params.content import PageLocationParam as PageLocationParam
from apertis.params.content import PlainTextSourceParam as PlainTextSourceParam
from apertis.params.content import RedactedThinkingBlockParam as RedactedThinkingBlockParam
from apertis.params.content import SearchResultBlockParam as SearchResultBlockParam
from apertis.params.content import SearchResultLocationParam as SearchResultLocationParam
from apertis.params.content import ServerToolResultBlockParam as ServerToolResultBlockParam
from apertis.params.content import ServerToolUseBlockParam as ServerToolUseBlockParam
from apertis.params.content import SystemParam as SystemParam
from apertis.params.content import TextBlockParam as TextBlockParam
from apertis.params.content import ThinkingBlockParam as ThinkingBlockParam
from apertis.params.content import ToolChangeBlockParam as ToolChangeBlockParam
from apertis.params.content import ToolNameParam as ToolNameParam
from apertis.params.content import ToolReferenceBlockParam as ToolReferenceBlockParam
from apertis.params.content import ToolResultBlockParam as ToolResultBlockParam
from apertis.params.content import ToolResultContentParam as ToolResultContentParam
from apertis.params.content import ToolUseBlockParam as ToolUseBlockParam
from apertis.params.content import URLSourceParam as URLSourceParam
from apertis.params.content import WebSearchResultLocationParam as WebSearchResultLocationParam
from apertis.params.options import ClearThinkingParam as ClearThinkingParam
from apertis.params.options import ClearToolUsesParam as ClearToolUsesParam
from apertis.params.options import CompactParam as CompactParam
from apertis.params.options import CompressionParam as CompressionParam
from apertis.params.options import ContainerParam as ContainerParam
from apertis.params.options import ContextManagementParam as ContextManagementParam
from apertis.params.options import DiagnosticsParam as DiagnosticsParam
from apertis.params.options import Display as Display
from apertis.params.options import Effort as Effort
from apertis.params.options import FallbackCreditTokenParam as FallbackCreditTokenParam
from apertis.params.options import FallbackParam as FallbackParam
from apertis.params.options import JSONSchemaFormatParam as JSONSchemaFormatParam
from apertis.params.options import MCPServerParam as MCPServerParam
from apertis.params.options import MCPToolConfigurationParam as MCPToolConfigurationParam
from apertis.params.options import MetadataParam as MetadataParam
from apertis.params.options import OutputConfigParam as OutputConfigParam
from apertis.params.options import SkillParam as SkillParam
from apertis.params.options import TaskBudgetParam as TaskBudgetParam
from apertis.params.options import ThinkingAdaptiveParam as ThinkingAdaptiveParam
from apertis.params.options import ThinkingBetweenToolsParam as ThinkingBetweenToolsParam
from apertis.params.options import ThinkingDisabledParam as ThinkingDisabledParam
from apertis.params.options import ThinkingEnabledParam as ThinkingEnabledParam
from apertis.params.options import ThinkingParam as ThinkingParam
from apertis.params.options import ThinkingTurnsParam as ThinkingTurnsParam
from apertis.params.options import TokensParam as TokensParam
from apertis.params.options import ToolUsesParam as ToolUsesParam
from apertis.params.tools import AdvisorToolParam as AdvisorToolParam
from apertis.params.tools import AllowedCaller as AllowedCaller
from apertis.params.tools import BashToolParam as BashToolParam
from apertis.params.tools import CodeExecutionToolParam as CodeExecutionToolParam
from apertis.params.tools import ComputerUseToolParam as ComputerUseToolParam
from apertis.params.tools import MCPToolConfigParam as MCPToolConfigParam
from apertis.params.tools import MCPToolsetParam as MCPToolsetParam
from apertis.params.tools import MemoryToolParam as MemoryToolParam
from apertis.params.tools import ServerToolParam as ServerToolParam
from apertis.params.tools import TextEditorToolParam as TextEditorToolParam
from apertis.params.tools import ToolChoiceAnyParam as ToolChoiceAnyParam
from apertis.params.tools import ToolChoiceAutoParam as ToolChoiceAutoParam
from apertis.params.tools import ToolChoiceNoneParam as ToolChoiceNoneParam
from apertis.params.tools import ToolChoiceParam as ToolChoiceParam
from apertis.params.tools import ToolChoiceToolParam as ToolChoiceToolParam
from apertis.params.tools import ToolParam as ToolParam
from apertis.params.tools import ToolSearchToolParam as ToolSearchToolParam
from apertis.params.tools import ToolsetParam as ToolsetParam
from apertis.params.tools import ToolUnionParam as ToolUnionParam
from apertis.params.tools import UserLocationParam as UserLocationParam
from apertis.params.tools import WebFetchToolParam as WebFetchToolParam
from apertis.params.tools import WebSearchToolParam as WebSearchToolParam

# All that stands above; the modules of the package are attributes in lower case.
__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    name for name in dir() if name[0].isupper()
]
