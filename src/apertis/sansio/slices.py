"""The few members of a JSON object that the gateway needs, whatever stands in all others.

What an upstream says passes as received, and much of it need not be understood. A parser refuses
half a surrogate pair, bytes that are not UTF-8, and nesting beyond the recursion limit, wherever
they stand. So where it refuses, values are skipped by their quotes and brackets alone: in one
pass, without recursion.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

import msgspec

from apertis.models.json import UNREADABLE, json_or_none, with_sound_text, without_half_characters

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

T = TypeVar("T")
# The members to keep: a mapping for what to keep of an object, None for any value.
Shape: TypeAlias = "Mapping[str, Shape | None]"

# A third of a second. Beyond it nothing is read: others wait meanwhile.
_MAX_STEPS = 1_000_000
_STEPS_OF_A_MEMBER = 4

_SPACE = rb"[ \t\n\r]*+"
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_KEY = re.compile(_SPACE + rb"(" + _STRING + rb")" + _SPACE + rb":" + _SPACE, re.DOTALL)
_NEXT = re.compile(_SPACE + rb"([,}])")
_GAP = re.compile(_SPACE)
_EMPTY_LIST = re.compile(rb"\[" + _SPACE + rb"\]")
_AFTER_ITEM = re.compile(_SPACE + rb"[,\]]")
_PLAIN = re.compile(_STRING + rb"|[^\s,\]}\[{\":]++", re.DOTALL)
# Inside an object or a list: up to the next brackets that open or close, or the next string.
_STEP = re.compile(rb'[^"\[\]{}]*+(?:([\[{]++)|([\]}]++)|' + _STRING + rb")", re.DOTALL)


def slices(data: bytes, names: Collection[str]) -> dict[str, bytes] | None:
    """Give those members of an object that have these names, as the bytes of their values.

    None for what is no object. Of a name that stands twice the last value counts, as it does to
    most parsers. What stands inside the values is not looked at.
    """
    opening = data.find(b"{")
    if opening < 0 or data[:opening].strip(b" \t\n\r"):
        return None
    found: dict[str, bytes] = {}
    position, left = opening + 1, _MAX_STEPS
    ending = _NEXT.match(data, position)
    while ending is None or ending[1] != b"}":
        key = _KEY.match(data, position)
        if key is None:
            return None
        end, left = _end_of_value(data, key.end(), left - _STEPS_OF_A_MEMBER)
        ending = _NEXT.match(data, end)
        if ending is None or left <= 0:
            return None
        name = _name(key[1])
        if name in names:
            found[name] = data[key.end() : end]
        position = ending.end()
    return found if not data[ending.end() :].strip(b" \t\n\r") else None


def items(data: bytes) -> list[bytes] | None:
    """Give the items of a list, as their bytes; None for what is no list."""
    found: list[bytes] = []
    position, left = len(data) - len(data.lstrip(b" \t\n\r")), _MAX_STEPS
    if data[position : position + 1] != b"[":
        return None
    if _EMPTY_LIST.match(data, position):
        return found
    while data[position : position + 1] != b"]":
        gap = _GAP.match(data, position + 1)
        start = position + 1 if gap is None else gap.end()
        end, left = _end_of_value(data, start, left - _STEPS_OF_A_MEMBER)
        after = _AFTER_ITEM.match(data, end)
        if after is None or left <= 0:
            return None
        found.append(data[start:end])
        position = after.end() - 1
    return found


def _end_of_value(data: bytes, start: int, left: int) -> tuple[int, int]:
    """Find where a value ends, and how many steps are left then; none for what is no value."""
    if data[start : start + 1] not in (b"{", b"["):
        plain = _PLAIN.match(data, start)
        return (start, 0) if plain is None else (plain.end(), left)
    depth, position = 0, start
    while left > 0:
        left -= 1
        step = _STEP.match(data, position)
        if step is None:
            break
        position = step.end()
        if step[1] is not None:
            depth += len(step[1])
        elif step[2] is not None:
            closed = len(step[2])
            if closed >= depth:
                return position - closed + depth, left
            depth -= closed
    return start, 0


def _name(literal: bytes) -> str:
    text = literal[1:-1]
    if b"\\" not in text:
        return text.decode("utf-8", "replace")
    return json_or_none(without_half_characters(literal), str) or ""


def read_or_none(decoder: msgspec.json.Decoder[T], data: bytes, shape: Shape) -> T | None:
    """Decode an object of which `shape` names what the decoder needs; None for what is none.

    What the decoder refuses for something that is not in the shape, it gets without that.
    """
    try:
        return decoder.decode(data)
    except UNREADABLE:
        reduced = _reduced(data, shape)
    return None if reduced is None else json_or_none(reduced, decoder)


def _reduced(data: bytes, shape: Shape) -> bytes | None:
    """Give the object with nothing but the members of a shape that can be decoded."""
    found = slices(data, shape)
    if found is None:
        return None
    members: list[bytes] = []
    for name, raw in found.items():
        inner = shape[name]
        is_object = inner is not None and raw.startswith(b"{")
        value = _reduced(raw, inner or {}) if is_object else _sound(raw)
        if value is not None:
            members.append(msgspec.json.encode(name) + b":" + value)
    return b"{" + b",".join(members) + b"}"


def _sound(raw: bytes) -> bytes | None:
    """Give a value as something that can be decoded: U+FFFD stands for what is no character."""
    value = with_sound_text(raw)
    try:
        msgspec.json.decode(value)
    except UNREADABLE:
        return None
    return value


MAX_VALUES = 250_000
"""The values of a request: a context window of a million tokens holds no more."""
MAX_FIELDS = 1_000
"""The fields at the top of a body: a request has a few dozen."""
MAX_BATCH_REQUESTS = 100_000
"""The requests of a batch: the API's own limit."""

# Between two pieces other threads may run: a large batch is read in one.
_PIECE_BYTES = 64 * 1024
_LOOK_BYTES = 16 * 1024
# A value whose brackets are all closed, up to two deep.
_CLOSED = re.compile(rb"[\[{](?:,|[\[{],*+[\]}])*+[\]}]")
_EVERY_BYTE = bytes(range(256))
_NO_VALUE = _EVERY_BYTE.translate(None, b",[{")
_NO_STRUCTURE = _EVERY_BYTE.translate(None, b",[{]}")
# What may stand behind a backslash stays: `\n"` is not to become an escaped quote.
_NO_ESCAPE = _EVERY_BYTE.translate(None, b',[{]}"\\/bfnrtu')
_COMMA = b","[0]
_OPENING = frozenset(b"[{")


class Bounds(NamedTuple):
    """Limits of a body. `elements` are those of all arrays and objects at its second level."""

    values: int | None = MAX_VALUES
    fields: int = MAX_FIELDS
    elements: int | None = None

    def excess(self, data: bytes) -> str | None:
        """Say what a body has too much of; None when it is within the bounds.

        In sound JSON the count is exact, but for an empty array or object, which counts as two. In
        what is not sound it counts all that a decoder could make before it meets the fault.
        """
        if self._is_far(data):
            return None
        values = fields = 1
        depth = elements = 0
        for structure in structures(data):
            values += len(structure.translate(None, b"]}"))
            if self.values is not None and values > self.values:
                return f"at most {self.values} values"
            if self.elements is None:
                # No closed value below the top one has anything left to count.
                top = depth == 0
                structure = structure[:top] + _CLOSED.sub(b"", _CLOSED.sub(b"", structure[top:]))  # noqa: PLW2901
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

    def _is_far(self, data: bytes) -> bool:
        """Return whether a body is within the bounds whatever of it is a string.

        It is read as far as it must be: in sound JSON no three bytes hold more than two values.
        """
        bound = self.values or self.elements or self.fields
        found, left = 1, len(data)
        for start in range(0, len(data), _LOOK_BYTES):
            if found + left * 2 // 3 < bound:
                return True
            piece = data[start : start + _LOOK_BYTES]
            found += len(piece.translate(None, _NO_VALUE))
            left -= len(piece)
            if found >= bound // 2:
                return False
        return True


BOUNDS = Bounds()
# Each request in it is bounded by itself.
BATCH_BOUNDS = Bounds(values=None, elements=MAX_BATCH_REQUESTS + MAX_FIELDS)


def structures(data: bytes, piece_bytes: int = _PIECE_BYTES) -> Iterator[bytes]:
    """Yield the commas and brackets outside of strings, piece by piece."""
    inside = False
    start = 0
    while start < len(data):
        end = start + piece_bytes
        piece = data[start:end]
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
            # An escape is not cut in two.
            piece += data[end : end + 1]
        start += len(piece)
        if b"\\" in piece:
            # Every quote that is left opens or closes a string. An escape that JSON does not have,
            # or one outside of a string, is a fault, behind which nothing counts.
            piece = piece.translate(None, _NO_ESCAPE)
            piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = piece.split(b'"')
        yield b"".join(parts[inside::2]).translate(None, _NO_STRUCTURE)
        inside ^= len(parts) % 2 == 0
