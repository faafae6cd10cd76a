from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from apertis.gateway.config import PriceSettings

if TYPE_CHECKING:
    from tests.gateway.config.conftest import Problems, Read


def test_prices_are_exact_whether_numbers_or_texts(read_file: Read) -> None:
    text = """
[prices."claude-sonnet-4.5"]
input = 0.3
output = "15"
cache_read = 0
cache_write_5m = "0.375"
cache_write_1h = 0.6
web_search = 12
batch_percent = 40
"""
    assert read_file(text).settings.prices == {
        "claude-sonnet-4.5": PriceSettings(
            input=Decimal("0.3"),
            output=Decimal(15),
            cache_read=Decimal(0),
            cache_write_5m=Decimal("0.375"),
            cache_write_1h=Decimal("0.6"),
            web_search=Decimal(12),
            batch_percent=40,
        )
    }


def test_the_prompt_cache_costs_its_usual_part_of_the_input(read_file: Read) -> None:
    price = read_file("[prices.a]\ninput = 3\noutput = 15\n").settings.prices["a"]
    assert (price.cache_read, price.cache_write_5m, price.cache_write_1h) == (
        Decimal("0.3"),
        Decimal("3.75"),
        Decimal(6),
    )
    assert (price.web_search, price.batch_percent) == (Decimal(10), 50)


def test_a_part_that_is_no_whole_unit_of_money_is_rounded_up(read_file: Read) -> None:
    price = read_file("[prices.a]\ninput = 0.000002\noutput = 0\n").settings.prices["a"]
    assert (price.cache_read, price.cache_write_5m) == (Decimal("0.000002"), Decimal("0.000004"))


def test_what_is_wrong_with_a_price_is_told_at_once(problems_of: Problems) -> None:
    text = """\
[prices.a]
input = -1
ouput = 5
[prices."b.c"]
input = "free"
output = inf
cache_read = 0.000001
batch_percent = 101
[prices]
d = 5
"""
    amount = "must be an amount of dollars from 0 to 1,000,000, a multiple of 0.000002"
    assert problems_of(text) == [
        "apertis.toml:1: prices.a needs output",
        f"apertis.toml:2: prices.a.input {amount}, not -1",
        "apertis.toml:3: prices.a.ouput is no setting; did you mean output?",
        f"apertis.toml:5: prices.\"b.c\".input {amount}, not 'free'",
        f'apertis.toml:6: prices."b.c".output {amount}, not Infinity',
        f'apertis.toml:7: prices."b.c".cache_read {amount}, not 0.000001',
        'apertis.toml:8: prices."b.c".batch_percent must be a whole number from 0 to 100, not 101',
        "apertis.toml:10: prices.d must be a table, not 5",
    ]
