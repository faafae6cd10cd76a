"""JSON values as they are in Python, and ids that depend on nothing but the request."""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias, TypeGuard

import msgspec

JsonObject: TypeAlias = dict[str, Any]

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def is_object(value: object) -> TypeGuard[JsonObject]:
    """Return whether the value is a JSON object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Return whether the value is a JSON array."""
    return isinstance(value, list)


def is_integer(value: object) -> TypeGuard[int]:
    """Return whether the value is a JSON integer; `true` is not, unlike in Python."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether the value is a JSON number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def objects_of(value: object) -> list[JsonObject]:
    """Return the objects among an array's items; nothing for any other value."""
    return [item for item in value if is_object(item)] if is_array(value) else []


def blocks_of(content: object) -> list[JsonObject]:
    """Return content as blocks; the API allows a string for one text block."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return objects_of(content)


def text_of(content: object) -> str:
    """Return the text blocks of a content, one line each."""
    texts = (block.get("text") for block in blocks_of(content) if block.get("type") == "text")
    return "\n".join(text for text in texts if isinstance(text, str))


def output_schema(request: JsonObject) -> object | None:
    """Return the JSON Schema that the response has to keep, or None when it is free."""
    config = request.get("output_config")
    form = (config.get("format") if is_object(config) else None) or request.get("output_format")
    return form.get("schema") if is_object(form) else None


def effort(request: JsonObject) -> str | None:
    """Return the effort of the current turn: a message's own wins over the request's."""
    configs = [request.get("output_config")]
    for message in objects_of(request.get("messages")):
        if message.get("role") == "assistant":
            del configs[1:]
        else:
            configs.append(message.get("output_config"))
    levels = (config.get("effort") for config in reversed(configs) if is_object(config))
    return next((str(level) for level in levels if level), None)


def choice_type(request: JsonObject) -> str:
    """Return the type of the request's `tool_choice`; `auto` when it has none."""
    choice = request.get("tool_choice")
    return str(choice["type"]) if is_object(choice) else "auto"


def fingerprint(request: JsonObject) -> bytes:
    """32 bytes that are equal for equal requests, however they were written down.

    `stream` does not count: the streamed and the plain response to one request carry the same ids.
    """
    said = {name: value for name, value in request.items() if name != "stream"}
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).digest()


def stable_id(prefix: str, seed: bytes, purpose: str = "") -> str:
    """Return an id such as `msg_01` and 22 letters and digits, made from the seed."""
    number = int.from_bytes(hashlib.sha256(seed + purpose.encode()).digest())
    letters: list[str] = []
    for _ in range(22):
        number, place = divmod(number, 58)
        letters.append(_BASE58[place])
    return prefix + "".join(letters)
