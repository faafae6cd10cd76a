"""The gateway's store, opened beside a gateway that may be running on it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from apertis.errors import ApertisError, ConfigurationError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.gateway.errors import Refusal
    from apertis.gateway.store.database import Store

__all__ = ["StoreFiles", "failure", "store_options", "with_store"]

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., object])
_BAD_REQUEST = 400


def store_options(command: _F) -> _F:
    """Add the options that say which gateway's data is meant."""
    data = click.option(
        "--data",
        type=click.Path(path_type=Path),
        help="The gateway's data: a directory, or its SQLite file.  [default: as for 'serve']",
    )
    config = click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="The gateway's configuration file, for the place of its data.",
    )
    return data(config(command))


class StoreFiles:
    """Which gateway's data a command is about."""

    def __init__(self, data: Path | None, config: Path | None) -> None:
        self.data = data
        self.config = config


def with_store(
    files: StoreFiles, work: Callable[[Store], Awaitable[_T]], *, may_make: bool = False
) -> _T:
    """Do work with the open store.

    `ConfigurationError` when there is no database there yet; with `may_make` it is made instead.
    """
    try:
        from apertis.gateway.config import read_settings
        from apertis.gateway.store.database import Store
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the gateway's data needs {error.name}: pip install 'apertis[gateway]'"
        ) from error
    settings = read_settings(os.environ, data=files.data, config=files.config).store
    if settings.url is None and not may_make and not settings.sqlite_file.exists():
        raise ConfigurationError(
            f"there is no gateway's database at {settings.sqlite_file}: name its place with "
            "--data or --config, or start 'apertis serve' once"
        )

    async def opened() -> _T:
        async with await Store.open(settings.url or settings.data) as store:
            return await work(store)

    return asyncio.run(opened())


def failure(refusal: Refusal, options: Mapping[str, str]) -> ApertisError:
    """Make an error of a refusal; it speaks of the command's options instead of JSON fields."""
    message = refusal.message
    option = options.get((refusal.param or "").partition("[")[0])
    if refusal.status != _BAD_REQUEST:
        return ApertisError(message)
    if option is not None:
        quoted = f"'{refusal.param}'"
        message = message.replace(quoted, option) if quoted in message else f"{option}: {message}"
    return ParameterError(message, param=refusal.param)
