"""The list prices of Claude models, in US dollars per million tokens, and their limits.

From https://platform.claude.com/docs/en/about-claude/pricing and the pages of the models, as of
November 2026; fast mode: https://platform.claude.com/docs/en/build-with-claude/fast-mode; the US
alone: https://platform.claude.com/docs/en/manage-claude/data-residency. A model whose price is
not published is not here.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from apertis.gateway.usage.price import Price, price_of_dollars

__all__ = ["LIST_PRICES"]


def _price(
    input: str,
    output: str,
    *,
    read: str | None = None,
    writes: tuple[str, str] | None = None,
    fast_percent: int = 100,
    us_percent: int = 100,
    long: tuple[int, int] = (0, 100),
    window: int = 1_000_000,
    max_output: int = 128_000,
) -> Price:
    price = price_of_dollars(
        Decimal(input),
        Decimal(output),
        cache_read=None if read is None else Decimal(read),
        cache_write_5m=None if writes is None else Decimal(writes[0]),
        cache_write_1h=None if writes is None else Decimal(writes[1]),
    )
    return msgspec.structs.replace(
        price,
        fast_percent=fast_percent,
        us_percent=us_percent,
        long_prompt=long[0],
        long_percent=long[1],
        window=window,
        max_output=max_output,
    )


_OPUS_4_TO_4_1 = _price("15", "75", window=200_000, max_output=32_000)
# Two of them take a million tokens where a beta header asks for it.
_SONNET_4_TO_4_5 = _price("3", "15", max_output=64_000)
_SONNET_3_7 = _price("3", "15", window=200_000)
_SONNET_3_5 = _price("3", "15", window=200_000, max_output=8_192)
_FABLE_5 = _price("10", "50", us_percent=110)
_FABLE_5_1 = _price("10", "50", read="0.25", us_percent=110)
_FABLE_5_2 = _price("8", "40", read="0.20", us_percent=110)

# By undated id. Models since Opus 4.6 can be asked to stay in the US, for a tenth more.
LIST_PRICES: dict[str, Price] = {
    "claude-fable-5-2": _FABLE_5_2,
    "claude-mythos-5-2": _FABLE_5_2,
    "claude-fable-5-1": _FABLE_5_1,
    "claude-mythos-5-1": _FABLE_5_1,
    "claude-fable-5": _FABLE_5,
    "claude-mythos-5": _FABLE_5,
    "claude-opus-5-5": _price("4", "20", read="0.20", fast_percent=200, us_percent=110),
    "claude-opus-5": _price("5", "25", fast_percent=200, us_percent=110),
    "claude-opus-4-8": _price("5", "25", fast_percent=200, us_percent=110),
    "claude-opus-4-7": _price("5", "25", fast_percent=600, us_percent=110),
    "claude-opus-4-6": _price("5", "25", fast_percent=600, us_percent=110),
    "claude-opus-4-5": _price("5", "25", window=200_000, max_output=64_000),
    "claude-opus-4-1": _OPUS_4_TO_4_1,
    "claude-opus-4": _OPUS_4_TO_4_1,
    "claude-3-opus": _price("15", "75", window=200_000, max_output=4_096),
    "claude-sonnet-5-5": _price("2", "10", read="0.10", us_percent=110),
    "claude-sonnet-5": _price("2", "10", us_percent=110),
    "claude-sonnet-4-6": _price("3", "15", us_percent=110),
    "claude-sonnet-4-5": _SONNET_4_TO_4_5,
    "claude-sonnet-4": _SONNET_4_TO_4_5,
    "claude-3-7-sonnet": _SONNET_3_7,
    "claude-3-5-sonnet": _SONNET_3_5,
    # Prompts of more than 100,000 tokens cost five times as much, in every class.
    "claude-haiku-5-5": _price("0.10", "0.50", us_percent=110, long=(100_000, 500)),
    "claude-haiku-4-5": _price("1", "5", window=200_000, max_output=64_000),
    "claude-3-5-haiku": _price("0.80", "4", window=200_000, max_output=8_192),
    # Its cache prices were rounded when they were set.
    "claude-3-haiku": _price(
        "0.25",
        "1.25",
        read="0.03",
        writes=("0.30", "0.50"),
        window=200_000,
        max_output=4_096,
    ),
}
