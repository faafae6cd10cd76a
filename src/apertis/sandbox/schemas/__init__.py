"""JSON Schema: whether a value fits one, and a value that does."""

from __future__ import annotations

from apertis.sandbox.schemas.check import fits
from apertis.sandbox.schemas.fill import fill
from apertis.sandbox.schemas.wellformed import schema_problems

__all__ = ["fill", "fits", "schema_problems"]
