"""How rows go into the database: in pieces whose statements are prepared once, with their nulls."""

from __future__ import annotations

from sqlalchemy import create_engine, select

from apertis.accounting.record import UsageRecord
from apertis.gateway.store.booking import book
from apertis.gateway.store.schema import metadata, usage


def test_what_is_not_there_is_null_and_an_empty_text_is_not() -> None:
    records = [
        UsageRecord(
            request_id=f"req_{number}",
            at_ms=number,
            key_id="k",
            model="m",
            requested_model="m",
            status=200,
            cached=number == 1,
            session="" if number == 1 else None,
        )
        for number in range(3)
    ]
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        metadata.create_all(connection)
        assert book(connection, records) == records
        assert book(connection, records) == []
        asked = select(usage.c.session, usage.c.upstream, usage.c.first_byte_ms, usage.c.cached)
        rows = connection.execute(asked.order_by(usage.c.at_ms)).all()
    assert [tuple(row) for row in rows] == [
        (None, None, None, False),
        ("", None, None, True),
        (None, None, None, False),
    ]
