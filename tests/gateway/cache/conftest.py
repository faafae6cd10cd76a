"""Bodies and messages, as the cache meets them."""

from tests.kit.cache import body, message

__all__ = ["body", "message"]
