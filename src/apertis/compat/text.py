"""Text and lines of a body that comes in pieces."""

from __future__ import annotations

import codecs
import re

_END = re.compile("\r\n|\n|\r")


def text_decoder() -> codecs.IncrementalDecoder:
    """Return a decoder of UTF-8 that cuts no character, with U+FFFD for what is none."""
    return codecs.getincrementaldecoder("utf-8")("replace")


class TextLines:
    """A cutter of text at its line ends: LF, CR LF and CR, and no others."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._held = ""

    def feed(self, text: str) -> list[str]:
        """Return the lines that this text completes."""
        text = self._held + text
        # The LF of a CR LF may be still to come.
        self._held = "\r" if text.endswith("\r") else ""
        first, *rest = _END.split(text.removesuffix(self._held))
        self._pieces.append(first)
        if not rest:
            return []
        lines = ["".join(self._pieces), *rest]
        self._pieces = [lines.pop()]
        return lines

    def finish(self) -> list[str]:
        """Return the line that the end left open, if there is one."""
        rest = "".join(self._pieces)
        return [rest] if rest or self._held else []
