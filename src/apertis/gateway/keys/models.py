"""The models that a key may use: ids and `prefix*` patterns, held against the names of requests."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["ModelList", "compile_models"]

_DATE_LENGTH = len("-20251101")


class ModelList:
    """A key's model list, ready for questions.

    Names are case-sensitive, as the API's are. Two spellings of one model are one name here:

    - dots and dashes: `claude-sonnet-4.5` is `claude-sonnet-4-5`;
    - dates: an entry without a date admits every dated snapshot of that model, and an entry with
      one admits that snapshot and the name without a date, but no snapshot of another date.

    An entry that ends in `*` admits every name that begins with what stands before the star.
    """

    __slots__ = ("_exact", "_prefixes", "_undated")

    def __init__(self, entries: tuple[str, ...]) -> None:
        names = {_plain(entry) for entry in entries if not entry.endswith("*")}
        dated = {name for name in names if _is_dated(name)}
        self._undated = frozenset(names - dated)
        self._exact = frozenset(names | {name[:-_DATE_LENGTH] for name in dated})
        self._prefixes = tuple(_plain(entry[:-1]) for entry in entries if entry.endswith("*"))

    def allows(self, model: str) -> bool:
        """Whether the list admits this name."""
        name = _plain(model)
        if name in self._exact or (self._prefixes and name.startswith(self._prefixes)):
            return True
        return _is_dated(name) and name[:-_DATE_LENGTH] in self._undated


# Keys are made from few templates: equal lists share one compiled form.
@lru_cache(maxsize=1024)
def compile_models(entries: tuple[str, ...]) -> ModelList:
    """Read a key's model list."""
    return ModelList(entries)


def _plain(name: str) -> str:
    return name.replace(".", "-")


def _is_dated(name: str) -> bool:
    date = name[-_DATE_LENGTH:]
    return len(date) == _DATE_LENGTH and date.startswith("-20") and date[1:].isdecimal()
