"""The commands of Anthropic's client tools reach the methods of a subclass."""

from __future__ import annotations

from typing import Any

import pytest

from apertis.tools.client_tools import BashTool, MemoryTool, TextEditorTool
from apertis.tools.settings import RunnableTool
from apertis.tools.tool import ToolError


class Files:
    def view(self, *given: Any, **_: Any) -> Any:
        return "view", *given

    def create(self, *given: Any, **_: Any) -> Any:
        return "create", *given

    def str_replace(self, *given: Any, **_: Any) -> Any:
        return "str_replace", *given

    def insert(self, *given: Any, **_: Any) -> Any:
        return "insert", *given

    def delete(self, *given: Any, **_: Any) -> Any:
        return "delete", *given

    def rename(self, *given: Any, **_: Any) -> Any:
        return "rename", *given

    def undo_edit(self, *given: Any, **_: Any) -> Any:
        return "undo_edit", *given


class Editor(Files, TextEditorTool):
    """An editor that tells its calls."""


class Memory(Files, MemoryTool):
    """A memory that tells its calls."""


class Shell(BashTool):
    def run(self, command: str) -> Any:
        return "run", command

    def restart(self) -> Any:
        return ("restart",)


COMMANDS: list[tuple[Any, dict[str, Any], tuple[Any, ...]]] = [
    (Shell(), {"command": "ls"}, ("run", "ls")),
    (Shell(), {"restart": True}, ("restart",)),
    *(
        (tool, given, result)
        for tool in (Editor(), Memory())
        for given, result in (
            ({"command": "view", "path": "/a"}, ("view", "/a", None)),
            ({"command": "view", "path": "/a", "view_range": [1, -1]}, ("view", "/a", (1, -1))),
            ({"command": "create", "path": "/a", "file_text": "x"}, ("create", "/a", "x")),
            (
                {"command": "str_replace", "path": "/a", "old_str": "x"},
                ("str_replace", "/a", "x", ""),
            ),
            (
                {"command": "insert", "path": "/a", "insert_line": 0, "insert_text": "x"},
                ("insert", "/a", 0, "x"),
            ),
            (
                {"command": "insert", "path": "/a", "insert_line": 0, "new_str": "x"},
                ("insert", "/a", 0, "x"),
            ),
        )
    ),
    (Memory(), {"command": "delete", "path": "/a"}, ("delete", "/a")),
    (Memory(), {"command": "rename", "old_path": "/a", "new_path": "/b"}, ("rename", "/a", "/b")),
    (Editor("text_editor_20250124"), {"command": "undo_edit", "path": "/a"}, ("undo_edit", "/a")),
]


@pytest.mark.parametrize(("tool", "given", "result"), COMMANDS)
def test_a_command_reaches_its_method(tool: Any, given: dict[str, Any], result: Any) -> None:
    assert tool.call(given) == result


@pytest.mark.parametrize(
    ("tool", "given", "text"),
    [
        (Shell(), {}, r"at \$\.command: expected a value"),
        (Shell(), {"command": 1}, r"at \$\.command: expected"),
        (Editor(), {"command": "undo_edit", "path": "/a"}, "expected one of view, create"),
        (Editor(), {"command": "delete", "path": "/a"}, "expected one of view, create"),
        (Memory(), {"command": ["view"]}, "expected one of view, create"),
        (Memory(), {"command": "view"}, r"at \$\.path: expected a value"),
        (Memory(), {"command": "insert", "path": "/a", "insert_line": 1}, r"at \$\.insert_text"),
        (Memory(), {"command": "insert", "path": "/a", "insert_line": "1"}, r"at \$\.insert_line"),
    ],
)
def test_what_is_no_command_is_told_with_its_place(
    tool: Any, given: dict[str, Any], text: str
) -> None:
    with pytest.raises(ToolError, match=text):
        tool.call(given)


@pytest.mark.parametrize("kind", [BashTool, MemoryTool, TextEditorTool])
def test_nothing_runs_before_a_subclass_says_how(kind: Any) -> None:
    with pytest.raises(TypeError, match="abstract"):
        kind()


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        (Shell(), {"type": "bash_20250124", "name": "bash"}),
        (Memory(), {"type": "memory_20250818", "name": "memory"}),
        (
            Editor(max_characters=9),
            {
                "type": "text_editor_20250728",
                "name": "str_replace_based_edit_tool",
                "max_characters": 9,
            },
        ),
        (
            Editor("text_editor_20250124"),
            {"type": "text_editor_20250124", "name": "str_replace_editor"},
        ),
    ],
)
def test_each_is_sent_as_its_type_and_name(tool: Any, param: dict[str, Any]) -> None:
    assert tool.to_param() == tool.to_dict() == param
    assert isinstance(tool, RunnableTool)
