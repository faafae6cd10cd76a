"""A value that is there already, and may be awaited all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator

T = TypeVar("T")


class Ready(Generic[T]):
    """The value of `AsyncAPIResponse.parse()`.

    Programs of today await it; those for earlier versions of `anthropic` use it as it is. It stands
    for its value in both.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, None, T]:
        return self._value
        yield  # What makes this a generator.

    if not TYPE_CHECKING:

        @property
        def __class__(self):
            # `isinstance` looks here.
            return type(self._value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._value, name)

    def __aiter__(self) -> Any:
        value: Any = self._value
        return aiter(value)

    def __iter__(self) -> Any:
        value: Any = self._value
        return iter(value)

    def __eq__(self, other: object) -> bool:
        return bool(self._value == other)

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return repr(self._value)
