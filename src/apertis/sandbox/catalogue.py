"""The models that the sandbox answers as, and the pages of `GET /v1/models`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from apertis.sandbox.reply import Refusal, invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apertis.sandbox.values import JsonObject


@dataclass(frozen=True, slots=True)
class Model:
    """One model: its id, what it takes, and which rules of its generation it keeps."""

    id: str
    display_name: str
    created_at: str
    max_input_tokens: int = 200_000
    max_tokens: int = 64_000
    lifecycle: str = "active"
    # Models after Opus 4.6 take neither sampling parameters nor a thinking budget.
    takes_sampling: bool = True
    takes_prefill: bool = True

    @property
    def thinking_types(self) -> tuple[str, ...]:
        """The types of thinking that the model takes; the sandbox adapts for all of them."""
        return ("enabled", "adaptive") if self.takes_sampling else ("adaptive",)

    @property
    def efforts(self) -> tuple[str, ...]:
        """The levels of effort that the model takes."""
        both = ("low", "medium", "high", "max")
        return both if self.takes_sampling else (*both, "xhigh")

    def entry(self) -> JsonObject:
        """The model as `GET /v1/models` lists it, in the union of the three known shapes."""
        return {
            "type": "model",
            "object": "model",
            "id": self.id,
            "name": self.display_name,
            "display_name": self.display_name,
            "created": int(datetime.fromisoformat(self.created_at).timestamp()),
            "created_at": self.created_at,
            "owned_by": "anthropic",
            "lifecycle": self.lifecycle,
            "max_input_tokens": self.max_input_tokens,
            "max_tokens": self.max_tokens,
            "capabilities": self._capabilities(),
        }

    def _capabilities(self) -> JsonObject:
        yes, no = {"supported": True}, {"supported": False}
        thinking = {"adaptive": yes, "enabled": yes if "enabled" in self.thinking_types else no}
        levels = ("low", "medium", "high", "xhigh", "max")
        efforts = {level: yes if level in self.efforts else no for level in levels}
        contexts = ("clear_thinking_20251015", "clear_tool_uses_20250919", "compact_20260112")
        simple = ("batch", "citations", "image_input", "pdf_input", "structured_outputs")
        return {
            **dict.fromkeys(simple, yes),
            "code_execution": no,
            "context_management": {"supported": False, **dict.fromkeys(contexts, no)},
            "effort": {"supported": True, **efforts},
            "thinking": {"supported": True, "types": thinking},
        }


def _current(id: str, name: str, day: str) -> Model:
    return Model(
        id,
        name,
        f"{day}T00:00:00Z",
        max_input_tokens=1_000_000,
        max_tokens=128_000,
        takes_sampling=False,
        takes_prefill=False,
    )


# Newest first, as the API lists them.
MODELS: tuple[Model, ...] = (
    _current("claude-opus-5-5", "Claude Opus 5.5", "2026-09-22"),
    _current("claude-opus-5", "Claude Opus 5", "2026-07-10"),
    _current("claude-fable-5", "Claude Fable 5", "2026-06-23"),
    _current("claude-sonnet-5", "Claude Sonnet 5", "2026-06-09"),
    _current("claude-opus-4-8", "Claude Opus 4.8", "2026-05-28"),
    _current("claude-opus-4-7", "Claude Opus 4.7", "2026-04-16"),
    Model(
        "claude-sonnet-4-6",
        "Claude Sonnet 4.6",
        "2026-02-17T00:00:00Z",
        max_input_tokens=1_000_000,
        takes_prefill=False,
    ),
    Model(
        "claude-opus-4-6",
        "Claude Opus 4.6",
        "2026-02-05T00:00:00Z",
        max_input_tokens=1_000_000,
        max_tokens=128_000,
        takes_prefill=False,
    ),
    Model("claude-opus-4-5-20251101", "Claude Opus 4.5", "2025-11-24T00:00:00Z"),
    Model("claude-haiku-4-5-20251001", "Claude Haiku 4.5", "2025-10-15T00:00:00Z"),
    Model("claude-sonnet-4.5", "Claude Sonnet 4.5", "2025-09-29T00:00:00Z"),
    Model("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5", "2025-09-29T00:00:00Z"),
    Model(
        "claude-opus-4-1-20250805",
        "Claude Opus 4.1",
        "2025-08-05T00:00:00Z",
        max_tokens=32_000,
        lifecycle="deprecated",
    ),
    Model("claude-haiku-4-5-20250501", "Claude Haiku 4.5", "2025-05-01T00:00:00Z"),
    Model(
        "claude-sonnet-4-20250514",
        "Claude Sonnet 4",
        "2025-05-22T00:00:00Z",
        lifecycle="deprecated",
    ),
)

# Names that the service also takes; the answer names the model that they stand for.
ALIASES = {
    "claude-opus-4-5": "claude-opus-4-5-20251101",
    "claude-opus-4.5": "claude-opus-4-5-20251101",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
    "claude-haiku-4.5": "claude-haiku-4-5-20251001",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
    "claude-opus-4-1": "claude-opus-4-1-20250805",
    "claude-sonnet-4-0": "claude-sonnet-4-20250514",
}

_BY_ID = {model.id: model for model in MODELS}


def find_model(name: str) -> Model | None:
    """The model of this id or alias, or None. Ids are case sensitive."""
    return _BY_ID.get(ALIASES.get(name, name))


def list_models(query: str) -> JsonObject | Refusal:
    """A page of models: `limit` (1 to 1,000, default 20), `after_id`, `before_id`, `lifecycle`."""
    given = {name: values[-1] for name, values in parse_qs(query).items()}
    states = given.get("lifecycle")
    models = [model for model in MODELS if states is None or model.lifecycle in states.split(",")]
    return page([model.entry() for model in models], given)


def page(entries: list[JsonObject], given: dict[str, str]) -> JsonObject | Refusal:
    """The page of the entries that the query asks for, or why the query cannot be answered."""
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
