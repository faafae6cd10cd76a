"""The commands of Anthropic's memory tool: what the model puts into the input of its calls."""

from __future__ import annotations

from typing import Literal, TypeAlias

from apertis.models.model import Model


class MemoryViewCommand(Model):
    """Show a directory, or a file or some of its lines."""

    command: Literal["view"] = "view"
    path: str
    view_range: list[int] | None = None


class MemoryCreateCommand(Model):
    """Make a file."""

    command: Literal["create"] = "create"
    path: str
    file_text: str


class MemoryStrReplaceCommand(Model):
    """Replace a text in a file."""

    command: Literal["str_replace"] = "str_replace"
    path: str
    old_str: str
    new_str: str


class MemoryInsertCommand(Model):
    """Insert a text after a line of a file."""

    command: Literal["insert"] = "insert"
    path: str
    insert_line: int
    insert_text: str


class MemoryDeleteCommand(Model):
    """Delete a file or a directory."""

    command: Literal["delete"] = "delete"
    path: str


class MemoryRenameCommand(Model):
    """Rename a file or a directory."""

    command: Literal["rename"] = "rename"
    old_path: str
    new_path: str


MemoryCommand: TypeAlias = (
    MemoryViewCommand
    | MemoryCreateCommand
    | MemoryStrReplaceCommand
    | MemoryInsertCommand
    | MemoryDeleteCommand
    | MemoryRenameCommand
)
