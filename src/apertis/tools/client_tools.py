"""Handlers of the client tools that Anthropic defines: bash, text editor, memory.

Each is an abstract class: a subclass says what its commands do. Nothing here runs a command or
touches a file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

from apertis.structured.schema import InvalidValueError, convert
from apertis.tools.tool import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class ClientTool(ABC):
    """A tool whose name and schema Anthropic defines, and which the caller runs."""

    type: str
    name: str
    idempotent: bool = False
    needs_approval: bool = False
    timeout: float | None = None
    is_async: bool = False
    """True where the methods of the subclass are coroutines."""

    def to_param(self) -> dict[str, Any]:
        """Return the tool as a request has it."""
        return {"type": self.type, "name": self.name}

    def to_dict(self) -> dict[str, Any]:
        """Return the tool as a request has it; the name that `anthropic` has for `to_param`."""
        return self.to_param()

    @abstractmethod
    def call(self, input: Mapping[str, Any]) -> Any:
        """Run the command in the input of the model; return its result.

        Raises:
            ToolError: The input is no command of this tool.
        """


class _View(msgspec.Struct):
    path: str
    view_range: tuple[int, int] | None = None


class _Create(msgspec.Struct):
    path: str
    file_text: str


class _StrReplace(msgspec.Struct):
    path: str
    old_str: str
    new_str: str = ""


class _Insert(msgspec.Struct):
    path: str
    insert_line: int
    insert_text: str | None = None
    # The name of `insert_text` before 20250728.
    new_str: str | None = None


class _Path(msgspec.Struct):
    path: str


class _Rename(msgspec.Struct):
    old_path: str
    new_path: str


class _Bash(msgspec.Struct):
    command: str | None = None
    restart: bool = False


def _read(kind: Any, tool: str, given: Mapping[str, Any]) -> Any:
    try:
        return convert(kind, dict(given))
    except InvalidValueError as error:
        raise ToolError(f"invalid input of {tool}: {error}") from None


class BashTool(ClientTool):
    """A shell session; a subclass says what runs the commands.

    https://docs.claude.com/en/docs/agents-and-tools/tool-use/bash-tool
    """

    type: str = "bash_20250124"
    name: str = "bash"

    @abstractmethod
    def run(self, command: str) -> Any:
        """Run a command; return its output."""

    @abstractmethod
    def restart(self) -> Any:
        """Start the session anew; return what to tell the model."""

    def call(self, input: Mapping[str, Any]) -> Any:
        """Run a command, or restart the session."""
        given = _read(_Bash, self.name, input)
        if given.restart:
            return self.restart()
        if given.command is None:
            raise ToolError("invalid input of bash: at $.command: expected a value, found nothing")
        return self.run(given.command)


class _FileTool(ClientTool):
    """A tool with a command for each thing that is done with files."""

    _commands: ClassVar[Mapping[str, tuple[Any, Callable[[Any, Any], Any]]]]

    @abstractmethod
    def view(self, path: str, view_range: tuple[int, int] | None) -> Any:
        """Return a file, or a directory's list. The range is of lines from 1; -1 is the last."""

    @abstractmethod
    def create(self, path: str, file_text: str) -> Any:
        """Write a file."""

    @abstractmethod
    def str_replace(self, path: str, old_str: str, new_str: str) -> Any:
        """Replace a text that occurs once in a file."""

    @abstractmethod
    def insert(self, path: str, insert_line: int, insert_text: str) -> Any:
        """Insert a text after a line of a file; 0 is before the first."""

    def _known(self) -> list[str]:
        return list(self._commands)

    def call(self, input: Mapping[str, Any]) -> Any:
        """Run the command in the input of the model."""
        command = input.get("command")
        known = self._known()
        if command not in known:
            raise ToolError(
                f"invalid input of {self.name}: at $.command: expected one of {', '.join(known)}"
            )
        kind, run = self._commands[command]
        rest = {key: value for key, value in input.items() if key != "command"}
        return run(self, _read(kind, self.name, rest))


def _insert(tool: _FileTool, given: _Insert) -> Any:
    text = given.insert_text if given.insert_text is not None else given.new_str
    if text is None:
        raise ToolError(
            f"invalid input of {tool.name}: at $.insert_text: expected a value, found nothing"
        )
    return tool.insert(given.path, given.insert_line, text)


_FILE_COMMANDS: dict[str, tuple[Any, Callable[[Any, Any], Any]]] = {
    "view": (_View, lambda tool, given: tool.view(given.path, given.view_range)),
    "create": (_Create, lambda tool, given: tool.create(given.path, given.file_text)),
    "str_replace": (
        _StrReplace,
        lambda tool, given: tool.str_replace(given.path, given.old_str, given.new_str),
    ),
    "insert": (_Insert, _insert),
}


class TextEditorTool(_FileTool):
    """An editor of text files; a subclass says what keeps them.

    https://docs.claude.com/en/docs/agents-and-tools/tool-use/text-editor-tool
    """

    _commands: ClassVar[Mapping[str, tuple[Any, Callable[[Any, Any], Any]]]] = {
        **_FILE_COMMANDS,
        "undo_edit": (_Path, lambda tool, given: tool.undo_edit(given.path)),
    }

    def __init__(
        self,
        type: Literal[
            "text_editor_20250124", "text_editor_20250429", "text_editor_20250728"
        ] = "text_editor_20250728",
        *,
        max_characters: int | None = None,
    ) -> None:
        self.type = type
        self.max_characters = max_characters

    @property
    def name(self) -> str:  # type: ignore[override]
        """The name that the version has."""
        early = self.type == "text_editor_20250124"
        return "str_replace_editor" if early else "str_replace_based_edit_tool"

    def to_param(self) -> dict[str, Any]:
        """Return the tool as a request has it."""
        more = {} if self.max_characters is None else {"max_characters": self.max_characters}
        return {**super().to_param(), **more}

    def undo_edit(self, path: str) -> Any:
        """Undo the last edit of a file; only `20250124` has the command."""
        raise ToolError(f"the last edit of {path} cannot be undone")

    def _known(self) -> list[str]:
        early = self.type == "text_editor_20250124"
        return [name for name in self._commands if early or name != "undo_edit"]


class MemoryTool(_FileTool):
    """A directory `/memories` that the model keeps; a subclass says where it is.

    https://docs.claude.com/en/docs/agents-and-tools/tool-use/memory-tool
    """

    type: str = "memory_20250818"
    name: str = "memory"

    _commands: ClassVar[Mapping[str, tuple[Any, Callable[[Any, Any], Any]]]] = {
        **_FILE_COMMANDS,
        "delete": (_Path, lambda tool, given: tool.delete(given.path)),
        "rename": (_Rename, lambda tool, given: tool.rename(given.old_path, given.new_path)),
    }

    @abstractmethod
    def delete(self, path: str) -> Any:
        """Delete a file or a directory."""

    @abstractmethod
    def rename(self, old_path: str, new_path: str) -> Any:
        """Rename a file or a directory."""
