"""The one table of `apertis.types`: names of `anthropic.types` -> classes and types of ours.

What anthropic has twice, for its beta and without, is one thing here: each name is in
`apertis.types.beta` too, with `Beta` in front. Names that stand with it here are there alone. The
stubs that type checkers read are written from
this table: see tools/generate_types.py.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from typing import Any

# Where ours is -> its name -> their names for it.
_OURS: dict[str, dict[str, str]] = {
    "apertis.models": {
        "AdvisorRedactedResult": "BetaAdvisorRedactedResultBlock",
        "AdvisorResult": "BetaAdvisorResultBlock",
        "AdvisorToolResultBlock": "BetaAdvisorToolResultBlock",
        "AdvisorToolResultError": "BetaAdvisorToolResultError BetaAdvisorToolResultErrorObject",
        "AppliedEdit": (
            "BetaClearThinking20251015EditResponse BetaClearToolUses20250919EditResponse"
        ),
        "Base64Source": "Base64PDFSource",
        "BashCodeExecutionOutput": "BashCodeExecutionOutputBlock",
        "BashCodeExecutionResult": "BashCodeExecutionResultBlock",
        "BashCodeExecutionToolResultBlock": "BashCodeExecutionToolResultBlock",
        "BashCodeExecutionToolResultError": (
            "BashCodeExecutionToolResultError BashCodeExecutionToolResultErrorObject"
        ),
        "BatchResult": "MessageBatchResult",
        "CacheCreation": "CacheCreation",
        "CacheMissReason": (
            "CacheMissReason CacheMissMessagesChanged CacheMissModelChanged "
            "CacheMissPreviousMessageNotFound CacheMissSystemChanged CacheMissToolsChanged "
            "CacheMissUnavailable"
        ),
        "Caller": "DirectCaller ServerToolCaller ServerToolCaller20260120 ToolUseCaller",
        "CanceledResult": "MessageBatchCanceledResult",
        "Capability": "CapabilitySupport BetaCompactionCapability",
        "CharLocation": "CitationCharLocation",
        "Citation": "TextCitation",
        "CitationsConfig": "CitationsConfig BetaCitationConfig",
        "CitationsDelta": "CitationsDelta",
        "CodeExecutionOutput": "CodeExecutionOutputBlock",
        "CodeExecutionResult": "CodeExecutionResultBlock",
        "CodeExecutionToolResultBlock": "CodeExecutionToolResultBlock",
        "CodeExecutionToolResultError": (
            "CodeExecutionToolResultError CodeExecutionToolResultErrorObject"
        ),
        "CompactionBlock": "BetaCompactionBlock",
        "CompactionDelta": "BetaCompactionContentBlockDelta",
        "Container": "Container",
        "ContainerSkill": "ContainerSkill",
        "ContainerUploadBlock": "ContainerUploadBlock",
        "ContentBlock": "ContentBlock ParsedContentBlock",
        "ContentBlockDelta": "RawContentBlockDelta",
        "ContentBlockDeltaEvent": "ContentBlockDeltaEvent RawContentBlockDeltaEvent",
        "ContentBlockLocation": "CitationContentBlockLocation",
        "ContentBlockStartEvent": "ContentBlockStartEvent RawContentBlockStartEvent",
        "ContentBlockStopEvent": "ContentBlockStopEvent RawContentBlockStopEvent",
        "ContextManagement": "BetaContextManagementResponse",
        "ContextManagementCapability": "ContextManagementCapability",
        "CountedContext": "BetaCountTokensContextManagementResponse",
        "DeletedMessageBatch": "DeletedMessageBatch",
        "Diagnostics": "Diagnostics",
        "EffortCapability": "EffortCapability",
        "EncryptedCodeExecutionResult": "EncryptedCodeExecutionResultBlock",
        "ErrorDetail": (
            "BetaAPIError APIErrorObject AuthenticationError AuthenticationErrorObject "
            "BillingError BillingErrorObject BetaError ErrorObject GatewayTimeoutError "
            "GatewayTimeoutErrorObject InvalidRequestError InvalidRequestErrorObject "
            "NotFoundError NotFoundErrorObject OverloadedError OverloadedErrorObject "
            "PermissionError PermissionErrorObject RateLimitError RateLimitErrorObject"
        ),
        "ErrorResponse": "ErrorResponse",
        "ErroredResult": "MessageBatchErroredResult",
        "ExpiredResult": "MessageBatchExpiredResult",
        "FallbackBlock": "BetaFallbackBlock",
        "FallbackHop": "BetaFallbackInfo",
        "FallbackTrigger": "BetaFallbackRefusalTrigger",
        "FetchedDocument": "DocumentBlock",
        "InputJSONDelta": "InputJSONDelta",
        "InputTransformation": (
            "BetaInputTransformation BetaThinkingDroppedInputTransformation "
            "BetaThinkingMismatchAllowedInputTransformation"
        ),
        "MCPToolListingBlock": "BetaMCPToolListingBlock",
        "MCPToolResultBlock": "BetaMCPToolResultBlock",
        "MCPToolUseBlock": "BetaMCPToolUseBlock",
        "Message": "Message",
        "MessageBatch": "MessageBatch",
        "MessageBatchIndividualResponse": "MessageBatchIndividualResponse",
        "MessageBatchRequestCounts": "MessageBatchRequestCounts",
        "MessageDeltaEvent": "MessageDeltaEvent RawMessageDeltaEvent",
        "MessageDeltaUsage": "MessageDeltaUsage",
        "MessageStartEvent": "MessageStartEvent RawMessageStartEvent",
        "MessageStopEvent": "MessageStopEvent RawMessageStopEvent",
        "MessageTokensCount": "MessageTokensCount",
        "ModelCapabilities": "ModelCapabilities",
        "ModelInfo": "ModelInfo",
        "OutputTokensDetails": "OutputTokensDetails",
        "PageLocation": "CitationPageLocation",
        "ParsedMessage": "ParsedMessage",
        "PlainTextSource": "PlainTextSource",
        "RedactedThinkingBlock": "RedactedThinkingBlock",
        "SearchResultLocation": "CitationsSearchResultLocation BetaCitationSearchResultLocation",
        "ServerToolUsage": "ServerToolUsage",
        "ServerToolUseBlock": "ServerToolUseBlock",
        "SignatureDelta": "SignatureDelta",
        "StopDetails": "RefusalStopDetails",
        "StopReason": "StopReason",
        "StreamEvent": "MessageStreamEvent RawMessageStreamEvent",
        "SucceededResult": "MessageBatchSucceededResult",
        "TextBlock": "TextBlock",
        "TextDelta": "TextDelta",
        "TextEditorCodeExecutionToolResultBlock": "TextEditorCodeExecutionToolResultBlock",
        "TextEditorCreateResult": "TextEditorCodeExecutionCreateResultBlock",
        "TextEditorStrReplaceResult": "TextEditorCodeExecutionStrReplaceResultBlock",
        "TextEditorToolResultError": (
            "TextEditorCodeExecutionToolResultError TextEditorCodeExecutionToolResultErrorObject"
        ),
        "TextEditorViewResult": "TextEditorCodeExecutionViewResultBlock",
        "ThinkingBlock": "ThinkingBlock",
        "ThinkingCapability": "ThinkingCapability",
        "ThinkingDelta": "ThinkingDelta",
        "ThinkingTypes": "ThinkingTypes",
        "ToolReference": "ToolReferenceBlock",
        "ToolSearchResult": "ToolSearchToolSearchResultBlock",
        "ToolSearchToolResultBlock": "ToolSearchToolResultBlock",
        "ToolSearchToolResultError": "ToolSearchToolResultError ToolSearchToolResultErrorObject",
        "ToolUseBlock": (
            "ToolUseBlock ToolsetToolUseBlock ResponseToolUseBlockUnion BrowserToolUseBlock "
            "ComputerToolUseBlock ResponseBrowserToolUseBlock ResponseComputerToolUseBlock"
        ),
        "Usage": "Usage",
        "UsageIteration": (
            "BetaMessageIterationUsage BetaCompactionIterationUsage "
            "BetaAdvisorMessageIterationUsage BetaFallbackMessageIterationUsage "
            "BetaIterationsUsageItem"
        ),
        "WebFetchResult": "WebFetchBlock",
        "WebFetchToolResultBlock": "WebFetchToolResultBlock",
        "WebFetchToolResultError": "WebFetchToolResultErrorBlock",
        "WebSearchResult": "WebSearchResultBlock",
        "WebSearchResultLocation": "CitationsWebSearchResultLocation",
        "WebSearchToolResultBlock": "WebSearchToolResultBlock",
        "WebSearchToolResultError": "WebSearchToolResultError WebSearchToolResultErrorObject",
    },
    "apertis.models.blocks": {
        "ParsedTextBlock": "ParsedTextBlock",
    },
    "apertis.models.results": {
        "CodeExecutionContent": "CodeExecutionToolResultBlockContent",
        "WebSearchContent": "WebSearchToolResultBlockContent",
    },
    "apertis.models.commands": {
        "MemoryCommand": "BetaMemoryTool20250818Command",
        "MemoryCreateCommand": "BetaMemoryTool20250818CreateCommand",
        "MemoryDeleteCommand": "BetaMemoryTool20250818DeleteCommand",
        "MemoryInsertCommand": "BetaMemoryTool20250818InsertCommand",
        "MemoryRenameCommand": "BetaMemoryTool20250818RenameCommand",
        "MemoryStrReplaceCommand": "BetaMemoryTool20250818StrReplaceCommand",
        "MemoryViewCommand": "BetaMemoryTool20250818ViewCommand",
    },
    "apertis.params": {
        "AdvisorToolParam": "BetaAdvisorTool20260301Param",
        "Base64ImageSourceParam": "Base64ImageSourceParam",
        "Base64PDFSourceParam": "Base64PDFSourceParam",
        "BashToolParam": "BetaToolBash20241022Param ToolBash20250124Param",
        "BatchCreateParams": "BatchCreateParams",
        "BrowserStateBlockParam": "BrowserStateBlockParam",
        "CacheControlParam": "CacheControlEphemeralParam",
        "CallerParam": "DirectCallerParam ServerToolCallerParam ServerToolCaller20260120Param",
        "CitationsParam": "CitationsConfigParam BetaCitationsConfigParamParam",
        "ClearThinkingParam": "BetaClearThinking20251015EditParam",
        "ClearToolUsesParam": "BetaClearToolUses20250919EditParam",
        "CodeExecutionToolParam": (
            "CodeExecutionTool20250522Param CodeExecutionTool20250825Param "
            "CodeExecutionTool20260120Param CodeExecutionTool20260521Param"
        ),
        "CompactParam": "BetaCompact20260112EditParam",
        "CompactionBlockParam": "BetaCompactionBlockParam",
        "ComputerUseToolParam": (
            "BetaToolComputerUse20241022Param BetaToolComputerUse20250124Param "
            "BetaToolComputerUse20251124Param"
        ),
        "ContainerParam": "ContainerParams",
        "ContainerUploadBlockParam": "ContainerUploadBlockParam",
        "ContentBlockParam": "ContentBlockParam",
        "ContentSourceParam": "ContentBlockSourceParam",
        "Content": "MessageContentParam",
        "ContextManagementParam": "BetaContextManagementConfigParam",
        "CountTokensParams": "MessageCountTokensParams",
        "CreateParams": "MessageCreateParams",
        "DiagnosticsParam": "DiagnosticsParam",
        "DocumentBlockParam": "DocumentBlockParam BetaRequestDocumentBlockParam",
        "FallbackBlockParam": "BetaFallbackBlockParam",
        "FallbackCreditTokenParam": "BetaFallbackCreditTokenParam",
        "FallbackParam": "BetaFallbackParam",
        "FileSourceParam": "FileDocumentSourceParam FileImageSourceParam",
        "ImageBlockParam": "ImageBlockParam",
        "JSONSchemaFormatParam": "JSONOutputFormatParam",
        "ListParams": "BatchListParams",
        "MCPServerParam": "BetaRequestMCPServerURLDefinitionParam",
        "MCPToolConfigParam": "BetaMCPToolConfigParam BetaMCPToolDefaultConfigParam",
        "MCPToolConfigurationParam": "BetaRequestMCPServerToolConfigurationParam",
        "MCPToolResultBlockParam": "BetaMCPToolResultBlockParam BetaRequestMCPToolResultBlockParam",
        "MCPToolUseBlockParam": "BetaMCPToolUseBlockParam",
        "MCPToolsetParam": "BetaMCPToolsetParam",
        "MemoryToolParam": "MemoryTool20250818Param",
        "MessageParam": "MessageParam AssistantMessageParam SystemMessageParam UserMessageParam",
        "MetadataParam": "MetadataParam",
        "ModelListParams": "ModelListParams",
        "OutputConfigParam": "OutputConfigParam BetaSystemMessageOutputConfigParam",
        "PlainTextSourceParam": "PlainTextSourceParam",
        "RedactedThinkingBlockParam": "RedactedThinkingBlockParam",
        "SearchResultBlockParam": "SearchResultBlockParam",
        "ServerToolResultBlockParam": (
            "BetaAdvisorToolResultBlockParam BashCodeExecutionToolResultBlockParam "
            "CodeExecutionToolResultBlockParam TextEditorCodeExecutionToolResultBlockParam "
            "ToolSearchToolResultBlockParam WebFetchToolResultBlockParam "
            "WebSearchToolResultBlockParam"
        ),
        "ServerToolUseBlockParam": "ServerToolUseBlockParam",
        "SkillParam": "SkillParams",
        "TaskBudgetParam": "BetaTokenTaskBudgetParam",
        "TextBlockParam": "TextBlockParam",
        "TextEditorToolParam": (
            "BetaToolTextEditor20241022Param ToolTextEditor20250124Param "
            "ToolTextEditor20250429Param ToolTextEditor20250728Param"
        ),
        "ThinkingAdaptiveParam": "ThinkingConfigAdaptiveParam",
        "ThinkingBetweenToolsParam": "ThinkingConfigBetweenToolsParam",
        "ThinkingBlockParam": "ThinkingBlockParam",
        "ThinkingDisabledParam": "ThinkingConfigDisabledParam",
        "ThinkingEnabledParam": "ThinkingConfigEnabledParam",
        "ThinkingParam": "ThinkingConfigParam",
        "ThinkingTurnsParam": "BetaThinkingTurnsParam BetaAllThinkingTurnsParam",
        "TokensParam": "BetaInputTokensClearAtLeastParam BetaInputTokensTriggerParam",
        "ToolChangeBlockParam": (
            "BetaRequestToolAdditionBlockParam BetaRequestToolRemovalBlockParam"
        ),
        "ToolChoiceAnyParam": "ToolChoiceAnyParam",
        "ToolChoiceAutoParam": "ToolChoiceAutoParam",
        "ToolChoiceNoneParam": "ToolChoiceNoneParam",
        "ToolChoiceParam": "ToolChoiceParam",
        "ToolChoiceToolParam": "ToolChoiceToolParam",
        "ToolNameParam": (
            "BetaToolChangeMCPToolReferenceParam BetaToolChangeMCPToolsetReferenceParam "
            "BetaToolChangeToolReferenceParam"
        ),
        "ToolParam": "ToolParam",
        "ToolReferenceBlockParam": "ToolReferenceBlockParam",
        "ToolResultBlockParam": "ToolResultBlockParam",
        "ToolSearchToolParam": "ToolSearchToolBm25_20251119Param ToolSearchToolRegex20251119Param",
        "ToolUnionParam": "ToolUnionParam MessageCountTokensToolParam",
        "ToolUseBlockParam": "ToolUseBlockParam",
        "ToolUsesParam": "BetaToolUsesKeepParam BetaToolUsesTriggerParam",
        "ToolsetParam": "BrowserToolset20260801Param ComputerToolset20260801Param",
        "URLSourceParam": "URLImageSourceParam URLPDFSourceParam",
        "UserLocationParam": "UserLocationParam",
        "WebFetchToolParam": (
            "WebFetchTool20250910Param WebFetchTool20260209Param WebFetchTool20260309Param "
            "WebFetchTool20260318Param"
        ),
        "WebSearchToolParam": (
            "WebSearchTool20250305Param WebSearchTool20260209Param WebSearchTool20260318Param"
        ),
    },
    "apertis.params.content": {
        "CitationParam": "TextCitationParam",
        "CharLocationParam": "CitationCharLocationParam",
        "ContentBlockLocationParam": "CitationContentBlockLocationParam",
        "PageLocationParam": "CitationPageLocationParam",
        "SearchResultLocationParam": "CitationSearchResultLocationParam",
        "WebSearchResultLocationParam": "CitationWebSearchResultLocationParam",
    },
    "apertis.params.results": {
        "AdvisorRedactedResultParam": "BetaAdvisorRedactedResultBlockParam",
        "AdvisorResultParam": "BetaAdvisorResultBlockParam",
        "CodeExecutionContentParam": "CodeExecutionToolResultBlockParamContentParam",
        "CodeExecutionOutputParam": (
            "BashCodeExecutionOutputBlockParam CodeExecutionOutputBlockParam"
        ),
        "CodeExecutionResultParam": (
            "BashCodeExecutionResultBlockParam CodeExecutionResultBlockParam"
        ),
        "EncryptedCodeExecutionResultParam": "EncryptedCodeExecutionResultBlockParam",
        "TextEditorCreateResultParam": "TextEditorCodeExecutionCreateResultBlockParam",
        "TextEditorStrReplaceResultParam": "TextEditorCodeExecutionStrReplaceResultBlockParam",
        "TextEditorViewResultParam": "TextEditorCodeExecutionViewResultBlockParam",
        "ToolResultErrorParam": (
            "BetaAdvisorToolResultErrorParam BashCodeExecutionToolResultErrorParam "
            "CodeExecutionToolResultErrorParam TextEditorCodeExecutionToolResultErrorParam "
            "ToolSearchToolResultErrorParam WebFetchToolResultErrorBlockParam "
            "WebSearchToolRequestErrorObjectParam WebSearchToolRequestErrorParam"
        ),
        "ToolSearchResultParam": "ToolSearchToolSearchResultBlockParam",
        "WebFetchResultParam": "WebFetchBlockParam",
        "WebSearchContentParam": "WebSearchToolResultBlockParamContentParam",
        "WebSearchResultParam": "WebSearchResultBlockParam",
    },
    # What is open there is open here: any model name, beta and error code.
    "builtins": {
        "str": (
            "AnthropicBetaParam BashCodeExecutionToolResultErrorCode BrowserMemberName "
            "BrowserScrollDirection CodeExecutionToolResultErrorCode ComputerMemberName "
            "ComputerScrollDirection ErrorType Model ModelLine ModelParam "
            "TextEditorCodeExecutionToolResultErrorCode BetaThinkingPrefixMismatchBehavior "
            "ToolSearchToolResultErrorCode WebFetchToolResultErrorCode "
            "WebSearchToolResultErrorCode"
        ),
        "object": "BrowserFormInputValue",
    },
    # Objects that are sent and received as they are.
    "apertis.compat.objects": {
        "JSONObject": (
            "BetaAdvisorTool20260301 BrowserClickTarget BrowserCoordinateTarget "
            "BrowserMemberInput BrowserReadPageFilter BrowserRefTarget "
            "BrowserStateChangeDownloadCompletedParam BrowserStateChangeDownloadFailedParam "
            "BrowserStateChangeDownloadStartedParam BrowserStateChangeParam "
            "BrowserStateChangeTabOpenedParam BrowserStateTabEntryParam "
            "BetaBrowserToolset20260801 BetaBrowserToolsetConfigs BrowserToolsetConfigsParam "
            "ComputerMemberInput BetaComputerToolset20260801 BetaComputerToolsetConfigs "
            "ComputerToolsetConfigsParam BetaCacheControlEphemeral "
            "BetaCodeExecutionTool20250522 BetaCodeExecutionTool20250825 "
            "BetaCodeExecutionTool20260120 BetaCodeExecutionTool20260521 "
            "BetaCompactionConfigParam BetaFallbackCreditNotApplied BetaFallbackCreditRedeemed "
            "BetaFallbackCreditUsage BetaFallbackInfoParam ImageTransformationsParam "
            "BetaMCPTool BetaMCPToolConfig BetaMCPToolDefaultConfig "
            "BetaMCPToolListingBlockParam BetaMCPToolParam BetaMCPToolParamParam BetaMCPToolset "
            "BetaMemoryTool20250818 BetaMessageThreadParam BetaResponseTool "
            "BetaResponseToolAdditionBlock BetaResponseToolChangeMCPToolReference "
            "BetaResponseToolChangeMCPToolsetReference BetaResponseToolChangeToolReference "
            "BetaResponseToolInputSchema BetaResponseToolRemovalBlock BetaResponseToolUnion "
            "ServerToolsCapability BetaThinkingBlockBindingParam BetaToolBash20241022 "
            "BetaToolBash20250124 BetaToolChangeToolDefinition "
            "BetaToolChangeToolDefinitionParam BetaToolComputerUse20241022 "
            "BetaToolComputerUse20250124 BetaToolComputerUse20251124 "
            "BetaToolSearchToolBm25_20251119 BetaToolSearchToolRegex20251119 "
            "BetaToolTextEditor20241022 BetaToolTextEditor20250124 BetaToolTextEditor20250429 "
            "BetaToolTextEditor20250728 BetaUserLocation BetaWebFetchTool20250910 "
            "BetaWebFetchTool20260209 BetaWebFetchTool20260309 BetaWebFetchTool20260318 "
            "BetaWebFetchURLSourceAll WebFetchURLSourceAllParam BetaWebFetchURLSourceExcept "
            "WebFetchURLSourceExceptParam BetaWebFetchURLSourceNone WebFetchURLSourceNoneParam "
            "BetaWebFetchURLSourceOnly WebFetchURLSourceOnlyParam "
            "BetaWebFetchURLSourceToolReference WebFetchURLSourceToolReferenceParam "
            "BetaWebFetchURLSources WebFetchURLSourcesParam BetaWebSearchTool20250305 "
            "BetaWebSearchTool20260209 BetaWebSearchTool20260318"
        ),
        "Fallbacks": "BetaFallbacksParam",
        "UsageIterations": "BetaIterationsUsage",
        "BlocksOrText": "ContentBlockSourceContentParam",
        "ContainerOrId": "MessageCreateParamsContainerParam",
    },
}

# The tools of a toolset, of which each has the same names.
_TOOLSETS = {
    "Browser": (
        "CloseTab DoubleClick FileUpload Find FormInput GetPageText HoldKey Hover JavascriptExec "
        "Key LeftClick LeftClickDrag LeftMouseDown LeftMouseUp ListTabs MiddleClick MouseMove "
        "Navigate NewTab ReadConsole ReadNetwork ReadPage RightClick Screenshot Scroll ScrollTo "
        "SwitchTab TripleClick Type Wait Zoom"
    ),
    "Computer": (
        "CursorPosition DoubleClick HoldKey Key LeftClick LeftClickDrag LeftMouseDown LeftMouseUp "
        "MiddleClick MouseMove RightClick Screenshot Scroll TripleClick Type Wait Zoom"
    ),
}

# The names that have no `Beta` in their beta.
_SHARED = frozenset(
    (
        *("BatchCreateParams", "BatchListParams", "MessageCountTokensParams"),
        *("MessageCreateParams", "ModelListParams"),
    )
)

# What anthropic has in the module of another name alone.
INNER = {
    "AppliedEdit": ("apertis.models", "AppliedEdit"),
    "Caller": ("apertis.models", "Caller"),
    "Citation": ("apertis.models", "Citation"),
    "ClientToolResults": ("apertis.compat.objects", "JSONObject"),
    "Container": ("apertis.compat.objects", "ContainerOrId"),
    "Content": ("apertis.params", "ToolResultContentParam"),
    "Delta": ("apertis.models", "MessageDelta"),
    "Edit": ("apertis.compat.objects", "JSONObject"),
    "FallbackCreditToken": ("apertis.params", "FallbackCreditTokenParam"),
    "InputJsonDelta": ("apertis.models", "InputJSONDelta"),
    "InputSchema": ("apertis.compat.objects", "JSONObject"),
    "InputSchemaTyped": ("apertis.compat.objects", "JSONObject"),
    "Keep": ("apertis.compat.objects", "JSONObject"),
    "MessageCreateParamsBase": ("apertis.params", "CreateParams"),
    "MessageCreateParamsNonStreaming": ("apertis.params", "CreateParams"),
    "MessageCreateParamsStreaming": ("apertis.params", "CreateParams"),
    "Metadata": ("apertis.params", "MetadataParam"),
    "OutputFormat": ("apertis.params", "JSONSchemaFormatParam"),
    "ParseMessageCreateParamsBase": ("apertis.params", "CreateParams"),
    "Request": ("apertis.params", "BatchRequestParam"),
    "ResponseFormatT": ("apertis.compat.objects", "ResponseFormatT"),
    "ServerToolResults": ("apertis.compat.objects", "JSONObject"),
    "Source": ("apertis.compat.objects", "JSONObject"),
    "Status": ("apertis.compat.objects", "JSONObject"),
    "Thinking": ("apertis.params", "ThinkingParam"),
    "Tool": ("apertis.params", "ToolUnionParam"),
    "ToolChange": ("apertis.compat.objects", "JSONObject"),
    "ToolChoice": ("apertis.params", "ToolChoiceParam"),
    "ToolChoiceToolChoiceAny": ("apertis.params", "ToolChoiceAnyParam"),
    "ToolChoiceToolChoiceAuto": ("apertis.params", "ToolChoiceAutoParam"),
    "ToolChoiceToolChoiceTool": ("apertis.params", "ToolChoiceToolParam"),
    "Trigger": ("apertis.compat.objects", "JSONObject"),
    "UserInput": ("apertis.compat.objects", "JSONObject"),
}
# Which of them stand in which module; the rest are found in any.
INNER_OF = {
    "batch_create_params": ("Request",),
    "message_create_params": (
        "MessageCreateParamsBase",
        "MessageCreateParamsNonStreaming",
        "MessageCreateParamsStreaming",
    ),
    "raw_message_delta_event": ("Delta",),
    "tool_param": ("InputSchema", "InputSchemaTyped"),
}

_OFFICIAL = "use the official `anthropic` package for it, beside this one or with our gateway"
_REQUEST = "`client.request()` reaches it where your service has it"
# What other names of theirs are, and what to do; the first pattern that fits counts.
_ELSEWHERE = (
    (r".*Webhook.*", f"belongs to webhooks, another product; {_OFFICIAL}"),
    (
        (
            r".*(ManagedAgents|Agents?(?![a-z])|Session|Environment|Deployment|Vault|Dream"
            r"|MemoryStore|Packages|LimitedNetwork|UnrestrictedNetwork|CloudConfig|SelfHosted"
            r"|OutputBehavior).*"
        ),
        f"belongs to Managed Agents, another product; {_OFFICIAL}",
    ),
    (
        (
            r".*(UserProfile|Organization|Tunnel|Compliance|MonetaryAmount|Currency|BillTo"
            r"|BillingPolicy).*"
        ),
        f"belongs to the administration of an organization; {_REQUEST}, or {_OFFICIAL}",
    ),
    (
        r".*(Thread).*",
        "belongs to threads that the service keeps; `thread=` of `messages.create` takes one",
    ),
    (
        r".*Error(Details)?|ErrorDetails",
        (
            "is a class for one cause of an error; catch the class of its status, and look at "
            "`error.error_code`"
        ),
    ),
    (
        r"(Deleted)?Skill.*|Skill\w+Params|Skills",
        f"belongs to skills, another product; {_REQUEST}, or {_OFFICIAL}",
    ),
    (
        r"(Deleted)?File.*|Files",
        f"belongs to files, another product; {_REQUEST}, or {_OFFICIAL}",
    ),
    (
        r"Completion.*",
        "belongs to text completions, which are gone; use `client.messages.create`",
    ),
    (
        r"(BETA)?(BROWSER|COMPUTER)MEMBERNAMEVALUES",
        "is a list of the tools of a toolset, which the service's documentation has",
    ),
)


@cache
def _table() -> dict[str, tuple[str, str]]:
    found = {
        theirs: (module, ours)
        for module, names in _OURS.items()
        for ours, said in names.items()
        for theirs in said.split()
    }
    for toolset, said in _TOOLSETS.items():
        for tool in said.split():
            for name in (f"{toolset}{tool}Config", f"{toolset}{tool}ConfigParam"):
                found[name] = ("apertis.compat.objects", "JSONObject")
            found[f"{toolset}{tool}Input"] = ("apertis.compat.objects", "JSONObject")
            for name in (f"{toolset}{tool}ToolUseBlock", f"Response{toolset}{tool}ToolUseBlock"):
                found[name] = ("apertis.models", "ToolUseBlock")
    return found


@cache
def names_in(package: str) -> dict[str, tuple[str, str]]:
    """Return what a package of `apertis.types` shows: each name, and where it is."""
    beta = ".beta" in package
    batches = re.compile("(Deleted)?MessageBatch|Batch")
    return {
        with_beta(name) if beta else name: place
        for name, place in _table().items()
        if bool(batches.match(name)) is package.endswith("messages")
        and (beta or not name.startswith("Beta"))
    }


def with_beta(name: str) -> str:
    """Return the name that something has among their beta's: `ParsedBetaMessage`, `BetaUsage`."""
    if name.startswith("Parsed"):
        return name.replace("Parsed", "ParsedBeta")
    shared = name.startswith("Beta") or name in _SHARED
    return name if shared else f"Beta{name}"


def without_beta(name: str) -> str:
    """Return the name that something has outside of their beta."""
    return re.sub("^(Parsed)?Beta", r"\1", name)


def elsewhere(name: str) -> str | None:
    """Return what a name or a module belongs to that is not here, and what to do, or None."""
    words = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    for pattern, sentence in _ELSEWHERE:
        if re.fullmatch(pattern, without_beta(words)):
            return f"`{name}` {sentence}"
    return None


def resolved(place: tuple[str, str]) -> Any:
    """Return what stands at a place."""
    return getattr(import_module(place[0]), place[1])


def found(package: str, name: str) -> Any:
    """Return what a name of a package of `apertis.types` stands for.

    Raises:
        AttributeError: There is no such name, or it belongs to another product.
    """
    place = _by_plain_name().get(without_beta(name))
    if place is not None:
        return resolved(place)
    sentence = elsewhere(name)
    reason = f": {sentence}" if sentence else ""
    raise AttributeError(f"module {package!r} has no attribute {name!r}{reason}", name=name)


@cache
def _by_plain_name() -> dict[str, tuple[str, str]]:
    return {without_beta(name): place for name, place in _table().items()}


@cache
def _by_module() -> dict[str, str]:
    return {name.replace("_", "").lower(): name for name in _by_plain_name()}


def name_of_module(module: str) -> str | None:
    """Return the name after which a module is called: `text_block_param` -> `TextBlockParam`."""
    said = module.replace("_", "")
    return _by_module().get(said.replace("beta", "", 1)) or _by_module().get(said)
