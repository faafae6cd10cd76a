"""The upstreams: each says how it is, and the files of their keys are looked at."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from apertis.gateway.finding import warn
from apertis.gateway.upstreams.registry import build

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.config import Settings, UpstreamSettings
    from apertis.gateway.finding import Finding


async def upstream_findings(
    settings: Settings, clock: Callable[[], float] = time.perf_counter
) -> tuple[Finding, ...]:
    """Return a finding for each upstream, in their order; they are asked at the same time.

    `clock` tells seconds, to measure how long a response takes.
    """
    found = await asyncio.gather(*(_finding(each, settings, clock) for each in settings.upstreams))
    exposed = [_exposed_key(each) for each in settings.upstreams]
    return (*found, *(finding for finding in exposed if finding))


async def _finding(
    own: UpstreamSettings, settings: Settings, clock: Callable[[], float]
) -> Finding:
    upstream = build(replace(own, max_connections=1), settings)
    try:
        return await upstream.check(own, settings.routing.connect_timeout_seconds, clock)
    finally:
        await upstream.close()


def _exposed_key(upstream: UpstreamSettings) -> Finding | None:
    key = upstream.api_key
    if key is None or key.setting != "api_key_file" or os.name != "posix":
        return None
    path = Path(key.source)
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & 0o077:
        return None
    message = f"{path} can be read by other users of this machine"
    return warn(f"upstream {upstream.name}", message, f"chmod 600 {path}")
