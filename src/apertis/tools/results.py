"""The value that a tool returned -> the content of a `tool_result`."""

from __future__ import annotations

from importlib import import_module
from os import PathLike, fspath
from typing import Any, cast

import msgspec

from apertis.errors import ParameterError
from apertis.models import Model
from apertis.structured.schema import is_object

# A longer text would take the model's whole context.
MAX_RESULT_CHARACTERS = 1_000_000

# The blocks that a result may hold, each with a field that it must have: data may have a `type`.
_BLOCKS = {
    "text": "text",
    "image": "source",
    "document": "source",
    "search_result": "source",
    "tool_reference": "tool_name",
}


def result_content(value: Any) -> Any:
    """Return what a tool returned as the content of a `tool_result`: text, or a list of blocks.

    Text stays as it is, bytes and paths become images and documents, blocks stay blocks;
    everything else becomes JSON.

    Raises:
        TypeError: The value is none of these, nor can JSON say it.
    """
    if isinstance(value, str):
        return _text(value)
    if value is None:
        return ""
    if _is_block(value) or _is_file(value):
        return [_block(value)]
    if isinstance(value, list | tuple):
        parts = cast("list[object]", value)
        if any(_is_block(part) or _is_file(part) for part in parts) and all(
            isinstance(part, str) or _is_block(part) or _is_file(part) for part in parts
        ):
            return [_block(part) for part in parts]
    return _text(msgspec.json.encode(value, enc_hook=_plain).decode())


def _is_block(value: Any) -> bool:
    if isinstance(value, Model):
        return getattr(value, "type", None) in _BLOCKS
    return is_object(value) and _BLOCKS.get(str(value.get("type")), "") in value


def _is_file(value: object) -> bool:
    return isinstance(value, bytes | bytearray | memoryview | PathLike)


def _block(value: Any) -> Any:
    if isinstance(value, str):
        return {"type": "text", "text": _text(value)}
    if _is_block(value):
        return value
    attachments = import_module("apertis.attachments")
    try:
        return attachments.image(value)
    except ParameterError:
        return attachments.document(value)


def _plain(value: Any) -> Any:
    """Return what JSON can say of an object: a pydantic model, a model of ours, an array."""
    if callable(dump := getattr(value, "model_dump", None)):
        return dump(mode="json")
    if isinstance(value, PathLike):
        return fspath(cast("PathLike[str]", value))
    if callable(listed := getattr(value, "tolist", None)):
        return listed()
    raise TypeError(
        f"a tool returned a value of {type(value).__name__}; return text, numbers, lists, dicts, "
        "dataclasses, bytes of an image, or content blocks"
    )


def _text(text: str) -> str:
    if len(text) <= MAX_RESULT_CHARACTERS:
        return text
    return f"{text[:MAX_RESULT_CHARACTERS]} ... (cut: it had {len(text)} characters)"
