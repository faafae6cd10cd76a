"""All findings, in the order in which a gateway starts."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from apertis.gateway.doctor.listening import address_finding, proxies_finding, tls_finding
from apertis.gateway.doctor.stored import store_findings
from apertis.gateway.doctor.upstreams import upstream_findings
from apertis.gateway.finding import fail, ok

if TYPE_CHECKING:
    from apertis.gateway.config.read import Reading
    from apertis.gateway.config.reader import SettingsError
    from apertis.gateway.finding import Finding


def configuration_findings(error: SettingsError) -> tuple[Finding, ...]:
    """Return the findings for unreadable settings: nothing else can be checked then."""
    advice = "correct it; `apertis config check` says whether that is done"
    return tuple(fail("configuration", problem, advice) for problem in error.problems)


async def diagnose(reading: Reading) -> tuple[Finding, ...]:
    """Try out everything that the settings name.

    Reads the store without locking or changing it, and sends each upstream one real request, for
    its list of models.
    """
    settings = reading.settings
    where = str(reading.file) if reading.file else "no file; environment and defaults"
    stored, asked = await asyncio.gather(
        store_findings(settings.store), upstream_findings(settings)
    )
    return (
        ok("configuration", where),
        *stored,
        *asked,
        tls_finding(settings.server, time.time()),
        address_finding(settings.server),
        proxies_finding(settings.server),
    )
