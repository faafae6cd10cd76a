"""The events of a streamed message, as the service sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import msgspec

from apertis.models.blocks import ContentBlock  # noqa: TC001 - msgspec reads the annotations.
from apertis.models.citations import Citation  # noqa: TC001 - msgspec reads the annotations.
from apertis.models.message import (  # noqa: TC001 - msgspec reads the annotations.
    Container,
    ContextManagement,
    InputTransformation,
    Message,
    OpenStopReason,
    StopDetails,
)
from apertis.models.model import Model, Tagged, Unknown
from apertis.models.usage import MessageDeltaUsage


class UnknownDelta(Unknown):
    """A change of a content block of a kind that this version does not know."""


class _Delta(Tagged):
    unknown_variant: ClassVar[type[Unknown] | None] = UnknownDelta


class TextDelta(_Delta, tag="text_delta"):
    """The next piece of a text."""

    type: Literal["text_delta"] = "text_delta"
    text: str


class InputJSONDelta(_Delta, tag="input_json_delta"):
    """The next piece of the JSON text of a tool's input."""

    type: Literal["input_json_delta"] = "input_json_delta"
    partial_json: str


class ThinkingDelta(_Delta, tag="thinking_delta"):
    """The next piece of thinking."""

    type: Literal["thinking_delta"] = "thinking_delta"
    thinking: str


class SignatureDelta(_Delta, tag="signature_delta"):
    """The signature of a thinking block."""

    type: Literal["signature_delta"] = "signature_delta"
    signature: str


class CitationsDelta(_Delta, tag="citations_delta"):
    """One more citation of a text."""

    type: Literal["citations_delta"] = "citations_delta"
    citation: Citation


class CompactionDelta(_Delta, tag="compaction_delta"):
    """The summary of a compaction block, whole."""

    type: Literal["compaction_delta"] = "compaction_delta"
    content: str | None = None
    encrypted_content: str | None = None


_KnownDelta = (
    TextDelta | InputJSONDelta | ThinkingDelta | SignatureDelta | CitationsDelta | CompactionDelta
)
if TYPE_CHECKING:
    ContentBlockDelta: TypeAlias = _KnownDelta | UnknownDelta
else:
    ContentBlockDelta = _KnownDelta


class UnknownEvent(Unknown):
    """An event of a kind that this version does not know."""


class _Event(Tagged):
    unknown_variant: ClassVar[type[Unknown] | None] = UnknownEvent


class MessageStartEvent(_Event, tag="message_start"):
    """A message begins; its content is still empty."""

    type: Literal["message_start"] = "message_start"
    message: Message


class ContentBlockStartEvent(_Event, tag="content_block_start"):
    """A content block begins."""

    type: Literal["content_block_start"] = "content_block_start"
    index: int
    content_block: ContentBlock


class ContentBlockDeltaEvent(_Event, tag="content_block_delta"):
    """A content block grows."""

    type: Literal["content_block_delta"] = "content_block_delta"
    index: int
    delta: ContentBlockDelta


class ContentBlockStopEvent(_Event, tag="content_block_stop"):
    """A content block is complete. The stream helper puts it into `content_block`."""

    type: Literal["content_block_stop"] = "content_block_stop"
    index: int
    content_block: ContentBlock | None = None
    _when_sent: ClassVar[frozenset[str]] = frozenset({"content_block"})


class MessageDelta(Model):
    """The fields of a message that are known only at its end."""

    stop_reason: OpenStopReason = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    container: Container | None = None


class MessageDeltaEvent(_Event, tag="message_delta"):
    """The message itself changes: why it stopped, and what it cost so far."""

    type: Literal["message_delta"] = "message_delta"
    delta: MessageDelta
    usage: MessageDeltaUsage = msgspec.field(default_factory=MessageDeltaUsage)
    context_management: ContextManagement | None = None
    input_transformations: list[InputTransformation] | None = None
    _when_sent: ClassVar[frozenset[str]] = frozenset(
        {"context_management", "input_transformations"}
    )


class MessageStopEvent(_Event, tag="message_stop"):
    """The message is complete. The stream helper puts it into `message`."""

    type: Literal["message_stop"] = "message_stop"
    message: Message | None = None
    _when_sent: ClassVar[frozenset[str]] = frozenset({"message"})


class PingEvent(_Event, tag="ping"):
    """The service is still there."""

    type: Literal["ping"] = "ping"


class ErrorDetail(Model):
    """An error's type and message, in the service's words."""

    type: str | None = None
    message: str | None = None
    code: str | None = None
    param: str | None = None


class ErrorEvent(_Event, tag="error"):
    """The stream failed; nothing follows."""

    type: Literal["error"] = "error"
    error: ErrorDetail | str
    request_id: str | None = None


_KnownEvent = (
    ContentBlockDeltaEvent
    | MessageStartEvent
    | ContentBlockStartEvent
    | ContentBlockStopEvent
    | MessageDeltaEvent
    | MessageStopEvent
    | PingEvent
    | ErrorEvent
)
if TYPE_CHECKING:
    StreamEvent: TypeAlias = _KnownEvent | UnknownEvent
else:
    StreamEvent = _KnownEvent
