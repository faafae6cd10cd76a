"""The response cache: an equal request of the same key is answered again without an upstream.

It is exact, opt-in and free of charge, and has nothing to do with the prompt caching that
`cache_control` asks the model's service for. Pure: time is an argument.
"""

from __future__ import annotations

from apertis.gateway.cache.replay import events_of, message_of
from apertis.gateway.cache.request import (
    CACHE_HEADER,
    MISS,
    TopLevel,
    cache_key,
    hit_headers,
    wants_cache,
)
from apertis.gateway.cache.store import (
    FINAL_STOP_REASONS,
    Entry,
    Recording,
    ResponseCache,
    message_entry,
)

__all__ = [
    "CACHE_HEADER",
    "FINAL_STOP_REASONS",
    "MISS",
    "Entry",
    "Recording",
    "ResponseCache",
    "TopLevel",
    "cache_key",
    "events_of",
    "hit_headers",
    "message_entry",
    "message_of",
    "wants_cache",
]
