"""An estimate of tokens: four characters each, images by their pixels, documents by their pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from apertis.sandbox.values import JsonObject, blocks_of, is_array, is_object, objects_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from apertis.sandbox.attachments import Attachment

CHARACTERS_PER_TOKEN = 4
ESTIMATE_HEADER = ("x-apertis-sandbox-estimate", "tokens; four characters each")

_TOKENS_PER_MESSAGE = 4
_TOKENS_FOR_TOOL_USE = 300
_TOKENS_PER_PAGE = 1500
_PIXELS_PER_TOKEN = 750
_MAX_TOKENS_PER_IMAGE = 1600
_MIN_CACHED_PREFIX = 1024


@dataclass(frozen=True, slots=True)
class InputUsage:
    """The input tokens of a request, split as `usage` splits them."""

    fresh: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int

    @property
    def total(self) -> int:
        """All of them: what `count_tokens` answers."""
        return self.fresh + self.cache_read + self.cache_write_5m + self.cache_write_1h

    def counts(self) -> JsonObject:
        """Return the fields of `usage` that count the input."""
        return {
            "input_tokens": self.fresh,
            "cache_creation_input_tokens": self.cache_write_5m + self.cache_write_1h,
            "cache_read_input_tokens": self.cache_read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.cache_write_5m,
                "ephemeral_1h_input_tokens": self.cache_write_1h,
            },
        }


@dataclass(frozen=True, slots=True)
class _Part:
    tokens: int
    cache_ttl: str | None
    seen_before: bool


def text_tokens(text: str) -> int:
    """Return the estimate for a text."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def input_usage(request: JsonObject, attachments: Mapping[int, Attachment]) -> InputUsage:
    """Count the tokens of tools, system prompt and messages, and those in the cache.

    The sandbox remembers nothing. What an earlier turn of the same conversation would have written
    to the cache counts as read, the rest up to the last breakpoint as written.
    """
    parts = list(_parts(request, attachments))
    marks = [place for place, part in enumerate(parts) if part.cache_ttl]
    if is_object(request.get("cache_control")) and parts:
        marks.append(len(parts) - 1)
    cached = parts[: marks[-1] + 1] if marks else []
    total = sum(part.tokens for part in parts)
    size = sum(part.tokens for part in cached)
    if size < _MIN_CACHED_PREFIX:
        return InputUsage(total, 0, 0, 0)
    read = sum(part.tokens for part in cached if part.seen_before)
    if read < _MIN_CACHED_PREFIX:
        read = 0
    one_hour = _lifetime(request, cached) == "1h"
    write = size - read
    return InputUsage(total - size, read, 0 if one_hour else write, write if one_hour else 0)


def _lifetime(request: JsonObject, cached: list[_Part]) -> str:
    whole = request.get("cache_control")
    if is_object(whole):
        return str(whole.get("ttl") or "5m")
    return cached[-1].cache_ttl or "5m"


def _parts(request: JsonObject, attachments: Mapping[int, Attachment]) -> Iterator[_Part]:
    messages = objects_of(request.get("messages"))
    asked = [place for place, message in enumerate(messages) if message.get("role") == "user"]
    turn = asked[-1] if asked else 0
    follows_up = len(asked) > 1
    tools = objects_of(request.get("tools"))
    if tools:
        yield _Part(_TOKENS_FOR_TOOL_USE, None, follows_up)
    for tool in tools:
        yield _part(tool, _written(tool), follows_up)
    for block in blocks_of(request.get("system")):
        yield _part(block, text_tokens(str(block.get("text", ""))), follows_up)
    for place, message in enumerate(messages):
        before = place < turn
        yield _Part(_TOKENS_PER_MESSAGE, None, before)
        for block in blocks_of(message.get("content")):
            yield _part(block, _block_tokens(block, attachments), before)


def _part(source: JsonObject, tokens: int, seen_before: bool) -> _Part:
    control = source.get("cache_control")
    ttl = str(control.get("ttl") or "5m") if is_object(control) else None
    return _Part(tokens, ttl, seen_before)


def _block_tokens(block: JsonObject, attachments: Mapping[int, Attachment]) -> int:
    kind = block.get("type")
    if kind in ("thinking", "redacted_thinking", "fallback"):
        # Earlier thinking is not sent to the model again, and who answered never is.
        return 0
    if kind == "text":
        return text_tokens(str(block.get("text", "")))
    attachment = attachments.get(id(block))
    if attachment is not None:
        return _attachment_tokens(attachment)
    if kind == "tool_result":
        inner = blocks_of(block.get("content"))
        return 8 + sum(_block_tokens(part, attachments) for part in inner)
    return _written(block)


def _attachment_tokens(attachment: Attachment) -> int:
    if attachment.kind == "image":
        width, height = attachment.pixels or (1024, 1024)
        return min(_MAX_TOKENS_PER_IMAGE, max(1, width * height // _PIXELS_PER_TOKEN))
    words = sum(text_tokens(part) for part in attachment.texts)
    return max(words, _TOKENS_PER_PAGE * (attachment.pages or 0), 1)


def _written(value: object) -> int:
    """Count the tokens of a value's keys and texts without writing base64 data again."""
    if isinstance(value, str):
        return text_tokens(value)
    if is_object(value):
        inner = ((name, item) for name, item in value.items() if name != "cache_control")
        return sum(1 + text_tokens(name) + _written(item) for name, item in inner)
    if is_array(value):
        return sum(map(_written, value))
    return 1
