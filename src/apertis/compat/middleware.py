"""Middleware: what stands around each attempt of a call, and what it is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from apertis.errors import ConfigurationError, RetryableError
from apertis.sansio.marks import NOT_GIVEN, NotGiven, is_absent
from apertis.sansio.outcome import Failure
from apertis.sansio.request import render_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from apertis.errors import APIError
    from apertis.sansio.call import Call
    from apertis.sansio.timeouts import Timeout


class APIRequest:
    """A request that is about to be sent; `copy` makes a changed one.

    `headers` are those of this call, without the client's own. `retries_taken` counts the tries
    before this one.
    """

    def __init__(self, call: Call[Any], *, retries_taken: int = 0, max_retries: int = 0) -> None:
        self.call = call
        self.retries_taken = retries_taken
        self.max_retries = max_retries

    def __repr__(self) -> str:
        return f"<APIRequest {self.method} {self.url}>"

    @property
    def method(self) -> str:
        """`get`, `post`, ..."""
        return self.call.method.lower()

    @property
    def url(self) -> str:
        """The path, such as `/v1/messages`."""
        return self.call.path

    @property
    def headers(self) -> Mapping[str, Any]:
        """The headers of this call."""
        return self.call.headers or {}

    @property
    def query_params(self) -> Mapping[str, Any]:
        """The query parameters of this call."""
        return self.call.query or {}

    @property
    def json(self) -> Any:
        """The body, decoded; each time anew."""
        return None if self.call.body is None else msgspec.json.decode(self.call.body)

    @property
    def timeout(self) -> float | Timeout | NotGiven | None:
        """The deadlines of this call, if it has its own."""
        return self.call.timeout

    @property
    def stream(self) -> bool:
        """True if the call asks for an event stream."""
        return self.call.streamed

    def copy(
        self,
        *,
        method: str | NotGiven = NOT_GIVEN,
        url: str | NotGiven = NOT_GIVEN,
        headers: Mapping[str, Any] | NotGiven = NOT_GIVEN,
        params: Mapping[str, Any] | NotGiven = NOT_GIVEN,
        body: Any = NOT_GIVEN,
        timeout: float | Timeout | NotGiven | None = NOT_GIVEN,
    ) -> APIRequest:
        """Return a request that differs in what is given."""
        changes = {
            "method": method.upper() if isinstance(method, str) else method,
            "path": url,
            "headers": headers,
            "query": params,
            "body": body if is_absent(body) else render_json(body),
            "timeout": timeout,
        }
        changed = {name: value for name, value in changes.items() if not is_absent(value)}
        return APIRequest(
            msgspec.structs.replace(self.call, **changed),
            retries_taken=self.retries_taken,
            max_retries=self.max_retries,
        )


class Middleware:
    """A middleware as an object: `handle` for blocking clients, `handle_async` for asyncio's."""

    def handle(self, request: APIRequest, call_next: CallNext) -> Any:
        """Return a response: that of `call_next(request)`, or another one."""
        return call_next(request)

    async def handle_async(self, request: APIRequest, call_next: AsyncCallNext) -> Any:
        """Return a response: that of `await call_next(request)`, or another one."""
        return await call_next(request)


CallNext: TypeAlias = Callable[[APIRequest], Any]
AsyncCallNext: TypeAlias = Callable[[APIRequest], Awaitable[Any]]
MiddlewareCallable: TypeAlias = Callable[[APIRequest, CallNext], Any]
AsyncMiddlewareCallable: TypeAlias = Callable[[APIRequest, AsyncCallNext], Awaitable[Any]]
AsyncMiddlewareInput: TypeAlias = Middleware | AsyncMiddlewareCallable
MiddlewareInput: TypeAlias = Middleware | MiddlewareCallable


def handlers(middleware: Iterable[Any], *, asynchronous: bool) -> list[Any]:
    """Return the functions of these middlewares, the outermost first.

    Raises:
        ConfigurationError: One of them is none, or belongs to the other kind of client.
    """
    name = "handle_async" if asynchronous else "handle"
    found: list[Any] = []
    for each in middleware:
        given = getattr(each, name, each)
        if isinstance(each, Middleware) and getattr(type(each), name) is getattr(Middleware, name):
            kind = type(each).__name__
            raise ConfigurationError(f"middleware: {kind} has no {name}() of its own")
        if not callable(given):
            raise ConfigurationError(f"middleware: {each!r} is neither a function nor has {name}()")
        # An object may be a function too, by its type.
        waits = iscoroutinefunction(given) or iscoroutinefunction(type(given).__call__)
        if waits is not asynchronous:
            wanted = "`async def` for AsyncApertis" if asynchronous else "`def` for Apertis"
            raise ConfigurationError(f"middleware: {each!r} must be {wanted}")
        found.append(given)
    return found


class Wishes:
    """The failures of a call's attempts, and the wish of its middleware for another one."""

    def __init__(self) -> None:
        self.failed: tuple[APIError, Failure] | None = None
        self._wish: Exception | None = None

    def retryable(self, error: Exception) -> Failure | None:
        """Return the failure that an error of the middleware comes from, if it can be retried."""
        cause: BaseException | None = error
        while cause is not None:
            if self.failed is not None and cause is self.failed[0]:
                if cause is not error:
                    self._wish = error
                return msgspec.structs.replace(self.failed[1], cause=self._wish or cause.__cause__)
            if isinstance(cause, RetryableError):
                self._wish = error
                return Failure(cause.message, cause=error)
            cause = cause.__cause__
        return None

    def wish_or(self, error: APIError) -> Exception:
        """Return the middleware's wish for another attempt, if that is what the call ended in."""
        wish = self._wish
        return wish if wish is not None and error.__cause__ is wish else error
