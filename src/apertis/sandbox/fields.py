"""The fields of a request, each with its rule (https://docs.claude.com/en/api/messages)."""

from __future__ import annotations

from typing import Any

from apertis.sandbox.rules import (
    Complaints,
    Rule,
    anything,
    array,
    boolean,
    either,
    integer,
    matching,
    number,
    object_,
    one_of,
    optional,
    record,
    string,
    tagged,
)
from apertis.sandbox.values import is_object

CACHE_CONTROL = optional(
    record({"type": one_of("ephemeral")}, {"ttl": optional(one_of("5m", "1h"))})
)
_CITED = optional(record({}, {"enabled": boolean}))


def _non_empty_text(path: str, value: Any) -> Complaints:
    yield from string(path, value)
    if value == "":
        where = "system" if path.startswith("system") else "messages"
        yield f"{where}: text content blocks must be non-empty"


_CACHED = {"cache_control": CACHE_CONTROL}
TEXT = record({"text": _non_empty_text}, _CACHED)

_ELSEWHERE = {
    "url": record({"url": matching(r"https?://\S+")}),
    "file": record({"file_id": string}),
}
_IMAGE_TYPE = one_of("image/jpeg", "image/png", "image/gif", "image/webp")
_IMAGE_DATA = record({"data": string, "media_type": _IMAGE_TYPE})
_IMAGE = record({"source": tagged({"base64": _IMAGE_DATA, **_ELSEWHERE})}, _CACHED)
_PLAIN = tagged({"text": TEXT, "image": _IMAGE})
_DOCUMENT = record(
    {
        "source": tagged(
            {
                "base64": record({"data": string, "media_type": one_of("application/pdf")}),
                "text": record({"data": string}),
                "content": record({"content": either(str, string, array(_PLAIN))}),
                **_ELSEWHERE,
            }
        )
    },
    {**_CACHED, "citations": _CITED, "title": optional(string), "context": optional(string)},
)
_SEARCH_RESULT = record(
    {"content": array(tagged({"text": TEXT})), "source": string, "title": string},
    {**_CACHED, "citations": _CITED},
)
_TOOL_ID = matching("[a-zA-Z0-9_-]+")
_TOOL_USE = record(
    {"id": _TOOL_ID, "name": matching("[a-zA-Z0-9_-]{1,200}"), "input": object_},
    _CACHED,
)
_RESULT_CONTENT = tagged(
    {
        "text": TEXT,
        "image": _IMAGE,
        "document": _DOCUMENT,
        "search_result": _SEARCH_RESULT,
        "tool_reference": object_,
        "browser_state": object_,
    }
)
_TOOL_RESULT = record(
    {"tool_use_id": _TOOL_ID},
    {
        "content": optional(either(str, string, array(_RESULT_CONTENT))),
        "is_error": optional(boolean),
        **_CACHED,
    },
)
# What server tools and beta features put into a response comes back as it was.
_PASSED_ON = (
    "server_tool_use",
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
    "container_upload",
    "mcp_tool_use",
    "mcp_tool_result",
    "mcp_tool_listing",
    "advisor_tool_result",
    "compaction",
    "fallback",
    "tool_addition",
    "tool_removal",
)
BLOCK = tagged(
    {
        "text": TEXT,
        "image": _IMAGE,
        "document": _DOCUMENT,
        "search_result": _SEARCH_RESULT,
        "thinking": record({"thinking": string, "signature": string}),
        "redacted_thinking": record({"data": string}),
        "tool_use": _TOOL_USE,
        "tool_result": _TOOL_RESULT,
        **dict.fromkeys(_PASSED_ON, object_),
    }
)

_CONTENT = either(str, string, array(BLOCK))
_EFFORT = optional(one_of("low", "medium", "high", "xhigh", "max"))
# What holds for one turn; the format of responses is one for all.
_TURN_CONFIG = optional(record({}, {"effort": _EFFORT}, closed=True))
_SPOKEN = record(
    {"role": one_of("user", "assistant", "system"), "content": _CONTENT},
    {"output_config": _TURN_CONFIG},
    closed=True,
)
_SYSTEM = record(
    {"role": string},
    {
        "content": _CONTENT,
        "output_config": _TURN_CONFIG,
        "clear_at": optional(one_of("next_user_message", "never")),
    },
    closed=True,
)


def MESSAGE(path: str, value: Any) -> Complaints:  # noqa: N802  # It is a rule like the others.
    """Check a message; one of the system may say nothing but how the turn is to be answered."""
    if not is_object(value) or value.get("role") != "system":
        yield from _SPOKEN(path, value)
        return
    yield from _SYSTEM(path, value)
    if "content" not in value and not value.get("output_config"):
        yield f"{path}.content: Field required"


_CUSTOM_TOOL = record(
    {"name": matching("[a-zA-Z0-9_-]{1,128}"), "input_schema": record({"type": one_of("object")})},
    {**_CACHED, "description": optional(string), "strict": optional(boolean)},
)


def _tool(path: str, value: Any) -> Complaints:
    kind = value.get("type") if is_object(value) else None
    if not is_object(value) or kind is None or kind == "custom":
        yield from _CUSTOM_TOOL(f"{path}.custom" if is_object(value) else path, value)
        return
    yield from string(f"{path}.type", kind)
    if "name" in value:
        yield from string(f"{path}.{kind}.name", value["name"])


_PARALLEL = {"disable_parallel_tool_use": optional(boolean)}
_DISPLAY = {"display": optional(one_of("summarized", "omitted", "updates"))}

_FORMAT = record({"type": one_of("json_schema"), "schema": object_})

_THINKING = tagged(
    {
        "enabled": record({"budget_tokens": integer(1024)}, _DISPLAY),
        "adaptive": record({}, _DISPLAY),
        "between_tools": record({}, _DISPLAY),
        "disabled": object_,
    }
)
_SPEED = one_of("standard", "fast")
_OUTPUT_CONFIG = record(
    {}, {"effort": _EFFORT, "format": optional(_FORMAT), "task_budget": anything}, closed=True
)
_FALLBACK = record(
    {"model": string},
    {
        "max_tokens": optional(integer(0)),
        "thinking": optional(_THINKING),
        "output_config": optional(_OUTPUT_CONFIG),
        "speed": optional(_SPEED),
    },
    closed=True,
)

_FIELDS: dict[str, Rule] = {
    "system": either(str, string, array(tagged({"text": TEXT}))),
    "stream": boolean,
    "stop_sequences": array(string),
    "temperature": number(0, 1),
    "top_p": number(0, 1),
    "top_k": integer(0),
    "thinking": _THINKING,
    "tools": array(_tool),
    "tool_choice": tagged(
        {
            "auto": record({}, _PARALLEL),
            "any": record({}, _PARALLEL),
            "tool": record({"name": string}, _PARALLEL),
            "none": object_,
        }
    ),
    "output_config": _OUTPUT_CONFIG,
    "output_format": _FORMAT,
    "cache_control": CACHE_CONTROL,
    "metadata": record({}, {"user_id": optional(string)}, closed=True),
    "service_tier": one_of("auto", "standard_only"),
    "inference_geo": string,
    "speed": _SPEED,
    "container": either(str, string, object_),
    "diagnostics": object_,
    "mcp_servers": array(object_),
    "context_management": object_,
    "compaction": object_,
    "thread": tagged({"create": object_, "continue": record({"previous_message_id": string})}),
    "fallbacks": either(str, one_of("default"), array(_FALLBACK)),
    "fallback_credit_token": string,
    "billing_policy": anything,
    # Fields of Apertis, which its service reads and keeps from the model.
    "fallback_models": array(string),
    "fallback_timeout": integer(0),
    "fallback_enabled": boolean,
    "compression": object_,
}
# A null stands for an absent field everywhere at the top.
_OPTIONAL = {name: optional(rule) for name, rule in _FIELDS.items()}

_COUNTED: dict[str, Rule] = {"model": string, "messages": array(MESSAGE)}

REQUEST = record({**_COUNTED, "max_tokens": integer(0)}, _OPTIONAL, closed=True)
COUNT_REQUEST = record(_COUNTED, {**_OPTIONAL, "max_tokens": integer(0)}, closed=True)
