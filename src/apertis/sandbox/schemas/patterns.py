"""A string for a regular expression: the plainest one that it describes.

Reads what tools' schemas use: literals, classes, groups, alternatives, quantifiers and anchors.
For look-arounds, back references and what else it does not read, there is no string.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

# A piece of the expression writes itself: so many more rounds for each open repetition.
_Writer: TypeAlias = Callable[[int], str]

_CLASSES = {"d": string.digits, "w": string.ascii_letters + string.digits + "_", "s": " "}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_MAX_ROUNDS = 512
# An expression can ask for more than there is memory; no tool's argument is as long as this.
_LONGEST = 20_000
_PRINTABLE = string.ascii_letters + string.digits + string.punctuation + " "


class _UnreadableError(Exception):
    """The expression holds something that is not read here."""


def example(pattern: str, at_least: int = 0, at_most: int | None = None) -> str | None:
    """Return a string that the pattern describes, if possible of such a length, or None.

    An open repetition is written as often as the length needs.
    """
    try:
        reader = _Reader(pattern)
        write = reader.alternatives()
        if reader.place < len(pattern):
            return None
        for rounds in range(min(at_least, _MAX_ROUNDS) + 1):
            text = write(rounds)
            if len(text) >= at_least:
                return text if at_most is None or len(text) <= at_most else None
        return write(0)
    except (_UnreadableError, RecursionError):
        return None


@dataclass
class _Reader:
    pattern: str
    place: int = 0

    def alternatives(self) -> _Writer:
        first = self._sequence()
        while self._take("|"):
            # The first alternative is as good as any other.
            self._sequence()
        return first

    def _sequence(self) -> _Writer:
        parts: list[_Writer] = []
        while self.place < len(self.pattern) and self.pattern[self.place] not in "|)":
            parts.append(self._quantified(self._atom()))
        return lambda rounds: _joined(part(rounds) for part in parts)

    def _quantified(self, atom: _Writer) -> _Writer:
        least, open_ended = 1, False
        mark = self._peek()
        if mark and mark in "*+?":
            self.place += 1
            least, open_ended = int(mark == "+"), mark != "?"
        elif mark == "{":
            bounds = self._bounds()
            if bounds is not None:
                least, open_ended = bounds
        else:
            return atom
        # A lazy or possessive mark changes nothing about what is described.
        if self._peek() in ("?", "+"):
            self.place += 1
        return lambda rounds: _repeated(atom, least + rounds * open_ended, rounds)

    def _bounds(self) -> tuple[int, bool] | None:
        end = self.pattern.find("}", self.place)
        least, comma, most = self.pattern[self.place + 1 : end].partition(",")
        if end < 0 or not (least or most) or not (least + most).isdigit():
            raise _UnreadableError
        self.place = end + 1
        # An upper bound is left to the check of the finished string.
        return int(least or 0), bool(comma)

    def _atom(self) -> _Writer:
        mark = self.pattern[self.place]
        self.place += 1
        if mark in "^$":
            return lambda _: ""
        if mark == "(":
            return self._group()
        if mark == "[":
            return _first_of(self._class())
        if mark == ".":
            return lambda _: "a"
        if mark == "\\":
            return self._escape()
        if mark in "*+?":
            raise _UnreadableError
        return lambda _: mark

    def _group(self) -> _Writer:
        if self._take("?"):
            if self._take("P<") or (self._peek() == "<" and self._next() not in ("=", "!")):
                self.place = self.pattern.find(">", self.place) + 1
            elif not self._take(":"):
                raise _UnreadableError
        inner = self.alternatives()
        if not self._take(")"):
            raise _UnreadableError
        return inner

    def _escape(self) -> _Writer:
        if self.place >= len(self.pattern):
            raise _UnreadableError
        mark = self.pattern[self.place]
        if mark in "bB":
            self.place += 1
            return lambda _: ""
        return _first_of(self._escaped())

    def _escaped(self) -> str:
        if self.place >= len(self.pattern):
            raise _UnreadableError
        mark = self.pattern[self.place]
        self.place += 1
        if mark.lower() in _CLASSES:
            inside = _CLASSES[mark.lower()]
            return inside if mark.islower() else _without(inside)
        if mark in "xu":
            width = 2 if mark == "x" else 4
            digits = self.pattern[self.place : self.place + width]
            if len(digits) < width or not set(digits) <= set(string.hexdigits):
                raise _UnreadableError
            self.place += width
            return chr(int(digits, 16))
        if mark.isalnum() and mark not in _ESCAPES:
            raise _UnreadableError
        return _ESCAPES.get(mark, mark)

    def _class(self) -> str:
        negated = self._take("^")
        found = ""
        while not self._take("]"):
            if self.place >= len(self.pattern):
                raise _UnreadableError
            first = self._class_item()
            if len(first) == 1 and self._peek() == "-" and self._next() not in ("]", ""):
                self.place += 1
                last = self._class_item()
                if len(last) != 1 or not 0 <= ord(last) - ord(first) < 4096:
                    raise _UnreadableError
                found += "".join(map(chr, range(ord(first), ord(last) + 1)))
            else:
                found += first
        return _without(found) if negated else found

    def _class_item(self) -> str:
        if self._take("\\"):
            return self._escaped()
        if self.place >= len(self.pattern):
            raise _UnreadableError
        self.place += 1
        return self.pattern[self.place - 1]

    def _peek(self) -> str:
        return self.pattern[self.place : self.place + 1]

    def _next(self) -> str:
        return self.pattern[self.place + 1 : self.place + 2]

    def _take(self, mark: str) -> bool:
        if not self.pattern.startswith(mark, self.place):
            return False
        self.place += len(mark)
        return True


def _joined(pieces: Iterable[str]) -> str:
    text = ""
    for piece in pieces:
        text += piece
        if len(text) > _LONGEST:
            raise _UnreadableError
    return text


def _repeated(atom: _Writer, times: int, rounds: int) -> str:
    """Repeat an element; the first one has the open repetitions inside it written out."""
    if not times:
        return ""
    first = atom(rounds)
    others = atom(0) if rounds else first
    if len(first) + len(others) * (times - 1) > _LONGEST:
        raise _UnreadableError
    return first + others * (times - 1) if others else first


def _without(letters: str) -> str:
    return "".join(letter for letter in _PRINTABLE if letter not in letters)


def _first_of(letters: str) -> _Writer:
    if not letters:
        raise _UnreadableError
    first = min(letters, key=_plainness)
    return lambda _: first


def _plainness(letter: str) -> tuple[int, str]:
    """Rank letters before digits before the rest: an example reads better that way."""
    if letter in string.ascii_lowercase:
        return 0, letter
    if letter in string.ascii_uppercase:
        return 1, letter
    return (2 if letter in string.digits else 3), letter
