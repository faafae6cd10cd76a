"""One's own console sessions: where one is signed in, and signing out there or everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.gateway.console.pages import Done, Page, Place
from apertis.gateway.errors import access_denied

if TYPE_CHECKING:
    from apertis.gateway.console.pages import Asked, Parts, Response


async def see(parts: Parts, asked: Asked) -> Page:
    """List the sessions of whoever asks."""
    sessions = await parts.sessions.of(asked.viewer)
    return Page("account.html", "Your sign-ins", {"sessions": sessions})


async def end(parts: Parts, asked: Asked) -> Response:
    """End one of one's own sessions; that of somebody else stays as it is."""
    await parts.sessions.end(asked.viewer, asked.form.get("session", ""), asked.address)
    return Done("/console/account", "It is signed out.")


async def end_everybodys(parts: Parts, asked: Asked) -> Response:
    """Sign out everybody, by another key for the cookies of all."""
    if not asked.viewer.is_administrator:
        return access_denied("Only administrators can sign out everybody.")
    await parts.sessions.signing.rotate(asked.viewer.actor)
    return Done("/console/sign-in")


PLACES: tuple[Place, ...] = (
    Place("/account", "me", see=see),
    Place("/account/end", "me", change=end),
    Place("/account/end-everybodys", "me", change=end_everybodys),
)
