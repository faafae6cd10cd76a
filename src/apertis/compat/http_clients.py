"""httpx clients with the defaults of a client of ours: `DefaultHttpxClient` and its twin."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from apertis.compat.values import DEFAULT_CONNECTION_LIMITS
from apertis.errors import ConfigurationError

if TYPE_CHECKING:
    import httpx2

    class DefaultHttpxClient(httpx2.Client):
        """An `httpx2.Client` for `http_client=`, with the limits of the built-in connections."""

    class DefaultAsyncHttpxClient(httpx2.AsyncClient):
        """An `httpx2.AsyncClient` for `http_client=`, as `DefaultHttpxClient`."""

else:

    def _made(name: str, base: str) -> type:
        package = _package()

        def init(self: Any, **options: Any) -> None:
            options.setdefault("limits", package.Limits(**DEFAULT_CONNECTION_LIMITS))
            options.setdefault("timeout", package.Timeout(600.0, connect=10.0))
            options.setdefault("follow_redirects", True)
            super(kind, self).__init__(**options)

        kind = type(name, (getattr(package, base),), {"__init__": init, "__module__": __name__})
        return kind

    def _package() -> Any:
        for name in ("httpx2", "httpx"):
            try:
                return import_module(name)
            except ModuleNotFoundError:
                continue
        raise ConfigurationError(
            "this needs httpx2 (pip install httpx2). The built-in connections need nothing: "
            "`proxy=`, `ssl_context=` and `max_connections=` are arguments of the client"
        )

    def __getattr__(name: str) -> Any:
        bases = {"DefaultHttpxClient": "Client", "DefaultAsyncHttpxClient": "AsyncClient"}
        if name not in bases:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        kind = globals()[name] = _made(name, bases[name])
        return kind
