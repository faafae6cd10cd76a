"""Marks that stand for no value, where None has a meaning of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


class NotGiven:
    """A mark for an argument that was not given, because None has a meaning of its own."""

    __slots__ = ()

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "NOT_GIVEN"

    def __reduce__(self) -> str:
        # A mark is told by its identity, in copies and other processes too.
        return "NOT_GIVEN"


class Omit(NotGiven):
    """A mark for what is to be left out of a request, such as a header that is sent by default."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "omit"

    def __reduce__(self) -> str:
        return "omit"


NOT_GIVEN = NotGiven()
omit = Omit()


def is_absent(value: object) -> bool:
    """Return whether a value is a mark for no value: ours, or that of the `anthropic` package."""
    kind = type(value)
    return isinstance(value, NotGiven) or (
        kind.__name__ in {"NotGiven", "Omit"} and kind.__module__.partition(".")[0] == "anthropic"
    )


def is_omit(value: object) -> bool:
    """Return whether a value is a mark for what is to be left out, though it is sent by default."""
    return is_absent(value) and type(value).__name__ == "Omit"


def without_absent(values: Mapping[str, T]) -> dict[str, T]:
    """Return those of the values that were given."""
    return {name: value for name, value in values.items() if not is_absent(value)}
