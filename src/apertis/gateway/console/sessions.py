"""Sessions of Claude Code, with their agents, cost and cache."""

from __future__ import annotations

from apertis.gateway.console.pages import Place

PLACES: tuple[Place, ...] = ()
