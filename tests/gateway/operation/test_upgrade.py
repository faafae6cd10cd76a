"""A gateway serves at once on a store with usage of before, and adds that up behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy import text

from apertis.accounting.record import UsageRecord
from apertis.accounting.tokens import Tokens
from apertis.gateway.store.database import Store
from tests.gateway.store.test_migration import on_database
from tests.gateway.store.test_rollup import forget
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.kit.gateways import RunningGateway

NOW_MS = 1_790_000_000_000


def test_a_gateway_is_ready_while_it_adds_up_what_was_used_before(
    tmp_path: Path,
    run_gateway: Callable[..., AbstractContextManager[RunningGateway]],
) -> None:
    data = tmp_path / "gateway" / "data"
    records = [
        UsageRecord(
            request_id=f"req_{number}",
            at_ms=NOW_MS + number * 60_000,
            key_id="key_1",
            model="m",
            requested_model="m",
            status=200,
            tokens=Tokens(input=1),
            cost_units=number,
        )
        for number in range(4500)
    ]

    async def fill() -> None:
        async with await Store.open(data) as store:
            await store.usage.add(records)

    asyncio.run(fill())
    on_database(data, forget)
    with run_gateway() as gateway:
        assert gateway.client.call("GET", "/readyz").status == 200
        first = gateway.usage(by="day", zone="Asia/Kathmandu", to="2026-12-31")
        until(lambda: gateway.usage()["complete_since"] is None)
        later = gateway.usage(by="day", zone="Asia/Kathmandu", to="2026-12-31")
        assert gateway.client.call("GET", "/readyz").status == 200
    for report in (first, later):
        assert report["totals"]["requests"] == 4500
        assert report["totals"]["cost_units"] == sum(range(4500))
    assert first["data"] == later["data"]
    count = text("SELECT sum(requests) FROM usage_quarters")
    assert on_database(data, lambda at: at.scalar(count)) == 4500
