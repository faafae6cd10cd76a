from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from apertis.accounting.prices import Price
from apertis.accounting.tokens import (
    CLASSES,
    COLUMNS,
    COUNTED,
    MAX_COUNT,
    PROMPT_CLASSES,
    Tokens,
    add,
    classes_of,
    counts_of,
)
from tests.kit.changing import run_changed

counts = st.builds(Tokens, *[st.integers(0, MAX_COUNT)] * len(COUNTED), st.booleans())


@given(counts)
def test_a_prompt_and_an_answer_are_all_classes(tokens: Tokens) -> None:
    assert tokens.total == tokens.prompt + tokens.output == sum(classes_of(tokens))
    assert tokens.prompt == sum(getattr(tokens, name) for name in PROMPT_CLASSES)


@given(counts, counts)
def test_counts_add_up_one_by_one_and_never_beyond_the_largest(one: Tokens, other: Tokens) -> None:
    both = add(one, other)
    for name in COUNTED:
        assert getattr(both, name) == min(getattr(one, name) + getattr(other, name), MAX_COUNT)
    assert (both.fast, both.us_only) == (one.fast, one.us_only)


def test_each_count_has_its_names() -> None:
    numbers = {f.name for f in msgspec.structs.fields(Tokens) if type(f.default) is int}
    assert set(COUNTED) == numbers == set(COLUMNS)
    assert COLUMNS["cache_read"] == "cache_read_tokens"
    assert COLUMNS["web_search_requests"] == "web_search_requests"
    assert set(CLASSES) < set(Price.__struct_fields__)
    assert counts_of(Tokens(1, 2, 3, 4, 5, 6)) == (1, 2, 3, 4, 5, 6)


# A class of tokens stands where it is counted, in a price, and in the prices of the configuration.
CHANGES = {
    "apertis.accounting.tokens": [
        (
            "    web_search_requests: Annotated[",
            (
                '    audio: Annotated[int, Counted("audio_tokens", "Audio")] = 0\n'
                "    web_search_requests: Annotated["
            ),
        )
    ],
    "apertis.accounting.prices": [
        ("    cache_write_1h: int\n", "    cache_write_1h: int\n    audio: int\n"),
        ("OF_INPUT = {", 'OF_INPUT = {"audio": Decimal(3),'),
    ],
    "apertis.gateway.config.settings": [
        (
            "    cache_write_1h: Annotated[Decimal, MONEY]\n",
            (
                "    cache_write_1h: Annotated[Decimal, MONEY]\n"
                "    audio: Annotated[Decimal, MONEY]\n"
            ),
        )
    ],
}

SCRIPT = """
import types
import msgspec
import apertis.cli.usage_screen as screen
from apertis.accounting.prices import LIST_PRICES, cost_units
from apertis.accounting.record import UsageRecord
from apertis.accounting.tokens import COLUMNS, Tokens, add
from apertis.gateway.admin.openapi import document
from apertis.gateway.admin.usage_report import UsageSums
from apertis.gateway.observe import log, metrics
from apertis.gateway.request.context import Used
from apertis.gateway.store import booking, journal, schema
from apertis.gateway.store.records import UsageRow

tokens = Tokens(audio=2_000_000)
price = LIST_PRICES["claude-opus-4-5"]
print("costs", cost_units(tokens, price) == 2 * 3 * price.input)
print("adds", add(tokens, tokens).audio)
record = UsageRecord(
    request_id="r", at_ms=1, key_id="k", model="m", requested_model="m", status=200, tokens=tokens
)
names = [column.name for column in schema.usage.columns]
print("books", dict(zip(names, booking._row(record), strict=True))["audio_tokens"])
print("sums", "audio_tokens" in schema.SUMS, UsageRow(audio_tokens=1).audio_tokens)
print("journal", journal._is_possible(msgspec.structs.replace(record, tokens=Tokens(audio=-1))))
print("logs", "audio_tokens" in log._Line.__struct_fields__)
print("reports", "audio_tokens" in UsageSums.__struct_fields__)
print("describes", "audio_tokens" in document()["components"]["schemas"]["UsageSums"]["properties"])
print("shows", screen._TITLES["audio_tokens"], screen._FIRST_TO_GO[0])
counter = metrics.Metrics()
counter._used(types.SimpleNamespace(used=Used(tokens)), "m")
print("measures", dict(zip(COLUMNS, counter._counts["m"], strict=True))["audio"])
"""


def test_a_class_of_tokens_that_is_defined_is_counted_everywhere() -> None:
    assert run_changed(CHANGES, SCRIPT) == [
        "costs True",
        "adds 4000000",
        "books 2000000",
        "sums True 1",
        "journal False",
        "logs True",
        "reports True",
        "describes True",
        "shows Audio audio_tokens",
        "measures 2000000",
    ]
