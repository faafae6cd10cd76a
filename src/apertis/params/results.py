"""Results of the service's own tools, as a request sends them back: what stands in `content`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, Required, TypeAlias

from apertis.params.content import DocumentBlockParam, ToolReferenceBlockParam

if TYPE_CHECKING:
    from typing import TypedDict
else:
    from apertis.params.content import TypedDict


class WebSearchResultParam(TypedDict, total=False):
    """A page that was found."""

    type: Required[Literal["web_search_result"]]
    title: Required[str]
    url: Required[str]
    encrypted_content: Required[str]
    page_age: str | None


class WebFetchResultParam(TypedDict, total=False):
    """A page that was fetched."""

    type: Required[Literal["web_fetch_result"]]
    url: Required[str]
    content: Required[DocumentBlockParam]
    retrieved_at: str | None


class ToolResultErrorParam(TypedDict, total=False):
    """An error of one of the service's own tools."""

    type: Required[
        Literal[
            "web_search_tool_result_error",
            "web_fetch_tool_result_error",
            "code_execution_tool_result_error",
            "bash_code_execution_tool_result_error",
            "text_editor_code_execution_tool_result_error",
            "tool_search_tool_result_error",
            "advisor_tool_result_error",
        ]
    ]
    error_code: Required[str]
    error_message: str | None


class CodeExecutionOutputParam(TypedDict):
    """A file that code or a command made."""

    type: Literal["code_execution_output", "bash_code_execution_output"]
    file_id: str


class CodeExecutionResultParam(TypedDict):
    """The output, return code and files of executed code, or of a shell command."""

    type: Literal["code_execution_result", "bash_code_execution_result"]
    stdout: str
    stderr: str
    return_code: int
    content: Iterable[CodeExecutionOutputParam]


class EncryptedCodeExecutionResultParam(TypedDict):
    """The same, with an output that only the service can read."""

    type: Literal["encrypted_code_execution_result"]
    encrypted_stdout: str
    stderr: str
    return_code: int
    content: Iterable[CodeExecutionOutputParam]


class TextEditorViewResultParam(TypedDict, total=False):
    """A file that was shown."""

    type: Required[Literal["text_editor_code_execution_view_result"]]
    content: Required[str]
    file_type: Required[Literal["text", "image", "pdf"]]
    num_lines: int | None
    start_line: int | None
    total_lines: int | None


class TextEditorCreateResultParam(TypedDict):
    """A file that was written."""

    type: Literal["text_editor_code_execution_create_result"]
    is_file_update: bool


class TextEditorStrReplaceResultParam(TypedDict, total=False):
    """A file that was changed."""

    type: Required[Literal["text_editor_code_execution_str_replace_result"]]
    lines: Iterable[str] | None
    old_start: int | None
    old_lines: int | None
    new_start: int | None
    new_lines: int | None


class ToolSearchResultParam(TypedDict):
    """The tools that were found."""

    type: Literal["tool_search_tool_search_result"]
    tool_references: Iterable[ToolReferenceBlockParam]


class AdvisorResultParam(TypedDict, total=False):
    """The advising model's text."""

    type: Required[Literal["advisor_result"]]
    text: Required[str]
    stop_reason: str | None


class AdvisorRedactedResultParam(TypedDict, total=False):
    """The advising model's text, encrypted for the service."""

    type: Required[Literal["advisor_redacted_result"]]
    encrypted_content: Required[str]
    stop_reason: str | None


CodeExecutionContentParam: TypeAlias = (
    CodeExecutionResultParam | EncryptedCodeExecutionResultParam | ToolResultErrorParam
)
WebSearchContentParam: TypeAlias = Iterable[WebSearchResultParam] | ToolResultErrorParam
