"""The gateway's store, opened beside a gateway that may be running on it."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from apertis.errors import ApertisError, ConfigurationError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from apertis.gateway.config import StoreSettings
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


def with_store(
    files: StoreFiles, work: Callable[[Store], Awaitable[_T]], *, may_make: bool = False
) -> _T:
    """Do work with the open store.

    `ConfigurationError` when there is no database there yet; with `may_make` it is made instead.
    """
    from apertis.gateway.store.database import Store

    settings = _settings(files, may_make=may_make)

    async def opened() -> _T:
        async with await Store.open(settings.url or settings.data) as store:
            return await work(store)

    return asyncio.run(opened())


def _settings(files: StoreFiles, *, may_make: bool) -> StoreSettings:
    from apertis.gateway.config import read_settings

    settings = read_settings(os.environ, data=files.data, config=files.config).store
    if settings.url is None and not may_make and not settings.sqlite_file.exists():
        raise ConfigurationError(
            f"there is no gateway database at {settings.sqlite_file}: give its location with "
            "--data or --config, a running gateway with --url, or start 'apertis serve' once"
        )
    return settings


class Refused(Protocol):
    """A gateway's rejection, received by HTTP or raised in this process."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def message(self) -> str:
        """Why."""
        ...

    @property
    def param(self) -> str | None:
        """The rejected field."""
        ...


def failure(refused: Refused, options: Mapping[str, str]) -> ApertisError:
    """Make an error of a refusal; it speaks of the command's options instead of JSON fields."""
    message, param = refused.message, refused.param
    option = options.get((param or "").partition("[")[0])
    if refused.status != _BAD_REQUEST:
        return ApertisError(message)
    if option is not None:
        quoted = f"'{param}'"
        message = message.replace(quoted, option) if quoted in message else f"{option}: {message}"
    return ParameterError(message, param=param)
