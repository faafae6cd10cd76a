"""How an answer appears: Markdown on a terminal while it comes, plain text in a pipe."""

from __future__ import annotations

import sys
from typing import Protocol, Self

import click
from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown

__all__ = ["PlainOutput", "TerminalOutput", "open_output"]


class Output(Protocol):
    """Takes an answer piece by piece."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...
    def text(self, piece: str) -> None:
        """Show a piece of the answer."""

    def thinking(self, piece: str) -> None:
        """Show a piece of the thinking before it."""


def open_output() -> Output:
    """Choose by where stdout goes."""
    if sys.stdout is not None and sys.stdout.isatty():
        return TerminalOutput(Console())
    return PlainOutput()


class PlainOutput:
    """Writes the text as it is to stdout; the thinking goes to stderr, out of the way."""

    def __init__(self) -> None:
        self._open_line: bool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._open_line is not None:
            click.echo(err=self._open_line)

    def text(self, piece: str) -> None:
        """Write a piece of the answer, at once."""
        self._write(piece, err=False)

    def thinking(self, piece: str) -> None:
        """Write a piece of the thinking."""
        self._write(piece, err=True)

    def _write(self, piece: str, *, err: bool) -> None:
        if self._open_line is not None and self._open_line != err:
            click.echo(err=self._open_line)
        click.echo(piece, nl=False, err=err)
        self._open_line = err


class TerminalOutput:
    """Renders Markdown block by block: finished blocks stay, the one that grows is redrawn.

    Only one block is ever redrawn, so an answer longer than the screen scrolls like any output.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._block = ""
        self._thought = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._end_thought()
        self._finish(self._block)

    def text(self, piece: str) -> None:
        """Show a piece of the answer."""
        self._end_thought()
        self._block += piece
        finished, self._block = split_blocks(self._block)
        if finished:
            rest, self._block = self._block, ""
            self._finish(finished)
            self._block = rest
        if self._block.strip():
            self._redraw()

    def thinking(self, piece: str) -> None:
        """Show a piece of the thinking, dimmed."""
        self._thought = True
        self._console.print(piece, style="dim", end="", markup=False, highlight=False)

    def _end_thought(self) -> None:
        if self._thought:
            self._console.print("\n")
            self._thought = False

    def _redraw(self) -> None:
        if self._live is None:
            self._live = Live(console=self._console, transient=True, refresh_per_second=12)
            self._live.start()
        self._live.update(Markdown(self._block))

    def _finish(self, block: str) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        if block.strip():
            self._console.print(Markdown(block))
            self._console.print()


def split_blocks(text: str) -> tuple[str, str]:
    """Split Markdown after its last finished block: `(finished, unfinished)`.

    Blocks end at an empty line outside a code fence.
    """
    fence: str | None = None
    end = position = 0
    for line in text.splitlines(keepends=True):
        position += len(line)
        stripped = line.strip()
        marker = stripped[:3]
        if fence is None and marker in ("```", "~~~"):
            fence = marker
        elif fence is not None and stripped == fence:
            fence = None
        elif fence is None and not stripped and line.endswith("\n"):
            end = position
    return text[:end], text[end:]
