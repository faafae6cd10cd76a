"""JSON that arrives in pieces -> the value so far.

The value grows in place, so that a piece costs what it has in it, however much came before. Of a
string that has not ended its beginning is there; what would have to be copied anew with each piece
is copied when it has grown by an eighth.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias

import msgspec

from apertis.models.json import UNREADABLE, json_or_none, without_half_characters
from apertis.structured.schema import is_object, place

# Up to this many characters a string is shown with each piece.
MAX_SHORT = 64

_State: TypeAlias = Literal["value", "item", "key", "first key", "colon", "comma", "end"]
_EXPECTED: dict[_State, str] = {
    "value": "a value",
    "item": "a value or `]`",
    "key": "a key",
    "first key": "a key or `}`",
    "colon": "`:`",
    "comma": "`,` or the end",
    "end": "nothing after the value",
}
_SPACE = " \t\n\r"
_TOKEN = re.compile(r"[^ \t\n\r,:\[\]{}\"]*")
_INSIDE = re.compile(r'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f]")
# The part of a string that no later piece can change: no half escape, no half of a pair.
_SOUND = re.compile(
    r"(?:[^\\]+|\\[^u]|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u(?![dD][89abAB])....)*", re.DOTALL
)


class PartialJSON:
    """A reader of JSON in pieces: `feed` it each, `finish` at the end.

    `value` is what came so far, in dicts and lists that go on growing; `begun` turns true with its
    first part, `complete` when it is whole. `fault` says what was expected where the text stopped
    being JSON, `path()` where that is. `work` counts the characters that were looked at.
    """

    __slots__ = (
        *("_escaped", "_escapes", "_is_key", "_keys", "_length", "_parts", "_quoted", "_shown"),
        *("_stack", "_state", "_token", "begun", "fault", "value", "work"),
    )

    def __init__(self) -> None:
        self.value: Any = None
        self.begun = False
        self.fault: str | None = None
        self.work = 0
        self._stack: list[Any] = []
        # The key in each object that is open; an array has an empty one.
        self._keys: list[str] = []
        self._state: _State = "value"
        self._token: list[str] = []
        self._parts: list[str] = []
        self._quoted = False
        self._is_key = False
        self._escaped = False
        self._escapes = False
        # The length of the string that is open, and as much of it as is shown; None for nothing.
        self._length = 0
        self._shown: int | None = None

    @property
    def complete(self) -> bool:
        """True when the value is whole and nothing else came."""
        return self._state == "end" and self.fault is None

    def feed(self, text: str) -> None:
        """Read a piece."""
        at, end = 0, len(text)
        self.work += end
        if self._quoted and '"' not in text and "\\" not in text and not self._escaped:
            # The middle of a string, as most pieces are.
            self._parts.append(text)
            self._length += end
            at = end
        while at < end and self.fault is None:
            if self._quoted:
                at = self._string(text, at)
            elif self._token:
                at = self._scalar(text, at)
            elif text[at] in _SPACE:
                at += 1
            else:
                at = self._next(text, at)
        if self._quoted and not self._is_key:
            self._show()

    def finish(self) -> None:
        """Handle the end of the text."""
        if self._token and self.fault is None:
            self._end_token()

    def path(self) -> str:
        """Return the place at which the text is: `$.items[3].price`."""
        path = "$"
        inner = len(self._stack) - 1
        inside = self._state in ("value", "item") or (self._quoted and not self._is_key)
        for level, container in enumerate(self._stack):
            if level == inner and not inside:
                break
            if is_object(container):
                path = place(path, self._keys[level])
            else:
                begun = level < inner or self._shown is not None
                path = place(path, len(container) - begun)
        return path

    def expected(self) -> str:
        """Return what the text lacks at its end."""
        if self._quoted:
            return "the rest of a string"
        return _EXPECTED[self._state]

    def _next(self, text: str, at: int) -> int:
        char, state = text[at], self._state
        if char == '"':
            if state in ("value", "item"):
                self._is_key = False
            elif state in ("key", "first key"):
                self._is_key = True
            else:
                return self._fail(at)
            self._quoted = True
            self._escapes = False
            self._parts = []
            self._length = 0
            self._shown = None
            return at + 1
        if char == ":" and state == "colon":
            self._state = "value"
        elif char == "," and state == "comma":
            self._state = "key" if self._in_object() else "value"
        elif char in "{[" and state in ("value", "item"):
            container: Any = {} if char == "{" else []
            self._put(container)
            self._stack.append(container)
            self._keys.append("")
            self._state = "first key" if char == "{" else "item"
        elif (
            char == "}" and (state == "first key" or (state == "comma" and self._in_object()))
        ) or (char == "]" and (state == "item" or (state == "comma" and not self._in_object()))):
            self._stack.pop()
            self._keys.pop()
            self._state = "comma" if self._stack else "end"
        elif state in ("value", "item") and char not in ",:]}":
            return self._scalar(text, at)
        else:
            return self._fail(at)
        return at + 1

    def _closes(self, char: str) -> bool:
        if char == "}":
            return self._state == "first key" or (self._state == "comma" and self._in_object())
        if char == "]":
            return self._state == "item" or (self._state == "comma" and not self._in_object())
        return False

    def _in_object(self) -> bool:
        return type(self._stack[-1]) is dict

    def _string(self, text: str, at: int) -> int:
        start = at
        if "\\" not in text and not self._escaped:
            # No regular expression is as fast.
            at = text.find('"', at)
            piece = text[start:at] if at >= 0 else text[start:]
            self._parts.append(piece)
            self._length += len(piece)
            if at < 0:
                return len(text)
            self._end_string()
            return at + 1
        if self._escaped:
            self._escaped = False
            at += 1
        at = _INSIDE.match(text, at).end()  # type: ignore[union-attr]
        closed = at < len(text) and text[at] == '"'
        if at < len(text) and not closed:
            self._escaped = True
            at += 1
        if at > start:
            piece = text[start:at]
            self._escapes = self._escapes or "\\" in piece
            self._parts.append(piece)
            self._length += len(piece)
        if not closed:
            return at
        self._end_string()
        return at + 1

    def _end_string(self) -> None:
        parts = self._parts
        raw = parts[0] if len(parts) == 1 else "".join(parts)
        self.work += self._length
        self._quoted = False
        value: str | None = raw
        if self._escapes or not (raw.isprintable() or _CONTROL.search(raw) is None):
            value = json_or_none(without_half_characters(f'"{raw}"'.encode()), str)
        if value is None:
            self._quoted = True
            self.fault = "a string without control characters or unknown escapes"
        elif self._is_key:
            self._keys[-1] = value
            self._state = "colon"
        else:
            self._put(value, replaced=self._shown is not None)
            self._shown = None
            self._state = "comma" if self._stack else "end"

    def _show(self) -> None:
        """Put what is there of a string into the value, if that is worth a copy."""
        shown = self._shown
        if shown is not None and shown > MAX_SHORT and self._length - shown < shown >> 3:
            return
        raw = "".join(self._parts)
        self.work += self._length
        self._parts = [raw]
        if self._escapes:
            sound = _SOUND.match(raw).group()  # type: ignore[union-attr]
            text = json_or_none(without_half_characters(f'"{sound}"'.encode()), str)
            if text is None:
                return
        else:
            text = raw
        self._put(text, replaced=shown is not None)
        self._shown = self._length

    def _scalar(self, text: str, at: int) -> int:
        end = _TOKEN.match(text, at).end()  # type: ignore[union-attr]
        if end > at:
            self._token.append(text[at:end])
        if end < len(text):
            self._end_token()
        return end

    def _end_token(self) -> None:
        token = "".join(self._token)
        self.work += len(token)
        try:
            value = msgspec.json.decode(token)
        except UNREADABLE:
            self.fault = _EXPECTED[self._state]
            return
        self._token = []
        self._put(value)
        self._state = "comma" if self._stack else "end"

    def _put(self, value: Any, *, replaced: bool = False) -> None:
        if not self._stack:
            self.value = value
            self.begun = True
            return
        container = self._stack[-1]
        if type(container) is dict:
            container[self._keys[-1]] = value
        elif replaced:
            container[-1] = value
        else:
            container.append(value)

    def _fail(self, at: int) -> int:
        self.fault = _EXPECTED[self._state]
        return at
