"""A caller's own account, over the real stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from apertis.gateway.admin.usage_report import OwnUsage
from apertis.gateway.budgets.budgets import Budgets
from apertis.gateway.keys.directory import Key
from apertis.gateway.people.organization import Organization
from apertis.gateway.request.context import Progress, RequestContext
from apertis.gateway.request.forward import WholeAnswer
from apertis.gateway.serving.account import Account
from apertis.gateway.upstreams.contract import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.accounting.record import UsageRecord
    from tests.kit.stores import MakeRecord, Opened

NOW = 1_790_000_000.0


def test_a_key_without_a_quota_has_used_what_all_gateways_booked(
    opened: Opened, make_record: MakeRecord, make_usage: Callable[..., UsageRecord]
) -> None:
    async def used() -> int:
        store = opened.store
        key = Key(await store.keys.insert(make_record()))
        budgets = Budgets(
            Organization(), store.accounts, wall_clock=lambda: NOW, steady_clock=lambda: 0.0
        )
        account = Account(budgets, OwnUsage(store.usage), store.keys.get)
        # Another gateway served it; this one has heard of it at its start alone.
        record = make_usage(key_id=key.record.id, cost_units=7)
        await store.usage.add([record])
        path = "/api/user/token"
        context = RequestContext(
            id="req_1", method="GET", path=path, address="127.0.0.1", at=NOW, started=0.0
        )
        request = Request("req_1", "GET", path, "", {}, b"")
        answer = await account.token(Progress(context), key, request, "")
        assert isinstance(answer, WholeAnswer)
        found: int = msgspec.json.decode(answer.body)["data"]["used_quota"]
        return found

    assert opened.run(used()) == 7
