"""The two clients as this folder asks them: `connect` makes both."""

from tests.kit.transport import connect

__all__ = ["connect"]
