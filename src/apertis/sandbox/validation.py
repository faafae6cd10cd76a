"""A request's bytes to a request that can be answered, or to the API's refusal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from apertis.sandbox.attachments import Attachment, Unreadable, examine
from apertis.sandbox.catalogue import Model, find_model
from apertis.sandbox.fallbacks import fallback_problems
from apertis.sandbox.fields import COUNT_REQUEST, REQUEST
from apertis.sandbox.prose import signature_is_broken
from apertis.sandbox.reply import SandboxRefusal, invalid
from apertis.sandbox.schemas import schema_problems
from apertis.sandbox.values import (
    JsonObject,
    blocks_of,
    choice_type,
    effort,
    is_object,
    objects_of,
    output_schema,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.sandbox.rules import Complaints

_MAX_BODY_BYTES = 32 * 1024 * 1024
_MAX_MESSAGES = 100_000
_NEW_VERSION = "2026-10-21"
_VERSIONS = ("2023-01-01", "2023-06-01", _NEW_VERSION)
_THINKING_REFUSED = '"thinking.type.{}" is not supported for this model. {}'
_SAMPLING = ("temperature", "top_p", "top_k")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A valid request, its model, and what was found in its images and documents."""

    request: JsonObject
    model: Model
    attachments: Mapping[int, Attachment]


def read_json(body: bytes) -> JsonObject | SandboxRefusal:
    """Return the object in a body, or the refusal of one that holds none."""
    if len(body) > _MAX_BODY_BYTES:
        return SandboxRefusal(413, "Request exceeds the maximum size")
    try:
        value: Any = msgspec.json.decode(body)
        # What cannot be written again, such as half of a surrogate pair, cannot be answered.
        msgspec.json.encode(value)
    except msgspec.DecodeError as error:
        return invalid(f"The request body is not valid JSON: {error}")
    except UnicodeDecodeError:
        return invalid("The request body is not valid JSON: it is not valid UTF-8")
    except (UnicodeEncodeError, RecursionError):
        return invalid("The request body is not valid JSON: it holds text or depth beyond reading")
    if not is_object(value):
        return invalid("The request body is not a JSON object")
    return value


def check(
    request: JsonObject, headers: Mapping[str, str], counting: bool = False
) -> Accepted | SandboxRefusal:
    """Return the request as accepted, or the first thing that is wrong with it."""
    version = headers.get("anthropic-version", "2023-06-01")
    if version not in _VERSIONS:
        return invalid(f"anthropic-version: '{version}' is not a valid version")
    rule = COUNT_REQUEST if counting else REQUEST
    problem = next(rule("", request), None)
    if problem is not None:
        return invalid(problem)
    model = find_model(request["model"])
    if model is None or not model.answers:
        return SandboxRefusal(404, f"model: {request['model']}")
    problem = next(_problems(request, model, version), None)
    if problem is not None:
        return invalid(problem)
    attachments = examine(request)
    if isinstance(attachments, Unreadable):
        return invalid(attachments.message)
    return Accepted(request, model, attachments)


def _problems(request: JsonObject, model: Model, version: str) -> Complaints:
    if version == _NEW_VERSION:
        for name in _SAMPLING:
            if request.get(name) is not None:
                yield f"{name}: Extra inputs are not permitted"
        yield from version_problems(request["messages"])
    if len(request["messages"]) > _MAX_MESSAGES:
        yield f"messages: at most {_MAX_MESSAGES:,} messages are allowed"
    yield from _limit_problems(request, model)
    yield from fallback_problems(request)
    yield from _thinking_problems(request, model)
    yield from _tool_problems(request)
    yield from _schema_problems(request)
    yield from conversation_problems(request["messages"], model.takes_prefill)
    yield from breakpoint_problems(request)


def _limit_problems(request: JsonObject, model: Model) -> Complaints:
    most = request.get("max_tokens", 0)
    if most > model.max_tokens:
        yield (
            f"max_tokens: {most} > {model.max_tokens}, which is the maximum allowed number of "
            f"output tokens for {model.id}"
        )
    if any(not sequence.strip() for sequence in request.get("stop_sequences") or ()):
        yield "stop_sequences: each stop sequence must contain non-whitespace"
    level = effort(request)
    if level is not None and level not in model.efforts:
        yield (
            f"This model does not support effort level '{level}'. "
            f"Supported levels: {', '.join(sorted(model.efforts))}."
        )
    if not model.takes_sampling:
        for name in _SAMPLING:
            if request.get(name) not in (None, 1):
                yield f"`{name}` is deprecated for this model."


def _thinking_problems(request: JsonObject, model: Model) -> Complaints:
    forced = choice_type(request) in ("any", "tool")
    if forced and not model.takes_forced_tools:
        yield 'tool_choice: type "tool" and "any" are not supported for this model.'
    thinking = request.get("thinking")
    if thinking is None:
        return
    kind = thinking["type"]
    if kind not in model.thinking_types:
        yield _THINKING_REFUSED.format(kind, _instead(kind, model))
    if kind == "disabled":
        return
    if kind == "enabled" and thinking["budget_tokens"] >= request.get("max_tokens", 10**9):
        yield "`max_tokens` must be greater than `thinking.budget_tokens`."
    if request.get("temperature") not in (None, 1):
        yield "`temperature` may only be set to 1 when thinking is enabled."
    if request.get("top_k") is not None:
        yield "`top_k` must be unset when thinking is enabled."
    if kind == "enabled" and forced:
        yield "Thinking may not be enabled when tool_choice forces tool use."


def _instead(kind: str, model: Model) -> str:
    if kind == "disabled" and "between_tools" in model.thinking_types:
        return 'To turn thinking off on this model, send "thinking": {"type": "between_tools"}.'
    return 'Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'


def _schema_problems(request: JsonObject) -> Complaints:
    for place, tool in enumerate(request.get("tools") or ()):
        if "input_schema" in tool:
            yield from schema_problems(f"tools.{place}.custom.input_schema", tool["input_schema"])
    wanted = output_schema(request)
    if wanted is not None:
        yield from schema_problems("output_config.format.schema", wanted)


def _tool_problems(request: JsonObject) -> Complaints:
    names = [tool.get("name") for tool in request.get("tools") or () if tool.get("name")]
    if len(set(names)) < len(names):
        yield "tools: Tool names must be unique."
    choice = request.get("tool_choice")
    if choice is None:
        return
    if not request.get("tools") and choice["type"] != "none":
        yield "tool_choice: tool_choice may only be specified while providing tools"
    if choice["type"] == "tool" and choice["name"] not in names:
        yield f"tool_choice: Tool '{choice['name']}' not found in provided tools"


_MAX_BREAKPOINTS = 4


def conversation_problems(messages: list[JsonObject], takes_prefill: bool) -> Complaints:
    """Check messages against each other that are each valid by themselves."""
    if not messages:
        yield "messages: at least one message is required"
        return
    yield from _order_problems(messages, takes_prefill)
    for place, message in enumerate(messages):
        yield from _empty_problems(place, message, last=place == len(messages) - 1)
        yield from _role_problems(place, message)
    yield from _pair_problems(messages)


def version_problems(messages: list[JsonObject]) -> Complaints:
    """Check for content in messages that `anthropic-version: 2026-10-21` no longer takes."""
    for place, message in enumerate(messages):
        for number, block in enumerate(blocks_of(message.get("content"))):
            where = f"messages.{place}.content.{number}"
            kind = block.get("type")
            if message["role"] == "assistant" and kind == "document":
                yield f"{where}: `document` blocks are not permitted in `assistant` messages"
            if message["role"] == "user" and kind == "text" and block.get("citations"):
                yield f"{where}.text.citations: Extra inputs are not permitted"


def breakpoint_problems(request: JsonObject) -> Complaints:
    """Check for too many `cache_control` breakpoints."""
    marked = int(is_object(request.get("cache_control")))
    holders = [*objects_of(request.get("tools")), *blocks_of(request.get("system"))]
    for message in request["messages"]:
        holders.extend(blocks_of(message.get("content")))
    marked += sum(is_object(holder.get("cache_control")) for holder in holders)
    if marked > _MAX_BREAKPOINTS:
        yield (
            f"A maximum of {_MAX_BREAKPOINTS} blocks with cache_control may be provided. "
            f"Found {marked}."
        )


def _order_problems(messages: list[JsonObject], takes_prefill: bool) -> Complaints:
    if messages[0]["role"] != "user":
        yield 'messages: first message must use the "user" role'
    last = messages[-1]
    if last["role"] != "assistant":
        return
    if not takes_prefill:
        yield (
            "This model does not support assistant message prefill. "
            "The conversation must end with a user message."
        )
    blocks = blocks_of(last.get("content"))
    text = blocks[-1].get("text", "") if blocks else ""
    if isinstance(text, str) and text != text.rstrip():
        yield "messages: final assistant content cannot end with trailing whitespace"


def _empty_problems(place: int, message: JsonObject, last: bool) -> Complaints:
    if message["role"] == "system" and "output_config" in message:
        return
    if not message.get("content") and not (last and message["role"] == "assistant"):
        yield (
            f"messages.{place}: all messages must have non-empty content "
            "except for the optional final assistant message"
        )


def _role_problems(place: int, message: JsonObject) -> Complaints:
    role = message["role"]
    for number, block in enumerate(blocks_of(message.get("content"))):
        kind = block.get("type")
        if role != "assistant" and kind in ("tool_use", "thinking", "redacted_thinking"):
            yield f"messages.{place}: `{kind}` blocks can only be in `assistant` messages"
        if role != "user" and kind == "tool_result":
            yield f"messages.{place}: `tool_result` blocks can only be in `user` messages"
        if kind == "thinking" and signature_is_broken(block["thinking"], block["signature"]):
            yield (f"messages.{place}.content.{number}: Invalid `signature` in `thinking` block")


def _pair_problems(messages: list[JsonObject]) -> Complaints:
    """Check that every tool use has its result in the next message, and every result its use."""
    open_ids: list[str] = []
    for place, message in enumerate(messages):
        blocks = blocks_of(message.get("content"))
        results = [
            (number, block["tool_use_id"])
            for number, block in enumerate(blocks)
            if block.get("type") == "tool_result"
        ]
        for number, result_id in results:
            if result_id not in open_ids:
                yield (
                    f"messages.{place}.content.{number}: unexpected `tool_use_id` found in "
                    f"`tool_result` blocks: {result_id}. Each `tool_result` block must have a "
                    "corresponding `tool_use` block in the previous message."
                )
        if message["role"] == "user":
            answered = {result_id for _, result_id in results}
            yield from _unanswered(place - 1, [use for use in open_ids if use not in answered])
            open_ids = []
        ids = [block["id"] for block in blocks if block.get("type") == "tool_use"]
        if len(set(ids)) < len(ids):
            yield f"messages.{place}: `tool_use` ids must be unique"
        open_ids += ids
    yield from _unanswered(len(messages) - 1, open_ids)


def _unanswered(place: int, ids: list[str]) -> Complaints:
    if ids:
        yield (
            f"messages.{place}: `tool_use` ids were found without `tool_result` blocks immediately "
            f"after: {', '.join(ids)}. Each `tool_use` block must have a corresponding "
            "`tool_result` block in the next message."
        )
