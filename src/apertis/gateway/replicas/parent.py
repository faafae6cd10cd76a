"""The parent of `--workers N`: it starts the workers, keeps them running, and speaks for all.

Theory of operation. The parent serves no request. It has what there must be once:

    the listening socket   It is bound before anything else, and every worker accepts from this one.
                           With SO_REUSEPORT each worker has a socket of its own, over which the
                           kernel spreads connections by a hash. It spreads them no better (of 16
                           connections that stay open the busier of two workers has 8 to 12 with
                           either), and what was assigned to a worker that is dead or busy waits
                           for it: with one of two killed, 17 of 40 connections are answered at
                           once, and 40 of 40 with one socket. The parent keeps it open, so that no
                           connection is refused while a worker is replaced.
    the store's lock       Workers open the store beside it. If it is lost, they are told.
    the journal's folder   Each worker writes to `usage-journal/<slot>`. What one process alone, or
                           workers that are no more, left there is booked before workers start.

To each worker leads a channel over a socket pair. Signals of one worker are passed on to all
others, orders go down, readiness and metrics come up. Whichever end dies, the other one sees the
channel end: a worker that is gone is replaced, at once if it had run well, after pauses that grow
if not; workers without their parent finish what is under way and end.

Counters of a worker that is gone stay in the sum, as they last were: a sum that falls looks like a
restart of everything to whoever scrapes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from apertis.errors import ConfigurationError
from apertis.gateway.errors import LockLostError, StoreUnavailableError
from apertis.gateway.replicas.messages import (
    Begin,
    Channel,
    Collect,
    Collected,
    Failed,
    Ready,
    Reload,
    Scraped,
    State,
    Stop,
    Told,
    Total,
)
from apertis.gateway.replicas.presence import replica_name
from apertis.gateway.replicas.totals import counters, gauge, total
from apertis.gateway.store.database import Store
from apertis.gateway.store.journal import hold
from apertis.gateway.store.mover import book_left

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from apertis.gateway.config import Settings
    from apertis.gateway.replicas.messages import Message
    from apertis.gateway.replicas.totals import Family

    Tell = Callable[..., None]

# A worker that ran for so long is replaced at once.
_STEADY_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.1
_MAX_PAUSE_SECONDS = 30.0
_PING_SECONDS = 5.0
_COLLECT_SECONDS = 1.0
# Beyond the time for responses: what a worker needs to put its things in order, store or not.
_ORDER_SECONDS = 35.0
# How long a worker may live whose channel is closed.
_LATE_SECONDS = 5.0


class _Slot:
    """The place of a worker, whichever process has it now."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.channel: Channel | None = None
        self.process: asyncio.subprocess.Process | None = None
        self.is_ready = False
        self.failure: str | None = None
        # As it last told them; and the counters of all that had the place before.
        self.families: tuple[Family, ...] = ()
        self.before: tuple[Family, ...] = ()

    def tell(self, message: Message) -> None:
        """Send to its worker, if there is one."""
        if self.channel is not None:
            self.channel.send(message)


class Parent:
    """The parent of `settings.server.workers` processes that run `command`.

    A worker finds the descriptor of its channel as the last argument. `reread` checks the settings
    before workers are told to read them again; `tell` logs. One that has not ended `order_seconds`
    after the time for responses is killed.
    """

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        options: Mapping[str, str | int | float],
        reread: Callable[[], object],
        tell: Tell,
        order_seconds: float = _ORDER_SECONDS,
    ) -> None:
        self._order_seconds = order_seconds
        self._settings = settings
        self._listener = listener
        self._command = command
        self._environment = environment
        self._options = dict(options)
        self._reread = reread
        self._tell = tell
        self._slots = [_Slot(number) for number in range(settings.server.workers)]
        self._trouble: str | None = None
        self._serving = False
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        # The answers to `Collect` that are still to come, by its number.
        self._awaited: dict[int, set[int]] = {}
        self._collections = 0
        self._adding: set[asyncio.Task[None]] = set()
        # How many workers lost records, or had to be killed.
        self.failures = 0

    async def run(self, ready: Callable[[Store], Awaitable[None]]) -> None:
        """Serve until SIGINT or SIGTERM; `ready` is called once, when all workers serve.

        `ConfigurationError` says in one line why that cannot be done.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        store = self._settings.store
        async with await Store.open(store.url or store.data, exclusive=True) as opened:
            folder = store.directory / "usage-journal"
            # Made once for all: workers read it when they start.
            name = replica_name(self._settings.server.replica, store.directory)
            await book_left(
                folder,
                opened.usage,
                opened.accounts,
                name,
                slots_from=len(self._slots),
                alone=True,
                tell=self._tell,
            )
            with contextlib.closing(hold(folder)):
                await self._run(opened, ready)

    async def _run(self, store: Store, ready: Callable[[Store], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self._keep(slot)) for slot in self._slots]
        watch = loop.create_task(self._watch(store))
        try:
            await self._until(lambda: all(slot.is_ready for slot in self._slots), tasks)
            if not self._stopping.is_set():
                await ready(store)
                self._serving = True
                self._send_to_all(Told("keys", ""))
            await self._until(self._stopping.is_set, tasks)
        finally:
            watch.cancel()
            await self._end(tasks)

    async def _until(
        self, condition: Callable[[], bool], tasks: Sequence[asyncio.Task[None]]
    ) -> None:
        """Wait until a condition holds or all is to stop; raise what ended a task."""
        while not condition() and not self._stopping.is_set():
            self._changed.clear()
            changed = asyncio.get_running_loop().create_task(self._changed.wait())
            await asyncio.wait({changed, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            for task in tasks:
                if task.done():
                    task.result()

    async def _keep(self, slot: _Slot) -> None:
        """Keep a process in this place."""
        loop = asyncio.get_running_loop()
        pause = 0.0
        while not self._stopping.is_set():
            began = loop.time()
            code = await self._live(slot)
            if self._stopping.is_set():
                # One that could not book all says so.
                self.failures += code != 0
                return
            if not self._serving:
                raise ConfigurationError(slot.failure or _ended(code))
            if loop.time() - began >= _STEADY_SECONDS:
                pause = 0.0
            reason = slot.failure or _ended(code)
            self._tell(
                "error",
                "a worker ended, and another takes its place",
                worker=slot.number,
                reason=reason,
                pause_seconds=pause,
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            pause = min(_MAX_PAUSE_SECONDS, pause * 2 or _FIRST_PAUSE_SECONDS)

    async def _live(self, slot: _Slot) -> int:
        """Start a process, do what its messages want, and return its exit code."""
        slot.failure = None
        ours, theirs = socket.socketpair()
        listener = self._listener.fileno()
        with theirs:
            try:
                slot.process = process = await asyncio.create_subprocess_exec(
                    *self._command,
                    str(theirs.fileno()),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(), listener),
                    env=dict(self._environment),
                )
            except OSError as error:
                ours.close()
                slot.failure = f"no process could be started: {error.strerror or error}"
                return 1
        slot.channel = channel = await Channel.open(ours)
        try:
            channel.send(Begin(slot.number, len(self._slots), listener, self._options))
            if self._stopping.is_set():
                channel.send(Stop(hurried=True))
            while (message := await channel.receive()) is not None:
                self._heard(slot, message)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LATE_SECONDS):
                    await process.wait()
        finally:
            slot.channel, slot.is_ready = None, False
            slot.before = counters(total([(0, slot.before), (0, slot.families)]))
            slot.families = ()
            self._tell_state()
            await channel.close()
            if process.returncode is None:
                process.kill()
            await process.wait()
        return await process.wait()

    def _heard(self, slot: _Slot, message: Message) -> None:
        match message:
            case Ready():
                slot.is_ready = True
                self._changed.set()
                if self._serving:
                    self._tell("info", "a worker serves again", worker=slot.number)
                self._tell_state()
            case Failed(reason):
                slot.failure = reason
            case Told():
                self._send_to_all(message, besides=slot)
            case Scraped(number, families):
                slot.families = families
                adding = asyncio.get_running_loop().create_task(self._add_up(slot, number))
                self._adding.add(adding)
                adding.add_done_callback(self._adding.discard)
            case Collected(number, families):
                slot.families = families
                self._awaited.get(number, set()).discard(slot.number)
                self._changed.set()
            case _:
                raise TypeError(f"a parent is not sent {message!r}")

    async def _add_up(self, asker: _Slot, number: int) -> None:
        """Ask all other workers for their metrics, and answer with the sum."""
        self._collections += 1
        collection = self._collections
        awaited = {slot.number for slot in self._slots if slot.is_ready} - {asker.number}
        asked = frozenset(awaited)
        self._awaited[collection] = awaited
        for slot in self._slots:
            if slot.number in awaited:
                slot.tell(Collect(collection))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_COLLECT_SECONDS):
                while awaited:
                    self._changed.clear()
                    await self._changed.wait()
        del self._awaited[collection]
        answered = {asker.number, *(asked - awaited)}
        parts: list[tuple[int, Sequence[Family]]] = []
        for slot in self._slots:
            parts.append((slot.number, slot.before))
            told = slot.families if slot.number in answered else counters(slot.families)
            parts.append((slot.number, told))
        whole = (
            *total(parts),
            gauge("apertis_workers", "Worker processes.", len(self._slots)),
            gauge("apertis_workers_answered", "Workers whose gauges are here.", len(answered)),
        )
        asker.tell(Total(number, whole))

    def _send_to_all(self, message: Message, *, besides: _Slot | None = None) -> None:
        for slot in self._slots:
            if slot is not besides:
                slot.tell(message)

    def _tell_state(self) -> None:
        ready = sum(slot.is_ready for slot in self._slots)
        self._send_to_all(State(ready, self._trouble))

    async def _watch(self, store: Store) -> None:
        """Tell the workers when the store is another's."""
        while True:
            await asyncio.sleep(_PING_SECONDS)
            trouble = self._trouble
            try:
                await store.ping()
                trouble = None
            except LockLostError:
                trouble = "another gateway has the store"
            except StoreUnavailableError:
                # They notice that themselves.
                continue
            if trouble != self._trouble:
                self._trouble = trouble
                self._tell_state()

    def _reload(self) -> None:
        try:
            self._reread()
        except ConfigurationError as error:
            self._tell("error", "the configuration was not taken over", reason=str(error))
            return
        self._send_to_all(Reload())

    def _stop(self) -> None:
        self._send_to_all(Stop(hurried=self._stopping.is_set()))
        self._stopping.set()
        self._changed.set()
        # Workers close theirs: nobody shall wait for a connection that none will take.
        self._listener.close()

    async def _end(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Wait for all workers to end, and kill those that do not."""
        if not self._stopping.is_set():
            # What ended this was no signal.
            self._stop()
            self._stop()
        patience = self._settings.server.stop_seconds + self._order_seconds
        await asyncio.wait(tasks, timeout=patience)
        for slot in self._slots:
            if slot.process is not None and slot.process.returncode is None:
                self._tell("error", "a worker was killed that did not end", worker=slot.number)
                slot.process.kill()
        await asyncio.gather(*tasks, return_exceptions=True)


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a worker: it finds modules where this process does, in no other."""
    return {**environment, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _ended(code: int) -> str:
    """Say how a process ended."""
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}"
    return f"it ended with exit code {code}; what it wrote before says why"
