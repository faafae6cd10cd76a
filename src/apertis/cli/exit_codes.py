"""The command's exit codes, and the one that an error gets."""

from __future__ import annotations

import enum

from apertis.errors import (
    ApertisError,
    APIConnectionError,
    ConfigurationError,
    MissingAPIKeyError,
    ParameterError,
)


class ExitCode(enum.IntEnum):
    """The exit codes of `apertis`; its help lists them."""

    OK = 0
    SERVICE = 1
    USAGE = 2
    CONFIGURATION = 3
    NETWORK = 4
    INTERRUPTED = 130
    BROKEN_PIPE = 141


def exit_code_of(error: ApertisError) -> ExitCode:
    """Tell whose fault an error is."""
    if isinstance(error, ParameterError):
        return ExitCode.USAGE
    if isinstance(error, MissingAPIKeyError | ConfigurationError):
        return ExitCode.CONFIGURATION
    if isinstance(error, APIConnectionError):
        return ExitCode.NETWORK
    return ExitCode.SERVICE
