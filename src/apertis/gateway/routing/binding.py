"""Conversations that are bound to their model.

A thinking block's signature holds for the model that gave it: another one drops the block or
refuses the request. A prefix that is cached for one model is paid for anew with another.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

__all__ = ["is_bound"]

# Without any of these a body holds no mark. An escape may hide one.
_TRACES = (b"cache_control", b'"signature"', b"redacted_thinking", b"\\u")


def is_bound(body: bytes) -> bool:
    """Whether a request's body holds signed or redacted thinking, or asks for a cached prefix.

    What a tool's input or schema calls `cache_control` does not count. A body that cannot be read
    counts as bound: it stays where it is.
    """
    if not any(trace in body for trace in _TRACES):
        return False
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return True
    if not isinstance(document, dict):
        return True
    fields = cast("dict[str, Any]", document)
    if fields.get("cache_control") is not None:
        return True
    messages = [block for turn in _objects(fields.get("messages")) for block in _inside(turn)]
    parts = [*_objects(fields.get("system")), *_objects(fields.get("tools")), *messages]
    return any(_binds(part) for part in parts)


def _binds(block: dict[str, Any]) -> bool:
    if block.get("cache_control") is not None or block.get("type") == "redacted_thinking":
        return True
    return bool(block.get("type") == "thinking" and block.get("signature"))


def _inside(block: dict[str, Any]) -> list[dict[str, Any]]:
    """The blocks of a turn, and those inside the results of tools and in documents."""
    blocks: list[dict[str, Any]] = []
    for inner in _objects(block.get("content")):
        blocks += [inner, *_objects(inner.get("content"))]
    return blocks


def _objects(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        return []
    items = cast("list[object]", value)
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]
