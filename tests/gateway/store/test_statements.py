"""Statements for many rows come in a few sizes, and say what becomes of rows that are there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, select
from sqlalchemy.exc import IntegrityError

from apertis.gateway.store.schema import batch_holds, metadata
from apertis.gateway.store.statements import BulkInsert, padded, powers_of_two


@given(st.integers(0, 5_000), st.integers(1, 300))
def test_pieces_follow_each_other_and_have_few_sizes(count: int, most: int) -> None:
    pieces = list(powers_of_two(count, most))
    assert [place for piece in pieces for place in range(*piece)] == list(range(count))
    sizes = {end - start for start, end in pieces}
    assert all(size <= most and size & (size - 1) == 0 for size in sizes)
    assert len(pieces) <= count // (1 << (most.bit_length() - 1)) + most.bit_length()


@given(st.lists(st.integers(), max_size=200))
def test_padded_values_are_the_same_ones_and_a_power_of_two(values: list[int]) -> None:
    more = padded(values)
    assert (more[: len(values)], set(more)) == (values, set(values))
    assert len(more) & (len(more) - 1) == 0
    assert len(more) < 2 * max(len(values), 1)


@pytest.mark.parametrize(
    ("statement", "units"),
    [
        (BulkInsert(batch_holds, sums=["units"]), 12),
        (BulkInsert(batch_holds, changed=["units"]), 7),
        (BulkInsert(batch_holds, unless_there=True), 5),
        (BulkInsert(batch_holds), None),
    ],
)
def test_a_row_that_is_there_is_added_to_replaced_or_left_alone(
    statement: BulkInsert, units: int | None
) -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        metadata.create_all(connection)
        statement.run(connection, [("b", "a", 5)])
        if units is None:
            with pytest.raises(IntegrityError):
                statement.run(connection, [("b", "a", 7)])
            return
        statement.run(connection, [("b", "a", 7), ("b", "other", 1)])
        rows = connection.execute(select(batch_holds.c.units).order_by(batch_holds.c.account_id))
        assert list(rows.scalars()) == [units, 1]
