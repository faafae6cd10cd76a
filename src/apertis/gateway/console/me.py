"""A colleague's own page: budgets, days, keys, set-up lines."""

from __future__ import annotations

from apertis.gateway.console.pages import Place

PLACES: tuple[Place, ...] = ()
