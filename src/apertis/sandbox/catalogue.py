"""The models that the sandbox answers as, and the pages of `GET /v1/models`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from apertis.sandbox.reply import SandboxRefusal, invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apertis.sandbox.values import JsonObject


_BEFORE = ("enabled", "adaptive", "between_tools", "disabled")
_FOUR_LEVELS = ("low", "medium", "high", "max")
_LONG: dict[str, Any] = {"max_input_tokens": 1_000_000, "max_tokens": 128_000}


@dataclass(frozen=True, slots=True)
class Model:
    """One model: its id, what it takes, and which rules of its generation it keeps.

    Of the models before Opus 4.7 the sandbox takes adaptive thinking and effort from all, so that
    the names of the documentation page can be asked for everything.
    """

    id: str
    display_name: str
    created_at: str
    line: str
    max_input_tokens: int = 200_000
    max_tokens: int = 64_000
    lifecycle: str = "active"
    retires_at: str | None = None
    thinking_types: tuple[str, ...] = _BEFORE
    efforts: tuple[str, ...] = _FOUR_LEVELS
    takes_sampling: bool = True
    takes_prefill: bool = True
    takes_forced_tools: bool = True
    # Retired models of Claude 4 are answered as: what was recorded with them can be replayed.
    answers: bool = True

    def entry(self) -> JsonObject:
        """Return the model as `GET /v1/models` lists it, in the union of the three known shapes."""
        return {
            "type": "model",
            "object": "model",
            "id": self.id,
            "name": self.display_name,
            "display_name": self.display_name,
            "created": int(datetime.fromisoformat(self.created_at).timestamp()),
            "created_at": self.created_at,
            "owned_by": "anthropic",
            "line": self.line,
            "lifecycle": self.lifecycle,
            "deprecated_at": None,
            "retires_at": self.retires_at,
            "max_input_tokens": self.max_input_tokens,
            "max_tokens": self.max_tokens,
            "allowed_fallback_models": list(_FALLBACKS),
            "capabilities": self._capabilities(),
        }

    def _capabilities(self) -> JsonObject:
        yes, no = {"supported": True}, {"supported": False}
        types = ("adaptive", "between_tools", "disabled", "enabled")
        thinking = {kind: yes if kind in self.thinking_types else no for kind in types}
        levels = ("low", "medium", "high", "xhigh", "max")
        efforts = {level: yes if level in self.efforts else no for level in levels}
        contexts = ("clear_thinking_20251015", "clear_tool_uses_20250919", "compact_20260112")
        simple = ("batch", "citations", "image_input", "pdf_input", "structured_outputs")
        return {
            **dict.fromkeys(simple, yes),
            "code_execution": no,
            "context_management": {"supported": False, **dict.fromkeys(contexts, no)},
            "effort": {"supported": True, **efforts},
            "server_tools": {"supported": False, "code_execution": no, "web_search": no},
            "thinking": {"supported": True, "types": thinking},
        }


def _model(id: str, line: str, version: str, day: str, **fields: Any) -> Model:
    name = f"Claude {line.capitalize()} {version}"
    return Model(id, name, f"{day}T00:00:00Z", line, **fields)


def _large(line: str, version: str, day: str, thinking: str, forced_tools: bool = True) -> Model:
    """Describe a model since Opus 4.7: a million tokens in, 128,000 out, no sampling or prefill."""
    return _model(
        f"claude-{line}-{version.replace('.', '-')}",
        line,
        version,
        day,
        thinking_types=tuple(thinking.split()),
        efforts=(*_FOUR_LEVELS, "xhigh"),
        takes_sampling=False,
        takes_prefill=False,
        takes_forced_tools=forced_tools,
        **_LONG,
    )


def _retired(id: str, line: str, version: str, day: str, retired: str, max_tokens: int) -> Model:
    return _model(
        id,
        line,
        version,
        day,
        lifecycle="retired",
        retires_at=f"{retired}T00:00:00Z",
        max_tokens=max_tokens,
        answers=version.startswith("4"),
    )


_SONNET_4_5: dict[str, Any] = {
    "line": "sonnet",
    "version": "4.5",
    "day": "2025-09-29",
    "lifecycle": "deprecated",
    "retires_at": "2026-11-30T00:00:00Z",
}

# Newest first, as the API lists them; the list of retired ones is the record of their limits.
# From https://platform.claude.com/docs/en/models/overview, the models' own pages and
# https://platform.claude.com/docs/en/about-claude/model-deprecations, as of November 2026.
MODELS: tuple[Model, ...] = (
    _large("fable", "5.2", "2026-11-09", "adaptive", forced_tools=False),
    _large("mythos", "5.2", "2026-11-09", "adaptive", forced_tools=False),
    _large("haiku", "5.5", "2026-10-07", "adaptive disabled"),
    _large("sonnet", "5.5", "2026-09-28", "adaptive between_tools", forced_tools=False),
    _large("opus", "5.5", "2026-09-22", "adaptive", forced_tools=False),
    _large("fable", "5.1", "2026-09-01", "adaptive", forced_tools=False),
    _large("mythos", "5.1", "2026-09-01", "adaptive", forced_tools=False),
    _large("opus", "5", "2026-07-24", "adaptive disabled"),
    _large("sonnet", "5", "2026-06-30", "adaptive disabled"),
    _large("fable", "5", "2026-06-09", "adaptive"),
    _large("mythos", "5", "2026-06-09", "adaptive"),
    _large("opus", "4.8", "2026-05-28", "adaptive disabled"),
    _large("opus", "4.7", "2026-04-16", "adaptive disabled"),
    _model("claude-sonnet-4-6", "sonnet", "4.6", "2026-02-17", takes_prefill=False, **_LONG),
    _model("claude-opus-4-6", "opus", "4.6", "2026-02-05", takes_prefill=False, **_LONG),
    _model(
        "claude-opus-4-5-20251101",
        "opus",
        "4.5",
        "2025-11-24",
        lifecycle="deprecated",
        retires_at="2027-01-22T00:00:00Z",
    ),
    _model("claude-haiku-4-5-20251001", "haiku", "4.5", "2025-10-15"),
    _model("claude-sonnet-4.5", **_SONNET_4_5),
    _model("claude-sonnet-4-5-20250929", **_SONNET_4_5),
    # A name of the documentation page, which only the service has.
    _model("claude-haiku-4-5-20250501", "haiku", "4.5", "2025-05-01"),
    _retired("claude-opus-4-1-20250805", "opus", "4.1", "2025-08-05", "2026-08-05", 32_000),
    _retired("claude-opus-4-20250514", "opus", "4", "2025-05-22", "2026-06-15", 32_000),
    _retired("claude-sonnet-4-20250514", "sonnet", "4", "2025-05-22", "2026-06-15", 64_000),
    _retired("claude-3-7-sonnet-20250219", "sonnet", "3.7", "2025-02-24", "2026-02-19", 64_000),
    _retired("claude-3-5-haiku-20241022", "haiku", "3.5", "2024-10-22", "2026-02-19", 8_192),
    _retired("claude-3-5-sonnet-20241022", "sonnet", "3.5", "2024-10-22", "2025-10-28", 8_192),
    _retired("claude-3-haiku-20240307", "haiku", "3", "2024-03-07", "2026-04-20", 4_096),
    _retired("claude-3-opus-20240229", "opus", "3", "2024-02-29", "2026-01-05", 4_096),
)
_FALLBACKS = tuple(model.id for model in MODELS if model.lifecycle == "active")

# Names that the service also takes; the response names the model that they stand for.
ALIASES = {
    "claude-opus-4-5": "claude-opus-4-5-20251101",
    "claude-opus-4.5": "claude-opus-4-5-20251101",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
    "claude-haiku-4.5": "claude-haiku-4-5-20251001",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
    "claude-opus-4-1": "claude-opus-4-1-20250805",
    "claude-opus-4-0": "claude-opus-4-20250514",
    "claude-sonnet-4-0": "claude-sonnet-4-20250514",
}

_BY_ID = {model.id: model for model in MODELS}


def find_model(name: str) -> Model | None:
    """Return the model of this id or alias, or None. Ids are case sensitive."""
    return _BY_ID.get(ALIASES.get(name, name))


def list_models(query: str) -> JsonObject | SandboxRefusal:
    """Return a page of models: `limit` (1 to 1,000, default 20), `after_id`, `before_id`, ...

    Retired models are listed only when `lifecycle` asks for them, once or as a list.
    """
    given = {name.removesuffix("[]"): values for name, values in parse_qs(query).items()}
    states = ",".join(given.get("lifecycle", ["active,deprecated"])).split(",")
    models = [model for model in MODELS if model.lifecycle in states]
    last = {name: values[-1] for name, values in given.items()}
    return page([model.entry() for model in models], last)


def page(entries: list[JsonObject], given: dict[str, str]) -> JsonObject | SandboxRefusal:
    """Return the page of entries that the query asks for, or the reason it is invalid."""
    problem = next(_query_problems(entries, given), None)
    if problem is not None:
        return invalid(problem)
    limit = int(given.get("limit", "20"))
    ids = [entry["id"] for entry in entries]
    if "before_id" in given:
        end = ids.index(given["before_id"])
        start = max(0, end - limit)
        has_more = start > 0
    else:
        start = ids.index(given["after_id"]) + 1 if "after_id" in given else 0
        end = start + limit
        has_more = end < len(ids)
    chosen = entries[start:end]
    return {
        "object": "list",
        "data": chosen,
        "has_more": has_more,
        "first_id": chosen[0]["id"] if chosen else None,
        "last_id": chosen[-1]["id"] if chosen else None,
    }


def _query_problems(entries: list[JsonObject], given: dict[str, str]) -> Iterator[str]:
    limit = given.get("limit", "20")
    if not limit.isascii() or not limit.isdigit():
        yield "limit: Input should be a valid integer, unable to parse string as an integer"
    elif len(limit) > 4 or not 1 <= int(limit) <= 1000:
        yield "limit: Input should be between 1 and 1000"
    if "after_id" in given and "before_id" in given:
        yield "only one of `after_id` and `before_id` may be given"
    ids = {entry["id"] for entry in entries}
    for name in ("after_id", "before_id"):
        if name in given and given[name] not in ids:
            yield f"{name}: no entry has the id '{given[name]}'"
