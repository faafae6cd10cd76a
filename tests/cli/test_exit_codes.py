"""Whose fault an error is, as scripts learn it."""

from __future__ import annotations

import pytest

from apertis.cli.exit_codes import ExitCode, exit_code_of
from apertis.errors import (
    ApertisError,
    APIConnectionError,
    APITimeoutError,
    ConfigurationError,
    MissingAPIKeyError,
    ParameterError,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ParameterError("x", param="x"), ExitCode.USAGE),
        (MissingAPIKeyError("x"), ExitCode.CONFIGURATION),
        (ConfigurationError("x"), ExitCode.CONFIGURATION),
        (APIConnectionError("x"), ExitCode.NETWORK),
        (APITimeoutError("x"), ExitCode.NETWORK),
        (ApertisError("x"), ExitCode.SERVICE),
    ],
)
def test_each_error_has_its_code(error: ApertisError, code: ExitCode) -> None:
    assert exit_code_of(error) is code


def test_the_codes_of_signals_are_those_of_a_shell() -> None:
    assert (ExitCode.OK, ExitCode.INTERRUPTED, ExitCode.BROKEN_PIPE) == (0, 128 + 2, 128 + 13)
