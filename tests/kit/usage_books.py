"""Usage of an office's people, as it was booked: straight into the store of its gateway."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from apertis.accounting.record import UsageRecord
from apertis.accounting.tokens import Tokens

if TYPE_CHECKING:
    from tests.kit.consoles import Office


class Books:
    """Adds records to an office's store, each a second older than the one before."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.now = int(time.time() * 1000)
        self.count = 0

    def add(self, **fields: Any) -> UsageRecord:
        return self.add_all([fields])[0]

    def add_all(self, many: list[dict[str, Any]]) -> list[UsageRecord]:
        records: list[UsageRecord] = []
        for fields in many:
            self.count += 1
            made: dict[str, Any] = {
                "request_id": f"req_{self.now:012x}{self.count:08x}",
                "at_ms": self.now - self.count * 1000,
                "key_id": self.office.ids["Max's key"],
                "person_id": self.office.ids["Max"],
                "group_id": self.office.ids["Engineering"],
                "model": "claude-sonnet-4-5",
                "requested_model": "claude-sonnet-4-5",
                "upstream": "sandbox",
                "status": 200,
                "tokens": Tokens(input=1000, output=200),
                "cost_units": 3000,
                "attempts": 1,
                "reserved_units": 4000,
                "first_byte_ms": 400,
                "total_ms": 1600,
            }
            records.append(UsageRecord(**{**made, **fields}))
        gateway = self.office.gateway.gateway
        adding = gateway.store.usage.add(records)
        asyncio.run_coroutine_threadsafe(adding, gateway._loop).result(60)
        return records

    def sales(self, **fields: Any) -> UsageRecord:
        ids = self.office.ids
        return self.add(
            key_id=ids["Sam's key"], person_id=ids["Sam"], group_id=ids["Sales"], **fields
        )
