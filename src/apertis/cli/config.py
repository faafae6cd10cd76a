"""`apertis config`: show and check the gateway's settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from apertis.cli.exit_codes import ExitCode
from apertis.cli.terminal import echo

if TYPE_CHECKING:
    from apertis.gateway.config import Settings

_EPILOG = """\b
Examples:
  apertis config check --config apertis.toml
  apertis config show
  APERTIS_LIMITS_PER_KEY=0 apertis config show > apertis.toml

\b
A setting comes from the command line, else from the environment, else from
the file, else it has its default. The file is the one that --config or
APERTIS_CONFIG names.
"""

_file = click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Configuration file (TOML).  [default: the one that APERTIS_CONFIG names, else none]",
)


@click.group("config", epilog=_EPILOG)
def command() -> None:
    """Check and show the gateway's settings."""


@command.command("check")
@_file
def check(*, config: Path | None) -> int:
    """Check whether the gateway could start with these settings.

    Every problem is a line: the file's line or the variable, the value, and what is expected.
    Exit code 3 if there is any. Nothing is started, and no upstream is asked: that is what
    'apertis doctor' does.
    """
    settings = _read(config)
    upstreams = ", ".join(f"{upstream.name} ({upstream.kind})" for upstream in settings.upstreams)
    where = f"{settings.file}: valid" if settings.file else "Valid, without a configuration file"
    echo(f"{where}. Upstreams: {upstreams}.")
    return ExitCode.OK


@command.command("show")
@_file
def show(*, config: Path | None) -> int:
    """Print the settings in effect as TOML, each with its origin.

    What is printed is a complete configuration file. It has no secrets: keys stay in the variables
    and files that it names.
    """
    from apertis.gateway.config.render import render

    echo(render(_read(config)), nl=False)
    return ExitCode.OK


def _read(config: Path | None) -> Settings:
    from apertis.gateway.config.read import read

    return read(os.environ, config)
