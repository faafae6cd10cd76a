"""A message of the model."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeAlias

from apertis.models.blocks import ContentBlock, TextBlock, ThinkingBlock, ToolUseBlock
from apertis.models.model import Model, Result, Tagged
from apertis.models.times import Timestamp  # noqa: TC001 - msgspec reads the annotations.
from apertis.models.usage import Usage  # noqa: TC001 - msgspec reads the annotations.

StopReason: TypeAlias = Literal[
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
    "compaction",
]

if TYPE_CHECKING:
    from decimal import Decimal

    Role: TypeAlias = Literal["assistant"]
    OpenStopReason: TypeAlias = StopReason | str | None
else:
    # The list above is what is known, not what may come.
    Role = str
    OpenStopReason = str | None


class StopDetails(Model):
    """The reason that the model refused. `type` is `refusal`."""

    type: str
    category: str | None = None
    explanation: str | None = None
    fallback_credit_token: str | None = None
    fallback_has_prefill_claim: bool | None = None
    recommended_model: str | None = None


class ContainerSkill(Model):
    """A skill that is loaded into a container; `type` is `anthropic` or `custom`."""

    type: str
    skill_id: str
    version: str | None = None


class Container(Model):
    """The container that ran code for this message; pass its id to the next request to reuse it."""

    id: str
    expires_at: Timestamp | None = None
    skills: list[ContainerSkill] | None = None


class AppliedEdit(Model):
    """Content that was cleared from the context; `type` names the edit, as in the request."""

    type: str
    cleared_input_tokens: int | None = None
    cleared_tool_uses: int | None = None
    cleared_thinking_turns: int | None = None


class ContextManagement(Model):
    """Edits made to the context before the model read it."""

    applied_edits: list[AppliedEdit] | None = None


class CacheMissReason(Model):
    """The reason that the prompt cache was missed; `type` is for example `system_changed`."""

    type: str
    cache_missed_input_tokens: int | None = None


class Diagnostics(Model):
    """The response to the request's `diagnostics`."""

    cache_miss_reason: CacheMissReason | None = None


class InputTransformation(Model):
    """A part of the request that the service changed; `type` is for example `thinking_dropped`."""

    type: str
    path: str | None = None
    reason: str | None = None


class Message(Result, Tagged, tag="message"):
    """The model's response."""

    type: Literal["message"] = "message"
    id: str
    content: list[ContentBlock]
    model: str
    role: Role
    usage: Usage
    stop_reason: OpenStopReason = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    container: Container | None = None
    context_management: ContextManagement | None = None
    diagnostics: Diagnostics | None = None
    input_transformations: list[InputTransformation] | None = None
    _keeping: ClassVar[frozenset[str]] = frozenset({"content"})
    _when_sent: ClassVar[frozenset[str]] = frozenset(
        {"context_management", "input_transformations"}
    )

    if not TYPE_CHECKING:

        def __class_getitem__(cls, output: object) -> type[Message]:
            # A parsed message is of this class: `ParsedMessage[T]`.
            return cls

        @property
        def parsed_output(self) -> Any:
            """The value that `output_format` asked for; None where there is none."""
            return self.__dict__.get("_parsed_output")

        @property
        def attempts(self) -> tuple[Message, ...]:
            """The messages of all attempts of `parse`, this one at the end."""
            return (*self.__dict__.get("_before", ()), self)

        @property
        def total_usage(self) -> Usage:
            """The usage of all attempts together."""
            return import_module("apertis.structured.output").total_usage(self.attempts)

    @property
    def text(self) -> str:
        """The text of all text blocks, joined; empty when there is none."""
        return "".join([block.text for block in self.content if isinstance(block, TextBlock)])

    @property
    def thinking(self) -> str:
        """The thinking of all thinking blocks, joined; empty when there is none."""
        thoughts = [block.thinking for block in self.content if isinstance(block, ThinkingBlock)]
        return "".join(thoughts)

    @property
    def tool_uses(self) -> list[ToolUseBlock]:
        """The calls of the caller's tools, in order. Each wants a `tool_result` in answer."""
        return [block for block in self.content if isinstance(block, ToolUseBlock)]

    @property
    def cost(self) -> Decimal | None:
        """The cost in dollars, at the client's `prices` or else the list prices.

        None where a price is not known: of the model, or of the tier, speed or place that the
        usage tells of. Every model that took part counts, batches cost half, and what a gateway's
        response cache gave is free. Of a stream's message it is the cost as far as the counts have
        come.
        """
        cost: Decimal | None = import_module("apertis.accounting.costs").message_cost(self)
        return cost

    def to_param(self) -> dict[str, Any]:
        """Return the message as one of the next request's `messages`."""
        return {"role": self.role, "content": self.content}


if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T = TypeVar("T", default=Any)

    class ParsedMessage(Message, Generic[T], tag="message"):
        """The model's response, with the value of a type that was asked for by `output_format`."""

        @property
        def parsed_output(self) -> T | None:
            """The value; None where the model calls the caller's tools first."""
            ...

        @property
        def attempts(self) -> tuple[Message, ...]:
            """The messages of all attempts, this one at the end."""
            ...

        @property
        def total_usage(self) -> Usage:
            """The usage of all attempts together."""
            ...

else:
    ParsedMessage = Message
