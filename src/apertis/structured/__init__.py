"""Structured output: the model's answer as a value of a type."""

from __future__ import annotations

from apertis.structured.schema import InvalidValueError, convert, schema_of, transform_schema

__all__ = ["InvalidValueError", "convert", "schema_of", "transform_schema"]
