from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from apertis.cli.exit_codes import ExitCode
from apertis.cli.group import apertis
from apertis.installation import install_command

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize("arguments", [["-h"], ["--help"]])
def test_help_names_the_commands_and_every_exit_code(arguments: list[str]) -> None:
    result = CliRunner().invoke(apertis, arguments)
    assert result.exit_code == 0
    for name in ("ask", "demo", "models", "serve"):
        assert f"  {name} " in result.output
    for code in ExitCode:
        assert f"\n    {code.value} " in result.output.replace("\n  ", "\n  ")


def commands_of(command: click.Command, *names: str) -> Iterator[tuple[str, ...]]:
    yield names
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands_of(below, *names, name)


@pytest.mark.parametrize("names", list(commands_of(apertis)), ids=" ".join)
def test_help_has_at_most_eighty_columns(names: tuple[str, ...]) -> None:
    result = CliRunner().invoke(apertis, [*names, "--help"], terminal_width=80)
    assert result.exit_code == 0
    assert [line for line in result.output.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", ["ask", "demo", "models", "serve"])
def test_every_command_has_examples(name: str) -> None:
    result = CliRunner().invoke(apertis, [name, "--help"])
    assert result.exit_code == 0
    assert f"  Examples:\n    apertis {name}" in result.output


def test_the_version_is_the_distributions(command: Command) -> None:
    done = command("--version")
    assert done.stdout == f"apertis {version('apertis')}\n"


@pytest.mark.parametrize(
    "arguments", [["nope"], ["ask", "--nope"], ["serve", "--port", "x"], ["demo", "nope"]]
)
def test_wrong_arguments_are_a_usage_error(command: Command, arguments: list[str]) -> None:
    done = command(*arguments)
    assert done.returncode == ExitCode.USAGE
    assert "Usage: apertis" in done.stderr
    assert done.stdout == ""


def test_a_missing_key_is_a_configuration_error_in_one_line(command: Command) -> None:
    done = command("models", env={"APERTIS_API_KEY": ""})
    assert done.returncode == ExitCode.CONFIGURATION
    assert "APERTIS_API_KEY" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_refused_key_is_the_services_error_in_one_line(command: Command) -> None:
    done = command("ask", "Hello", env={"APERTIS_API_KEY": "sk-" + "x" * 48})
    assert done.returncode == ExitCode.SERVICE
    assert "Invalid API key" in done.stderr
    assert "x" * 48 not in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unreachable_server_is_a_network_error_in_one_line(command: Command) -> None:
    # Port 1 is reserved; nothing listens there.
    done = command("ask", "Hello", env={"APERTIS_BASE_URL": "http://127.0.0.1:1"})
    assert done.returncode == ExitCode.NETWORK
    assert "127.0.0.1" in done.stderr
    assert "apertis serve" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_reader_that_goes_away_is_no_error_message(environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "apertis.cli", "models", "--json"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as stderr:
        assert stderr.read() == b""
    assert process.wait(60) == ExitCode.BROKEN_PIPE


def test_an_output_that_cannot_be_written_is_one_line(environment: dict[str, str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "apertis.cli", "models"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
    assert done.returncode == ExitCode.SERVICE
    assert done.stderr.startswith("apertis: cannot write the output: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", ["models", "ask hello"])
def test_a_closed_output_is_no_error(environment: dict[str, str], arguments: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m apertis.cli {arguments} >&-', sys.executable],
        env=environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (ExitCode.OK, b"")


def test_without_its_libraries_the_command_says_how_to_get_them(tmp_path: object) -> None:
    program = (
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'click' else find(name, *a)\n"
        "from apertis.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == ExitCode.CONFIGURATION
    assert done.stderr == f"apertis: the command needs click: {install_command('cli')}\n"
