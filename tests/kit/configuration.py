"""Configuration files, read as a gateway reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from apertis.gateway.config.origin import SettingsError
from apertis.gateway.config.read import read

if TYPE_CHECKING:
    from pathlib import Path

    from apertis.gateway.config import Settings


class Read(Protocol):
    def __call__(self, text: str, **environment: str) -> Settings: ...


class Problems(Protocol):
    def __call__(self, text: str, **environment: str) -> list[str]: ...


@pytest.fixture
def read_file(tmp_path: Path) -> Read:
    """Read a text as the file apertis.toml, with variables."""

    def read_text(text: str, **environment: str) -> Settings:
        path = tmp_path / "apertis.toml"
        path.write_text(text, encoding="utf-8", newline="")
        return read(environment, path)

    return read_text


@pytest.fixture
def problems_of(read_file: Read, tmp_path: Path) -> Problems:
    """What is wrong with a text, without the file's directory; [] if nothing is."""

    def problems(text: str, **environment: str) -> list[str]:
        try:
            read_file(text, **environment)
        except SettingsError as error:
            return [problem.replace(f"{tmp_path}/", "") for problem in error.problems]
        return []

    return problems
