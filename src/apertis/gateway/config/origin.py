"""Values as they were given, with their places, and the reader that checks them by their kinds."""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from apertis.errors import ConfigurationError
from apertis.gateway.config.kinds import UnfitError, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from apertis.gateway.config.kinds import Kind
    from apertis.gateway.config.settings import AlertTargetSettings, UpstreamSettings

_Named = TypeVar("_Named", "UpstreamSettings", "AlertTargetSettings")


@dataclass(frozen=True)
class FileSource:
    """A configuration file."""

    path: Path
    lines: TomlLines = field(repr=False)

    @property
    def base(self) -> Path:
        """The file's directory."""
        return self.path.parent

    def label(self, path: TomlPath) -> str:
        """Return the file, the line, and the setting's dotted name."""
        return f"{self.path}:{self.line(path)}: {dotted(path)}"

    def origin(self, path: TomlPath) -> str:
        """Return the file and the line."""
        return f"{self.path.name}:{self.line(path)}"

    def line(self, path: TomlPath) -> int:
        """Return the line of the value."""
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
        """Return its name, and where inside of it."""
        inside = dotted(path[len(self.path) :])
        joint = "." if inside and not inside.startswith("[") else ""
        return f"{self.name}{joint}{inside}"

    def origin(self, path: TomlPath) -> str:  # noqa: ARG002
        """Return its name."""
        return self.name

    def line(self, path: TomlPath) -> int:  # noqa: ARG002
        """Return 0: there are no lines."""
        return 0


Source = FileSource | Named


@dataclass(frozen=True)
class Origin:
    """The place of a value in a source."""

    source: Source
    path: TomlPath

    def __truediv__(self, key: str | int) -> Origin:
        return Origin(self.source, (*self.path, key))

    @property
    def label(self) -> str:
        """The beginning of a message about the value."""
        return self.source.label(self.path)

    @property
    def origin(self) -> str:
        """Return a few words that say where the value was read."""
        return self.source.origin(self.path)


@dataclass(frozen=True)
class RawSetting:
    """A value in TOML's terms; `text` is what a variable said, where it came from one."""

    value: object = field(repr=False)
    place: Origin
    text: str | None = field(default=None, repr=False)

    def __truediv__(self, key: str | int) -> Origin:
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
    """Return `upstreams[0].models`, as messages name a setting."""
    parts = [f"[{key}]" if isinstance(key, int) else f".{_key(key)}" for key in path]
    return "".join(parts).removeprefix(".")


def _key(key: str) -> str:
    plain = key.replace("-", "").replace("_", "").isalnum() and key.isascii()
    return key if plain else f'"{key}"'


TomlPath = tuple[str | int, ...]

_TOKEN = re.compile(
    r'(?P<string>"""(?:\\.|[^\\])*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*')"
    r"|(?P<comment>#[^\n]*)"
    r"|(?P<bare>[^\s\[\]{}=,#\"']+)"
    r"|(?P<mark>[\[\]{}=,\n])",
    re.DOTALL,
)


class TomlLines:
    """The lines of a text that is known to be TOML.

    A path has the keys and, for the elements of arrays, the indices that lead to a value.
    """

    def __init__(self, text: str) -> None:
        self._found: dict[TomlPath, int] = {}
        self._counts: dict[TomlPath, int] = {}
        self._tokens = _tokens(text.replace("\r\n", "\n"))
        self._line, self._token = 1, ""
        self._advance()
        self._read()

    def of(self, path: TomlPath) -> int:
        """Return the line of a value; for one that is not there, of the nearest table around it."""
        while path and path not in self._found:
            path = path[:-1]
        return self._found.get(path, 1)

    def _advance(self) -> str:
        """Leave the present token, which is given back."""
        left = self._token
        self._line, self._token = next(self._tokens, (self._line, ""))
        return left

    def _note(self, path: TomlPath) -> None:
        self._found.setdefault(path, self._line)

    def _read(self) -> None:
        table: TomlPath = ()
        while self._token:
            if self._token == "\n":
                self._advance()
            elif self._token == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> TomlPath:
        line = self._line
        self._advance()
        is_array = self._token == "["
        if is_array:
            self._advance()
        keys = self._keys("]")
        while self._token not in {"\n", ""}:
            self._advance()
        path: TomlPath = ()
        for place, key in enumerate(keys, 1):
            path = (*path, key)
            self._found.setdefault(path, line)
            if path in self._counts and not (is_array and place == len(keys)):
                path = (*path, self._counts[path] - 1)
        if is_array:
            count = self._counts.get(path, 0)
            self._counts[path] = count + 1
            path = (*path, count)
            self._found[path] = line
        return path

    def _keys(self, end: str) -> list[str]:
        keys: list[str] = []
        while self._token not in {end, ""}:
            token = self._advance()
            if token[0] in "\"'":
                keys.append(tomllib.loads(f"key = {token}")["key"])
            else:
                keys += [part for part in token.split(".") if part]
        return keys

    def _pair(self, table: TomlPath) -> None:
        line = self._line
        path = table
        for key in self._keys("="):
            path = (*path, key)
            self._found.setdefault(path, line)
        self._advance()
        self._value(path)

    def _value(self, path: TomlPath) -> None:
        opening = self._token
        if opening in {"[", "{"}:
            self._advance()
            self._elements(path, "]" if opening == "[" else "}")
            return
        while self._token not in {"", "\n", ",", "]", "}"}:
            self._advance()

    def _elements(self, path: TomlPath, end: str) -> None:
        index = 0
        while self._token not in {end, ""}:
            if self._token in {",", "\n"}:
                self._advance()
            elif end == "}":
                self._pair(path)
            else:
                self._note((*path, index))
                self._value((*path, index))
                index += 1
        self._advance()


def _tokens(text: str) -> Iterator[tuple[int, str]]:
    line, counted = 1, 0
    for match in _TOKEN.finditer(text):
        line += text.count("\n", counted, match.start())
        counted = match.start()
        if match.lastgroup != "comment":
            yield line, match[0]


class SettingsError(ConfigurationError):
    """The settings cannot work. `problems` has a sentence for each reason; so has the message."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems: tuple[str, ...] = tuple(self.message.split("\n"))


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that a misspelled one most likely stands for."""
    return next(iter(difflib.get_close_matches(name, list(known), 1, cutoff)), None)


class Reader:
    """A reader that reads what it can, and keeps the problems until the end."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self._problems: list[tuple[int, str]] = []

    def problem(self, place: Origin, sentence: str) -> None:
        """Keep a problem of the value at a place; the sentence follows its name."""
        line = place.source.line(place.path)
        self._problems.append((line, f"{place.label} {sentence}"))

    def complain(self, sentence: str) -> None:
        """Keep a problem that has no place."""
        self._problems.append((0, sentence))

    def finish(self) -> None:
        """Raise `SettingsError` if there were problems: those of a file by their lines."""
        if self._problems:
            ordered = sorted(self._problems, key=lambda problem: problem[0])
            raise SettingsError([sentence for _, sentence in ordered])

    def value(self, given: RawSetting, kind: Kind) -> Any:
        """Return the value; None, with a problem kept, if it cannot be."""
        try:
            return kind.read(given.value, given.place.source.base)
        except UnfitError as error:
            told = f", not {kind.show(given.value if given.text is None else given.text)}"
            reason = f": {error}" if str(error) else ""
            # The reason names the element of a list that is meant.
            is_list = reason and given.array is not None
            self.problem(given.place, f"must be {kind.expected}{'' if is_list else told}{reason}")
            return None

    def values(self, given: Mapping[str, RawSetting], kinds: Mapping[str, Kind]) -> dict[str, Any]:
        """Return the values that could be read, by name."""
        found: dict[str, Any] = {}
        for name in given.keys() & kinds.keys():
            before = len(self._problems)
            value = self.value(given[name], kinds[name])
            if len(self._problems) == before:
                found[name] = value
        return found

    def table(self, given: RawSetting, known: Collection[str]) -> dict[str, RawSetting] | None:
        """Read a table; unknown names are problems. None if it is not a table."""
        table = given.table
        if table is None:
            self.problem(given.place, f"must be a table, not {shown(given.value)}")
            return None
        for name in table.keys() - set(known):
            self.unknown(given / name, name, known)
        return {n: RawSetting(v, given / n) for n, v in table.items() if n in known}

    def array(self, given: RawSetting) -> list[RawSetting]:
        """Return the elements of an array; none, with a problem kept, if it is no array."""
        elements = given.array
        if elements is None:
            self.problem(given.place, f"must be an array, not {shown(given.value)}")
            return []
        return [RawSetting(element, given / index) for index, element in enumerate(elements)]

    def named(
        self, given: RawSetting, read: Callable[[RawSetting], _Named | None]
    ) -> tuple[tuple[_Named, Origin], ...]:
        """Read an array of tables with a name each; those that cannot be are left out."""
        found: list[tuple[_Named, Origin]] = []
        names: dict[str, Origin] = {}
        for element in self.array(given):
            one = read(element)
            if one is None:
                continue
            first = names.setdefault(one.name, element.place)
            if first is not element.place:
                sentence = f"is {one.name!r} again: {first.label} has that name"
                self.problem(element / "name", sentence)
            found.append((one, element.place))
        return tuple(found)

    def unknown(self, place: Origin, name: str, known: Collection[str]) -> None:
        """Keep that a name is not known, with the one that may be meant."""
        meant = nearest(name, known)
        hint = f"; did you mean {meant}?" if meant else f"; there are {', '.join(sorted(known))}"
        self.problem(place, f"is an unknown setting{hint}")
