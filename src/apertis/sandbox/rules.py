"""Rules for JSON values, each a function from a path and a value to complaints in the API's words.

A rule yields what is wrong, the first complaint first; a value that is right yields nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from apertis.sandbox.values import is_array, is_integer, is_number, is_object

Complaints: TypeAlias = Iterator[str]
Rule: TypeAlias = Callable[[str, Any], Complaints]


def anything(_path: str, _value: object) -> Complaints:
    """Accept every value."""
    yield from ()


def string(path: str, value: object) -> Complaints:
    """Check a string."""
    if not isinstance(value, str):
        yield f"{path}: Input should be a valid string"


def boolean(path: str, value: object) -> Complaints:
    """Accept `true` or `false`."""
    if not isinstance(value, bool):
        yield f"{path}: Input should be a valid boolean"


def object_(path: str, value: object) -> Complaints:
    """Check an object, whatever is in it."""
    if not is_object(value):
        yield f"{path}: Input should be an object"


def matching(pattern: str) -> Rule:
    """Return a string that the pattern describes as a whole."""

    def rule(path: str, value: Any) -> Complaints:
        yield from string(path, value)
        if isinstance(value, str) and not re.fullmatch(pattern, value):
            yield f"{path}: String should match pattern '^{pattern}$'"

    return rule


def integer(minimum: int) -> Rule:
    """Check an integer that is not below the minimum."""

    def rule(path: str, value: Any) -> Complaints:
        if not is_integer(value):
            yield f"{path}: Input should be a valid integer"
        elif value < minimum:
            yield f"{path}: Input should be greater than or equal to {minimum}"

    return rule


def number(low: int, high: int) -> Rule:
    """Return a number between the two, both included."""

    def rule(path: str, value: Any) -> Complaints:
        if not is_number(value):
            yield f"{path}: Input should be a valid number"
        elif not low <= value <= high:
            yield f"{path}: range: {low}..{high}"

    return rule


def one_of(*allowed: str) -> Rule:
    """Accept one of a few strings."""
    quoted = [f"'{name}'" for name in allowed]
    words = " or ".join(part for part in (", ".join(quoted[:-1]), quoted[-1]) if part)

    def rule(path: str, value: Any) -> Complaints:
        if value not in allowed:
            yield f"{path}: Input should be {words}"

    return rule


def optional(rule: Rule) -> Rule:
    """Accept what the rule accepts, or null."""

    def or_null(path: str, value: Any) -> Complaints:
        if value is not None:
            yield from rule(path, value)

    return or_null


def either(first: type, one: Rule, other: Rule) -> Rule:
    """Apply one rule to values of a Python type, another to all others."""

    def rule(path: str, value: Any) -> Complaints:
        yield from (one if isinstance(value, first) else other)(path, value)

    return rule


def array(rule: Rule) -> Rule:
    """Return a list whose items keep the rule; an item's path is its place."""

    def items(path: str, value: Any) -> Complaints:
        if not is_array(value):
            yield f"{path}: Input should be a valid list"
            return
        for place, item in enumerate(value):
            yield from rule(f"{path}.{place}", item)

    return items


def record(
    required: Mapping[str, Rule], optional: Mapping[str, Rule] | None = None, closed: bool = False
) -> Rule:
    """Check an object with these fields; a closed one has no others."""
    fields = {**required, **(optional or {})}

    def rule(path: str, value: Any) -> Complaints:
        if not is_object(value):
            yield f"{path}: Input should be an object"
            return
        at = f"{path}." if path else ""
        for name in required:
            if name not in value:
                yield f"{at}{name}: Field required"
        for name, item in value.items():
            if name in fields:
                yield from fields[name](f"{at}{name}", item)
            elif closed:
                yield f"{at}{name}: Extra inputs are not permitted"

    return rule


def tagged(kinds: Mapping[str, Rule]) -> Rule:
    """Check an object whose `type` names its rule; the type becomes a part of the path."""
    names = ", ".join(f"'{name}'" for name in kinds)

    def rule(path: str, value: Any) -> Complaints:
        if not is_object(value):
            yield f"{path}: Input should be an object"
            return
        kind = value.get("type")
        if "type" not in value:
            yield f"{path}.type: Field required"
        elif not isinstance(kind, str) or kind not in kinds:
            yield (
                f"{path}: Input tag '{kind}' found using 'type' does not match any of the "
                f"expected tags: {names}"
            )
        else:
            yield from kinds[kind](f"{path}.{kind}", value)

    return rule
