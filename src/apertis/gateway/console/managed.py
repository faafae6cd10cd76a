"""Settings of Claude Code for the people of a group."""

from __future__ import annotations

from apertis.gateway.console.pages import Place

PLACES: tuple[Place, ...] = ()
