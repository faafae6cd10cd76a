"""The memory tool as `anthropic` has it: its methods take commands."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apertis import ToolError
from apertis.models.commands import MemoryViewCommand
from apertis.tools.memory import BetaAbstractMemoryTool, BetaAsyncAbstractMemoryTool

COMMANDS: list[dict[str, Any]] = [
    {"command": "view", "path": "/memories", "view_range": [1, 2]},
    {"command": "create", "path": "/memories/a", "file_text": "x"},
    {"command": "str_replace", "path": "/memories/a", "old_str": "x", "new_str": "y"},
    {"command": "insert", "path": "/memories/a", "insert_line": 0, "insert_text": "z"},
    {"command": "delete", "path": "/memories/a"},
    {"command": "rename", "old_path": "/memories/a", "new_path": "/memories/b"},
]


def told(self: Any, command: Any) -> Any:
    return command.model_dump()


async def told_later(self: Any, command: Any) -> Any:
    return command.model_dump()


NAMES = [given["command"] for given in COMMANDS]
Own: Any = type("Own", (BetaAbstractMemoryTool,), dict.fromkeys(NAMES, told))
Later: Any = type("Later", (BetaAsyncAbstractMemoryTool,), dict.fromkeys(NAMES, told_later))


@pytest.mark.parametrize("given", COMMANDS)
def test_a_command_comes_to_the_method_of_its_name(given: dict[str, Any]) -> None:
    assert Own().call(given) == given
    assert asyncio.run(Later().call(given)) == given


@pytest.mark.parametrize("given", [{}, {"command": "copy"}, {"command": "view"}])
def test_what_is_no_command_is_an_error_of_the_tool(given: dict[str, Any]) -> None:
    with pytest.raises(ToolError, match="invalid input of memory: "):
        Own().call(given)


def test_the_tool_goes_into_a_request_with_its_cache_control() -> None:
    assert Own().to_dict() == {"type": "memory_20250818", "name": "memory"}
    control = {"type": "ephemeral"}
    assert Own(cache_control=control).to_dict()["cache_control"] == control
    assert Later.is_async
    assert not Own.is_async


def test_a_tool_that_lacks_a_method_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        BetaAbstractMemoryTool()  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]


def test_a_command_is_made_by_hand() -> None:
    command = MemoryViewCommand(command="view", path="/memories")
    assert command.model_dump() == {"command": "view", "path": "/memories", "view_range": None}
