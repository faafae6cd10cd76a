"""How the value of a setting may be written: in TOML, and as a variable of the environment."""

from __future__ import annotations

import abc
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Choice", "Flag", "Kind", "Names", "Text", "UnfitError", "quoted", "shown"]

_LONGEST_SHOWN = 80
_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off"})


class UnfitError(ValueError):
    """A value that a setting cannot take; the message, if any, says more than what is expected."""


class Kind(abc.ABC):
    """What a setting takes."""

    # Whether None can be written, as zero is for a limit.
    has_none = False

    @property
    @abc.abstractmethod
    def expected(self) -> str:
        """What it takes, to follow "must be"."""

    @abc.abstractmethod
    def read(self, given: object, base: Path) -> Any:
        """The setting's value for what TOML or JSON gave; `UnfitError` if it cannot be.

        Paths are relative to `base`.
        """

    def parse(self, text: str) -> object:
        """What a variable's text stands for, in TOML's terms."""
        return text

    @abc.abstractmethod
    def write(self, value: Any) -> str:
        """The value as TOML, without a secret that may be in it."""

    def show(self, given: object) -> str:
        """What was given, for a message."""
        return shown(given)


def quoted(text: str) -> str:
    """A string of TOML: JSON's form is one, save for the character 127."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def shown(given: object) -> str:
    """A value for a message: short, on one line."""
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, dict):
        return "a table"
    if isinstance(given, list):
        return "a list" if given else "an empty list"
    text = repr(given) if isinstance(given, str) else str(given)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 4]}...{text[-1]}"


@dataclass(frozen=True)
class Text(Kind):
    """A line of text, of a pattern if one is given."""

    description: str = "a text"
    pattern: str = r"\S(.*\S)?"

    @property
    def expected(self) -> str:
        """What it takes."""
        return self.description

    def read(self, given: object, base: Path) -> str:  # noqa: ARG002
        """The text."""
        if not isinstance(given, str) or not re.fullmatch(self.pattern, given):
            raise UnfitError
        if not given.isprintable():
            raise UnfitError
        return given

    def write(self, value: str) -> str:
        """The text in quotes."""
        return quoted(value)


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        """The words."""
        return " or ".join(quoted(word) for word in self.words)

    def read(self, given: object, base: Path) -> str:  # noqa: ARG002
        """The word."""
        if not isinstance(given, str) or given not in self.words:
            raise UnfitError
        return given

    def write(self, value: str) -> str:
        """The word in quotes."""
        return quoted(value)


@dataclass(frozen=True)
class Flag(Kind):
    """Yes or no."""

    @property
    def expected(self) -> str:
        """The two words."""
        return "true or false"

    def read(self, given: object, base: Path) -> bool:  # noqa: ARG002
        """The answer."""
        if not isinstance(given, bool):
            raise UnfitError
        return given

    def parse(self, text: str) -> object:
        """The answer that a word stands for."""
        word = text.lower()
        return True if word in _YES else False if word in _NO else text

    def write(self, value: bool) -> str:
        """The word."""
        return "true" if value else "false"


@dataclass(frozen=True)
class Names(Kind):
    """A list of texts of one kind."""

    item: Kind
    noun: str = "texts"

    @property
    def expected(self) -> str:
        """What the list has."""
        return f"a list of {self.noun}"

    def read(self, given: object, base: Path) -> tuple[str, ...]:
        """The texts."""
        if not isinstance(given, list):
            raise UnfitError
        read: list[str] = []
        for item in cast("list[object]", given):
            try:
                read.append(self.item.read(item, base))
            except UnfitError as error:
                reason = str(error) or f"is not {self.item.expected}"
                raise UnfitError(f"{shown(item)} {reason}") from None
        return tuple(read)

    def parse(self, text: str) -> object:
        """A JSON array, or the texts between commas."""
        if not text.lstrip().startswith("["):
            return [part.strip() for part in text.split(",") if part.strip()]
        try:
            return json.loads(text)
        except ValueError:
            return text

    def write(self, value: tuple[str, ...]) -> str:
        """The list."""
        return f"[{', '.join(self.item.write(item) for item in value)}]"
