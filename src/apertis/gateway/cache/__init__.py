"""The response cache: an equal request of the same key is answered again without an upstream.

It is exact, opt-in and free of charge, and has nothing to do with the prompt caching that
`cache_control` asks the model's service for. Pure: time is an argument.
"""

from apertis.gateway.cache.replay import events_of as events_of
from apertis.gateway.cache.replay import message_of as message_of
from apertis.gateway.cache.store import CACHE_HEADER as CACHE_HEADER
from apertis.gateway.cache.store import FINAL_STOP_REASONS as FINAL_STOP_REASONS
from apertis.gateway.cache.store import MISS as MISS
from apertis.gateway.cache.store import Entry as Entry
from apertis.gateway.cache.store import Recording as Recording
from apertis.gateway.cache.store import ResponseCache as ResponseCache
from apertis.gateway.cache.store import SharedCache as SharedCache
from apertis.gateway.cache.store import TopLevel as TopLevel
from apertis.gateway.cache.store import cache_key as cache_key
from apertis.gateway.cache.store import hit_headers as hit_headers
from apertis.gateway.cache.store import message_entry as message_entry
from apertis.gateway.cache.store import wants_cache as wants_cache
