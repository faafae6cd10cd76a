"""The gateway as it lives: opened, wired, reloaded and stopped in order."""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import time
from typing import TYPE_CHECKING, Any

from apertis.accounting.prices import LIST_PRICES, Price, PriceTable
from apertis.errors import ConfigurationError
from apertis.gateway.admin.keys import ensure_administrator
from apertis.gateway.admin.usage_report import OwnUsage
from apertis.gateway.alerts.decide import OpenBreaker
from apertis.gateway.alerts.watch import Alerts, Conditions
from apertis.gateway.batches.routes import BatchRoutes
from apertis.gateway.batches.upstream import Wiring
from apertis.gateway.budgets.budgets import Budgets, Seat, lease_times
from apertis.gateway.cache import ResponseCache
from apertis.gateway.catalogue.catalogue import ModelRoutes
from apertis.gateway.config.settings import NEED_RESTART
from apertis.gateway.errors import LockLostError, StoreUnavailableError
from apertis.gateway.keys.admission import trusted_networks
from apertis.gateway.keys.directory import Directory
from apertis.gateway.limits.limiter import Limiter
from apertis.gateway.observe.log import EventHandler, Log
from apertis.gateway.observe.metrics import Metrics
from apertis.gateway.otlp.route import TelemetryRoute
from apertis.gateway.people.organization import Organization
from apertis.gateway.replicas.breakers import SharedBreakers
from apertis.gateway.replicas.presence import Presence, State, encode_state, replica_name
from apertis.gateway.replicas.responses import SharedResponses
from apertis.gateway.replicas.sharing import Sharing
from apertis.gateway.replicas.signals import NoSignals
from apertis.gateway.replicas.totals import families_of, render
from apertis.gateway.replicas.valkey import VALKEY_SECRET, Valkey, ValkeyShares
from apertis.gateway.request.charge import Ledger, Prices
from apertis.gateway.request.forward import Forwarder
from apertis.gateway.request.pipeline import Pipeline
from apertis.gateway.request.prefixes import Prefixes
from apertis.gateway.request.threads import Threads
from apertis.gateway.routing.breaker import BreakerState
from apertis.gateway.routing.router import ALONE, Fleet, Router
from apertis.gateway.serving.account import Account
from apertis.gateway.serving.answers import Pings
from apertis.gateway.serving.application import Application, Readiness
from apertis.gateway.serving.endpoints import Endpoint
from apertis.gateway.serving.managed import ManagedSettingsRoute
from apertis.gateway.store.audit import sweep
from apertis.gateway.store.connections import reason
from apertis.gateway.store.database import Store
from apertis.gateway.store.held_directory import directory_trouble, identity
from apertis.gateway.store.journal import Journal
from apertis.gateway.store.keys import KeyWatch
from apertis.gateway.store.mover import FLUSH_SECONDS, LEFT_UNBOOKED, Mover, book_left
from apertis.gateway.upstreams.contract import UpstreamTimeouts
from apertis.gateway.upstreams.registry import build_upstreams
from apertis.version import __version__

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from apertis.gateway.cache import SharedCache
    from apertis.gateway.config import Settings
    from apertis.gateway.otlp.relay import Relay
    from apertis.gateway.replicas.signals import Signal, Signals
    from apertis.gateway.replicas.worker import Worker
    from apertis.gateway.serving.asgi import ASGIApp, ServedConsole
    from apertis.gateway.upstreams.contract import Upstream


def build_router(settings: Settings, previous: Router | None, fleet: Fleet = ALONE) -> Router:
    """Make the router; conversations stay with the upstreams that the `previous` one gave them."""
    return Router(
        settings.upstreams,
        settings.routing,
        known_ids=LIST_PRICES,
        affinity=None if previous is None else previous.affinity,
        fleet=fleet,
    )


def build_pipeline(
    settings: Settings,
    router: Router,
    *,
    directory: Directory,
    limiter: Limiter,
    budgets: Budgets,
    upstreams: Mapping[str, Upstream],
    cache: ResponseCache,
    threads: Threads,
    journal: Journal,
    shared_cache: SharedCache | None = None,
) -> Pipeline:
    """Make the pipeline around what outlives it."""
    prices = Prices(
        PriceTable(settings.prices),
        unpriced_is_free=settings.money.unpriced == "free",
        other_names=router.names,
    )
    return Pipeline(
        settings,
        directory=directory,
        limiter=limiter,
        budgets=budgets,
        router=router,
        forwarder=Forwarder(
            upstreams,
            router,
            _timeouts(settings),
            settings.server.ping_seconds,
            time.time,
            time.monotonic,
        ),
        ledger=Ledger(prices, journal, time.monotonic, time.time, budgets.lease_name),
        cache=cache,
        threads=threads,
        trusted=trusted_networks(settings.server.trusted_proxies),
        trusted_gateways=trusted_networks(settings.server.trusted_gateways),
        wall_clock=time.time,
        # Which of equal upstreams is taken is no secret.
        pick=random.random,
        shared_cache=shared_cache,
    )


def batch_wiring(
    settings: Settings, pipeline: Pipeline, upstreams: Mapping[str, Upstream]
) -> Wiring:
    """Return the same settings as the batches' routes need them."""
    return Wiring(
        settings=settings,
        router=pipeline.router,
        prices=pipeline.ledger.prices,
        upstreams=upstreams,
        timeouts=_timeouts(settings),
        trusted=trusted_networks(settings.server.trusted_proxies),
    )


def known_models(settings: Settings) -> frozenset[str]:
    """Return the names that the gateway itself knows, by configuration or price."""
    models = [model for upstream in settings.upstreams for model in upstream.models]
    names = (name for model in models for name in (model.id, *model.aliases))
    return frozenset((*LIST_PRICES, *settings.prices, *names))


def _require_libraries(settings: Settings) -> None:
    if settings.has_oidc:
        from apertis.gateway.signin.oidc import require_libraries

        require_libraries()


def _timeouts(settings: Settings) -> UpstreamTimeouts:
    routing = settings.routing
    return UpstreamTimeouts(
        routing.connect_timeout_seconds,
        routing.first_byte_timeout_seconds,
        routing.idle_timeout_seconds,
    )


# How long a stop waits for a store that fails: what is in the journal is booked at the next start.
_STOP_SECONDS = 5.0
# And how much longer for what is in memory only, and would be lost.
_RESCUE_SECONDS = 15.0
_CANCEL_SECONDS = 1.0
_PING_SECONDS = 5.0
_AWAY = "the store does not answer"
_NOT_WRITTEN = "the store cannot be written: usage waits in the journal"
_SWEEP_SECONDS = 30.0
# Between two steps of adding up what an earlier version booked: requests come first.
_ROLL_UP_PAUSE_SECONDS = 0.1
# How often it is looked for what there is to tell.
_ALERT_SECONDS = 5.0
# The name of the store's secret for their hashes.
_PREFIXES = "prompt prefixes"
# How often batches are looked for whose results nobody has read.
_COLLECT_SECONDS = 600.0
# Budgets of sessions are forgotten so long after their last use, and leases after their end.
_KEPT_SECONDS = 30 * 86_400
# How long a stop waits for what was begun with batches after their callers left.
_FINISH_SECONDS = 5.0
# And for a slow reader of the log.
_LOG_SECONDS = 1.0


class Gateway:
    """One gateway: `start` it, serve `application`, `stop` it.

    `reread` gives the settings anew for `reload`. `new_key=True` gives the administrator's key a
    new secret. After `start`, `secret` is the administrator's secret if one was made just now.
    A `worker` shares store and address with others; its parent has what there is once.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        reread: Callable[[], Settings] | None = None,
        new_key: bool = False,
        log_descriptor: int | None = 2,
        worker: Worker | None = None,
    ) -> None:
        self.settings = settings
        self._worker = worker
        self.secret: str | None = None
        # How many records of usage could not be kept when it stopped.
        self.lost_records = 0
        self._reread = reread
        self._new_key = new_key
        self._log_descriptor = log_descriptor
        self._tasks: list[asyncio.Task[None]] = []
        self._prefixes: Prefixes | None = None
        # The closing of upstreams that a reload took out.
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def handler(self) -> Application:
        """Application that answers each request."""
        return self._application

    @property
    def commit(self) -> Callable[[], object]:
        """Call before responses leave: it writes down what they used."""
        return self._journal.flush

    async def start(self) -> None:
        """Open the store and the journal, book what an earlier process left, and wire all parts.

        `ConfigurationError` says in one line why that cannot be done.
        """
        settings = self.settings
        _require_libraries(settings)
        self._loop = loop = asyncio.get_running_loop()
        worker = self._worker
        self.log = Log(
            self._log_descriptor,
            loop,
            requests=settings.log.requests,
            form=settings.log.format,
            worker=None if worker is None else worker.slot,
        )
        self._handler = EventHandler(self.log)
        logging.getLogger().addHandler(self._handler)
        try:
            if worker is not None:
                await worker.open()
            self.store = await Store.open(
                settings.store.url or settings.store.data, exclusive=worker is None
            )
            try:
                await self._open(settings)
            except BaseException:
                await self.store.close()
                raise
        except BaseException:
            logging.getLogger().removeHandler(self._handler)
            if worker is not None:
                await worker.close()
            raise

    async def _open(self, settings: Settings) -> None:
        worker, folder = self._worker, settings.store.directory / "usage-journal"
        own = folder if worker is None else folder / str(worker.slot)
        # A database that others have too may be put back to an earlier state while this one runs.
        keep = settings.store.journal_keep_seconds if self.store.is_shared else 0.0
        self._journal = Journal.open(
            own, data=settings.store.directory, tell=self.log.event, keep_seconds=keep
        )
        self._mover = Mover(self._journal, self.store.usage, on_change=self._moving_changed)
        data = settings.store.directory.absolute()
        self._data = data, identity(data)
        try:
            await self._open_with_journal(settings)
        except BaseException:
            self._journal.close()
            raise

    async def _open_with_journal(self, settings: Settings) -> None:
        worker = self._worker
        self.signals: Signals = self.store.signals(self._signals_changed) or worker or NoSignals()
        self.presence: Presence | None = None
        self._replica = ""
        self._breakers_of_all: SharedBreakers | None = None
        name = replica_name(settings.server.replica, settings.store.directory)
        if self.store.is_shared or worker is not None:
            self._replica = name if worker is None else f"{name}/{worker.slot}"
            state = encode_state(State(version=__version__))
            own = await self.store.replicas.start(self._replica, state)
            self.presence = Presence(
                self.store.replicas, own, self._state, on_change=self._others_changed
            )
            self._breakers_of_all = SharedBreakers(
                self.presence, self.signals, lambda: self._router
            )
        # Before the keys are read: what they have used includes what an earlier process left.
        if not await self._mover.flush(FLUSH_SECONDS):
            raise ConfigurationError(LEFT_UNBOOKED)
        if worker is None:
            folder = settings.store.directory / "usage-journal"
            await book_left(
                folder,
                self.store.usage,
                self.store.accounts,
                name,
                slots_from=0,
                alone=False,
                tell=self.log.event,
            )
        self.directory = Directory(await self.store.keys.list())
        self.budgets = Budgets(
            Organization(await self.store.organization.all()),
            self.store.accounts,
            wall_clock=time.time,
            steady_clock=steady_clock,
            seat=self._seat(),
            times=lease_times(settings.store.lease_seconds),
            on_change=self._accounts_changed,
            on_restored=self._journal.resend,
        )
        if self.presence is not None:
            # What earlier starts had is booked by now.
            self._journal.name_owner(self.budgets.lease_name)
        await self.budgets.start()
        self._key_watch = KeyWatch(
            self.store.keys, self.store.organization, self.directory, self.budgets, self.log
        )
        self._valkey: Valkey | None = None
        self._responses: SharedResponses | None = None
        if settings.valkey.url is not None:
            self._valkey_secret = await self.store.secrets.get(VALKEY_SECRET)
            self._valkey = Valkey(settings.valkey.url, self._valkey_secret, self._valkey_changed)
        self._wire(settings)
        # Last, since it is shown once: a start that fails must not use it up.
        if worker is None:
            self.secret = await ensure_administrator(
                self.store.keys, self.directory, new_secret_wanted=self._new_key, now=time.time()
            )
        self._spawn(self._mover.run())
        self._spawn(self.budgets.run())
        self._spawn(self._key_watch.run())
        self.signals.on_signal = self._heard
        self._spawn(self.signals.run())
        if self.presence is not None:
            await self.presence.beat()
            self._spawn(self.presence.run())
            live = self.presence
            self._limiter.share_among(live.count)
            quick = None if self._valkey is None else ValkeyShares(self._valkey)
            self._spawn(
                Sharing(
                    self._limiter,
                    self.store.shares,
                    self._replica,
                    lambda: live.names,
                    time.time,
                    quick,
                ).run()
            )
        self._spawn(self._pings.run())
        self._spawn(self._threads.run())
        self._spawn(sweep(self.store.audit, settings.store.audit_days, self.log))
        self._spawn(self._watch_store())
        self._spawn(self._sweep())
        self._spawn(self._collect_batches())
        self._spawn(self._roll_up())
        self._spawn(self._alerts.run())
        self._spawn(self._compare_prefixes())

    def _wire(self, settings: Settings) -> None:
        self.metrics = Metrics()
        self.metrics.journal_lag = self._journal.lag
        self.metrics.journal_unwritten = lambda: self._journal.unwritten
        self.metrics.tasks = lambda: len(asyncio.all_tasks())
        self.metrics.breakers = self._breakers
        self.metrics.replicas = self._replica_gauges
        self.metrics.known_models = known_models(settings)
        if self._worker is not None:
            self._worker.families = lambda: families_of(self.metrics)
        self._limiter = Limiter(settings.limits, self._replica)
        self._alerts = self._make_alerts(settings)
        self.metrics.alerts = lambda: self._alerts.attempts
        self._cache = ResponseCache(settings.cache)
        self._threads = Threads(self.store.threads, time.time, self._not_kept)
        self._upstreams: Mapping[str, Upstream] = build_upstreams(settings)
        self._pings = Pings(settings.server.ping_seconds, time.monotonic)
        self._admin: ASGIApp | None = None
        self._console: ServedConsole | None = None
        self._router = build_router(settings, None, self._breakers_of_all or ALONE)
        pipeline = self._pipeline(settings)
        self._batches = BatchRoutes(
            self.store.batches,
            self.directory,
            self.budgets,
            batch_wiring(settings, pipeline, self._upstreams),
            wall_clock=time.time,
            clock=time.monotonic,
            pick=random.random,
        )
        self._models = ModelRoutes(settings, self._upstreams, self._router, time.monotonic)
        self._telemetry = TelemetryRoute(settings.otlp, self.budgets)
        self.metrics.telemetry = self._telemetry.outcomes
        account = Account(self.budgets, OwnUsage(self.store.usage), self.store.keys.get)
        self._application = Application(
            pipeline,
            log=self.log,
            metrics=self.metrics,
            pings=self._pings,
            clock=time.monotonic,
            readiness=self._readiness,
            newer_keys=self._key_watch.catch_up,
            handlers={
                Endpoint.USER_TOKEN: account.token,
                Endpoint.OAUTH_USAGE: account.oauth_usage,
                Endpoint.OWN_USAGE: account.own_usage,
                Endpoint.MANAGED: ManagedSettingsRoute(
                    self.budgets, self.store.managed_settings.of
                ),
                Endpoint.TELEMETRY: self._telemetry,
                Endpoint.BATCHES: self._batches,
                Endpoint.MODELS: self._models,
            },
            admin=self._administration,
            console=self._console_application,
            openapi=_openapi,
            scrape=self._scrape,
            on_administered=self._administered,
        )

    def _pipeline(self, settings: Settings) -> Pipeline:
        return build_pipeline(
            settings,
            self._router,
            directory=self.directory,
            limiter=self._limiter,
            budgets=self.budgets,
            upstreams=self._upstreams,
            cache=self._cache,
            threads=self._threads,
            journal=self._journal,
            shared_cache=self._shared_responses(settings),
        )

    def _shared_responses(self, settings: Settings) -> SharedResponses | None:
        """Return the responses of all gateways; those that were purged are purged for good."""
        if self._valkey is None or not settings.cache.shared:
            self._responses = None
        elif self._responses is None or self._responses.settings != settings.cache:
            before = self._responses
            self._responses = SharedResponses(
                self._valkey, self._valkey_secret, settings.cache, time.monotonic, time.time
            )
            if before is not None:
                self._responses.purged = before.purged
        return self._responses

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        task.add_done_callback(_told_when_broken)
        self._tasks.append(task)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self._cache.sweep(time.time())

    async def _roll_up(self) -> None:
        """Add up what an earlier version booked; reports read its single records until then."""
        while True:
            pause = _ROLL_UP_PAUSE_SECONDS
            try:
                if not await self.store.usage.roll_up():
                    return
            except StoreUnavailableError as error:
                self.log.event("error", "earlier usage cannot be added up", reason=str(error))
                pause = _SWEEP_SECONDS
            await asyncio.sleep(pause)

    async def _compare_prefixes(self) -> None:
        """Find changes of prompts, if that is wanted, once the store's secret is known."""
        if not self.settings.cache_report.enabled:
            return
        while self._prefixes is None:
            try:
                self._prefixes = Prefixes(await self.store.secrets.get(_PREFIXES))
            except StoreUnavailableError as error:
                self.log.event("error", "prompts cannot be compared yet", reason=str(error))
                await asyncio.sleep(_SWEEP_SECONDS)
        self._application.pipeline.prefixes = self._prefixes

    async def _collect_batches(self) -> None:
        while True:
            await asyncio.sleep(_COLLECT_SECONDS)
            if self.presence is not None and not self.presence.is_first:
                continue
            try:
                await self._batches.collect_left_behind()
                before = int(time.time()) - _KEPT_SECONDS
                await self.store.accounts.drop_sessions(before)
                await self.store.accounts.drop_leases(before * 1000)
            except StoreUnavailableError as error:
                self.log.event("error", "batches cannot be looked after", reason=str(error))

    async def _scrape(self) -> bytes:
        if self._worker is None:
            return self.metrics.render()
        return render(await self._worker.total())

    def _administered(self) -> None:
        # PostgreSQL tells of them itself.
        if self._worker is not None and self.signals is self._worker:
            self._worker.send("keys")

    def _state(self) -> State:
        shared = self._breakers_of_all
        return State(version=__version__, breakers={} if shared is None else shared.state())

    def _others_changed(self) -> None:
        if self._breakers_of_all is not None:
            self._breakers_of_all.look()

    def _seat(self) -> Seat | None:
        presence = self.presence
        if presence is None:
            return None
        own = presence.own
        return Seat(
            own.name,
            own.epoch,
            recall=self._recall,
            replicas=lambda: presence.count,
        )

    def _recall(self, account: str) -> None:
        self.signals.send("recall", account)

    def _heard(self, kind: Signal, text: str) -> None:
        if kind == "keys":
            self._key_watch.look_soon()
        elif kind == "recall":
            self.budgets.recalled(text)
        elif kind == "cache":
            if self._responses is not None:
                self._responses.forget(text)
            if text:
                self._cache.purge(text)
            else:
                self._cache.clear()
        elif self._breakers_of_all is not None:
            self._breakers_of_all.heard(text)

    def _signals_changed(self, error: Exception | None) -> None:
        if error is None:
            self.log.event("info", "the other gateways are heard again")
        else:
            failure = "the other gateways are not heard: changes take longer"
            self.log.event("error", failure, reason=reason(error))

    def _valkey_changed(self, trouble: str | None) -> None:
        if trouble is None:
            self.log.event("info", "Valkey answers again")
        else:
            self.log.event(
                "error", "Valkey does not answer: the store is asked instead", reason=trouble
            )

    async def _readiness(self) -> Readiness:
        """Say whether requests should come here, or go elsewhere for now."""
        facts = self._replica_facts()
        trouble = self._data_trouble() or self._journal.trouble()
        if trouble is not None:
            return Readiness(trouble, facts)
        trouble = await self._store_trouble()
        if trouble is None and self._mover.is_failing:
            trouble = _NOT_WRITTEN
        if trouble in (_AWAY, _NOT_WRITTEN) and facts.get("seconds_left"):
            # All gateways of the store are in the same place, and can go on for a while.
            facts["store"] = trouble
            trouble = None
        if trouble is None and not any(state.usable for state in self._router.states(time.time())):
            trouble = "no upstream is usable"
        return Readiness(trouble, facts)

    def _replica_facts(self) -> dict[str, object]:
        if self.presence is None:
            return {}
        facts: dict[str, object] = {
            "replica": self.presence.own.name,
            "replicas": self.presence.count,
        }
        left = self.budgets.seconds_left()
        if left is not None:
            facts["seconds_left"] = round(left, 1)
        if self._worker is not None:
            facts["workers"] = {"ready": self._worker.ready, "of": self._worker.of}
        return facts

    def _replica_gauges(self) -> tuple[int, float, int] | None:
        if self.presence is None:
            return None
        left = self.budgets.seconds_left() or 0.0
        return self.presence.count, left, self.budgets.units_left()

    def _data_trouble(self) -> str | None:
        trouble = directory_trouble(*self._data)
        return None if trouble is None else f"the data directory {trouble}"

    async def _store_trouble(self) -> str | None:
        if self._worker is not None and self._worker.trouble is not None:
            self._journal.others_book = True
            return self._worker.trouble
        try:
            await self.store.ping()
        except LockLostError:
            self._journal.others_book = True
            return "another gateway has the store"
        except StoreUnavailableError:
            return _AWAY
        if self.presence is not None and self.presence.is_taken:
            self._journal.others_book = True
            return f"another gateway has the name {self.presence.own.name!r}: see server.replica"
        self._journal.others_book = False
        return None

    async def _watch_store(self) -> None:
        """Notice that the store is another's, whether or not anybody asks for readiness."""
        before: str | None = None
        while True:
            await asyncio.sleep(_PING_SECONDS)
            trouble = self._data_trouble() or await self._store_trouble()
            if trouble is not None and trouble != before:
                self.log.event("error", "not ready", reason=trouble)
            before = trouble

    def _breakers(self) -> dict[str, int]:
        return {
            state.name: _BREAKER_NUMBERS[state.breaker]
            for state in self._router.states(time.time())
        }

    def _make_alerts(self, settings: Settings) -> Alerts:
        presence = self.presence
        conditions = Conditions(
            replica="apertis" if presence is None else presence.own.name,
            is_first=lambda: presence is None or presence.is_first,
            breakers=self._open_breakers,
            journal_lag=self._journal.lag,
            console_url=lambda: (
                self.settings.server.public_url if self.settings.has_console else None
            ),
            wall_clock=time.time,
            log=self.log.event,
        )
        return Alerts(self.store.alerts, settings.alerts, conditions, look_seconds=_ALERT_SECONDS)

    def _console_url(self) -> str | None:
        return self.settings.server.public_url if self.settings.has_console else None

    def _open_breakers(self) -> tuple[OpenBreaker, ...]:
        return tuple(
            OpenBreaker(state.name, state.cause.value, state.failures)
            for state in self._router.states(time.time())
            if state.cause is not None
        )

    def _moving_changed(self, error: Exception | None) -> None:
        if error is None:
            self.log.event("info", "usage is moved to the store again")
        else:
            self.log.event("error", "usage cannot be moved to the store yet", reason=str(error))

    def _accounts_changed(self, error: Exception | None) -> None:
        if error is None:
            self.log.event("info", "budgets are in step with the store again")
        else:
            self.log.event("error", "budgets cannot be renewed yet", reason=str(error))

    def _not_kept(self, error: Exception) -> None:
        self.log.event("error", "threads cannot be kept or looked up", reason=str(error))

    def _administration(self) -> ASGIApp:
        if self._admin is None:
            # Starlette is loaded when an administrator first asks: most processes do without.
            from apertis.gateway.admin.http import create_admin

            self._admin = create_admin(
                store=self.store,
                directory=self.directory,
                upstreams=self.states,
                cache=self._cache,
                newer=self._key_watch.catch_up,
                prices=self._price,
                on_purge=self._purged,
            )
        return self._admin

    def _console_application(self) -> ServedConsole | None:
        if not self.settings.has_console:
            return None
        if self._console is None:
            # Its pages are loaded when somebody opens the first one: most processes do without.
            from apertis.gateway.admin.key_search import KeySearch
            from apertis.gateway.admin.keys import KeyAdministration
            from apertis.gateway.admin.people_search import PeopleSearch
            from apertis.gateway.admin.resources import Resources
            from apertis.gateway.console.application import create_console
            from apertis.gateway.console.pages import Parts
            from apertis.gateway.signin.console_sessions import ConsoleSessions
            from apertis.gateway.signin.device_flow import DeviceFlow
            from apertis.gateway.signin.signing import Signing

            store, newer = self.store, self._key_watch.catch_up
            parts = Parts(
                store=store,
                directory=self.directory,
                budgets=self.budgets,
                keys=KeyAdministration(store.keys, store.organization, time.time, newer),
                key_search=KeySearch(self.directory, lambda: self.budgets.organization),
                people_search=PeopleSearch(lambda: self.budgets.organization),
                resources=Resources(store, time.time, newer),
                sessions=ConsoleSessions(
                    store.console_sessions,
                    Signing(store.secrets, time.time),
                    self.directory,
                    lambda: self.budgets.organization,
                    time.time,
                ),
                sign_ins=DeviceFlow(
                    store.sign_ins,
                    store.secrets,
                    self.directory,
                    lambda: self.budgets.organization,
                    lambda: self.settings,
                    newer,
                    time.time,
                ),
                settings=lambda: self.settings,
                upstreams=lambda: self._upstreams,
                upstream_states=lambda: self._router.states(time.time()),
                upstream_headers=lambda: self._application.pipeline.forwarder.last_headers,
                price=self._price,
                newer=newer,
                now=time.time,
            )
            self._console = create_console(parts, time.monotonic)
        return self._console

    def _purged(self, key_id: str) -> None:
        self.signals.send("cache", key_id)
        if self._responses is not None:
            self._responses.purge(key_id)

    def _price(self, model: str) -> Price | None:
        # A reload brings others.
        return self._application.pipeline.ledger.prices.of(model)

    def states(self, now: float) -> tuple[Any, ...]:
        """Return the health of each upstream."""
        return self._router.states(now)

    def reload(self) -> None:
        """Read the settings again; wrong ones are told in the log, and nothing changes then.

        What is listened on and where the data is stay as they are until the next start. Upstreams
        that did not change keep their connections; others are closed behind their answers.
        """
        if self._reread is None or not self._tasks:
            return
        try:
            settings = self._reread()
            _require_libraries(settings)
            upstreams = build_upstreams(settings, self._upstreams, self.settings)
            self._alerts.reconfigure(settings.alerts)
        except ConfigurationError as error:
            self.log.event("error", "the configuration was not taken over", reason=str(error))
            return
        needs_restart = _needs_restart(self.settings, settings)
        kept = set(map(id, upstreams.values()))
        for upstream in self._upstreams.values():
            if id(upstream) not in kept:
                self._loop.call_soon_threadsafe(self._close_behind, upstream)
        self._upstreams = upstreams
        relay = self._telemetry.reconfigure(settings.otlp)
        if relay is not None:
            self._loop.call_soon_threadsafe(self._close_behind, relay)
        self._limiter.reconfigure(settings.limits)
        if settings.cache != self.settings.cache:
            self._cache = ResponseCache(settings.cache)
            self._admin = None
        self.settings = settings
        self.log.requests = settings.log.requests
        self.log.form = settings.log.format
        self.metrics.known_models = known_models(settings)
        self._pings.silence_seconds = settings.server.ping_seconds
        self._router = build_router(settings, self._router, self._breakers_of_all or ALONE)
        pipeline = self._pipeline(settings)
        self._application.pipeline = pipeline
        if settings.cache_report.enabled:
            self._spawn(self._compare_prefixes())
        self._batches.reconfigure(batch_wiring(settings, pipeline, self._upstreams))
        self._models.reconfigure(settings, upstreams, self._router)
        self.log.event("info", "the configuration was read again", needs_restart=needs_restart)

    def _close_behind(self, upstream: Upstream | Relay) -> None:
        """Close an upstream's connections; those in use are closed behind their answers."""
        task = self._loop.create_task(upstream.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def stop(self) -> None:
        """Book what is left, and close everything. No request may be under way any more."""
        pending = set(self._tasks)
        while pending:
            # Again and again: a library that waits may lose a cancellation.
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=_CANCEL_SECONDS)
        await self._batches.finish(_FINISH_SECONDS)
        self._models.close()
        await self._alerts.close()
        if self._telemetry.relay is not None:
            await self._telemetry.relay.close()
        await asyncio.gather(*self._closing)
        for upstream in self._upstreams.values():
            await upstream.close()
        booked = await self._mover.flush(_STOP_SECONDS)
        if not booked and self._journal.unwritten:
            booked = await self._mover.flush(_RESCUE_SECONDS)
        if not booked:
            self.log.event(
                "warning",
                "usage could not be booked: what the journal has is booked at the next start",
            )
        # In all. A store that could not book just now is hardly waited for.
        until = self._loop.time() + (_STOP_SECONDS if booked else _CANCEL_SECONDS)
        await self._end(self._threads.flush(), until, "conversations could not be kept")
        if booked:
            # What it cannot say now it says later.
            await self._end(self.budgets.stop(), until, "leases could not be given back")
        if self.presence is not None:
            failure = "the others were not told of the stop"
            await self._end(self.presence.leave(), until, failure)
        records, units = self._journal.close()
        if records:
            self.lost_records = records
            self.log.event(
                "error",
                "usage is lost: neither the journal nor the store could be written",
                records=records,
                cost_units=units,
            )
        if self._responses is not None:
            await self._responses.settle()
        if self._valkey is not None:
            await self._valkey.close()
        await self.store.close()
        if self._worker is not None:
            await self._worker.close()
        logging.getLogger().removeHandler(self._handler)
        await self.log.close(_LOG_SECONDS)

    async def _end(self, work: Awaitable[object], until: float, failure: str) -> None:
        """Say a last word to the store, which has time for it until then."""
        try:
            async with asyncio.timeout_at(until):
                await work
        except (StoreUnavailableError, TimeoutError) as error:
            self.log.event("warning", failure, reason=reason(error))


def steady_clock() -> float:
    """Return seconds that go on while the machine sleeps, where the system counts such."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def _told_when_broken(task: asyncio.Task[None]) -> None:
    """Log what ends a background task at once: nobody awaits it."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _LOGGER.critical("%s ended", task.get_coro(), exc_info=error)


_LOGGER = logging.getLogger("apertis.gateway")
_BREAKER_NUMBERS = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


def _needs_restart(before: Settings, after: Settings) -> list[str]:
    """Name the settings that changed, and act at the next start only."""
    return [
        f"{section}.{name}"
        for section, names in NEED_RESTART.items()
        for name in names
        if getattr(getattr(before, section), name) != getattr(getattr(after, section), name)
    ]


def _openapi() -> bytes:
    # Built when somebody asks for it.
    from apertis.gateway.admin.openapi import openapi_body

    return openapi_body()
