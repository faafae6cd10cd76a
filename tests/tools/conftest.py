"""The two clients as this folder asks them: `connect` makes both."""

from tests.kit.connecting import connect

__all__ = ["connect"]
