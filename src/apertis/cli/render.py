"""Output of a response: streamed Markdown on a terminal, plain text in a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from markdown_it import MarkdownIt
from rich.console import Console
from rich.constrain import Constrain
from rich.live import Live
from rich.markdown import Markdown

from apertis.cli.terminal import clean, echo, is_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from markdown_it.token import Token

# The terminal echoes Ctrl-C as "^C" where the cursor is. In a full line that would move the cursor
# to the next one, and what is redrawn would stay on the screen.
_ECHO_COLUMNS = 4


def open_output() -> Output:
    """Choose by where stdout goes."""
    return TerminalOutput(Console()) if is_terminal() else PlainOutput()


class PlainOutput:
    """A writer of plain text to stdout; the thinking goes to stderr, out of the way."""

    def __init__(self) -> None:
        self._open_line: bool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._open_line is not None:
            echo(err=self._open_line)

    def text(self, piece: str) -> None:
        """Write a piece of the response, at once."""
        self._write(piece, err=False)

    def thinking(self, piece: str) -> None:
        """Write a piece of the thinking."""
        self._write(piece, err=True)

    def _write(self, piece: str, *, err: bool) -> None:
        if self._open_line is not None and self._open_line != err:
            echo(err=self._open_line)
        echo(piece, nl=False, err=err)
        self._open_line = err


class TerminalOutput:
    """A renderer of Markdown, block by block: only the growing block is redrawn.

    Only one block is ever redrawn, so a response longer than the screen scrolls like any output.
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
        self._finish(len(self._block))

    def text(self, piece: str) -> None:
        """Show a piece of the response."""
        self._end_thought()
        self._block += clean(piece)
        finished, _ = split_blocks(self._block)
        if finished:
            self._finish(len(finished))
        if self._block.strip():
            self._redraw()

    def thinking(self, piece: str) -> None:
        """Show a piece of the thinking, dimmed."""
        self._thought = True
        self._console.print(clean(piece), style="dim", end="", markup=False, highlight=False)

    def _end_thought(self) -> None:
        if self._thought:
            self._console.print("\n")
            self._thought = False

    def _redraw(self) -> None:
        if self._live is None:
            self._live = Live(console=self._console, transient=True, refresh_per_second=12)
            self._live.start()
        self._live.update(self._rendered(self._block))

    def _finish(self, length: int) -> None:
        if self._live is not None:
            # Stopping shows it all once more, also what is taller than the screen.
            self._live.update("")
            self._live.stop()
            self._live = None
        # Ctrl-C may end this at any point: what was taken out of the block is not printed again.
        finished, self._block = self._block[:length], self._block[length:]
        if finished.strip():
            self._console.print(self._rendered(finished))
            self._console.print()

    def _rendered(self, text: str) -> Constrain:
        return Constrain(_Markdown(text), max(1, self._console.width - _ECHO_COLUMNS))


_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])


class _Markdown(Markdown):
    """Markdown as a model means it: a line end is one, a tag is text, a link shows its target."""

    def __init__(self, text: str) -> None:
        super().__init__(text, hyperlinks=False)
        self.parsed = _PARSER.parse(text)
        _keep_line_ends(self.parsed)


def _keep_line_ends(tokens: Iterable[Token]) -> None:
    for token in tokens:
        if token.type == "softbreak":
            token.type = "hardbreak"
        _keep_line_ends(token.children or ())


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


Output = PlainOutput | TerminalOutput
