"""The overview: what was spent and used, over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.gateway.console.pages import Page, Place

if TYPE_CHECKING:
    from apertis.gateway.console.pages import Asked, Parts


async def see(parts: Parts, _: Asked) -> Page:
    """Show it."""
    return Page("overview.html", "Overview", {"keys": len(parts.directory)})


PLACES = (Place("/overview", "overview", see, shared=True),)
