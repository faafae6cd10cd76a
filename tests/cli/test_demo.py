from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from apertis.cli.demo import EXAMPLES, Started, examples_directory, indented, show

if TYPE_CHECKING:
    import subprocess

    import pytest

    from apertis.testing import RunningServer

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_demo_knows_every_example() -> None:
    directory = examples_directory()
    assert directory == Path(__file__).parents[2] / "examples"
    assert sorted(EXAMPLES) == sorted(path.stem for path in directory.glob("*.py"))


def test_the_demo_runs_examples_on_a_server_of_its_own(command: Command) -> None:
    elsewhere = {
        "APERTIS_BASE_URL": "http://127.0.0.1:1",
        "APERTIS_API_KEY": "sk-none",
        "APERTIS_CONFIG": "nowhere.toml",
        # With these a server of one's own would ask Anthropic, and pay for it.
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:1",
        "ANTHROPIC_API_KEY": "sk-ant-none",
    }
    done = command("demo", "create", "stream", env=elsewhere)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\ncreate: Create a message and print its text.\n    " in done.stdout
    assert "\nstream: Stream a response" in done.stdout
    assert "\nAll 2 examples ran. They are in " in done.stdout
    assert done.stderr == ""


def test_the_demo_runs_where_the_output_lacks_characters(command: Command) -> None:
    done = command("demo", "create", env={"PYTHONIOENCODING": "latin-1"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "You said: ?Explain" in done.stdout
    assert "\nThe example ran. It is in " in done.stdout


def test_the_demo_can_be_listed(command: Command) -> None:
    lines = command("demo", "--list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(EXAMPLES)


def test_an_example_that_fails_is_shown_with_its_error(
    tmp_path: Path, service: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "broken.py"
    program.write_text('"""Break."""\nprint("so far")\nraise SystemExit("no further")\n')
    assert not show(program, Started(service.base_url, service.api_key))
    assert capsys.readouterr().out == (
        "\nbroken: Break.\n    so far\n    no further\n    broken.py failed\n"
    )


def test_an_example_finds_no_key_but_that_of_its_server(
    tmp_path: Path,
    service: RunningServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "paid")
    monkeypatch.setenv("APERTIS_API_KEY", "paid")
    program = tmp_path / "names.py"
    names = "sorted(v for n, v in os.environ.items() if n.startswith(('APERTIS', 'ANTHROPIC')))"
    program.write_text(f'"""Names."""\nimport os\nprint("paid" in {names})\n')
    assert show(program, Started(service.base_url, service.api_key))
    assert capsys.readouterr().out.endswith("    False\n")


def test_long_lines_are_broken_between_words_and_keep_their_place() -> None:
    text = "one two three\n  four five six\n\nseven"
    assert indented(text, 14) == "    one two\n    three\n      four\n      five six\n\n    seven"
    assert indented("a: one two three", 12, first="") == "a: one two\n    three"


def test_words_that_are_too_long_stay_whole_and_a_pipe_gets_lines_as_they_are() -> None:
    assert indented("x" * 30, 20) == "    " + "x" * 30
    assert indented("one two three", None) == "    one two three"


@given(st.text("ab \n", max_size=200), st.integers(10, 80))
def test_no_word_is_lost_by_breaking_lines(text: str, columns: int) -> None:
    broken = indented(text, columns)
    assert broken.split() == text.split()
    assert all(len(line) <= columns or " " not in line.strip() for line in broken.splitlines())
