"""`apertis demo`: the examples, run against a server of their own."""

from __future__ import annotations

import ast
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from apertis.cli.exit_codes import ExitCode
from apertis.cli.terminal import echo, is_terminal
from apertis.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator

# In the order in which a reader learns from them.
EXAMPLES = (
    "create",
    "system_prompt",
    "multi_turn",
    "stream",
    "vision_url",
    "vision_file",
    "tool_use",
    "typed_tools",
    "tool_runner",
    "extended_thinking",
    "structured_output",
    "cost",
    "metadata",
    "async_gather",
    "models",
    "count_tokens",
    "batches",
    "errors_and_retries",
    "moving_from_anthropic",
)

_EXAMPLE_SECONDS = 60
_INDENT = "    "

_EPILOG = """\b
Examples:
  apertis demo
  apertis demo stream tool_use
  apertis demo --list
"""


class Started(msgspec.Struct, frozen=True):
    """The output of `apertis serve --json`."""

    base_url: str
    api_key: str


@click.command("demo", epilog=_EPILOG)
@click.argument("names", nargs=-1)
@click.option("--list", "only_list", is_flag=True, help="List the examples without running them.")
def command(*, names: tuple[str, ...], only_list: bool) -> int:
    """Run the examples against the sandbox, over real HTTP, offline.

    Starts a server on a free loopback port with a key of its own, runs each example as a program,
    and shows what it does and what it prints.
    """
    unknown = [name for name in names if name not in EXAMPLES]
    if unknown:
        raise click.UsageError(f"no example named {', '.join(unknown)}; see apertis demo --list")
    directory = examples_directory()
    chosen = names or EXAMPLES
    if only_list:
        for name in chosen:
            echo(f"{name:20} {_title(directory / f'{name}.py')}")
        return ExitCode.OK
    with _server() as started:
        echo(f"Serving the sandbox at {started.base_url}: a stand-in for Claude, no model.")
        failed = [name for name in chosen if not show(directory / f"{name}.py", started)]
    if failed:
        echo(f"\n{len(failed)} of {len(chosen)} examples failed: {', '.join(failed)}")
        return ExitCode.SERVICE
    all_ran = f"All {len(chosen)} examples ran. They are in {directory}"
    echo(f"\n{all_ran if len(chosen) > 1 else f'The example ran. It is in {directory}'}")
    echo("For Claude's own responses, set ANTHROPIC_API_KEY, or APERTIS_API_KEY.")
    return ExitCode.OK


def examples_directory() -> Path:
    """Find the examples: beside the installed package, or in the checkout that it runs from."""
    package = Path(__file__).resolve().parent.parent
    for candidate in (package / "examples", package.parent.parent / "examples"):
        if (candidate / "create.py").is_file():
            return candidate
    raise ConfigurationError("the examples are not installed; run the demo from a checkout")


@contextlib.contextmanager
def _server() -> Generator[Started]:
    """Run `apertis serve` in a process of its own, with data that vanish afterwards.

    It answers from the sandbox, whatever upstreams this machine is set up for.
    """
    with tempfile.TemporaryDirectory(prefix="apertis-demo-") as data:
        arguments = ["serve", "--host", "127.0.0.1", "--port", "0", "--data", data, "--json"]
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "apertis.cli", *arguments],
            env=_server_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        try:
            if process.stdout is None:
                raise RuntimeError("the server's output is not piped")
            line = process.stdout.readline()
            if not line:
                raise ConfigurationError("the server did not start; it says why above")
            yield msgspec.json.decode(line, type=Started)
        finally:
            process.terminate()
            process.communicate()


def _server_environment() -> dict[str, str]:
    """Without what would make another server of it: settings, and a credential that is paid for."""
    # Its log would stand between what the examples print.
    return _plain_environment() | {"APERTIS_LOG_REQUESTS": "false"}


def _plain_environment() -> dict[str, str]:
    foreign = ("APERTIS_", "ANTHROPIC_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def show(program: Path, started: Started) -> bool:
    """Run one example and show it; whether it ended well."""
    columns = shutil.get_terminal_size().columns if is_terminal() else None
    echo(f"\n{program.stem}", bold=True, nl=False)
    title = indented(f"{program.stem}: {_title(program)}", columns, first="")
    echo(title.removeprefix(program.stem))
    succeeded, output = _run(program, started)
    echo(indented(output.rstrip(), columns))
    if not succeeded:
        red = None if os.environ.get("NO_COLOR") else "red"
        echo(f"    {program.name} failed", fg=red)
    return succeeded


def indented(text: str, columns: int | None, first: str = _INDENT) -> str:
    """Return the text below its heading; long lines are wrapped between words at a width."""
    lines: list[str] = []
    for line in text.splitlines():
        words = line.lstrip()
        begin = first + line[: len(line) - len(words)]
        if columns is None or len(begin) + len(words) <= columns:
            lines.append((begin + words).rstrip())
            continue
        lines += textwrap.wrap(
            words,
            columns,
            initial_indent=begin,
            subsequent_indent=_INDENT + begin.removeprefix(first),
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def _run(program: Path, started: Started) -> tuple[bool, str]:
    """Run one example; whether it ended well, and what it printed."""
    environment = _plain_environment()
    environment["APERTIS_BASE_URL"] = started.base_url
    environment["APERTIS_API_KEY"] = started.api_key
    # A pipe has the platform's encoding otherwise, which may lack what a response holds.
    environment["PYTHONIOENCODING"] = "utf-8"
    try:
        done = subprocess.run(  # noqa: S603
            [sys.executable, str(program)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=_EXAMPLE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, f"no end within {_EXAMPLE_SECONDS} s"
    return done.returncode == 0, done.stdout


def _title(program: Path) -> str:
    """Read what a program says of itself: the first line of its docstring."""
    docstring = ast.get_docstring(ast.parse(program.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]
