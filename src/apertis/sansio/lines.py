"""JSON lines from bytes that may be cut anywhere."""

from __future__ import annotations

from apertis.sansio.outcome import MAX_ANSWER_BYTES


class LineTooLargeError(Exception):
    """A line grew past the size of any whole response."""


class LineDecoder:
    """A cutter of a byte stream at line feeds: `feed` bytes, `finish` at its end."""

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that this chunk completes, without empty ones."""
        first, *rest = chunk.split(b"\n")
        self._pieces.append(first)
        if not rest:
            self._size += len(first)
            if self._size > MAX_ANSWER_BYTES:
                raise LineTooLargeError
            return []
        # Only the line that ends here is joined, so a long one costs its length once.
        lines = [b"".join(self._pieces), *rest]
        self._pieces = [lines.pop()]
        self._size = len(self._pieces[0])
        return [line for line in map(bytes.strip, lines) if line]

    def finish(self) -> list[bytes]:
        """Return the line that the end of the stream left open, if there is one."""
        rest = b"".join(self._pieces).strip()
        self._pieces = []
        return [rest] if rest else []
