"""The wish for a value of a type: what it adds to a request, and how the response is read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from apertis.errors import (
    OutputError,
    OutputInvalidError,
    OutputPausedError,
    OutputRefusedError,
    OutputTruncatedError,
    ParameterError,
)
from apertis.models import (
    ContentBlockStopEvent,
    MessageStopEvent,
    TextBlock,
    ToolUseBlock,
    Usage,
)
from apertis.models.json import UNREADABLE, json_or_none, without_half_characters
from apertis.sansio.marks import is_absent
from apertis.structured.partial import PartialJSON
from apertis.structured.schema import (
    InvalidValueError,
    convert,
    is_array,
    is_object,
    schema_of,
    transform_schema,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from apertis.models import Message, MessageStreamEvent, StreamEvent
    from apertis.sansio.transcript import BlockProgress, Transcript

Via: TypeAlias = Literal["output_config", "tool"]

_WAYS = ("output_config", "tool")
# The tool that a model without structured output is made to call.
TOOL = "structured_output"
# The key for what is no object: a tool's input is one.
_KEY = "value"
# Those of Claude's models that do not take `output_config.format`.
_WITHOUT_FORMAT = re.compile(r"claude-(?:instant|[23]\b|(?:opus|sonnet)-4(?:-0)?(?:[-@]20\d{6})?$)")
# Stop reasons after which the model would go on.
_PAUSED = frozenset({"pause_turn", "compaction"})
_CUT = frozenset({"max_tokens", "model_context_window_exceeded"})


class OutputFormat:
    """A type that the response is to be a value of, and the way to it."""

    def __init__(self, kind: Any, params: Mapping[str, Any], via: Any = None) -> None:
        self.kind = kind
        schema = schema_of(kind, "output_format")
        self.via: Via = _way(via, params, schema)
        self._wrapped = self.via == "tool" and schema.get("type") != "object"
        self.params = (
            self._with_tool(params, schema) if self.via == "tool" else _with_format(params, schema)
        )
        self._block: BlockProgress | None = None
        self._last: BlockProgress | None = None
        self._pieces: list[str] = []
        self._reader = PartialJSON()
        self._taken = 0

    def read(self, message: Message, before: Sequence[Message] = ()) -> Message:
        """Give the message its value.

        Raises:
            OutputError: It has none; `before` are the messages of earlier attempts.
        """
        attempts = (*before, message)
        reason = message.stop_reason
        if reason == "refusal":
            details = message.stop_details
            category = f" ({details.category})" if details and details.category else ""
            raise told(OutputRefusedError(f"the model refused to answer{category}"), attempts)
        if reason in _CUT:
            raise told(self._truncated(message), attempts)
        if reason in _PAUSED:
            text = f"the model paused ({reason}); send the message back to let it go on"
            raise told(OutputPausedError(text), attempts)
        message.__dict__["_before"] = tuple(before)
        try:
            message.__dict__["_parsed_output"] = self._value(message)
        except InvalidValueError as fault:
            raise told(self._invalid(message, fault), attempts) from None
        return message

    def telling(self, transcript: Transcript) -> Any:
        """Return `transcript.tell`, with the values in the blocks and in the message.

        It raises what `read` raises in place of the last event.
        """
        feed = transcript.feed

        def tell(events: Iterable[StreamEvent]) -> Iterator[MessageStreamEvent]:
            for event in events:
                told = feed(event)
                first = told[0]
                if isinstance(first, ContentBlockStopEvent):
                    self._note(first.content_block)
                elif isinstance(first, MessageStopEvent) and first.message is not None:
                    self.read(first.message)
                yield from told

        return tell

    def partial(self, transcript: Transcript) -> Any:
        """Return the value so far, in dicts and lists that go on growing; None before it begins."""
        if transcript.last is not self._last:
            self._look_at(transcript)
        pieces, taken = self._pieces, self._taken
        if (count := len(pieces)) > taken:
            self._taken = count
            self._reader.feed(pieces[taken] if count == taken + 1 else "".join(pieces[taken:]))
        value = self._reader.value
        if self._wrapped:
            return value.get(_KEY) if is_object(value) else None
        return value

    def _look_at(self, transcript: Transcript) -> None:
        self._last = transcript.last
        block = transcript.last_block(self._is_wanted)
        if block is not None and block is not self._block:
            self._block, self._reader, self._taken = block, PartialJSON(), 0
            self._pieces = block.json if self.via == "tool" else block.text

    @property
    def work(self) -> int:
        """The number of characters that `partial` has looked at."""
        return self._reader.work

    def _is_wanted(self, start: Mapping[str, Any]) -> bool:
        if self.via == "tool":
            return start.get("type") == "tool_use" and start.get("name") == TOOL
        return start.get("type") == "text"

    def _note(self, block: Any) -> None:
        if type(block) is TextBlock and self.via == "output_config":
            value = json_or_none(without_half_characters(block.text.encode()), object)
            if value is None:
                return
            try:
                block.__dict__["_parsed_output"] = convert(self.kind, value)
            except InvalidValueError:
                # Another block may have the value; the end of the message tells.
                return

    def _value(self, message: Message) -> Any:
        if self.via == "tool":
            return self._tool_value(message)
        blocks = _last_text(message)
        text = "".join([block.text for block in blocks])
        if message.stop_reason == "tool_use" and not text.strip():
            # The caller's own tools come first.
            return None
        if len(blocks) == 1 and "_parsed_output" in blocks[0].__dict__:
            return blocks[0].__dict__["_parsed_output"]
        try:
            value = self._converted(text)
        except InvalidValueError:
            if message.stop_reason == "tool_use":
                return None
            raise
        blocks[-1].__dict__["_parsed_output"] = value
        return value

    def _converted(self, text: str) -> Any:
        data = without_half_characters(text.encode())
        try:
            value = msgspec.json.decode(data)
        except UNREADABLE:
            raise no_json(text) from None
        return convert(self.kind, value)

    def _tool_value(self, message: Message) -> Any:
        calls = [block for block in message.content if isinstance(block, ToolUseBlock)]
        for block in calls:
            if block.name == TOOL:
                value: Any = block.input
                if not self._wrapped:
                    return convert(self.kind, value)
                if not is_object(value) or _KEY not in value:
                    raise InvalidValueError("$", "a value", "nothing")
                return convert(self.kind, value[_KEY])
        if calls:
            return None
        raise InvalidValueError("$", f"a call of the tool {TOOL}", "none")

    def _invalid(self, message: Message, fault: InvalidValueError) -> OutputError:
        error: OutputError
        if message.stop_reason == "stop_sequence" and fault.found == "the end":
            error = OutputTruncatedError(f"a stop sequence cut the answer off at {fault.path}")
        else:
            error = OutputInvalidError(f"the answer is invalid {fault}")
        error.detail = fault.detail
        return _placed(error, fault.path, fault.expected, fault.found)

    def _truncated(self, message: Message) -> OutputError:
        text = "".join([block.text for block in _last_text(message)])
        reader = PartialJSON()
        reader.feed(text)
        path = "$" if self.via == "tool" else reader.path()
        hint = "; raise max_tokens" if message.stop_reason == "max_tokens" else ""
        error = OutputTruncatedError(
            f"the answer was cut off at {path} ({message.stop_reason}){hint}"
        )
        return _placed(error, path, reader.expected(), "the end")

    def _with_tool(self, params: Mapping[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
        _check_tool(params)
        if self._wrapped:
            schema = _under_key(schema)
        tool = {
            "name": TOOL,
            "description": "Give the answer. Call this tool once, with the whole answer.",
            "input_schema": schema,
        }
        own = [] if is_absent(params.get("tools")) else list(params.get("tools") or ())
        choice = {"type": "any"} if own else {"type": "tool", "name": TOOL}
        return {
            **params,
            "tools": [*own, tool],
            "tool_choice": {**choice, "disable_parallel_tool_use": True},
        }


def no_json(text: str) -> InvalidValueError:
    """Return the fault of a text that is no JSON."""
    reader = PartialJSON()
    reader.feed(text)
    reader.finish()
    if reader.fault is not None:
        return InvalidValueError(reader.path(), reader.fault, "other text")
    if not text.strip():
        return InvalidValueError("$", "JSON", "no text")
    return InvalidValueError(reader.path(), reader.expected(), "the end")


def told(error: OutputError, attempts: Sequence[Message]) -> OutputError:
    """Return the error with the messages that led to it, and their usage."""
    message = attempts[-1]
    error.attempts = tuple(attempts)
    error.partial = message
    error.usage = total_usage(attempts)
    error.request_id = message.request_id
    info = message.__dict__.get("_response")
    error.retries = info.retries if info else 0
    return error


def total_usage(messages: Sequence[Message]) -> Usage:
    """Return the usage of some messages together: counts are added, of the rest the last counts."""
    total: dict[str, Any] = {}
    for message in messages:
        total = _sum(total, message.usage.to_dict())
    return Usage.model_validate(total)


def _sum(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    result = {**one}
    for name, value in other.items():
        before = one.get(name)
        if isinstance(value, int) and isinstance(before, int):
            result[name] = before + value
        elif is_object(value) and is_object(before):
            result[name] = _sum(before, value)
        elif is_array(value) and is_array(before):
            result[name] = [*before, *value]
        elif value is not None or name not in one:
            result[name] = value
    return result


def split(params: Mapping[str, Any]) -> tuple[dict[str, Any], Any, Any]:
    """Return the parameters of the request, `output_format` and `via`; None for what is absent."""
    rest = {**params}
    kind, via = rest.pop("output_format", None), rest.pop("via", None)
    return rest, None if is_absent(kind) else kind, None if is_absent(via) else via


def _placed(error: OutputError, path: str, expected: str, found: str) -> OutputError:
    error.path = path
    error.expected = expected
    error.found = found
    return error


def _last_text(message: Message) -> list[TextBlock]:
    """Return the text blocks at the end of a message, or those before the calls of tools."""
    blocks: list[TextBlock] = []
    for block in reversed(message.content):
        if isinstance(block, TextBlock):
            blocks.append(block)
        elif blocks:
            break
    return blocks[::-1]


def _way(via: Any, params: Mapping[str, Any], schema: dict[str, Any]) -> Via:
    if via in _WAYS:
        way: Via = via
        return way
    if via is not None:
        raise ParameterError(f"via: expected 'output_config' or 'tool', got {via!r}", param="via")
    model = params.get("model")
    if isinstance(model, str) and not takes_format(model):
        return "tool"
    return "tool" if _is_open(schema) else "output_config"


def takes_format(model: str) -> bool:
    """Return whether a model takes `output_config.format`, by its id."""
    return "claude" in model and not _WITHOUT_FORMAT.search(model)


def _is_open(schema: Any) -> bool:
    """Return whether a schema has objects of any keys, or any value at all: a tool takes both."""
    try:
        transform_schema(schema)
    except ParameterError:
        return True
    return _has_open_object(schema)


def _has_open_object(schema: Any) -> bool:
    if is_array(schema):
        return any(map(_has_open_object, schema))
    if not is_object(schema):
        return False
    if schema.get("type") == "object" and "properties" not in schema:
        return True
    return any(map(_has_open_object, schema.values()))


def _with_format(params: Mapping[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    config = params.get("output_config")
    given: Mapping[str, Any] = {} if config is None or is_absent(config) else config
    if given.get("format") is not None:
        raise _two_formats()
    form = {"type": "json_schema", "schema": transform_schema(schema)}
    return {**params, "output_config": {**given, "format": form}}


def _two_formats() -> ParameterError:
    return ParameterError(
        "output_format: output_config has a format too; give one of them", param="output_format"
    )


def _check_tool(params: Mapping[str, Any]) -> None:
    config = params.get("output_config")
    if is_object(config) and config.get("format") is not None:
        raise _two_formats()
    choice = params.get("tool_choice")
    if choice is not None and not is_absent(choice):
        raise ParameterError(
            "tool_choice: the output is asked for by a tool that the model must call; "
            "leave tool_choice out, or take via='output_config'",
            param="tool_choice",
        )
    thinking = params.get("thinking")
    if is_object(thinking) and thinking.get("type") not in (None, "disabled"):
        raise ParameterError(
            "thinking: the output is asked for by a tool that the model must call, which the API "
            "does not allow with thinking; leave thinking out, or take via='output_config'",
            param="thinking",
        )


def _under_key(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with the value under one key."""
    inner = {name: part for name, part in schema.items() if name != "$defs"}
    definitions = {"$defs": schema["$defs"]} if "$defs" in schema else {}
    return {
        "type": "object",
        "properties": {_KEY: inner},
        "required": [_KEY],
        "additionalProperties": False,
        **definitions,
    }
