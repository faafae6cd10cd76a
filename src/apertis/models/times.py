"""Moments, which are also the text that the service said them in."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, overload

if TYPE_CHECKING:
    from datetime import timedelta


class Timestamp(datetime):
    """A moment: a `datetime` with a `str()` that is the service's own text, for example RFC 3339.

    What is computed from it is a plain `datetime`.
    """

    _text: str

    def __new__(cls, *moment: Any, **parts: Any) -> Self:
        """Make one of the text of a moment, or of another `datetime`."""
        said = moment[0] if len(moment) == 1 else None
        if isinstance(said, str):
            at, text = datetime.fromisoformat(said), said
        elif isinstance(said, datetime):
            at, text = said, said.isoformat().replace("+00:00", "Z")
        else:
            # How `datetime` makes the results of its own arithmetic.
            return datetime(*moment, **parts)  # type: ignore[return-value]  # noqa: DTZ001
        date = (at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond)
        self = super().__new__(cls, *date, at.tzinfo, fold=at.fold)
        self._text = text
        return self

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Timestamp({self._text!r})"

    def replace(self, *parts: Any, **changes: Any) -> datetime:  # type: ignore[override]
        """Return the moment with other parts, as `datetime.replace`."""
        return self._plain().replace(*parts, **changes)

    def astimezone(self, tz: Any = None) -> datetime:  # type: ignore[override]
        """Return the same moment in another zone, as `datetime.astimezone`."""
        return self._plain().astimezone(tz)

    __replace__ = replace

    if TYPE_CHECKING:
        # The other one is any datetime, and the results are no Timestamps.
        def __add__(self, value: timedelta, /) -> datetime: ...  # type: ignore[override]

        @overload  # type: ignore[override]
        def __sub__(self, value: datetime, /) -> timedelta: ...
        @overload
        def __sub__(self, value: timedelta, /) -> datetime: ...
        def __sub__(self, value: Any, /) -> Any: ...

    def _plain(self) -> datetime:
        return datetime.combine(self.date(), self.timetz())

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return Timestamp, (self._text,)


def moment(value: str | datetime) -> Timestamp | str:
    """Return a moment, or the text itself where it says none."""
    try:
        return value if isinstance(value, Timestamp) else Timestamp(value)
    except ValueError:
        return str(value)
