"""Values as they were given, each with the place that it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from apertis.gateway.config.locate import Lines, TomlPath

__all__ = ["FileSource", "Given", "Named", "Place", "Source", "dotted"]


class Source(Protocol):
    """A file, a variable or an option."""

    @property
    def base(self) -> Path:
        """What its relative paths are relative to."""
        ...

    def label(self, path: TomlPath) -> str:
        """How a message about a value begins."""
        ...

    def origin(self, path: TomlPath) -> str:
        """Where the value was read, in a few words."""
        ...

    def line(self, path: TomlPath) -> int:
        """The line of the value, 0 where there are no lines."""
        ...


@dataclass(frozen=True)
class FileSource:
    """A configuration file."""

    path: Path
    lines: Lines = field(repr=False)

    @property
    def base(self) -> Path:
        """The file's directory."""
        return self.path.parent

    def label(self, path: TomlPath) -> str:
        """The file, the line, and the setting's dotted name."""
        return f"{self.path}:{self.line(path)}: {dotted(path)}"

    def origin(self, path: TomlPath) -> str:
        """The file and the line."""
        return f"{self.path.name}:{self.line(path)}"

    def line(self, path: TomlPath) -> int:
        """The line of the value."""
        return self.lines.of(path)


@dataclass(frozen=True)
class Named:
    """A variable of the environment, or an option of the command line.

    It gives the setting at `path`; what is inside of it is named after it.
    """

    name: str
    path: TomlPath
    base: Path = Path()

    def label(self, path: TomlPath) -> str:
        """Its name, and where inside of it."""
        inside = dotted(path[len(self.path) :])
        joint = "." if inside and not inside.startswith("[") else ""
        return f"{self.name}{joint}{inside}"

    def origin(self, path: TomlPath) -> str:  # noqa: ARG002
        """Its name."""
        return self.name

    def line(self, path: TomlPath) -> int:  # noqa: ARG002
        """None of its own."""
        return 0


@dataclass(frozen=True)
class Place:
    """Where a value stands in a source."""

    source: Source
    path: TomlPath

    def __truediv__(self, key: str | int) -> Place:
        return Place(self.source, (*self.path, key))

    @property
    def label(self) -> str:
        """How a message about the value begins."""
        return self.source.label(self.path)

    @property
    def origin(self) -> str:
        """Where the value was read, in a few words."""
        return self.source.origin(self.path)


@dataclass(frozen=True)
class Given:
    """A value in TOML's terms; `text` is what a variable said, where it came from one."""

    value: object = field(repr=False)
    place: Place
    text: str | None = field(default=None, repr=False)

    def __truediv__(self, key: str | int) -> Place:
        return self.place / key

    @property
    def table(self) -> dict[str, object] | None:
        """The value, if it is a table."""
        value = self.value
        return cast("dict[str, object]", value) if isinstance(value, dict) else None

    @property
    def array(self) -> list[object] | None:
        """The value, if it is an array."""
        value = self.value
        return cast("list[object]", value) if isinstance(value, list) else None


def dotted(path: TomlPath) -> str:
    """`upstreams[0].models`, as messages name a setting."""
    parts = [f"[{key}]" if isinstance(key, int) else f".{_key(key)}" for key in path]
    return "".join(parts).removeprefix(".")


def _key(key: str) -> str:
    plain = key.replace("-", "").replace("_", "").isalnum() and key.isascii()
    return key if plain else f'"{key}"'
