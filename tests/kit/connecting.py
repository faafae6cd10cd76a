"""Both clients, spoken to in one way: every test of `connect` runs once for each.

The asyncio client is driven from blocking code by a stand-in that awaits what is to be awaited, so
that a test is the same program for both, and a name that one of them lacks fails it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import TYPE_CHECKING, Any, Self, cast

import pytest

from apertis import Apertis, AsyncApertis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Blocking:
    """An object of the asyncio client, seen as its blocking twin."""

    def __init__(self, target: Any, runner: asyncio.Runner) -> None:
        self._target = target
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        return self._seen(getattr(self._target, name))

    def __repr__(self) -> str:
        return repr(self._target)

    def __enter__(self) -> Any:
        return self._seen(self._target.__aenter__())

    def __exit__(self, *raised: object) -> None:
        self._seen(self._target.__aexit__(*raised))

    def __iter__(self) -> Iterator[Any]:
        iterator = aiter(self._target)
        # What is its own iterator in one client is it in the other.
        return self if iterator is self._target else cast("Any", Blocking(iterator, self._runner))

    def __next__(self) -> Any:
        try:
            return self._seen(self._target.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def _seen(self, value: Any) -> Any:
        if inspect.isawaitable(value):
            return self._seen(self._runner.run(_awaited(value)))
        if inspect.isroutine(value):
            return functools.partial(self._call, value)
        if type(value).__module__.startswith("apertis.aio") or inspect.isasyncgen(value):
            return Blocking(value, self._runner)
        return value

    def _call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self._seen(function(*args, **kwargs))


async def _awaited(value: Any) -> Any:
    try:
        return await value
    except StopIteration as error:  # pragma: no cover - a coroutine must not end in one.
        raise RuntimeError from error


class Connector:
    """Makes clients, and closes them when the test is over."""

    def __init__(self, runner: asyncio.Runner | None) -> None:
        self._runner = runner
        self._made: list[Any] = []
        self.kind: Any = Apertis if runner is None else AsyncApertis
        self.is_async = runner is not None

    def __call__(self, **settings: Any) -> Apertis:
        client = self.kind(**settings)
        seen = client if self._runner is None else Blocking(client, self._runner)
        self._made.append(seen)
        return cast("Apertis", seen)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        for client in self._made:
            client.close()


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Apertis]]:
    """Makes a client with the settings that it is given."""
    if request.param == "sync":
        with Connector(None) as connector:
            yield connector
        return
    with asyncio.Runner() as runner, Connector(runner) as connector:
        yield connector


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries wait a millisecond where the service does not say how long."""
    monkeypatch.setattr("apertis.sansio.retry.FIRST_DELAY", 0.001)
