"""An upper bound on what a request may use, from its body alone: what a quota reserves.

The bound holds for a request whose text comes to at most one token for every two bytes of JSON.
Prose, code and JSON in all languages stay well below that with every published tokenizer; single
letters, digits or random characters in a row can exceed it. Pictures count as 5,000 tokens each
(the largest that any model scales to), a PDF for a token with each byte of its Base64, a document
by reference for a whole context window, and no prompt for more than the largest one. What servers
read while they answer (search results, fetched pages, the output of programs, the tools of MCP
servers, an advisor's prompt, a summary that the API makes) is in no body, and so in no bound:
there is an allowance for it. A conversation that the upstream holds is in no body either: what
is known of it is an argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from apertis.accounting.prices import Price, cost_units
from apertis.accounting.prompt import MAX_WINDOW, SEARCHES, read_prompt
from apertis.accounting.tokens import Tokens

if TYPE_CHECKING:
    from apertis.accounting.plain import PlainBody


class Held(msgspec.Struct, frozen=True):
    """Prompt content that an upstream holds for a continued thread and no body shows again.

    `tokens` are those of the conversation, `allowance` is for what its tools may read on the way.
    """

    tokens: int
    searches: int = 0
    allowance: int = 0
    hour: bool = False
    known: bool = True


class Attempt(NamedTuple):
    """A model that is asked behind another one that declined: whatever was asked is paid for.

    It is billed at the dearest of the prices. None is as in the request.
    """

    prices: tuple[Price, ...]
    max_tokens: int | None = None
    fast: bool | None = None


class Estimate:
    """An upper bound on what a request may use. Its body is read once, whatever is asked later.

    `plain` are its contents where it was read as a plain one before.
    """

    __slots__ = ("_prompt", "input_tokens", "likely_tokens")

    def __init__(self, body: bytes, plain: PlainBody | None = None) -> None:
        self._prompt = read_prompt(body, plain)
        # The most tokens that the prompt comes to, as the module says.
        self.input_tokens = self._prompt.largest()
        # About how many tokens the prompt comes to, where nobody can count it: no bound.
        self.likely_tokens = self._prompt.likely()

    def reservation_units(
        self,
        max_tokens: int,
        prices: tuple[Price, ...],
        chain: tuple[Attempt, ...] = (),
        held: Held | None = None,
    ) -> int:
        """Return the most that the request can cost, in units, with at most `max_tokens` of output.

        That is at the dearest of the prices, and the sum with what each attempt of the chain may
        cost on top; without any it is nothing. All of the prompt counts at its dearest: as written
        to the cache for an hour if the body asks for that anywhere, for five minutes if it caches
        at all or goes on with what the upstream holds, else as plain input. Fast mode and computing
        in the US count when the body asks for them. The bound of tokens is the module's.
        """
        if not (prices or chain):
            return 0
        prompt = self._prompt
        tokens, searches = self.input_tokens, prompt.searches
        cached, hour = prompt.cached, prompt.hour
        if held is not None:
            # The upstream decides how it caches what it holds.
            cached, hour = True, hour or held.hour
            tokens = min(tokens + held.tokens + held.allowance, MAX_WINDOW)
            searches += held.searches
        used = Tokens(
            input=tokens,
            output=max(max_tokens, 0),
            web_search_requests=searches,
            fast=prompt.fast,
            us_only=prompt.us_only,
        )
        most = _most(used, prices, cached=cached, hour=hour)
        for attempt in chain:
            own = msgspec.structs.replace(
                used,
                output=used.output if attempt.max_tokens is None else attempt.max_tokens,
                fast=used.fast if attempt.fast is None else attempt.fast,
            )
            most += _most(own, attempt.prices, cached=cached, hour=hour)
        return most

    def held_after(self, tokens: int, before: Held | None) -> Held:
        """Return what the upstream holds after this body and a response of so many tokens.

        Tools and the way of caching are said when a conversation begins, and hold on.
        """
        prompt, known = self._prompt, before or Held(0)
        return Held(
            tokens,
            max(prompt.searches, known.searches),
            max(prompt.allowance(), known.allowance),
            prompt.hour or known.hour,
        )


def unknown_held(window: int) -> Held:
    """Return the bound where nothing is known: a full context window, and tools that search."""
    return Held(window, searches=SEARCHES, known=False)


def _most(used: Tokens, prices: tuple[Price, ...], *, cached: bool, hour: bool) -> int:
    most = 0
    for price in prices:
        # A price list may make reading dearer than input; the bound must not depend on that.
        dearest = max(
            price.input,
            price.cache_read,
            price.cache_write_5m if cached else 0,
            price.cache_write_1h if hour else 0,
        )
        if dearest != price.input:
            price = msgspec.structs.replace(price, input=dearest)  # noqa: PLW2901
        most = max(most, cost_units(used, price))
    return most
