"""Upstreams: their health, and a try of one."""

from __future__ import annotations

from apertis.gateway.console.pages import Place

PLACES: tuple[Place, ...] = ()
