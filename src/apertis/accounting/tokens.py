"""Tokens by class, as the API's `usage` objects count them."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, get_type_hints

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Counted:
    """A count besides its number: the API's name for it, and a name for people."""

    counter: str
    title: str
    rare: bool = False
    """A table leaves it out when it would only show zeros."""


class Tokens(Struct, frozen=True, omit_defaults=True):
    """Usage of one response: five classes of tokens that do not overlap, and paid searches.

    `input` excludes what was read from or written to the prompt cache. `output` includes
    thinking. Counts are never negative. `fast` and `us_only` say that the response came in fast
    mode, and that it was computed in the US alone: both change the price of every token.
    """

    input: Annotated[int, Counted("input_tokens", "Input")] = 0
    output: Annotated[int, Counted("output_tokens", "Output")] = 0
    cache_read: Annotated[int, Counted("cache_read_input_tokens", "Cache read")] = 0
    cache_write_5m: Annotated[int, Counted("cache_creation_input_tokens", "Write 5m")] = 0
    cache_write_1h: Annotated[
        int, Counted("cache_creation.ephemeral_1h_input_tokens", "Write 1h", rare=True)
    ] = 0
    web_search_requests: Annotated[
        int, Counted("server_tool_use.web_search_requests", "Searches", rare=True)
    ] = 0
    fast: bool = False
    us_only: bool = False

    @property
    def prompt(self) -> int:
        """All tokens of the prompt, cached or not."""
        return sum(classes_of(self)) - self.output

    @property
    def total(self) -> int:
        """All tokens of the prompt and of the response."""
        return sum(classes_of(self))


def _counted() -> dict[str, Counted]:
    hints = get_type_hints(Tokens, include_extras=True).items()
    return {name: hint.__metadata__[0] for name, hint in hints if hasattr(hint, "__metadata__")}


# Everything that speaks of single counts (log lines, records, columns, sums, reports, metrics)
# takes their names from here, in this order: the classes of tokens, and then the searches.
COUNTED: Mapping[str, Counted] = _counted()
CLASSES = tuple(name for name in COUNTED if name != "web_search_requests")
PROMPT_CLASSES = tuple(name for name in CLASSES if name != "output")
# What a count is called where it stands beside other things, by its name here.
COLUMNS = {name: f"{name}_tokens" if name in CLASSES else name for name in COUNTED}

counts_of: Callable[[Tokens], tuple[int, ...]] = operator.attrgetter(*COUNTED)
classes_of: Callable[[Tokens], tuple[int, ...]] = operator.attrgetter(*CLASSES)

# No response comes near it; what is larger is no count.
MAX_COUNT = 10**12

NO_TOKENS = Tokens()


def add(one: Tokens, other: Tokens) -> Tokens:
    """Add counts, up to the largest that there is; speed and place are those of the first."""
    sums = map(operator.add, counts_of(one), counts_of(other))
    counts = {name: min(count, MAX_COUNT) for name, count in zip(COUNTED, sums, strict=True)}
    return Tokens(**counts, fast=one.fast, us_only=one.us_only)


class Use(Struct, frozen=True):
    """Usage of one model for a response, as far as the upstream reported it.

    `model` is None for the model that was asked. `unknown` names the fields of `tokens` that were
    left out, or said as something that is no count. `iterations` is how often the model was run.
    """

    tokens: Tokens = NO_TOKENS
    model: str | None = None
    unknown: frozenset[str] = frozenset()
    iterations: int = 1
