"""Choice of the tools to call, the number of calls, and their input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from apertis.sandbox.inert import acts, starts_agents
from apertis.sandbox.schemas import fill
from apertis.sandbox.values import JsonObject, is_array, is_object, objects_of
from apertis.sandbox.vocabulary import Words, stems

if TYPE_CHECKING:
    from apertis.sandbox.prompt import Prompt

_MAX_CALLS = 5
_MAX_DESCRIPTION = 300

# Tools of the API that run at the caller's side: their inputs are known, though no request says so.
_CLIENT_TOOLS: dict[str, JsonObject] = {
    "bash": {"properties": {"command": {"type": "string"}}, "required": ["command"]},
    "text_editor": {
        "properties": {"command": {"const": "view"}, "path": {"type": "string", "const": "."}},
        "required": ["command", "path"],
    },
    "memory": {
        "properties": {"command": {"const": "view"}, "path": {"const": "/memories"}},
        "required": ["command", "path"],
    },
    "computer": {"properties": {"action": {"const": "screenshot"}}, "required": ["action"]},
}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call: the tool's name and its input."""

    name: str
    input: JsonObject


def choose_calls(request: JsonObject, heard: Prompt) -> list[ToolCall]:
    """Return the calls that the request leads to; none when it is answered in words.

    `tool` and `any` force a call. Under `auto` a tool is called when the prompt shares a telling
    word with it, and not right after a result: then the response is due. One that acts is called
    only by its name, with an input that does nothing; one that starts an agent or a task only when
    it is forced.
    """
    choice: JsonObject = request.get("tool_choice") or {"type": "auto"}
    tools = [tool for tool in objects_of(request.get("tools")) if _schema_of(tool) is not None]
    if choice["type"] == "none" or not tools or heard.prefill:
        return []
    words = Words(heard.question or (heard.earlier[-1] if heard.earlier else ""))
    alone = choice.get("disable_parallel_tool_use") is True
    free = [tool for tool in tools if not starts_agents(tool)]
    if choice["type"] == "tool":
        named = [tool for tool in tools if tool["name"] == choice["name"]]
        chosen = named[:1]
    elif choice["type"] == "any":
        chosen = _fitting(free, words) or sorted(free or tools, key=acts)[:1]
    else:
        chosen = _fitting(free, words) if heard.question and not heard.tool_answers else []
    calls = [call for tool in chosen for call in _calls_of(tool, words)]
    return calls[: 1 if alone else _MAX_CALLS]


def _schema_of(tool: JsonObject) -> JsonObject | None:
    """Return the tool's input schema; None for a tool that only the real service could run."""
    schema = tool.get("input_schema")
    if is_object(schema):
        return schema
    kind = str(tool.get("type", "")).rstrip("0123456789").rstrip("_")
    known = _CLIENT_TOOLS.get(kind)
    return {"type": "object", **known} if known and "name" in tool else None


def _fitting(tools: list[JsonObject], words: Words) -> list[JsonObject]:
    """Return the best tool, and the others whose names the prompt also speaks of."""
    scores = [_score(tool, words) for tool in tools]
    best = max(scores, default=0)
    if best == 0:
        return []
    first = tools[scores.index(best)]
    heard = stems(first["name"]) & words.stems
    others = [
        tool for tool in tools if tool is not first and (stems(tool["name"]) & words.stems) - heard
    ]
    return [first, *others]


def _score(tool: JsonObject, words: Words) -> int:
    """Shared telling words: the name's count most, then the description's, then the properties'.

    Of a tool that acts only the name counts. A description counts by its beginning: a manual
    shares words with every prompt.
    """
    schema = _schema_of(tool) or {}
    named = tool["name"].lower() in words.text.lower()
    by_name = 100 * named + 10 * len(stems(tool["name"]) & words.stems)
    if acts(tool):
        return by_name
    properties = " ".join(schema.get("properties", ()))
    description = str(tool.get("description") or "")[:_MAX_DESCRIPTION]
    return (
        by_name + 3 * len(stems(description) & words.stems) + len(stems(properties) & words.stems)
    )


def _calls_of(tool: JsonObject, words: Words) -> list[ToolCall]:
    """Return one call, or one per place in the prompt when the tool takes one at a time."""
    schema = _schema_of(tool) or {}
    if acts(tool) or starts_agents(tool):
        return [ToolCall(tool["name"], _input_for(schema, words, acts=True))]
    words = words.knowing(_enumerated(schema))
    once = _input_for(schema, words)
    calls = [ToolCall(tool["name"], once)]
    places = words.places
    if len(places) < 2:
        return calls
    taken = [name for name, value in once.items() if value == places[0]]
    if len(taken) != 1 or any(place in once.values() for place in places[1:]):
        return calls
    others = [_input_for(schema, words.focused_on(place)) for place in places[1:_MAX_CALLS]]
    return calls + [ToolCall(tool["name"], other) for other in others if other != once]


def _input_for(schema: JsonObject, words: Words, acts: bool = False) -> JsonObject:
    value = fill(schema, words, acts)
    return value if is_object(value) else {}


def _enumerated(schema: JsonObject) -> frozenset[str]:
    properties = schema.get("properties", {})
    enums = [part.get("enum") for part in properties.values() if is_object(part)]
    values = (value for enum in enums if is_array(enum) for value in enum)
    return frozenset(value.lower() for value in values if isinstance(value, str))
