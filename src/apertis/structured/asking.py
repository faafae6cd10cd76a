"""`messages.parse`: requests until there is a value, within the attempts and tokens allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apertis.endpoints.parameters import require_count, require_messages
from apertis.errors import OutputInvalidError, ParameterError
from apertis.models import ToolUseBlock
from apertis.sansio.marks import is_absent
from apertis.structured.output import OutputFormat, split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.models import Message

# What the frame around a text costs at most.
_FRAME_TOKENS = 64


class Asking:
    """The attempts of one `parse`: send `params`, `take` the response, until `result` is there."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        params, kind, via = split(params)
        self._repairs = _count(params, "repair") or 0
        self._budget = _count(params, "repair_max_tokens")
        if params.get("stream") is not None and not is_absent(params.get("stream")):
            raise ParameterError(
                "stream: parse gives a whole message; use messages.stream(output_format=...)",
                param="stream",
            )
        params.pop("stream", None)
        self._format = None if kind is None else OutputFormat(kind, params, via)
        self.params: dict[str, Any] = params if self._format is None else {**self._format.params}
        if self._repairs:
            require_messages(params)
            self.params["messages"] = list(params["messages"])
        self._attempts: list[Message] = []
        self.result: Message | None = None

    def take(self, message: Message) -> None:
        """Read a response: it is the result, or `params` are those of the next attempt.

        Raises:
            OutputError: There is no value, and no attempt left or allowed.
        """
        if self._format is None:
            self.result = message
            return
        before = self._attempts
        self._attempts = [*before, message]
        try:
            self.result = self._format.read(message, before)
        except OutputInvalidError as error:
            if len(before) >= self._repairs or not self._ask_again(message, error):
                raise

    def _ask_again(self, message: Message, error: OutputInvalidError) -> bool:
        text = fault_text(error)
        if self._budget is not None:
            left = self._budget - sum(map(_tokens, self._attempts[1:]))
            # What was read and written is read again; a byte is a token at the most.
            left -= _tokens(message) + len(text.encode()) + _FRAME_TOKENS
            most = min(self.params["max_tokens"], left)
            if most < min(self.params["max_tokens"], message.usage.output_tokens):
                return False
            self.params["max_tokens"] = most
        said = [message.to_param()] if message.content else []
        calls = [block for block in message.content if isinstance(block, ToolUseBlock)]
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "is_error": True, "content": text}
            for call in calls
        ]
        self.params["messages"] += [*said, {"role": "user", "content": results or text}]
        return True


def fault_text(error: OutputInvalidError) -> str:
    """Return what the model reads of an answer that is not of the type."""
    return (
        f"The answer is not valid at {error.path}: expected {error.expected}, found "
        f"{error.found}. {error.detail}\nGive the whole answer again, corrected."
    )


def run_output(kind: Any, params: Mapping[str, Any]) -> OutputFormat:
    """Return what reads the final answer of a run of tools.

    Raises:
        ParameterError: The model takes no format for this type, and would be forced to call a tool.
    """
    output = OutputFormat(kind, params)
    if output.via == "tool":
        raise ParameterError(
            f"output_format: {params['model']!r} gives a value of this type only by a tool that "
            "it is forced to call, and could call no other; use a model with structured output "
            "and a type without open objects, or give the messages of the run to messages.parse",
            param="output_format",
        )
    return output


def _tokens(message: Message) -> int:
    usage = message.usage
    cached = (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
    return usage.input_tokens + cached + usage.output_tokens


def _count(params: dict[str, Any], name: str) -> int | None:
    value = params.get(name)
    if value is None or is_absent(value):
        params.pop(name, None)
        return None
    count = require_count(params, name)
    del params[name]
    return count
