"""The `usage` objects of one response, folded into what each model used.

The rule for streams: counts are cumulative and may repeat, so the last value that is explicitly
there wins, field by field; null and missing fields change nothing, and nothing is ever added up
over events. https://platform.claude.com/docs/en/build-with-claude/streaming

A fallback chain of the API leaves one entry of `iterations` for each attempt, and the counts at
the top are those of the attempt that answered alone.
https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard, cast

import msgspec

from apertis.accounting.tokens import (
    MAX_COUNT,
    NO_TOKENS,
    PROMPT_CLASSES,
    Tokens,
    Use,
    add,
    classes_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from apertis.accounting.prices import Price
    from apertis.sansio.slices import Shape

# No response comes near it; more of them would make any count seem possible.
_MAX_ITERATIONS = 256
# It is kept with the record.
_MAX_MODEL_LENGTH = 256
# What is read of a `usage` object.
USAGE: Shape = dict.fromkeys(
    (
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation",
        "server_tool_use",
        "speed",
        "inference_geo",
        "iterations",
    )
)
# Of models whose limits nobody said.
_MAX_WINDOW = 1_000_000
_MAX_OUTPUT = 128_000
# A search makes the model run once more. No response comes near so many.
_MAX_SEARCHES = 100
# The API's own limit of rounds in one request.
_LIKELY_SEARCHES = 10
_REQUIRED = frozenset({"input", "output"})
_ATTEMPTS = ("message", "fallback_message")


class UsageCounts:
    """A counter that takes `usage` objects in the order in which they came."""

    __slots__ = ("_fast", "_iterations", "_known", "_not_counts", "_us_only", "seen")

    def __init__(self) -> None:
        self.seen = False
        # By the fields of `Tokens`; `cache_write` is what was written for any time.
        self._known: dict[str, int] = {}
        self._fast = False
        self._us_only = False
        self._iterations: list[object] = []
        # Fields of `Tokens` that something was said of which is no count.
        self._not_counts: set[str] = set()

    def update(self, usage: object) -> None:
        """Take the next object; what is no object, or not a count, is as good as not there."""
        if not _is_object(usage):
            return
        self._take("input", usage.get("input_tokens"))
        self._take("output", usage.get("output_tokens"))
        self._take("cache_read", usage.get("cache_read_input_tokens"))
        self._take_writes(usage)
        tools = usage.get("server_tool_use")
        if _is_object(tools):
            self._take("web_search_requests", tools.get("web_search_requests"))
        if usage.get("speed") is not None:
            self._fast = usage["speed"] == "fast"
        if usage.get("inference_geo") is not None:
            self._us_only = usage["inference_geo"] == "us"
        iterations = usage.get("iterations")
        if isinstance(iterations, list):
            self._iterations = cast("list[object]", iterations)[:_MAX_ITERATIONS]

    def update_at_end(self, usage: object) -> bool:
        """Take the object of `message_delta`; tell whether it counts the output, which is new."""
        before = self._known.pop("output", None)
        self.update(usage)
        counted = "output" in self._known
        if before is not None:
            self._known.setdefault("output", before)
        return counted

    def _take(self, name: str, said: object, key: str = "") -> int | None:
        if said is None:
            return None
        count = _count(said)
        if count is not None:
            self.seen = True
            self._known[key or name] = count
            if self._not_counts:
                self._not_counts.discard(name)
        elif (key or name) not in self._known:
            self._not_counts.add(name)
        return count

    def _take_writes(self, usage: Mapping[str, object]) -> None:
        known = self._known
        parts, parted = 0, False
        split = usage.get("cache_creation")
        if _is_object(split):
            m5 = self._take("cache_write_5m", split.get("ephemeral_5m_input_tokens"))
            h1 = self._take("cache_write_1h", split.get("ephemeral_1h_input_tokens"))
            if m5 is not None or h1 is not None:
                parts = known.get("cache_write_5m", 0) + known.get("cache_write_1h", 0)
                parted = True
        total = self._take(
            "cache_write_5m", usage.get("cache_creation_input_tokens"), "cache_write"
        )
        if total is not None or parted:
            known["cache_write"] = max(total or 0, parts)

    def use(self) -> Use:
        """Give what was used by the model that answered.

        A summary that the API wrote of its own accord ("compaction") is billed but missing in the
        top-level counts, so it is added.
        """
        if not self._iterations:
            return Use(self._top(), None, self._unknown())
        entries = [entry for entry in self._iterations if _is_object(entry)]
        attempts = [entry for entry in entries if entry.get("type") in _ATTEMPTS]
        summaries = [entry for entry in entries if entry.get("type") == "compaction"]
        served = self._answered(attempts)
        tokens, unknown = self._top(), self._unknown()
        model: str | None = None
        if served is not None:
            model = _model(served)
            own = [entry for entry in attempts if _model(entry) == model]
            counted = [_entry_use(entry) for entry in own]
            if not any(use.unknown for use in counted):
                # The top level may sum up what several models used.
                tokens = _with_prompt_and_output(tokens, (use.tokens for use in counted))
                unknown = frozenset[str]()
            attempts = own
        for entry in summaries:
            tokens = add(tokens, _entry_use(entry).tokens)
        return Use(tokens, model, unknown, max(len(attempts) + len(summaries), 1))

    def others(self) -> tuple[Use, ...]:
        """Give what other models used, each by itself: it is no part of what the response's used.

        Those that declined before the one that answered, and those that it asked for advice:
        https://platform.claude.com/docs/en/agents-and-tools/tool-use/advisor-tool
        """
        if not self._iterations:
            return ()
        entries = [entry for entry in self._iterations if _is_object(entry)]
        served = self._answered([e for e in entries if e.get("type") in _ATTEMPTS])
        found: list[Use] = []
        for entry in entries:
            kind = entry.get("type")
            declined = served is not None and kind in _ATTEMPTS and _model(entry) != _model(served)
            if declined or kind == "advisor_message":
                found.append(_entry_use(entry))
        return tuple(found)

    def _answered(self, attempts: list[Mapping[str, object]]) -> Mapping[str, object] | None:
        """Give the entry of the attempt that answered; None where one model made all of them."""
        last = attempts[-1] if attempts else None
        if last is None or _model(last) is None:
            return None
        if last["type"] == "fallback_message":
            return last
        models = {_model(entry) for entry in attempts} - {None}
        return last if len(models) > 1 else None

    def _top(self) -> Tokens:
        # Cache writes that nobody split are 5-minute writes; when a later total says less than
        # the split, the hour's share shrinks last.
        known = self._known.get
        written = known("cache_write", 0)
        write_1h = min(known("cache_write_1h", 0), written)
        return Tokens(
            known("input", 0),
            known("output", 0),
            known("cache_read", 0),
            written - write_1h,
            write_1h,
            known("web_search_requests", 0),
            self._fast,
            self._us_only,
        )

    def context(self) -> int:
        """Count all tokens of the conversation at its end: of the last turn where it reports them.

        An advisor's own conversation is another one. 0 where the counts cannot be relied on.
        """
        for entry in reversed(self._iterations):
            if _is_object(entry) and entry.get("type") != "advisor_message":
                use = _entry_use(entry)
                if not use.unknown:
                    return use.tokens.total
        return 0 if self._unknown() else self._top().total

    def _unknown(self) -> frozenset[str]:
        missing = _REQUIRED - self._known.keys()
        return missing | self._not_counts


def completed(
    use: Use,
    price: Price | None,
    *,
    max_tokens: int,
    likely_input: Callable[[], int],
    output_seen: int,
) -> tuple[Tokens, tuple[str, ...]]:
    """Give all that a model used, and the names of what had to be estimated.

    That is each counter by itself that is unknown, or more than the model can use: its window or
    its largest output, for each time that it was run.
    """
    tokens = use.tokens
    searches = tokens.web_search_requests
    if price is not None and not (use.unknown or searches):
        largest = price.max_output
        if 0 < largest >= tokens.output and sum(classes_of(tokens)) <= price.window:
            # As nearly always: all is known, and even one run could have used it.
            return tokens, ()
    runs = use.iterations + min(searches, _MAX_SEARCHES)
    largest_prompt = runs * ((price and price.window) or _MAX_WINDOW)
    asked = min(max(max_tokens, _MAX_OUTPUT), _MAX_WINDOW)
    largest_output = runs * ((price and price.max_output) or asked)
    possible = tokens.prompt <= largest_prompt and tokens.output <= largest_output
    if possible and not use.unknown and searches <= _MAX_SEARCHES:
        return tokens, ()
    estimates: dict[str, int] = {}
    counts: dict[str, int] = {name: getattr(tokens, name) for name in PROMPT_CLASSES}
    for name, count in counts.items():
        if name in use.unknown or count > largest_prompt:
            estimates[name] = 0
    if estimates:
        known = sum(count for name, count in counts.items() if name not in estimates)
        estimates[next(iter(estimates))] = max(likely_input() - known, 0)
    if "output" in use.unknown or tokens.output > largest_output:
        counted = tokens.output if tokens.output <= largest_output else 0
        estimates["output"] = max(counted, output_seen)
    if "web_search_requests" in use.unknown or searches > _MAX_SEARCHES:
        estimates["web_search_requests"] = _LIKELY_SEARCHES
    return msgspec.structs.replace(tokens, **estimates), tuple(estimates)


def _entry_use(entry: Mapping[str, object]) -> Use:
    counts = UsageCounts()
    counts.update({name: value for name, value in entry.items() if name != "iterations"})
    return msgspec.structs.replace(counts.use(), model=_model(entry))


def _model(entry: Mapping[str, object]) -> str | None:
    model = entry.get("model")
    return model[:_MAX_MODEL_LENGTH] if isinstance(model, str) and model else None


def _with_prompt_and_output(top: Tokens, entries: Iterable[Tokens]) -> Tokens:
    """Combine the entries' prompt and output counts with the top level's other counts."""
    total = NO_TOKENS
    for tokens in entries:
        total = add(total, tokens)
    return msgspec.structs.replace(
        total,
        web_search_requests=top.web_search_requests,
        fast=top.fast,
        us_only=top.us_only,
    )


def _is_object(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, dict)


def _count(value: object) -> int | None:
    """Give a count in any form that JSON has for a number: `1000`, `1000.0`, `1e3`."""
    if type(value) is int:
        return value if 0 <= value <= MAX_COUNT else None
    if type(value) is float and value.is_integer():
        return _count(int(value))
    return None
