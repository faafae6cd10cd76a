"""Telemetry on its way: sent over few connections, bounded while it waits, failures counted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.config import OtlpSettings
from apertis.gateway.config.settings import Secret
from apertis.gateway.otlp.relay import Export, Relay
from tests.kit.waiting import until

if TYPE_CHECKING:
    from tests.kit.collectors import Collector


def export(body: bytes = b"abc") -> Export:
    return Export("metrics", "application/x-protobuf", body, {"x-apertis-key-id": "key_1"})


def test_it_is_sent_as_it_came_with_what_the_collector_wants(collector: Collector) -> None:
    settings = OtlpSettings(
        endpoint=f"{collector.url}/otlp/", authorization=Secret("Bearer of the collector")
    )

    async def run() -> None:
        relay = Relay(settings)
        relay.put(export())
        relay.put(Export("logs", "application/json", b"{}", {}))
        await relay.close()
        assert relay.outcomes["relayed"] == 2
        assert "Bearer" not in repr((relay, settings, export()))

    asyncio.run(run())
    (path, headers, body), (other, _, _) = sorted(collector.exports, reverse=True)
    assert (path, body) == ("/otlp/v1/metrics", b"abc")
    assert other == "/otlp/v1/logs"
    assert headers["content-type"] == "application/x-protobuf"
    assert headers["authorization"] == "Bearer of the collector"
    assert headers["x-apertis-key-id"] == "key_1"


def test_what_the_collector_does_not_take_is_counted_and_not_sent_again(
    collector: Collector,
) -> None:
    collector.statuses.extend([500, 400, 302])

    async def run() -> None:
        relay = Relay(OtlpSettings(endpoint=collector.url))
        for _ in range(4):
            relay.put(export())
        await relay.close()
        assert relay.outcomes == {"failed": 3, "relayed": 1, "overflow": 0}

    asyncio.run(run())
    assert len(collector.exports) == 4


def test_without_a_collector_failures_are_counted() -> None:
    async def run() -> None:
        relay = Relay(OtlpSettings(endpoint="http://127.0.0.1:9", timeout_seconds=2))
        relay.put(export())
        await relay.close()
        assert relay.outcomes["failed"] == 1

    asyncio.run(run())


def test_what_waits_is_bounded_and_whoever_puts_it_in_never_waits(collector: Collector) -> None:
    collector.answering.clear()

    async def run() -> None:
        relay = Relay(OtlpSettings(endpoint=collector.url, max_queue_bytes=1000))
        for _ in range(50):
            relay.put(export(b"x" * 100))
        assert relay.outcomes["overflow"] == 40
        # Four are on their way at once, and no more.
        await asyncio.to_thread(until, lambda: len(collector.exports) == 4)
        collector.answering.set()
        await relay.close()
        assert relay.outcomes["relayed"] == 10

    asyncio.run(run())
    assert len(collector.exports) == 10


def test_a_stop_waits_no_longer_than_one_attempt(collector: Collector) -> None:
    collector.answering.clear()

    async def run() -> None:
        relay = Relay(OtlpSettings(endpoint=collector.url, timeout_seconds=0.2))
        for _ in range(9):
            relay.put(export())
        async with asyncio.timeout(10):
            await relay.close()
        assert relay.outcomes["relayed"] == 0

    asyncio.run(run())


def test_there_is_no_way_to_nowhere() -> None:
    with pytest.raises(ValueError, match="no collector"):
        Relay(OtlpSettings())
