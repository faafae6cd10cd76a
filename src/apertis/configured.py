"""The settings of a client, as a program sees and changes them: the same in both clients."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from apertis.models import URL, RequestHeaders
from apertis.sansio.marks import is_absent
from apertis.spending import Budget

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn, Self

    from apertis.accounting.spending import Spent
    from apertis.sansio.settings import ClientSettings
    from apertis.sansio.timeouts import Timeout


class Configured:
    """A client, as far as nothing is sent."""

    _sender: Any
    _budget: Budget
    _closed: bool

    if TYPE_CHECKING:

        def with_options(self) -> Self:
            """Return a copy."""
            ...

    @property
    def _settings(self) -> ClientSettings:
        settings: ClientSettings = self._sender.settings
        return settings

    def _change(self, **changes: Any) -> None:
        self._sender.settings = self._settings.changed(**changes)

    def __reduce__(self) -> NoReturn:
        self._settings.__reduce__()

    def __copy__(self) -> Self:
        return self.with_options()

    def __deepcopy__(self, memo: object) -> Self:
        # What may be shared between clients is shared: settings that cannot change, connections.
        return self.with_options()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            return import_module("apertis.compat.attributes").client_attribute(self, name)

    @property
    def base_url(self) -> URL:
        """The URL that requests go to, without `/v1`."""
        origin = self._settings.origin
        return URL(origin.url + origin.prefix)

    @property
    def api_key(self) -> str | None:
        """The API key. It can be set; `with_options` makes a client with another one."""
        return self._settings.api_key

    @api_key.setter
    def api_key(self, value: str) -> None:
        self._change(api_key=value)

    @property
    def auth_token(self) -> str | None:
        """The token that is sent as Bearer in place of a key. It can be set, as `api_key` can."""
        return self._settings.auth_token

    @auth_token.setter
    def auth_token(self, value: str) -> None:
        self._change(auth_token=value)

    @property
    def spent(self) -> Spent:
        """Dollars that the calls have cost, those of all copies by `with_options` together.

        A `Decimal` that also knows `calls`, how many of them have an `unknown` cost, the `known`
        part of the sum, and with a budget what is `reserved` and `left`.
        """
        return self._budget.spent()

    @property
    def max_retries(self) -> int:
        """The number of retries."""
        return self._settings.retry.max_retries

    @max_retries.setter
    def max_retries(self, value: int) -> None:
        self._change(max_retries=value)

    @property
    def timeout(self) -> float | Timeout | None:
        """The deadlines, as they were given."""
        return self._settings.timeout

    @timeout.setter
    def timeout(self, value: float | Timeout | None) -> None:
        self._change(timeout=value)

    @property
    def default_headers(self) -> RequestHeaders:
        """The headers of every request, the client's own among them."""
        headers = self._settings.headers()
        return RequestHeaders({k: v for k, v in headers.items() if k != "host"})

    @property
    def auth_headers(self) -> RequestHeaders:
        """The header that carries the key or the token; empty without one."""
        return RequestHeaders(self._settings.auth_headers())

    @property
    def default_query(self) -> dict[str, Any]:
        """The query parameters of every request."""
        return dict(self._settings.default_query)

    def is_closed(self) -> bool:
        """Return whether `close()` was called; a call after it opens connections anew."""
        return self._closed


def budget_of(dollars: Any) -> Budget | None:
    """Return the budget of so many dollars; None where none is given."""
    if dollars is None or is_absent(dollars):
        return None
    return Budget(dollars)


# Arguments that are no settings.
_OTHERS = frozenset(
    ("self", "budget_usd", "http_client", "max_connections", "middleware", "proxy", "ssl_context")
)


def settings_of(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a method's arguments that are settings."""
    given = {name: value for name, value in arguments.items() if name not in _OTHERS}
    if elsewhere := given.pop("elsewhere"):
        attributes: Any = import_module("apertis.compat.attributes")
        attributes.refuse_elsewhere(arguments["self"], elsewhere)
    prices = given.pop("prices")
    if prices is not None and not is_absent(prices):
        given["prices"] = import_module("apertis.accounting.prices").price_table(prices)
    return given
