"""Puts the settings together from the command line, the environment and a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from apertis.errors import ConfigurationError
from apertis.gateway.config.settings import SandboxSettings, ServerSettings, Settings, StoreSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

_HIGHEST_PORT = 65535


def read_settings(
    environment: Mapping[str, str],
    *,
    config: Path | None = None,  # noqa: ARG001
    data: Path | None = None,
    host: str | None = None,
    port: int | None = None,
    first_token_seconds: float | None = None,
    tokens_per_second: float | None = None,
) -> Settings:
    """Put the settings together: what is given here wins over the environment."""
    if port is None:
        port = _port(environment, "APERTIS_PORT", 8000)
    if first_token_seconds is None:
        first_token_seconds = _number(environment, "APERTIS_SANDBOX_FIRST_TOKEN_SECONDS")
    if tokens_per_second is None:
        tokens_per_second = _number(environment, "APERTIS_SANDBOX_TOKENS_PER_SECOND")
    return Settings(
        store=StoreSettings(data or _data_directory(environment)),
        server=ServerSettings(host or environment.get("APERTIS_HOST") or "127.0.0.1", port),
        sandbox=SandboxSettings(first_token_seconds or 0.0, tokens_per_second or None),
    )


def _data_directory(environment: Mapping[str, str]) -> Path:
    named = environment.get("APERTIS_DATA")
    return Path(named) if named else platformdirs.user_data_path("apertis", appauthor=False)


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name)
    if not text:
        return default
    if text.isdecimal() and int(text) <= _HIGHEST_PORT:
        return int(text)
    raise ConfigurationError(f"{name} must be a port from 0 to {_HIGHEST_PORT}, not {text!r}")


def _number(environment: Mapping[str, str], name: str) -> float | None:
    text = environment.get(name)
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        raise ConfigurationError(f"{name} must be a number, not {text!r}") from None
    if not 0 <= number < float("inf"):
        raise ConfigurationError(f"{name} must not be negative or infinite: {text!r}")
    return number
