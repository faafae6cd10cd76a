"""Prompts of a session compared with its last one at their `cache_control` breakpoints.

Each prefix is a keyed hash, kept in memory alone, for a bounded number of conversations. What comes
out is the number of the first breakpoint that the last request had and that now has another prefix.

A prefix is what the upstream caches: tools, then system, then messages, without the marks
themselves, which move from request to request. Nothing is decoded but where one block ends.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from apertis.models.json import json_or_none

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apertis.gateway.request.body import Body

MAX_CONVERSATIONS: Final = 10_000
# The API allows 4.
_MAX_BREAKPOINTS = 8
_DIGEST_BYTES = 16
_NAME = b'"cache_control"'
_VALUE = rb'"cache_control"[ \t\n\r]*+:[ \t\n\r]*+(?:null|\{[^{}]*+\})'
_MARK = re.compile(
    rb"[ \t\n\r]*+,[ \t\n\r]*+" + _VALUE + rb"|" + _VALUE + rb"[ \t\n\r]*+,[ \t\n\r]*+"
)
# A text stands as itself or as the only thing in its block, and is the same prompt either way.
_TEXT_BLOCKS = ((b'{"type":"text","text":', b"}"), (b'{"type": "text", "text": ', b"}"))
_ENTRIES = msgspec.json.Decoder(list[msgspec.Raw])
_NOTHING = msgspec.Raw(b"null")

Conversation = tuple[str | None, ...]


class _Message(msgspec.Struct, frozen=True):
    role: msgspec.Raw = _NOTHING
    content: msgspec.Raw = _NOTHING


_MESSAGE = msgspec.json.Decoder(_Message)


class Breakpoint(NamedTuple):
    """The end of a prefix: how many blocks it has, and their hash."""

    blocks: int
    digest: bytes


class Seen(NamedTuple):
    """A prompt's breakpoints, and what became of those of the one before.

    `change` is the first of these that has another prefix now, from 1; 0 for none; None where there
    was nothing to compare with.
    """

    conversation: Conversation
    breakpoints: tuple[Breakpoint, ...]
    change: int | None


class Prefixes:
    """The last prompt of each conversation; the one that was quiet the longest is forgotten."""

    def __init__(self, secret: bytes, max_conversations: int = MAX_CONVERSATIONS) -> None:
        self._secret = secret
        self._max_conversations = max_conversations
        self._last: OrderedDict[Conversation, tuple[Breakpoint, ...]] = OrderedDict()

    # It holds a secret.
    __repr__ = object.__repr__

    def __len__(self) -> int:
        return len(self._last)

    def see(self, conversation: Conversation, body: Body) -> Seen | None:
        """Compare a prompt with the conversation's last one; None where nothing is to be cached."""
        if _NAME not in body.data:
            return None
        last = self._last.get(conversation, ())
        wanted = {end.blocks for end in last}
        found: list[Breakpoint] = []
        digests: dict[int, bytes] = {}
        state = blake2b(key=self._secret, digest_size=_DIGEST_BYTES)
        blocks = 0
        for blocks, (block, is_marked) in enumerate(_blocks(body), 1):
            state.update(block)
            # It stands in no JSON.
            state.update(b"\0")
            if is_marked or blocks in wanted:
                digest = digests[blocks] = state.copy().digest()
                if is_marked:
                    found.append(Breakpoint(blocks, digest))
        if "cache_control" in body and (not found or found[-1].blocks < blocks):
            # A mark of the whole request is one of its last block.
            found.append(Breakpoint(blocks, state.digest()))
        change = None
        if last:
            places = enumerate(last, 1)
            changed = (n for n, (end, digest) in places if digests.get(end) != digest)
            change = next(changed, 0)
        return Seen(conversation, tuple(found[-_MAX_BREAKPOINTS:]), change)

    def keep(self, seen: Seen) -> None:
        """Remember a prompt that its upstream has answered."""
        self._last[seen.conversation] = seen.breakpoints
        self._last.move_to_end(seen.conversation)
        if len(self._last) > self._max_conversations:
            self._last.popitem(last=False)


def _blocks(body: Body) -> Iterator[tuple[bytes, bool]]:
    """Give the blocks of a prompt in the order of its cache, and whether each has a mark."""
    for name in ("tools", "system"):
        raw = body.raw(name)
        if raw is not None:
            yield b"\0" + name.encode(), False
            yield from _parts(raw)
    for message in _entries(body.raw("messages") or b"null"):
        read = json_or_none(message, _MESSAGE) or _Message()
        yield b"\0" + bytes(read.role), False
        yield from _parts(bytes(read.content))


def _parts(raw: bytes) -> Iterator[tuple[bytes, bool]]:
    if not raw.startswith(b"["):
        yield raw, False
        return
    for entry in _entries(raw):
        yield _plain(bytes(entry))


def _entries(raw: bytes) -> list[msgspec.Raw]:
    return json_or_none(raw, _ENTRIES) or []


def _plain(block: bytes) -> tuple[bytes, bool]:
    """Give a block without its mark, and whether it had one."""
    count = 0
    if _NAME in block:
        block, count = _MARK.subn(b"", block)
    for opening, end in _TEXT_BLOCKS:
        if block.startswith(opening):
            return block[len(opening) : -len(end)], count > 0
    return block, count > 0
