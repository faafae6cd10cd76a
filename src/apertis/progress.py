"""Progress of long work: a function that is told, or a bar by `tqdm`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from apertis.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def reporter(
    wish: Any, told: str, unit: str, draw: Callable[[Any, T], None]
) -> Callable[[T], Any] | None:
    """Return the function that is told; for True one that draws a bar of `tqdm`, None for none.

    `told` names what the function gets. `draw` puts it into a bar, whose `unit` is counted.
    """
    if wish is None or wish is False:
        return None
    if wish is True:
        try:
            bar: Any = import_module("tqdm.auto").tqdm(unit=f" {unit}")
        except ImportError as error:
            raise ParameterError(
                "progress: a bar needs the package tqdm, which the extra 'progress' installs; "
                "or give a function",
                param="progress",
            ) from error
        return lambda state: draw(bar, state)
    if not callable(wish):
        raise ParameterError(
            f"progress: expected a function of a {told}, or True for a bar; got {wish!r}",
            param="progress",
        )
    chosen: Callable[[T], Any] = wish
    return chosen
