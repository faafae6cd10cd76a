"""The routes of batches with a store and the sandbox, at times that the test sets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from apertis.accounting.prices import PriceTable
from apertis.gateway.batches.routes import BatchRoutes
from apertis.gateway.batches.upstream import Wiring
from apertis.gateway.config import read_settings
from apertis.gateway.errors import Refusal
from apertis.gateway.keys.directory import Directory
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.request.charge import Prices
from apertis.gateway.request.context import Progress, RequestContext
from apertis.gateway.request.forward import WholeAnswer
from apertis.gateway.routing.router import Router
from apertis.gateway.serving.answers import LineAnswer
from apertis.gateway.store.database import Store
from apertis.gateway.upstreams.contract import Request, UpstreamFailure, UpstreamTimeouts
from apertis.gateway.upstreams.outcome import Fault
from apertis.gateway.upstreams.sandbox import SandboxAnswer, SandboxUpstream
from tests.kit.chains import KeyMoney, budgets_of, money_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from apertis.gateway.budgets.budgets import Budgets
    from apertis.gateway.keys.directory import Key
    from apertis.gateway.upstreams.contract import UpstreamRequest

PATH = "/v1/messages/batches"
MESSAGE = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hi"}],
}
HOUR = 3600


class Flaky(SandboxUpstream):
    """An upstream that breaks off each answer once it is told to."""

    def __init__(self) -> None:
        super().__init__(0.0, None)
        self.requests: list[UpstreamRequest] = []
        self.breaks = False

    async def open(
        self, request: UpstreamRequest, timeouts: UpstreamTimeouts
    ) -> SandboxAnswer | UpstreamFailure:
        self.requests.append(request)
        if self.breaks:
            return UpstreamFailure(Fault.BROKEN, "it broke off")
        return await super().open(request, timeouts)


@dataclass
class Place:
    routes: BatchRoutes
    store: Store
    key: Key
    budgets: Budgets
    upstream: Flaky
    now: float = 1_790_000_000.0

    @property
    def money(self) -> KeyMoney:
        return money_of(self.key, self.budgets)

    async def call(
        self, method: str, name: str = "", suffix: str = "", body: bytes = b""
    ) -> WholeAnswer | LineAnswer | Refusal:
        path = f"{PATH}/{name}{suffix}" if name else PATH
        request = Request("req_1", method, path, "", {"host": "here"}, body)
        return await self.routes(
            Progress(RequestContext("req_1", 0.0, 0.0, method, path)), self.key, request, name
        )

    async def make(self, *names: str) -> str:
        requests = [{"custom_id": name, "params": MESSAGE} for name in names]
        body = json.dumps({"requests": requests}).encode()
        answer = await self.call("POST", body=body)
        assert isinstance(answer, WholeAnswer)
        assert answer.status == 200, answer.body
        batch_id: str = json.loads(answer.body)["id"]
        return batch_id


@contextlib.asynccontextmanager
async def a_place(folder: Path) -> Any:
    store = await Store.open(folder / "data")
    await store.keys.insert(
        KeyRecord(
            id="key_a", name="a", sha256="0" * 64, hint="sk-a", quota_units=10**8, created_at=0
        )
    )
    directory = Directory(await store.keys.list())
    (key,) = directory.all()
    budgets = await budgets_of(store, directory)
    settings = read_settings({}, data=folder / "data")
    upstream = Flaky()
    wiring = Wiring(
        settings=settings,
        router=Router(settings.upstreams, settings.routing),
        prices=Prices(PriceTable(), unpriced_is_free=False),
        upstreams={upstream.name: upstream},
        timeouts=UpstreamTimeouts(1.0, 1.0, 1.0),
        trusted=None,
    )
    routes = BatchRoutes(
        store.batches,
        directory,
        budgets,
        wiring,
        wall_clock=lambda: place.now,
        clock=lambda: 0.0,
        pick=lambda: 0.0,
    )
    place = Place(routes, store, key, budgets, upstream)
    try:
        yield place
    finally:
        await routes.finish(1.0)
        await store.close()


def run(work: Callable[[Place], Any], folder: Path) -> None:
    async def within() -> None:
        async with a_place(folder) as place:
            await work(place)

    asyncio.run(within())


def test_what_nobody_reads_within_a_day_is_booked_all_the_same(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        batch_id = await place.make("a", "b")
        # The sandbox ends a batch when it is looked at.
        await place.call("GET", batch_id)
        held = place.money.set_aside
        place.now += 20 * HOUR
        await place.routes.collect_left_behind()
        assert (place.money.used, place.money.set_aside) == (0, held)
        place.now += 10 * HOUR
        await place.routes.collect_left_behind()
        assert 0 < place.money.used <= held
        assert place.money.set_aside == 0
        used, seen = place.money.used, len(place.upstream.requests)
        await place.routes.collect_left_behind()
        assert isinstance(await place.call("GET", batch_id, "/results"), LineAnswer)
        assert (place.money.used, len(place.upstream.requests)) == (used, seen + 1)

    run(work, tmp_path)


def test_what_could_not_be_collected_is_asked_for_again(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        batch_id = await place.make("a")
        await place.call("GET", batch_id)
        place.now += 30 * HOUR
        place.upstream.breaks = True
        await place.routes.collect_left_behind()
        assert place.money.used == 0
        assert place.money.set_aside > 0
        place.upstream.breaks = False
        await place.routes.collect_left_behind()
        assert place.money.used > 0

    run(work, tmp_path)


def test_a_batch_that_is_gone_holds_nothing_after_a_day(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        batch_id = await place.make("a")
        await place.call("GET", batch_id)
        request = msgspec.structs.replace(place.upstream.requests[-1], method="DELETE")
        answer = await place.upstream.open(request, UpstreamTimeouts(1.0, 1.0, 1.0))
        assert not isinstance(answer, UpstreamFailure)
        place.now += 30 * HOUR
        await place.routes.collect_left_behind()
        assert (place.money.used, place.money.set_aside) == (0, 0)

    run(work, tmp_path)


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_an_upstream_that_breaks_off_is_told_and_changes_nothing(
    tmp_path: Path, method: str
) -> None:
    async def work(place: Place) -> None:
        batch_id = await place.make("a")
        held = place.money.set_aside
        place.upstream.breaks = True
        suffix = "/cancel" if method == "POST" else ""
        answer = await place.call(method, batch_id, suffix)
        assert isinstance(answer, Refusal)
        assert answer.status == 502
        listed = await place.call("GET")
        assert isinstance(listed, Refusal)
        assert place.money.set_aside == held
        assert await place.store.batches.get(batch_id) is not None

    run(work, tmp_path)


def test_a_store_that_is_gone_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        await place.make("a")
        rename = "ALTER TABLE batches RENAME TO elsewhere"
        await place.store.batches._database.write(lambda at: at.exec_driver_sql(rename))
        sent = len(place.upstream.requests)
        body = json.dumps({"requests": [{"custom_id": "b", "params": MESSAGE}]}).encode()
        held = place.money.set_aside
        for answer in (
            await place.call("POST", body=body),
            await place.call("GET"),
            await place.call("GET", "msgbatch_1"),
        ):
            assert isinstance(answer, Refusal)
            assert (answer.status, answer.code) == (503, "service_unavailable")
        assert len(place.upstream.requests) == sent
        assert place.money.set_aside == held

    run(work, tmp_path)


def test_a_batch_that_cannot_be_kept_is_cancelled_and_holds_nothing(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        rename = "ALTER TABLE batch_lines RENAME TO elsewhere"
        await place.store.batches._database.write(lambda at: at.exec_driver_sql(rename))
        body = json.dumps({"requests": [{"custom_id": "a", "params": MESSAGE}]}).encode()
        answer = await place.call("POST", body=body)
        assert isinstance(answer, Refusal)
        assert (answer.status, answer.code) == (503, "service_unavailable")
        made, cancelled = place.upstream.requests
        assert (made.method, made.target) == ("POST", PATH)
        assert cancelled.method == "POST"
        assert cancelled.target.endswith("/cancel")
        assert place.money.set_aside == 0
        listed = await place.call("GET")
        assert isinstance(listed, WholeAnswer)
        assert json.loads(listed.body)["data"] == []

    run(work, tmp_path)


def test_a_large_batch_is_read_beside_other_work(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        names = [f"line-{number}" for number in range(3000)]
        batch_id = await place.make(*names)
        kept = await place.store.batches.get(batch_id)
        assert kept is not None
        assert (kept.lines, kept.held_units) == (3000, place.money.set_aside)
        await place.call("GET", batch_id)
        answer = await place.call("GET", batch_id, "/results")
        assert isinstance(answer, LineAnswer)
        count = 0
        while block := await answer.lines.next():
            count += block.count(b"\n")
        assert count == 3000
        assert place.money.set_aside == 0
        stored = await place.store.keys.get("key_a")
        assert stored is not None
        assert stored.used_units == place.money.used > 0

    run(work, tmp_path)


def test_a_description_is_the_upstreams_but_for_its_link(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        batch_id = await place.make("a")
        answer = await place.call("GET", batch_id)
        assert isinstance(answer, WholeAnswer)
        described = msgspec.json.decode(answer.body)
        assert described["results_url"] == f"http://here{PATH}/{batch_id}/results"
        direct = await place.upstream.open(
            place.upstream.requests[-1], UpstreamTimeouts(1.0, 1.0, 1.0)
        )
        assert not isinstance(direct, UpstreamFailure)
        body = await direct.read()
        assert isinstance(body, bytes)
        own = msgspec.json.decode(body)
        assert {**described, "results_url": None} == {**own, "results_url": None}

    run(work, tmp_path)
