"""The budgets: the tree of groups, people and keys, with what is left of each limit."""

from __future__ import annotations

from apertis.gateway.console.pages import Place

PLACES: tuple[Place, ...] = ()
