"""Session affinity: a conversation stays with its upstream, so that its prompt cache is hit."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SESSION_HEADER: Final = "x-claude-code-session-id"

_MAX_CONVERSATIONS = 10_000
_MAX_SESSION_LENGTH = 128
# Of each part its length, beginning and end are hashed: what that costs does not grow with it.
_SAMPLE_BYTES = 1024


def affinity_of(
    headers: Mapping[str, str], system: bytes, tools: bytes, first_message: bytes
) -> str | None:
    """Return the identity of a conversation.

    That is Claude Code's session, or else a hash of the prompt's prefix, which is what a prompt
    cache goes by: the raw JSON of `system`, of `tools` and of the first of the `messages`, each
    empty where there is none. None when there is nothing to go by.
    """
    session = headers.get(SESSION_HEADER)
    if session and len(session) <= _MAX_SESSION_LENGTH:
        return session
    if not (session or first_message or system):
        return None
    digest = hashlib.blake2b(digest_size=16)
    parts = (session.encode(),) if session else (system, tools, first_message)
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part[:_SAMPLE_BYTES])
        digest.update(part[_SAMPLE_BYTES:][-_SAMPLE_BYTES:])
    return digest.hexdigest()


def score_of(conversation: str, upstream: str, weight: int) -> float:
    """Return the score of an upstream for a conversation: the highest one has it.

    Everybody comes to the same without asking anybody (rendezvous hashing); over all conversations
    each upstream has its weight's share, and one that comes or goes moves only its own.
    """
    digest = hashlib.blake2b(f"{conversation}\0{upstream}".encode(), digest_size=7).digest()
    # Above 0 and below 1.
    point = (int.from_bytes(digest, "big") + 0.5) / 2**56
    return weight / -math.log(point)


class AffinityTable:
    """Conversations and their upstreams: the least recently used ones are forgotten first."""

    __slots__ = ("_entries", "_limit", "_seconds")

    def __init__(self, seconds: float, limit: int = _MAX_CONVERSATIONS) -> None:
        self._seconds = seconds
        self._limit = limit
        # Prompt caches are a model's own, so a conversation has an upstream for each model.
        self._entries: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, conversation: str, model: str, now: float) -> str | None:
        """Return the upstream of a conversation; None when there is none, or it has expired."""
        entry = self._entries.get((conversation, model))
        if entry is None:
            return None
        if now >= entry[1]:
            del self._entries[conversation, model]
            return None
        return entry[0]

    def put(self, conversation: str, model: str, upstream: str, now: float) -> None:
        """Let a conversation stay with an upstream, from now on for the table's time."""
        key = (conversation, model)
        self._entries[key] = (upstream, now + self._seconds)
        self._entries.move_to_end(key)
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)

    def remove(self, conversation: str, model: str) -> None:
        """Let the next request of a conversation choose anew."""
        self._entries.pop((conversation, model), None)
