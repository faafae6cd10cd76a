"""`/v1/messages/batches`: each batch belongs to the key that made it and runs on one upstream.

A key sees its own batches, an administrator's key all of them; what belongs to another key is as
good as not there. Descriptions are the upstream's own, but for `results_url`, which leads here.
What a batch has used is booked when its results are first read, line by line, by whoever reads
them. Before a batch is deleted, and a day after it was made, the gateway reads them itself if
nobody did. https://docs.claude.com/en/api/creating-message-batches
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from apertis.accounting.tokens import add
from apertis.gateway.batches.create import BatchCreation
from apertis.gateway.batches.links import batch_path, describe, origin_of, page_of, with_own_links
from apertis.gateway.batches.money import BatchBooks
from apertis.gateway.batches.results_stream import BookedLines, PassedLines
from apertis.gateway.batches.upstream import BatchCalls, Wiring
from apertis.gateway.errors import Refusal, StoreUnavailableError, not_found, service_unavailable
from apertis.gateway.request.context import Used
from apertis.gateway.request.forward import WholeAnswer, passed_down
from apertis.gateway.serving.answers import CutAnswer, LineAnswer
from apertis.gateway.store.records import UnknownBatchError
from apertis.gateway.upstreams.contract import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from apertis.gateway.batches.money import Booked
    from apertis.gateway.batches.results_stream import LineResult
    from apertis.gateway.budgets.budgets import Budgets
    from apertis.gateway.keys.directory import Directory, Key
    from apertis.gateway.request.context import Progress
    from apertis.gateway.store.batches import StoredBatches
    from apertis.gateway.store.records import Batch
    from apertis.gateway.upstreams.contract import UpstreamAnswer

_FETCHES_AT_ONCE = 8
_MAX_ID_LENGTH = 256
_DAY_SECONDS = 86_400
# A batch ends within a day, and its results are there for 29.
_LEFT_BEHIND_SECONDS = _DAY_SECONDS + 3_600
_GONE_SECONDS = 30 * _DAY_SECONDS
_GONE = frozenset({404, 410})
_OWN_REQUEST = Request("", "GET", "", "", {}, b"")


class BatchRoutes:
    """The routes below `/v1/messages/batches`. `reconfigure` replaces their wiring."""

    def __init__(
        self,
        store: StoredBatches,
        directory: Directory,
        budgets: Budgets,
        wiring: Wiring,
        *,
        wall_clock: Callable[[], float],
        clock: Callable[[], float],
        pick: Callable[[], float],
    ) -> None:
        self._store = store
        self._now = wall_clock
        self._books = BatchBooks(store, directory, budgets, wall_clock)
        self._calls = BatchCalls(wiring, wall_clock, clock)
        self._creation = BatchCreation(self._calls, self._books, wall_clock, pick)
        # Batches that the gateway has read itself since it started.
        self._collected: set[str] = set()

    def reconfigure(self, wiring: Wiring) -> None:
        """Go on with other settings, upstreams and prices."""
        self._calls.wiring = wiring

    async def finish(self, patience_seconds: float) -> None:
        """Wait for what has begun and must come to its end; nothing new may come."""
        await self._books.finish(patience_seconds)

    async def __call__(
        self, progress: Progress, key: Key, request: Request, name: str
    ) -> WholeAnswer | LineAnswer | Refusal:
        """Answer one request; `name` is the id of a batch, if the path has one."""
        try:
            if name:
                return await self._of_batch(progress, key, request, name)
            if request.method == "POST":
                answer = await self._creation.create(progress, key, request)
                return self._own(request, answer)
            return await self._list(progress, key, request)
        except StoreUnavailableError:
            return service_unavailable("The gateway's store does not answer at the moment")
        except UnknownBatchError:
            # It was deleted between two steps.
            return _no_batch(name)

    async def _of_batch(
        self, progress: Progress, key: Key, request: Request, name: str
    ) -> WholeAnswer | LineAnswer | Refusal:
        batch = await self._store.get(name) if _may_be_id(name) else None
        if batch is None or not (key.record.admin or batch.key_id == key.record.id):
            return _no_batch(name)
        refusal = self._calls.knows(batch.upstream)
        if refusal is not None:
            return refusal
        path = batch_path(batch.id)
        if request.path.endswith("/results"):
            return await self._results(progress, batch, request)
        if request.method == "DELETE":
            return await self._delete(progress, batch, request)
        if request.method == "POST":
            path += "/cancel"
        answer = await self._calls.whole(progress, batch.upstream, request.method, path, request)
        if isinstance(answer, WholeAnswer):
            await self._learn(batch, answer)
        return self._own(request, answer)

    async def _learn(self, batch: Batch, answer: WholeAnswer) -> None:
        """Give up what is held for a batch that can cost nothing any more."""
        if not batch.held_units:
            return
        description = describe(answer.body) if answer.status == 200 else None
        if answer.status in _GONE or (description is not None and description.is_over):
            await self._books.release(batch)

    async def _delete(
        self, progress: Progress, batch: Batch, request: Request
    ) -> WholeAnswer | Refusal:
        if batch.settled_lines < batch.lines:
            # Once it is deleted nobody can learn any more what it has used.
            collected = await self._collect(batch, request)
            if isinstance(collected, Refusal):
                return collected
        path = batch_path(batch.id)
        answer = await self._calls.whole(progress, batch.upstream, "DELETE", path, request)
        if isinstance(answer, WholeAnswer) and (answer.status == 200 or answer.status in _GONE):
            await self._books.forget(batch)
        return answer

    async def _list(self, progress: Progress, key: Key, request: Request) -> WholeAnswer | Refusal:
        record = key.record
        page = page_of(
            await self._store.list(key_id=None if record.admin else record.id), request.query
        )
        if isinstance(page, Refusal):
            return page
        turns = asyncio.Semaphore(_FETCHES_AT_ONCE)
        alone = Request(request.id, "GET", request.path, "", request.headers, b"")
        alone.raw_headers, alone.peer = request.raw_headers, request.peer

        async def fetch(batch: Batch) -> WholeAnswer | Refusal:
            async with turns:
                unknown = self._calls.knows(batch.upstream)
                path = batch_path(batch.id)
                return unknown or self._own(
                    alone, await self._calls.whole(progress, batch.upstream, "GET", path, alone)
                )

        described: list[bytes] = []
        for answer in await asyncio.gather(*map(fetch, page.entries)):
            if isinstance(answer, Refusal) or answer.status not in {200, *_GONE}:
                # A list with a hole in it would be taken for the whole.
                return answer
            if answer.status == 200:
                described.append(answer.body)
        ends = {"has_more": page.has_more, "first_id": page.first_id, "last_id": page.last_id}
        body = b'{"data":[%b],%b' % (b",".join(described), msgspec.json.encode(ends)[1:])
        return WholeAnswer(200, [(b"content-type", b"application/json")], body)

    async def _results(
        self, progress: Progress, batch: Batch, request: Request
    ) -> WholeAnswer | LineAnswer | Refusal:
        path = f"{batch_path(batch.id)}/results"
        answer = await self._calls.open(progress, batch.upstream, "GET", path, request)
        if isinstance(answer, Refusal):
            return answer
        if answer.status != 200:
            return await self._calls.read(progress, answer)
        headers = passed_down(progress, answer)
        if batch.settled_lines >= batch.lines:
            return LineAnswer(200, headers, PassedLines(answer))
        lines = self._booked(batch, answer, progress)
        try:
            refusal = await lines.begin()
        except BaseException:
            lines.close()
            raise
        if refusal is not None:
            lines.close()
            return refusal
        return LineAnswer(200, headers, lines)

    def _booked(
        self, batch: Batch, answer: UpstreamAnswer, progress: Progress | None
    ) -> BookedLines:
        async def settle(results: Iterable[LineResult]) -> None:
            booked = await self._books.settle(batch, results, self._calls.wiring.prices)
            if progress is not None:
                _note(progress, booked)

        return BookedLines(answer, settle, lambda: self._books.release(batch))

    async def _collect(self, batch: Batch, request: Request) -> Refusal | int:
        """Read the results of a batch for nobody, to book them; the status that they came with."""
        path = f"{batch_path(batch.id)}/results"
        answer = await self._calls.open(None, batch.upstream, "GET", path, request)
        if isinstance(answer, Refusal):
            return answer
        if answer.status >= 500:
            answer.close()
            return service_unavailable(
                "What the batch has used cannot be read at the moment, and must be booked first"
            )
        if answer.status != 200:
            answer.close()
            return answer.status
        lines = self._booked(batch, answer, None)
        try:
            refusal = await lines.begin()
            while refusal is None and await lines.next():
                pass
        except CutAnswer as cut:
            refusal = cut.refusal
        finally:
            lines.close()
        return refusal or 200

    async def collect_left_behind(self) -> None:
        """Book the batches whose results nobody has read a day after they were made.

        `StoreUnavailableError` when that has to wait; what failed comes again with the next call.
        """
        now = self._now()
        for batch in await self._store.list():
            age = now - batch.created_at
            if batch.settled_lines >= batch.lines or batch.id in self._collected:
                continue
            if age < _LEFT_BEHIND_SECONDS or self._calls.knows(batch.upstream) is not None:
                continue
            status = await self._collect(batch, _OWN_REQUEST)
            if status in _GONE or (age > _GONE_SECONDS and status != 200):
                await self._books.release(batch)
            if status == 200 or status in _GONE or age > _GONE_SECONDS:
                self._collected.add(batch.id)
        await self._books.release_expired()

    def _own(self, request: Request, answer: WholeAnswer | Refusal) -> WholeAnswer | Refusal:
        if isinstance(answer, Refusal) or answer.status != 200:
            return answer
        description = describe(answer.body)
        if description is None:
            return answer
        wiring = self._calls.wiring
        trusted = wiring.trusted
        origin = origin_of(
            request.headers,
            is_tls=wiring.settings.server.has_tls,
            from_proxy=trusted is not None and request.peer in trusted,
        )
        answer.body = with_own_links(answer.body, description.id, origin)
        return answer


def _may_be_id(name: str) -> bool:
    return len(name) <= _MAX_ID_LENGTH and name.isprintable()


def _no_batch(name: str) -> Refusal:
    return not_found(f"There is no message batch {name[:200]!r}")


def _note(progress: Progress, booked: Booked) -> None:
    """Add what was booked to what is told of the request in logs and metrics."""
    used = progress.used
    models = {record.model for record in booked.records}
    tokens, estimated = used.tokens, used.estimated
    for record in booked.records:
        tokens = add(tokens, record.tokens)
        estimated = estimated or record.estimated
    if progress.kind is not None:
        models.add(progress.model)
    model = models.pop() if len(models) == 1 else "several"
    if booked.records:
        units = used.cost_units + booked.cost_units
        progress.uses("batch", model, Used(tokens, units, estimated))
