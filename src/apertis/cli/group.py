"""The command group: loads a subcommand when it is asked for, and turns errors into exit codes."""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import os
import sys

import click

from apertis.cli.exit_codes import ExitCode, exit_code_of
from apertis.cli.terminal import echo, one_line
from apertis.errors import ApertisError, ConfigurationError

_COMMANDS = {
    "alerts": "apertis.cli.alerts",
    "ask": "apertis.cli.ask",
    "audit": "apertis.cli.audit",
    "config": "apertis.cli.config",
    "demo": "apertis.cli.demo",
    "doctor": "apertis.cli.doctor",
    "groups": "apertis.cli.groups",
    "journal": "apertis.cli.journal",
    "keys": "apertis.cli.keys",
    "limits": "apertis.cli.limits",
    "models": "apertis.cli.models",
    "people": "apertis.cli.people",
    "serve": "apertis.cli.serve",
    "status": "apertis.cli.status",
    "usage": "apertis.cli.usage",
}

_EPILOG = """\b
Examples:
  apertis demo                         run the examples, offline
  apertis serve                        the gateway, on port 8000
  apertis ask "What is recursion?"     ask, and stream the response
  git diff | apertis ask "Review this" ask about what is piped in
  apertis models --json                list the models
  apertis keys create --name ci        create a key for the gateway
  apertis usage --by model --from 7d   usage and cost of the last week
  apertis limits create --group research --usd 500
                                       a budget a month for a group

\b
Environment:
  APERTIS_API_KEY    the key for ask and models
  APERTIS_BASE_URL   the server (default: the hosted service)
  ANTHROPIC_API_KEY  in place of both: a key for Anthropic's API itself
  APERTIS_MODEL      the model for ask (default: claude-sonnet-5-5)
  APERTIS_LOG        info or debug: log the calls to stderr

\b
Exit codes:
  0    done
  1    a request was rejected or failed; an example or writing failed
  2    wrong arguments
  3    configuration: no key, missing extra, invalid setting, or port in use
  4    the server is unreachable, or the connection broke
  130  interrupted with Ctrl-C
  141  the output pipe was closed
"""


class _LazyGroup(click.Group):
    """A group that imports a command's module when it is used, so that each starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Name the commands, in the order in which the help shows them."""
        return sorted(_COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        """Import the command of this name; None when there is none."""
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = importlib.import_module(module).command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command. A reader of the output that went away is an exit code, no error."""
        try:
            result: object = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()
        except BrokenPipeError:
            _discard_output()
            raise click.exceptions.Exit(ExitCode.BROKEN_PIPE) from None
        return result


def _discard_output() -> None:
    """Let the interpreter's last flush of stdout, at exit, not fail again."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write_whatever_comes() -> None:
    """Show a character that the output's encoding lacks as a question mark, not as a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _version() -> str:
    return importlib.metadata.version("apertis")


@click.group(
    cls=_LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(_version(), prog_name="apertis", message="%(prog)s %(version)s")
def apertis() -> None:
    """Call Claude's Messages API, or share it with your team through the gateway."""


def run(arguments: list[str]) -> int:
    """Run the command line; the exit code. Errors become one line on stderr."""
    _write_whatever_comes()
    try:
        result = apertis.main(arguments, prog_name="apertis", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.UsageError as error:
        error.show()
        return ExitCode.USAGE
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if not missing or missing == "apertis":
            raise
        from apertis.installation import install_command

        return _fail(
            f"this command needs {missing}: {install_command('gateway')}", ExitCode.CONFIGURATION
        )
    except ConfigurationError as error:
        # Settings can have several problems; each is a line.
        for problem in str(error).splitlines():
            _fail(problem, ExitCode.CONFIGURATION)
        return ExitCode.CONFIGURATION
    except ApertisError as error:
        return _fail(str(error), exit_code_of(error))
    except OSError as error:
        # What a command does with files and sockets has its own errors; what is left is its output.
        _discard_output()
        what = error.filename or "cannot write the output"
        return _fail(f"{what}: {error.strerror or error}", ExitCode.SERVICE)
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.INTERRUPTED
    return result if isinstance(result, int) else ExitCode.OK


def _fail(message: str, code: int) -> int:
    echo(f"apertis: {one_line(message)}", err=True)
    return code
