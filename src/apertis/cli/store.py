"""The gateway's store, opened beside a gateway that may be running on it."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import click

from apertis.errors import ApertisError, ConfigurationError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from apertis.gateway.config import StoreSettings
    from apertis.gateway.errors import Refusal
    from apertis.gateway.store.database import Store

_T = TypeVar("_T")
_BAD_REQUEST = 400


@dataclass(frozen=True, slots=True)
class StoreFiles:
    """The gateway data that a command works on; without either option, that of `apertis serve`."""

    data: Path | None
    config: Path | None


def store_of(files: StoreFiles, *, may_make: bool = False) -> str:
    """Name the store: its file, or its database without user and password.

    `ConfigurationError` when there is no database there yet, unless it may be made.
    """
    from apertis.gateway.store.location import location_of

    settings = _settings(files, may_make=may_make)
    return str(settings.sqlite_file) if settings.url is None else location_of(settings.url).name


class CommandStore:
    """The store, opened at a command's first work with it and closed when the command ends.

    `ConfigurationError` when there is no database there yet; with `may_make` it is made instead.
    """

    def __init__(self, files: StoreFiles, *, may_make: bool) -> None:
        self._files = files
        self._may_make = may_make
        self._runner = asyncio.Runner()
        self._store: Store | None = None

    def do(self, work: Callable[[Store], Awaitable[_T]]) -> _T:
        """Do work with the open store."""
        return self._runner.run(self._do(work))

    async def _do(self, work: Callable[[Store], Awaitable[_T]]) -> _T:
        from apertis.gateway.store.database import Store

        if self._store is None:
            settings = _settings(self._files, may_make=self._may_make)
            click.get_current_context().call_on_close(self._close)
            self._store = await Store.open(settings.url or settings.data)
        return await work(self._store)

    def _close(self) -> None:
        with self._runner:
            if self._store is not None:
                self._runner.run(self._store.close())


def _settings(files: StoreFiles, *, may_make: bool) -> StoreSettings:
    from apertis.gateway.config import read_store_settings

    settings = read_store_settings(os.environ, data=files.data, config=files.config)
    if settings.url is None and not may_make and not settings.sqlite_file.exists():
        raise ConfigurationError(
            f"there is no gateway database at {settings.sqlite_file}: give its location with "
            "--data or --config, a running gateway with --url, or start 'apertis serve' once"
        )
    return settings


@dataclass(frozen=True, slots=True)
class Refused:
    """A gateway's rejection that came by HTTP."""

    status: int
    message: str
    param: str | None


def failure(refused: Refused | Refusal, options: Mapping[str, str]) -> ApertisError:
    """Make an error of a refusal; it speaks of the command's options instead of JSON fields."""
    message, param = refused.message, refused.param
    option = options.get((param or "").partition("[")[0])
    if refused.status != _BAD_REQUEST:
        return ApertisError(message)
    if option is not None:
        quoted = f"'{param}'"
        message = message.replace(quoted, option) if quoted in message else f"{option}: {message}"
    return ParameterError(message, param=param)
