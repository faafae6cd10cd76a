"""The `usage` objects of one answer, folded into what it used.

The rule for streams: counts are cumulative and may repeat, so the last value that is explicitly
there wins, field by field; null and missing fields change nothing, and nothing is ever added up
over events. https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard, cast

from apertis.gateway.usage.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["UsageCounts"]

# No answer comes near it; what is larger is damage, and would not fit a ledger's column.
_LARGEST = 10**12


class UsageCounts:
    """Takes `usage` objects in the order in which they came."""

    __slots__ = (
        "_cache_read",
        "_cache_write",
        "_fast",
        "_input",
        "_iterations",
        "_us_only",
        "_web_searches",
        "_write_1h",
        "_write_5m",
        "output",
        "seen",
    )

    def __init__(self) -> None:
        self.seen = False
        self.output: int | None = None
        self._input = 0
        self._cache_read = 0
        self._cache_write = 0
        self._write_5m = 0
        self._write_1h = 0
        self._web_searches = 0
        self._fast = False
        self._us_only = False
        self._iterations: list[object] = []

    def update(self, usage: object) -> None:
        """Take the next object; what is no object, or not a count, is as good as not there."""
        if not _is_object(usage):
            return
        self.seen = self.seen or any(map(_is_count, usage.values()))
        self._input = _count(usage, "input_tokens", self._input)
        self._cache_read = _count(usage, "cache_read_input_tokens", self._cache_read)
        self._update_writes(usage)
        output = usage.get("output_tokens")
        if _is_count(output):
            self.output = output
        tools = usage.get("server_tool_use")
        if _is_object(tools):
            self._web_searches = _count(tools, "web_search_requests", self._web_searches)
        if usage.get("speed") is not None:
            self._fast = usage["speed"] == "fast"
        if usage.get("inference_geo") is not None:
            self._us_only = usage["inference_geo"] == "us"
        iterations = usage.get("iterations")
        if isinstance(iterations, list):
            self._iterations = cast("list[object]", iterations)

    def _update_writes(self, usage: Mapping[str, object]) -> None:
        total = usage.get("cache_creation_input_tokens")
        split = usage.get("cache_creation")
        if _is_object(split) and any(_is_count(value) for value in split.values()):
            self._write_5m = _count(split, "ephemeral_5m_input_tokens", self._write_5m)
            self._write_1h = _count(split, "ephemeral_1h_input_tokens", self._write_1h)
            parts = self._write_5m + self._write_1h
            self._cache_write = max(total, parts) if _is_count(total) else parts
        elif _is_count(total):
            self._cache_write = total

    def tokens(self, output: int | None = None) -> Tokens:
        """Give what was used by the model that answered; `output` replaces the counted output.

        A summary that the API wrote of its own accord ("compaction") is billed but missing in the
        top-level counts, so it is added. Cache writes that nobody split are 5-minute writes; when
        a later total says less than the split, the hour's share shrinks last.
        """
        write_1h = min(self._write_1h, self._cache_write)
        used = Tokens(
            self._input,
            (self.output or 0) if output is None else output,
            self._cache_read,
            self._cache_write - write_1h,
            write_1h,
            self._web_searches,
            self._fast,
            self._us_only,
        )
        for entry in self._iterations:
            if _is_object(entry) and entry.get("type") == "compaction":
                used = _with(used, _entry_tokens(entry))
        return used

    def advisors(self) -> tuple[tuple[str, Tokens], ...]:
        """Give what other models used that were asked while answering, with their names.

        https://platform.claude.com/docs/en/agents-and-tools/tool-use/advisor-tool
        """
        found: list[tuple[str, Tokens]] = []
        for entry in self._iterations:
            if _is_object(entry) and entry.get("type") == "advisor_message":
                model = entry.get("model")
                found.append((model if isinstance(model, str) else "", _entry_tokens(entry)))
        return tuple(found)


def _entry_tokens(entry: Mapping[str, object]) -> Tokens:
    counts = UsageCounts()
    counts.update({name: value for name, value in entry.items() if name != "iterations"})
    return counts.tokens()


def _with(one: Tokens, other: Tokens) -> Tokens:
    return Tokens(
        min(one.input + other.input, _LARGEST),
        min(one.output + other.output, _LARGEST),
        min(one.cache_read + other.cache_read, _LARGEST),
        min(one.cache_write_5m + other.cache_write_5m, _LARGEST),
        min(one.cache_write_1h + other.cache_write_1h, _LARGEST),
        min(one.web_search_requests + other.web_search_requests, _LARGEST),
        one.fast,
        one.us_only,
    )


def _is_object(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, dict)


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= _LARGEST


def _count(usage: Mapping[str, object], name: str, known: int) -> int:
    value = usage.get(name)
    return value if _is_count(value) else known
