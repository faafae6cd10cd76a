"""Results inside the result blocks of the tools that the service runs itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from apertis.models.model import Model, Tagged, Unknown


class UnknownResult(Unknown):
    """A tool's result of a kind that this version does not know."""


class _Result(Tagged):
    unknown_variant: ClassVar[type[Unknown] | None] = UnknownResult


class WebSearchResult(_Result, tag="web_search_result"):
    """A page that was found. `encrypted_content` must be sent back as it is."""

    type: Literal["web_search_result"] = "web_search_result"
    title: str
    url: str
    encrypted_content: str
    page_age: str | None = None


class WebSearchToolResultError(_Result, tag="web_search_tool_result_error"):
    """A search failed: `max_uses_exceeded`, `query_too_long`, `unavailable` and others."""

    type: Literal["web_search_tool_result_error"] = "web_search_tool_result_error"
    error_code: str


class Base64Source(_Result, tag="base64"):
    """A document as base64 text."""

    type: Literal["base64"] = "base64"
    media_type: str
    data: str


class PlainTextSource(_Result, tag="text"):
    """A document as plain text."""

    type: Literal["text"] = "text"
    media_type: str
    data: str


if TYPE_CHECKING:
    DocumentSource = Base64Source | PlainTextSource | UnknownResult
else:
    DocumentSource = Base64Source | PlainTextSource


class CitationsConfig(Model):
    """Citations of a document, enabled or not."""

    enabled: bool


class FetchedDocument(_Result, tag="document"):
    """A fetched document."""

    type: Literal["document"] = "document"
    source: DocumentSource
    title: str | None = None
    citations: CitationsConfig | None = None


class WebFetchResult(_Result, tag="web_fetch_result"):
    """A page that was fetched."""

    type: Literal["web_fetch_result"] = "web_fetch_result"
    url: str
    content: FetchedDocument
    retrieved_at: str | None = None


class WebFetchToolResultError(_Result, tag="web_fetch_tool_result_error"):
    """A fetch failed: `url_not_accessible`, `unsupported_content_type` and others."""

    type: Literal["web_fetch_tool_result_error"] = "web_fetch_tool_result_error"
    error_code: str


class CodeExecutionOutput(_Result, tag="code_execution_output"):
    """A file that the code made."""

    type: Literal["code_execution_output"] = "code_execution_output"
    file_id: str


class CodeExecutionResult(_Result, tag="code_execution_result"):
    """The output, return code and files of executed code."""

    type: Literal["code_execution_result"] = "code_execution_result"
    stdout: str
    stderr: str
    return_code: int
    content: list[CodeExecutionOutput]
    abort_reason: str | None = None


class EncryptedCodeExecutionResult(_Result, tag="encrypted_code_execution_result"):
    """A `CodeExecutionResult` with an output that only the service can read."""

    type: Literal["encrypted_code_execution_result"] = "encrypted_code_execution_result"
    encrypted_stdout: str
    stderr: str
    return_code: int
    content: list[CodeExecutionOutput]
    abort_reason: str | None = None


class CodeExecutionToolResultError(_Result, tag="code_execution_tool_result_error"):
    """The code could not be run: `unavailable`, `execution_time_exceeded` and others."""

    type: Literal["code_execution_tool_result_error"] = "code_execution_tool_result_error"
    error_code: str


class BashCodeExecutionOutput(_Result, tag="bash_code_execution_output"):
    """A file that the command made."""

    type: Literal["bash_code_execution_output"] = "bash_code_execution_output"
    file_id: str


class BashCodeExecutionResult(_Result, tag="bash_code_execution_result"):
    """The output, return code and files of a shell command."""

    type: Literal["bash_code_execution_result"] = "bash_code_execution_result"
    stdout: str
    stderr: str
    return_code: int
    content: list[BashCodeExecutionOutput]


class BashCodeExecutionToolResultError(_Result, tag="bash_code_execution_tool_result_error"):
    """The command could not be run: `unavailable`, `output_file_too_large` and others."""

    type: Literal["bash_code_execution_tool_result_error"] = "bash_code_execution_tool_result_error"
    error_code: str
    error_message: str | None = None


class TextEditorViewResult(_Result, tag="text_editor_code_execution_view_result"):
    """A file's content. `file_type` is `text`, `image` or `pdf`; lines count from 1."""

    type: Literal["text_editor_code_execution_view_result"] = (
        "text_editor_code_execution_view_result"
    )
    file_type: str
    content: str
    num_lines: int | None = None
    start_line: int | None = None
    total_lines: int | None = None


class TextEditorCreateResult(_Result, tag="text_editor_code_execution_create_result"):
    """A file was written."""

    type: Literal["text_editor_code_execution_create_result"] = (
        "text_editor_code_execution_create_result"
    )
    is_file_update: bool


class TextEditorStrReplaceResult(_Result, tag="text_editor_code_execution_str_replace_result"):
    """A file was changed."""

    type: Literal["text_editor_code_execution_str_replace_result"] = (
        "text_editor_code_execution_str_replace_result"
    )
    lines: list[str] | None = None
    old_start: int | None = None
    old_lines: int | None = None
    new_start: int | None = None
    new_lines: int | None = None


class TextEditorToolResultError(_Result, tag="text_editor_code_execution_tool_result_error"):
    """The file could not be read or written: `file_not_found`, `unavailable` and others."""

    type: Literal["text_editor_code_execution_tool_result_error"] = (
        "text_editor_code_execution_tool_result_error"
    )
    error_code: str
    error_message: str | None = None


class ToolReference(_Result, tag="tool_reference"):
    """A tool, by its name."""

    type: Literal["tool_reference"] = "tool_reference"
    tool_name: str


class ToolSearchResult(_Result, tag="tool_search_tool_search_result"):
    """The tools that were found."""

    type: Literal["tool_search_tool_search_result"] = "tool_search_tool_search_result"
    tool_references: list[ToolReference]


class ToolSearchToolResultError(_Result, tag="tool_search_tool_result_error"):
    """The tools could not be searched: `invalid_tool_input`, `unavailable` and others."""

    type: Literal["tool_search_tool_result_error"] = "tool_search_tool_result_error"
    error_code: str
    error_message: str | None = None


class AdvisorResult(_Result, tag="advisor_result"):
    """The advising model's text."""

    type: Literal["advisor_result"] = "advisor_result"
    text: str
    stop_reason: str | None = None


class AdvisorRedactedResult(_Result, tag="advisor_redacted_result"):
    """The advising model's text, encrypted for the service."""

    type: Literal["advisor_redacted_result"] = "advisor_redacted_result"
    encrypted_content: str
    stop_reason: str | None = None


class AdvisorToolResultError(_Result, tag="advisor_tool_result_error"):
    """The advising model could not be asked: `overloaded`, `prompt_too_long` and others."""

    type: Literal["advisor_tool_result_error"] = "advisor_tool_result_error"
    error_code: str


_CodeExecution = CodeExecutionResult | EncryptedCodeExecutionResult | CodeExecutionToolResultError
_TextEditor = (
    TextEditorViewResult
    | TextEditorCreateResult
    | TextEditorStrReplaceResult
    | TextEditorToolResultError
)
_Advisor = AdvisorResult | AdvisorRedactedResult | AdvisorToolResultError

if TYPE_CHECKING:
    WebSearchContent = (
        list[WebSearchResult | UnknownResult] | WebSearchToolResultError | UnknownResult
    )
    WebFetchContent = WebFetchResult | WebFetchToolResultError | UnknownResult
    CodeExecutionContent = _CodeExecution | UnknownResult
    BashCodeExecutionContent = (
        BashCodeExecutionResult | BashCodeExecutionToolResultError | UnknownResult
    )
    TextEditorContent = _TextEditor | UnknownResult
    ToolSearchContent = ToolSearchResult | ToolSearchToolResultError | UnknownResult
    AdvisorContent = _Advisor | UnknownResult
else:
    WebSearchContent = list[WebSearchResult] | WebSearchToolResultError
    WebFetchContent = WebFetchResult | WebFetchToolResultError
    CodeExecutionContent = _CodeExecution
    BashCodeExecutionContent = BashCodeExecutionResult | BashCodeExecutionToolResultError
    TextEditorContent = _TextEditor
    ToolSearchContent = ToolSearchResult | ToolSearchToolResultError
    AdvisorContent = _Advisor
