"""What is wrong with the settings: all of it at once, each with its place."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from apertis.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["SettingsError", "nearest"]


class SettingsError(ConfigurationError):
    """The settings cannot work. `problems` has a sentence for each reason; so has the message."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems: tuple[str, ...] = tuple(self.message.split("\n"))


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that a misspelled one most likely stands for."""
    return next(iter(difflib.get_close_matches(name, list(known), 1, cutoff)), None)
