"""Results of the service's own tools fit the types by which they are sent back."""

from __future__ import annotations

from typing import Any

import pytest

from apertis.models import build_block
from apertis.params import results

pydantic: Any = pytest.importorskip("pydantic", reason="pydantic is not installed")

FILE = {"type": "code_execution_output", "file_id": "f"}
RAN = {"stdout": "a", "stderr": "", "return_code": 0}
RESULTS: list[tuple[str, Any, Any]] = [
    (
        "web_search_tool_result",
        results.WebSearchContentParam,
        [{"type": "web_search_result", "title": "t", "url": "u", "encrypted_content": "e"}],
    ),
    (
        "web_search_tool_result",
        results.ToolResultErrorParam,
        {"type": "web_search_tool_result_error", "error_code": "unavailable"},
    ),
    (
        "web_fetch_tool_result",
        results.WebFetchResultParam,
        {
            "type": "web_fetch_result",
            "url": "u",
            "content": {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "d"},
            },
            "retrieved_at": None,
        },
    ),
    (
        "code_execution_tool_result",
        results.CodeExecutionContentParam,
        {"type": "code_execution_result", **RAN, "content": [FILE]},
    ),
    (
        "bash_code_execution_tool_result",
        results.CodeExecutionResultParam,
        {"type": "bash_code_execution_result", **RAN, "content": []},
    ),
    (
        "text_editor_code_execution_tool_result",
        results.TextEditorViewResultParam,
        {
            "type": "text_editor_code_execution_view_result",
            "content": "a",
            "file_type": "text",
            "num_lines": 1,
        },
    ),
    (
        "tool_search_tool_result",
        results.ToolSearchResultParam,
        {
            "type": "tool_search_tool_search_result",
            "tool_references": [{"type": "tool_reference", "tool_name": "n"}],
        },
    ),
    (
        "advisor_tool_result",
        results.AdvisorResultParam,
        {"type": "advisor_result", "text": "a", "stop_reason": None},
    ),
]


@pytest.mark.parametrize(("block", "kind", "content"), RESULTS)
def test_a_result_that_came_can_be_sent_back(block: str, kind: Any, content: Any) -> None:
    came: Any = build_block({"type": block, "tool_use_id": "t", "content": content})
    sent = came.to_dict()["content"]
    assert sent == content
    assert type(came.content).__name__ != "UnknownResult"
    adapter = pydantic.TypeAdapter(kind)
    assert list(adapter.validate_python(sent)) == list(content)
    wrong = [
        {**part, "type": "other"} for part in (content if isinstance(content, list) else [content])
    ]
    with pytest.raises(pydantic.ValidationError):
        list(adapter.validate_python(wrong if isinstance(content, list) else wrong[0]))
