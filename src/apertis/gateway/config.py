"""The server's settings: one frozen value, read once, before anything starts."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from apertis.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_BODY_BYTES", "Settings", "read_settings"]

# The API's own limit for a request of the Messages endpoints.
MAX_BODY_BYTES = 32 * 2**20

_HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the server listens, what it keeps, and how fast the sandbox speaks."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 8000
    max_body_bytes: int = MAX_BODY_BYTES
    sandbox_first_token_seconds: float = 0.0
    sandbox_tokens_per_second: float | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def read_settings(
    environment: Mapping[str, str],
    *,
    data: Path | None = None,
    host: str | None = None,
    port: int | None = None,
    first_token_seconds: float | None = None,
    tokens_per_second: float | None = None,
) -> Settings:
    """Put the settings together: what is given here wins over the environment.

    Variables: `APERTIS_DATA`, `APERTIS_HOST`, `APERTIS_PORT`,
    `APERTIS_SANDBOX_FIRST_TOKEN_SECONDS`, `APERTIS_SANDBOX_TOKENS_PER_SECOND`. One that cannot be
    read is a `ConfigurationError` that names it.
    """
    defaults = Settings(data=Path())
    if port is None:
        port = _port(environment, "APERTIS_PORT", defaults.port)
    if first_token_seconds is None:
        first_token_seconds = _number(environment, "APERTIS_SANDBOX_FIRST_TOKEN_SECONDS")
    if tokens_per_second is None:
        tokens_per_second = _number(environment, "APERTIS_SANDBOX_TOKENS_PER_SECOND")
    return Settings(
        data=data or _data_directory(environment),
        host=host or environment.get("APERTIS_HOST") or defaults.host,
        port=port,
        sandbox_first_token_seconds=first_token_seconds or 0.0,
        # Zero stands for no limit, like a setting that is left out.
        sandbox_tokens_per_second=tokens_per_second or None,
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
