"""Keys: made, changed, rotated, disabled and searched."""

from __future__ import annotations

from apertis.gateway.console.pages import Place

PLACES: tuple[Place, ...] = ()
