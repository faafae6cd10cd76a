"""The events that the stream helper adds to the service's own.

A snapshot is put together when it is asked for: the event holds the list that all events of its
block share, and how much of it was there.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import msgspec

from apertis.models.json import without_half_characters

if TYPE_CHECKING:
    from apertis.models.citations import Citation
    from apertis.models.events import StreamEvent


def parse_partial_json(text: str, *, trailing_strings: bool = True) -> Any:
    """Parse JSON that may end anywhere: `{"a": [1, "b` gives `{"a": [1, "b"]}`.

    Without `trailing_strings` a string that has not ended is left out.
    Nothing at all gives `{}`. What is no beginning of any JSON comes back whole, in the form that
    the API takes for it: `{"INVALID_JSON": text}`.
    """
    from jiter import from_json

    if not text.strip():
        return {}
    mode: Literal["trailing-strings", "on"] = "trailing-strings" if trailing_strings else "on"
    try:
        data = text.encode()
        try:
            return from_json(data, partial_mode=mode)
        except ValueError:
            # A half at the end may still become a pair; elsewhere it is read as in a whole
            # response.
            return from_json(without_half_characters(data), partial_mode=mode)
    except ValueError:
        return {"INVALID_JSON": text}


class RawEvent(msgspec.Struct, frozen=True):
    """An event as the stream carried it: the name in its `event:` line, and its data, unread."""

    event: str
    data: str

    def json(self) -> Any:
        """Return the data, decoded."""
        return msgspec.json.decode(self.data)


class _Derived(msgspec.Struct, frozen=True):
    # Nothing is kept for these methods: most events are never dumped.

    def _values(self) -> dict[str, Any]:
        return msgspec.structs.asdict(self)

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """Return the event as a dict, as `Message.model_dump` does for a message."""
        event: Any = self
        values = {"type": event.type, **self._values()}
        dump = import_module("apertis.models.dumping").dumped_values
        dumped: dict[str, Any] = dump(values, **options)
        return dumped

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        """Return `model_dump(mode="json", **options)` as JSON text."""
        text = msgspec.json.encode(self.model_dump(mode="json", **options))
        return (msgspec.json.format(text, indent=indent) if indent else text).decode()

    def to_dict(self) -> dict[str, Any]:
        """Return the event as JSON."""
        return self.model_dump(mode="json", exclude_unset=True)

    def to_json(self, indent: int | None = None) -> str:
        """Return `to_dict()` as JSON text, on one line or indented by `indent` spaces."""
        return self.model_dump_json(indent=indent, exclude_unset=True)


class _Growing(_Derived, frozen=True):
    # Each kind has three fields: the new piece, under the name that the API gives it; the list that
    # all events of its block share; and how much of it was there.

    def _piece(self) -> str:
        piece: str = msgspec.structs.astuple(self)[0]
        return piece

    def _values(self) -> dict[str, Any]:
        event: Any = self
        return {self.__struct_fields__[0]: self._piece(), "snapshot": event.snapshot}

    def _joined(self) -> str:
        _, parts, count = msgspec.structs.astuple(self)
        return "".join(parts[:count])

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or not isinstance(other, _Growing):
            return NotImplemented
        return self._piece() == other._piece() and self._joined() == other._joined()

    def __hash__(self) -> int:
        return hash((type(self), self._piece(), self._joined()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.__struct_fields__[0]}={self._piece()!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Apart from the other events of its block, an event needs its own part alone.
        return type(self), (self._piece(), [self._joined()], 1)


class TextEvent(_Growing, frozen=True):
    """A text grew by `text`; `snapshot` is all of it so far."""

    type: ClassVar[Literal["text"]] = "text"
    text: str
    _parts: list[str]
    _count: int

    @property
    def snapshot(self) -> str:
        """The text of the block so far."""
        return self._joined()

    def parsed_snapshot(self) -> Any:
        """Return the text so far, read as JSON that has not ended yet.

        Each call reads all of it again; `partial_output` of a stream with `output_format` does not.
        """
        return parse_partial_json(self._joined())


class InputJsonEvent(_Growing, frozen=True):
    """A tool's input grew by `partial_json`; `snapshot` is what can be read of it so far."""

    type: ClassVar[Literal["input_json"]] = "input_json"
    partial_json: str
    _parts: list[str]
    _count: int

    @property
    def snapshot(self) -> Any:
        """The input so far; parsed at each access, so ask for it no more often than needed."""
        return parse_partial_json(self._joined())


class ThinkingEvent(_Growing, frozen=True):
    """Thinking grew by `thinking`; `snapshot` is all of it so far."""

    type: ClassVar[Literal["thinking"]] = "thinking"
    thinking: str
    _parts: list[str]
    _count: int

    @property
    def snapshot(self) -> str:
        """The thinking of the block so far."""
        return self._joined()


class SignatureEvent(_Derived, frozen=True):
    """The signature of a thinking block came."""

    type: ClassVar[Literal["signature"]] = "signature"
    signature: str


class CitationEvent(_Derived, frozen=True):
    """A text got one more citation."""

    type: ClassVar[Literal["citation"]] = "citation"
    citation: Citation


class CompactionEvent(_Derived, frozen=True):
    """The conversation's summary came; None when it could not be made."""

    type: ClassVar[Literal["compaction"]] = "compaction"
    content: str | None


DerivedEvent: TypeAlias = (
    TextEvent | InputJsonEvent | ThinkingEvent | SignatureEvent | CitationEvent | CompactionEvent
)
if TYPE_CHECKING:
    MessageStreamEvent: TypeAlias = StreamEvent | DerivedEvent
else:
    MessageStreamEvent = DerivedEvent
