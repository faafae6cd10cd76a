"""Builds what depends on the settings, at the start and again at each reload."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from apertis.gateway.exchange import UpstreamTimeouts
from apertis.gateway.forward import Forwarder
from apertis.gateway.keys.client import trusted_networks
from apertis.gateway.pipeline import Pipeline
from apertis.gateway.routes.batches import Wiring
from apertis.gateway.routing.router import Router
from apertis.gateway.settlement import Ledger, Prices
from apertis.gateway.usage.list_prices import LIST_PRICES
from apertis.gateway.usage.prices import PriceTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from apertis.gateway.cache import ResponseCache
    from apertis.gateway.config import Settings
    from apertis.gateway.exchange import Upstream
    from apertis.gateway.keys.directory import Directory
    from apertis.gateway.limits.limiter import Limiter
    from apertis.gateway.settlement import Journal
    from apertis.gateway.threads import Threads

__all__ = ["batch_wiring", "build_pipeline", "build_router", "known_models"]


def build_router(settings: Settings, previous: Router | None) -> Router:
    """Make the router; conversations stay with the upstreams that the `previous` one gave them."""
    return Router(
        settings.upstreams,
        settings.routing,
        known_ids=LIST_PRICES,
        affinity=None if previous is None else previous.affinity,
    )


def build_pipeline(
    settings: Settings,
    router: Router,
    *,
    directory: Directory,
    limiter: Limiter,
    upstreams: Mapping[str, Upstream],
    cache: ResponseCache,
    threads: Threads,
    journal: Journal,
    standstill: Callable[[bool], str | None],
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
        router=router,
        forwarder=Forwarder(
            upstreams,
            router,
            _timeouts(settings),
            settings.server.ping_seconds,
            time.time,
            time.monotonic,
        ),
        ledger=Ledger(prices, journal, time.monotonic, standstill),
        cache=cache,
        threads=threads,
        trusted=trusted_networks(settings.server.trusted_proxies),
        wall_clock=time.time,
        # Which of equal upstreams is taken is no secret.
        pick=random.random,
    )


def batch_wiring(
    settings: Settings, pipeline: Pipeline, upstreams: Mapping[str, Upstream]
) -> Wiring:
    """What the batches' routes need of the same settings."""
    return Wiring(
        settings=settings,
        router=pipeline.router,
        prices=pipeline.ledger.prices,
        upstreams=upstreams,
        timeouts=_timeouts(settings),
        trusted=trusted_networks(settings.server.trusted_proxies),
    )


def known_models(settings: Settings) -> frozenset[str]:
    """The names that the gateway itself knows, by configuration or price."""
    models = [model for upstream in settings.upstreams for model in upstream.models]
    names = (name for model in models for name in (model.id, *model.aliases))
    return frozenset((*LIST_PRICES, *settings.prices, *names))


def _timeouts(settings: Settings) -> UpstreamTimeouts:
    routing = settings.routing
    return UpstreamTimeouts(
        routing.connect_timeout_seconds,
        routing.first_byte_timeout_seconds,
        routing.idle_timeout_seconds,
    )
