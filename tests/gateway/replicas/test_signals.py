"""Signals of a gateway that is alone."""

from __future__ import annotations

import asyncio
from typing import get_args

from apertis.gateway.replicas.signals import MAX_SIGNAL_BYTES, SIGNALS, NoSignals, Signal
from apertis.gateway.store import signals as stored


def test_a_gateway_that_is_alone_tells_nobody_and_waits_for_nobody() -> None:
    signals = NoSignals()
    signals.send("keys")
    signals.on_signal("keys", "")
    asyncio.run(signals.run())


def test_what_is_told_is_what_the_store_carries() -> None:
    assert set(SIGNALS) == set(get_args(Signal)) == set(stored._KINDS)
    assert MAX_SIGNAL_BYTES == stored._MAX_BYTES
