"""JSON Schema: whether a value fits one, and a value that does."""

from __future__ import annotations

from apertis.sandbox.schemas.check import fits, schema_problems
from apertis.sandbox.schemas.fill import fill

__all__ = ["fill", "fits", "schema_problems"]
