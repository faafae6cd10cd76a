"""Arguments and attributes of clients that only programs for `anthropic` ask for."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from apertis.compat.names import no_such_name, sentence
from apertis.errors import ConfigurationError
from apertis.sansio.marks import is_absent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import TypedDict

    class ElsewhereParams(TypedDict, total=False, closed=True):
        """Arguments that belong to other products: they may be given, as None."""

        config: None
        credentials: None
        open_telemetry: bool | None
        profile: None
        webhook_key: str | None
        _strict_response_validation: bool
        _token_cache: None


_NEEDLESS = frozenset({"_strict_response_validation", "webhook_key"})


def refuse_elsewhere(client: Any, given: Mapping[str, Any]) -> None:
    """Check arguments that a client has no use for.

    Raises:
        ConfigurationError: One asks for what Apertis does not do.
        TypeError: There is no such argument.
    """
    for name, value in given.items():
        said = sentence(f"Anthropic({name}=)")
        if said is None and name not in _NEEDLESS:
            kind = type(client).__name__
            raise TypeError(f"{kind}() got an unexpected keyword argument {name!r}")
        if name not in _NEEDLESS and value and not is_absent(value):
            raise ConfigurationError(f"{name} is not taken: {said}")


def client_attribute(client: Any, name: str) -> Any:
    """Return an attribute that `anthropic` has at its clients, and Apertis elsewhere or not."""
    match name:
        case "_custom_headers":
            return dict(client._sender.settings.default_headers)
        case "_custom_query":
            return client.default_query
        case "_strict_response_validation":
            return False
        case "credentials" | "open_telemetry" | "webhook_key":
            return None
        case "user_agent":
            return client._sender.settings.user_agent
        case "platform_headers":
            return lambda: {
                "x-runtime": platform.python_implementation(),
                "x-runtime-version": platform.python_version(),
                "x-os": platform.system(),
                "x-arch": platform.machine(),
            }
        case _:
            raise no_such_name(f"{type(client).__name__!r} object", name)
