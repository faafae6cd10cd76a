"""Both clients, the sandbox and a gateway before it."""

from tests.kit.connecting import connect, quick
from tests.kit.gateways import sandbox_gateway, service

__all__ = ["connect", "quick", "sandbox_gateway", "service"]
