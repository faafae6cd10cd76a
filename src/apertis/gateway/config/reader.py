"""Validation of values by their kinds, with all problems collected."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from apertis.errors import ConfigurationError
from apertis.gateway.config.kinds import UnfitError, shown
from apertis.gateway.config.origin import RawSetting

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from apertis.gateway.config.kinds import Kind
    from apertis.gateway.config.origin import Origin


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

    def unknown(self, place: Origin, name: str, known: Collection[str]) -> None:
        """Keep that a name is not known, with the one that may be meant."""
        meant = nearest(name, known)
        hint = f"; did you mean {meant}?" if meant else f"; there are {', '.join(sorted(known))}"
        self.problem(place, f"is an unknown setting{hint}")
