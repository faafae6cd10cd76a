"""The memory tool as programs for `anthropic` subclass it: each method takes its command whole."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, get_args

from apertis.models.commands import MemoryCommand
from apertis.tools.client_tools import ClientTool
from apertis.tools.tool import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.models.commands import (
        MemoryCreateCommand,
        MemoryDeleteCommand,
        MemoryInsertCommand,
        MemoryRenameCommand,
        MemoryStrReplaceCommand,
        MemoryViewCommand,
    )

_COMMANDS: dict[str, Any] = {
    kind.model_fields["command"].default: kind for kind in get_args(MemoryCommand)
}


class BetaAbstractMemoryTool(ClientTool):
    """A directory `/memories` that the model keeps; a subclass says where it is."""

    type: str = "memory_20250818"
    name: str = "memory"

    def __init__(self, *, cache_control: Mapping[str, Any] | None = None) -> None:
        self._cache_control = cache_control

    def to_param(self) -> dict[str, Any]:
        """Return the tool as a request has it."""
        param = super().to_param()
        if self._cache_control is not None:
            param["cache_control"] = self._cache_control
        return param

    def call(self, input: Mapping[str, Any]) -> Any:
        """Run the command in the input of the model."""
        kind = _COMMANDS.get(str(input.get("command")))
        if kind is None:
            raise ToolError(f"invalid input of memory: command is none of {', '.join(_COMMANDS)}")
        try:
            command = kind.model_validate(dict(input))
        except ValueError as error:
            raise ToolError(f"invalid input of memory: {error}") from None
        return self.execute(command)

    def execute(self, command: MemoryCommand) -> Any:
        """Run a command by the method of its name."""
        return getattr(self, command.command)(command)

    @abstractmethod
    def view(self, command: MemoryViewCommand) -> Any:
        """Return a file, or a directory's list."""

    @abstractmethod
    def create(self, command: MemoryCreateCommand) -> Any:
        """Write a file."""

    @abstractmethod
    def str_replace(self, command: MemoryStrReplaceCommand) -> Any:
        """Replace a text that occurs once in a file."""

    @abstractmethod
    def insert(self, command: MemoryInsertCommand) -> Any:
        """Insert a text after a line of a file."""

    @abstractmethod
    def delete(self, command: MemoryDeleteCommand) -> Any:
        """Delete a file or a directory."""

    @abstractmethod
    def rename(self, command: MemoryRenameCommand) -> Any:
        """Rename a file or a directory."""


class BetaAsyncAbstractMemoryTool(BetaAbstractMemoryTool):
    """The same with coroutines as its methods."""

    is_async = True
