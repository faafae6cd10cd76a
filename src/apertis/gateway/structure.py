"""How much structure a JSON text has, counted before anything is made of it.

A text of a megabyte can be a million values, and each takes a hundred times the memory of the byte
or two that it is written with. So values are counted where they are: by the commas and opening
brackets outside of strings. What stands inside strings is text, however much of it looks like JSON.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "BATCH_BOUNDS",
    "BOUNDS",
    "MAX_BATCH_REQUESTS",
    "MAX_FIELDS",
    "MAX_VALUES",
    "Bounds",
    "structures",
]

MAX_VALUES = 250_000
"""The values of a request: a context window of a million tokens holds no more."""
MAX_FIELDS = 1_000
"""The fields at the top of a body: a request has a few dozen."""
MAX_BATCH_REQUESTS = 100_000
"""The requests of a batch: the API's own limit."""

# Between two pieces other threads may run: a large batch is read in one.
_PIECE_BYTES = 64 * 1024
# A string, also one that is never closed: no search begins twice at the same byte.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?+', re.DOTALL)
_EVERY_BYTE = bytes(range(256))
_NO_VALUE = _EVERY_BYTE.translate(None, b",[{")
_NO_STRUCTURE = _EVERY_BYTE.translate(None, b",[{]}")
_COMMA = b","[0]
_OPENING = frozenset(b"[{")


class Bounds(NamedTuple):
    """What a body may have. `elements` are those of all arrays and objects at its second level."""

    values: int | None = MAX_VALUES
    fields: int = MAX_FIELDS
    elements: int | None = None

    def excess(self, data: bytes) -> str | None:
        """Say what a body has too much of; None when it is within the bounds.

        In sound JSON the count is exact, but for an empty array or object, which counts as two. In
        what is not sound it counts all that a decoder could make before it meets the fault.
        """
        # What cannot be more than a part of the bound needs no look at what is a string.
        few = (self.values or self.elements or self.fields) // 5
        if len(data) <= few or len(data.translate(None, _NO_VALUE)) < few:
            return None
        values = fields = 1
        depth = elements = 0
        for structure in structures(data):
            values += len(structure.translate(None, b"]}"))
            if self.values is not None and values > self.values:
                return f"at most {self.values} values"
            for byte in structure:
                if byte == _COMMA:
                    fields += depth == 1
                    elements += depth == 2
                elif byte in _OPENING:
                    depth += 1
                    elements += depth == 2
                else:
                    depth -= 1
                    if depth < 1:
                        break
            if fields > self.fields:
                return f"at most {self.fields} fields at the top"
            if self.elements is not None and elements > self.elements:
                return f"at most {self.elements} elements at its second level"
            if structure and depth < 1:
                # Its end, or its fault.
                return None
        return None


BOUNDS = Bounds()
# Each request in it is bounded by itself.
BATCH_BOUNDS = Bounds(values=None, elements=MAX_BATCH_REQUESTS + MAX_FIELDS)


def structures(data: bytes, piece_bytes: int = _PIECE_BYTES) -> Iterator[bytes]:
    """The commas and brackets outside of strings, piece by piece."""
    inside = False
    start = 0
    while start < len(data):
        end = start + piece_bytes
        piece = data[start:end]
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
            # An escape is not cut in two.
            piece += data[end : end + 1]
        start += len(piece)
        # The mark stays behind only when the quote before it closes a string.
        marked = (b'"' if inside else b"") + piece + b'"\0'
        outside = _STRING.sub(b"", marked)
        inside = outside.endswith(b"\0")
        yield outside.translate(None, _NO_STRUCTURE)
