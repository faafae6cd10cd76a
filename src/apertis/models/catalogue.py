"""The models that can be asked, and what a request would cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from apertis.models.model import Model, Result
from apertis.models.times import Timestamp  # noqa: TC001 - msgspec reads the annotations.

if TYPE_CHECKING:
    GivenName = str
else:
    GivenName = str | None


class Capability(Model):
    """Support for one feature."""

    supported: bool


class ContextManagementCapability(Model):
    """The edits of the context that a model supports."""

    supported: bool
    clear_thinking_20251015: Capability | None = None
    clear_tool_uses_20250919: Capability | None = None
    compact_20260112: Capability | None = None


class EffortCapability(Model):
    """The effort levels that a model supports."""

    supported: bool
    low: Capability | None = None
    medium: Capability | None = None
    high: Capability | None = None
    xhigh: Capability | None = None
    max: Capability | None = None


class ThinkingTypes(Model):
    """The kinds of thinking that a model supports."""

    adaptive: Capability | None = None
    between_tools: Capability | None = None
    disabled: Capability | None = None
    enabled: Capability | None = None


class ThinkingCapability(Model):
    """A model's support for thinking."""

    supported: bool
    types: ThinkingTypes | None = None


class ModelCapabilities(Model):
    """The capabilities of a model."""

    batch: Capability | None = None
    citations: Capability | None = None
    code_execution: Capability | None = None
    context_management: ContextManagementCapability | None = None
    effort: EffortCapability | None = None
    image_input: Capability | None = None
    pdf_input: Capability | None = None
    server_tools: dict[str, Any] | None = None
    structured_outputs: Capability | None = None
    thinking: ThinkingCapability | None = None


class ModelInfo(Result):
    """A model that can be asked. Services say more or less of it; the id is always there.

    `display_name` is the name, or the id, where the service gives none. `max_input_tokens` and
    `max_tokens` are what a request may hold and ask for. `lifecycle` is `active`, `deprecated` or
    `retired`, `line` is for example `opus`. `created` is in Unix seconds.
    """

    id: str
    display_name: GivenName = ""
    type: str | None = None
    object: str | None = None
    name: str | None = None
    created_at: Timestamp | None = None
    created: int | None = None
    owned_by: str | None = None
    lifecycle: str | None = None
    deprecated_at: Timestamp | None = None
    retires_at: Timestamp | None = None
    line: str | None = None
    max_input_tokens: int | None = None
    max_tokens: int | None = None
    capabilities: ModelCapabilities | None = None
    allowed_fallback_models: list[str] | None = None
    _when_sent: ClassVar[frozenset[str]] = frozenset(
        {"object", "name", "created", "owned_by", "allowed_fallback_models"}
    )

    def __post_init__(self) -> None:
        if not self.display_name:
            struct: Any = self
            msgspec.structs.force_setattr(struct, "display_name", self.name or self.id)


class MessageTokensCount(Result):
    """Count the input tokens that a request would have."""

    input_tokens: int
    context_management: CountedContext | None = None
    _when_sent: ClassVar[frozenset[str]] = frozenset({"context_management"})


class CountedContext(Model):
    """The number of input tokens before the context was cleared."""

    original_input_tokens: int | None = None
