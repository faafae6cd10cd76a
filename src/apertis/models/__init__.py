"""Responses of the service as frozen classes.

::

    Message            id, content, stop_reason, usage; text, thinking, tool_uses; to_param()
      content          ContentBlock: TextBlock, ThinkingBlock, ToolUseBlock, ... UnknownBlock
        citations      Citation: CharLocation, PageLocation, ... UnknownCitation
        content        results of the service's own tools: WebSearchResult, ... UnknownResult
      usage            Usage: tokens by class, ServerToolUsage, UsageIteration
    StreamEvent        MessageStartEvent, ContentBlockDeltaEvent, ... UnknownEvent
      delta            ContentBlockDelta: TextDelta, InputJSONDelta, ... UnknownDelta
    DerivedEvent       what the stream helper adds: TextEvent, InputJsonEvent, ...
    MessageBatch       request_counts; MessageBatchIndividualResponse: custom_id, result
    ModelInfo          id, display_name, capabilities
    MessageTokensCount input_tokens
    Page               data, has_more, first_id, last_id
    ResponseInfo       how a response came: status, Headers, RateLimit, Fallback

Their fields cannot be set, and they compare by value. They are open to the future: a field that a
class does not know is an attribute all the same, a variant that no class knows is an `Unknown...`
with its `data`, and `to_dict()` gives the JSON that came, with nothing dropped and nothing added.

The lists and dicts in them can be edited: `block.input["to"] = "me"`, `message.content.append(b)`.
What a program sees is what `to_dict()` gives and what the next request sends. What nobody edited is
sent as the bytes that came.

Programs and their tests can make them, of objects or of JSON: `TextBlock(text="Hi")`,
`Message(**data)`. `model_dump()`, `model_copy()`, `model_validate()` and others do what pydantic's
methods of these names do. Times are `Timestamp`s: datetimes that keep the text that came.
"""

from types import ModuleType as _ModuleType

from apertis.models.batches import BatchResult as BatchResult
from apertis.models.batches import CanceledResult as CanceledResult
from apertis.models.batches import DeletedMessageBatch as DeletedMessageBatch
from apertis.models.batches import ErroredResult as ErroredResult
from apertis.models.batches import ErrorResponse as ErrorResponse
from apertis.models.batches import ExpiredResult as ExpiredResult
from apertis.models.batches import MessageBatch as MessageBatch
from apertis.models.batches import MessageBatchIndividualResponse as MessageBatchIndividualResponse
from apertis.models.batches import MessageBatchRequestCounts as MessageBatchRequestCounts
from apertis.models.batches import SucceededResult as SucceededResult
from apertis.models.batches import UnknownBatchResult as UnknownBatchResult
from apertis.models.blocks import AdvisorToolResultBlock as AdvisorToolResultBlock
from apertis.models.blocks import (
    BashCodeExecutionToolResultBlock as BashCodeExecutionToolResultBlock,
)
from apertis.models.blocks import Block as Block
from apertis.models.blocks import Caller as Caller
from apertis.models.blocks import CodeExecutionToolResultBlock as CodeExecutionToolResultBlock
from apertis.models.blocks import CompactionBlock as CompactionBlock
from apertis.models.blocks import ContainerUploadBlock as ContainerUploadBlock
from apertis.models.blocks import ContentBlock as ContentBlock
from apertis.models.blocks import FallbackBlock as FallbackBlock
from apertis.models.blocks import FallbackHop as FallbackHop
from apertis.models.blocks import FallbackTrigger as FallbackTrigger
from apertis.models.blocks import MCPToolListingBlock as MCPToolListingBlock
from apertis.models.blocks import MCPToolResultBlock as MCPToolResultBlock
from apertis.models.blocks import MCPToolUseBlock as MCPToolUseBlock
from apertis.models.blocks import RedactedThinkingBlock as RedactedThinkingBlock
from apertis.models.blocks import ServerToolUseBlock as ServerToolUseBlock
from apertis.models.blocks import TextBlock as TextBlock
from apertis.models.blocks import (
    TextEditorCodeExecutionToolResultBlock as TextEditorCodeExecutionToolResultBlock,
)
from apertis.models.blocks import ThinkingBlock as ThinkingBlock
from apertis.models.blocks import ToolSearchToolResultBlock as ToolSearchToolResultBlock
from apertis.models.blocks import ToolUseBlock as ToolUseBlock
from apertis.models.blocks import UnknownBlock as UnknownBlock
from apertis.models.blocks import WebFetchToolResultBlock as WebFetchToolResultBlock
from apertis.models.blocks import WebSearchToolResultBlock as WebSearchToolResultBlock
from apertis.models.building import InvalidFields as InvalidFields
from apertis.models.building import Malformed as Malformed
from apertis.models.catalogue import Capability as Capability
from apertis.models.catalogue import ContextManagementCapability as ContextManagementCapability
from apertis.models.catalogue import CountedContext as CountedContext
from apertis.models.catalogue import EffortCapability as EffortCapability
from apertis.models.catalogue import MessageTokensCount as MessageTokensCount
from apertis.models.catalogue import ModelCapabilities as ModelCapabilities
from apertis.models.catalogue import ModelInfo as ModelInfo
from apertis.models.catalogue import ThinkingCapability as ThinkingCapability
from apertis.models.catalogue import ThinkingTypes as ThinkingTypes
from apertis.models.citations import CharLocation as CharLocation
from apertis.models.citations import Citation as Citation
from apertis.models.citations import ContentBlockLocation as ContentBlockLocation
from apertis.models.citations import PageLocation as PageLocation
from apertis.models.citations import SearchResultLocation as SearchResultLocation
from apertis.models.citations import UnknownCitation as UnknownCitation
from apertis.models.citations import WebSearchResultLocation as WebSearchResultLocation
from apertis.models.derived import CitationEvent as CitationEvent
from apertis.models.derived import CompactionEvent as CompactionEvent
from apertis.models.derived import DerivedEvent as DerivedEvent
from apertis.models.derived import InputJsonEvent as InputJsonEvent
from apertis.models.derived import MessageStreamEvent as MessageStreamEvent
from apertis.models.derived import RawEvent as RawEvent
from apertis.models.derived import SignatureEvent as SignatureEvent
from apertis.models.derived import TextEvent as TextEvent
from apertis.models.derived import ThinkingEvent as ThinkingEvent
from apertis.models.derived import parse_partial_json as parse_partial_json
from apertis.models.events import CitationsDelta as CitationsDelta
from apertis.models.events import CompactionDelta as CompactionDelta
from apertis.models.events import ContentBlockDelta as ContentBlockDelta
from apertis.models.events import ContentBlockDeltaEvent as ContentBlockDeltaEvent
from apertis.models.events import ContentBlockStartEvent as ContentBlockStartEvent
from apertis.models.events import ContentBlockStopEvent as ContentBlockStopEvent
from apertis.models.events import ErrorDetail as ErrorDetail
from apertis.models.events import ErrorEvent as ErrorEvent
from apertis.models.events import InputJSONDelta as InputJSONDelta
from apertis.models.events import MessageDelta as MessageDelta
from apertis.models.events import MessageDeltaEvent as MessageDeltaEvent
from apertis.models.events import MessageStartEvent as MessageStartEvent
from apertis.models.events import MessageStopEvent as MessageStopEvent
from apertis.models.events import PingEvent as PingEvent
from apertis.models.events import SignatureDelta as SignatureDelta
from apertis.models.events import StreamEvent as StreamEvent
from apertis.models.events import TextDelta as TextDelta
from apertis.models.events import ThinkingDelta as ThinkingDelta
from apertis.models.events import UnknownDelta as UnknownDelta
from apertis.models.events import UnknownEvent as UnknownEvent
from apertis.models.message import AppliedEdit as AppliedEdit
from apertis.models.message import CacheMissReason as CacheMissReason
from apertis.models.message import Container as Container
from apertis.models.message import ContainerSkill as ContainerSkill
from apertis.models.message import ContextManagement as ContextManagement
from apertis.models.message import Diagnostics as Diagnostics
from apertis.models.message import InputTransformation as InputTransformation
from apertis.models.message import Message as Message
from apertis.models.message import ParsedMessage as ParsedMessage
from apertis.models.message import StopDetails as StopDetails
from apertis.models.message import StopReason as StopReason
from apertis.models.model import Model as Model
from apertis.models.model import Result as Result
from apertis.models.model import Unknown as Unknown
from apertis.models.model import attach_prices as attach_prices
from apertis.models.model import attach_response as attach_response
from apertis.models.pages import Page as Page
from apertis.models.response import URL as URL
from apertis.models.response import Fallback as Fallback
from apertis.models.response import Headers as Headers
from apertis.models.response import RateLimit as RateLimit
from apertis.models.response import RequestHeaders as RequestHeaders
from apertis.models.response import RequestInfo as RequestInfo
from apertis.models.response import ResponseInfo as ResponseInfo
from apertis.models.response import WholeResponse as WholeResponse
from apertis.models.results import AdvisorRedactedResult as AdvisorRedactedResult
from apertis.models.results import AdvisorResult as AdvisorResult
from apertis.models.results import AdvisorToolResultError as AdvisorToolResultError
from apertis.models.results import Base64Source as Base64Source
from apertis.models.results import BashCodeExecutionOutput as BashCodeExecutionOutput
from apertis.models.results import BashCodeExecutionResult as BashCodeExecutionResult
from apertis.models.results import (
    BashCodeExecutionToolResultError as BashCodeExecutionToolResultError,
)
from apertis.models.results import CitationsConfig as CitationsConfig
from apertis.models.results import CodeExecutionOutput as CodeExecutionOutput
from apertis.models.results import CodeExecutionResult as CodeExecutionResult
from apertis.models.results import CodeExecutionToolResultError as CodeExecutionToolResultError
from apertis.models.results import DocumentSource as DocumentSource
from apertis.models.results import EncryptedCodeExecutionResult as EncryptedCodeExecutionResult
from apertis.models.results import FetchedDocument as FetchedDocument
from apertis.models.results import PlainTextSource as PlainTextSource
from apertis.models.results import TextEditorCreateResult as TextEditorCreateResult
from apertis.models.results import TextEditorStrReplaceResult as TextEditorStrReplaceResult
from apertis.models.results import TextEditorToolResultError as TextEditorToolResultError
from apertis.models.results import TextEditorViewResult as TextEditorViewResult
from apertis.models.results import ToolReference as ToolReference
from apertis.models.results import ToolSearchResult as ToolSearchResult
from apertis.models.results import ToolSearchToolResultError as ToolSearchToolResultError
from apertis.models.results import UnknownResult as UnknownResult
from apertis.models.results import WebFetchResult as WebFetchResult
from apertis.models.results import WebFetchToolResultError as WebFetchToolResultError
from apertis.models.results import WebSearchResult as WebSearchResult
from apertis.models.results import WebSearchToolResultError as WebSearchToolResultError
from apertis.models.times import Timestamp as Timestamp
from apertis.models.usage import CacheCreation as CacheCreation
from apertis.models.usage import MessageDeltaUsage as MessageDeltaUsage
from apertis.models.usage import OutputTokensDetails as OutputTokensDetails
from apertis.models.usage import ServerToolUsage as ServerToolUsage
from apertis.models.usage import Usage as Usage
from apertis.models.usage import UsageIteration as UsageIteration
from apertis.models.wire import build as build
from apertis.models.wire import build_block as build_block
from apertis.models.wire import build_event as build_event
from apertis.models.wire import build_message as build_message
from apertis.models.wire import decode as decode
from apertis.models.wire import decode_event as decode_event
from apertis.models.wire import decode_message as decode_message
from apertis.models.wire import decode_page as decode_page
from apertis.models.wire import raw as raw

# All that stands above; the modules of the package are its attributes as well.
__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    name for name in dir() if name[0] != "_" and not isinstance(globals()[name], _ModuleType)
]
