"""Alerts that were told, and what became of them."""

from __future__ import annotations

from apertis.gateway.console.pages import Place

PLACES: tuple[Place, ...] = ()
