"""Waits for what no event tells: the only places in the tests where time passes unused."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_SECONDS = 60.0
_LOOK_AGAIN_SECONDS = 0.02
_APART_SECONDS = 0.05


def until(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Look again and again until something holds that another process or thread brings about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} seconds"
        time.sleep(_LOOK_AGAIN_SECONDS)


def keep_apart() -> None:
    """Let a server read what was sent before more is sent; nothing tells that it has."""
    time.sleep(_APART_SECONDS)
