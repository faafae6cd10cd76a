"""Tokens by class, as the API's `usage` objects count them."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["NO_TOKENS", "Tokens", "Use"]


class Tokens(Struct, frozen=True, omit_defaults=True):
    """What one answer used: five classes of tokens that do not overlap, and paid searches.

    `input` excludes what was read from or written to the prompt cache. `output` includes
    thinking. Counts are never negative. `fast` and `us_only` say that the answer came in fast
    mode, and that it was computed in the US alone: both change the price of every token.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    web_search_requests: int = 0
    fast: bool = False
    us_only: bool = False

    @property
    def prompt(self) -> int:
        """All tokens of the prompt, cached or not."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def total(self) -> int:
        """All tokens of the prompt and of the answer."""
        return self.prompt + self.output


NO_TOKENS = Tokens()


class Use(Struct, frozen=True):
    """What one model used for an answer, as far as the upstream said it.

    `model` is None for the model that was asked. `unknown` names the fields of `tokens` that were
    left out, or said as something that is no count. `iterations` is how often the model was run.
    """

    tokens: Tokens = NO_TOKENS
    model: str | None = None
    unknown: frozenset[str] = frozenset()
    iterations: int = 1
