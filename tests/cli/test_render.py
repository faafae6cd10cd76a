from __future__ import annotations

import contextlib
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from apertis.cli.render import PlainOutput, TerminalOutput, split_blocks

MARKDOWN = "# Title\n\nSome *words*.\n\n```python\na = 1\n\nb = 2\n```\n\n- one\n- two\n"
pieces = st.lists(st.sampled_from(["\n", "\n\n", "```\n", "~~~", "a", " ", "- b", "\r", "é"]))


@given(pieces)
def test_splitting_loses_nothing(parts: list[str]) -> None:
    text = "".join(parts)
    finished, unfinished = split_blocks(text)
    assert finished + unfinished == text


@given(pieces)
def test_a_finished_block_stays_finished_whatever_follows(parts: list[str]) -> None:
    text = "".join(parts)
    finished, _ = split_blocks(text)
    assert split_blocks(text + "\nmore")[0].startswith(finished)


def test_a_code_fence_is_not_split_at_its_empty_lines() -> None:
    assert split_blocks("a\n\n```\nb\n\nc") == ("a\n\n", "```\nb\n\nc")
    assert split_blocks("```\nb\n\n```\n\nd") == ("```\nb\n\n```\n\n", "d")


def rendered(text: str, size: int) -> str:
    """What stays on a terminal when the text comes in pieces of this size."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=60, color_system=None)
    with TerminalOutput(console) as output:
        for start in range(0, len(text), size):
            output.text(text[start : start + size])
    return file.getvalue()


def test_markdown_is_rendered_on_a_terminal() -> None:
    shown = rendered(MARKDOWN, len(MARKDOWN))
    assert "# Title" not in shown
    assert "*words*" not in shown
    assert "• one" in shown
    assert "a = 1" in shown


def screen_of(written: str, height: int = 1000) -> list[str]:
    """The lines that a terminal of that height shows, or showed, after these characters."""
    lines, row = [""], 0
    for code, character in re.findall(r"\x1b\[([\d;?]*[A-Za-z])|(.|\n)", written):
        if code == "1A":
            # What has left the screen at its top cannot be reached any more.
            row = max(row - 1, len(lines) - height)
        elif code == "2K":
            lines[row] = ""
        elif character == "\n":
            row += 1
            lines += [""] * (row - len(lines) + 1)
        elif character == "\r":
            # What follows a return here always erases the line first, or is its end.
            continue
        elif character:
            lines[row] += character
    return [line.rstrip() for line in lines]


@pytest.mark.parametrize("size", [1, 3, 7])
def test_pieces_leave_the_same_on_the_screen_as_the_whole(size: int) -> None:
    whole = screen_of(rendered(MARKDOWN, len(MARKDOWN)))
    pieces = screen_of(rendered(MARKDOWN, size))
    assert [line for line in pieces if line] == [line for line in whole if line]
    assert "a = 1" in "\n".join(whole)


def test_a_block_taller_than_the_screen_is_there_once() -> None:
    file = io.StringIO()
    with TerminalOutput(
        Console(file=file, force_terminal=True, width=60, height=10, color_system=None)
    ) as output:
        output.text("```\n")
        for number in range(30):
            output.text(f"line {number}\n")
        output.text("```\n\nend")
    shown = [line.strip() for line in screen_of(file.getvalue(), height=10)]
    assert [line for line in shown if line.startswith("line")] == [f"line {n}" for n in range(30)]


@given(st.text(st.sampled_from("ab \n#-*`|"), max_size=300), st.integers(20, 100))
def test_the_echo_of_ctrl_c_fits_behind_every_line(text: str, width: int) -> None:
    file = io.StringIO()
    with TerminalOutput(
        Console(file=file, force_terminal=True, width=width, color_system=None)
    ) as output:
        output.text(text)
    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", file.getvalue())
    assert all(len(line.strip("\r")) <= width - len("^C^C") for line in shown.split("\n"))


def test_what_was_said_when_it_is_interrupted_is_there_once() -> None:
    file = io.StringIO()
    output = TerminalOutput(Console(file=file, force_terminal=True, width=60, color_system=None))
    with contextlib.suppress(KeyboardInterrupt), output:
        output.text("First one.\n\nSecond")
        raise KeyboardInterrupt
    shown = [line for line in screen_of(file.getvalue()) if line]
    assert shown == ["First one.", "Second"]


def test_line_ends_and_tags_stay_and_a_link_shows_its_target() -> None:
    shown = rendered("Roses\nare <b>red</b>\n- one\n  two\n\n[here](https://example.com/x)", 5)
    lines = [line.strip() for line in screen_of(shown) if line.strip()]
    assert lines == ["Roses", "are <b>red</b>", "• one", "two", "here (https://example.com/x)"]


def test_escapes_of_an_answer_never_reach_the_terminal() -> None:
    file = io.StringIO()
    with TerminalOutput(Console(file=file, force_terminal=True, width=60)) as output:
        output.thinking("a\x1b]0;title\x07")
        output.text("b\x1b[2J\x9b31m `c\x1b[1m`")
    shown = file.getvalue()
    for order in ("\x1b]0", "\x07", "\x1b[2J", "\x9b"):
        assert order not in shown
    assert "b?[2J?31m" in shown


def test_thinking_is_shown_before_the_answer() -> None:
    file = io.StringIO()
    with TerminalOutput(Console(file=file, force_terminal=True, width=60)) as output:
        output.thinking("let me [see]")
        output.text("Yes.")
    shown = file.getvalue()
    assert "\x1b[2mlet me [see]\x1b[0m" in shown
    assert shown.index("see") < shown.index("Yes.")


def test_a_pipe_gets_the_text_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainOutput() as output:
        output.thinking("let me see")
        output.text("# Ti")
        output.text("tle")
    captured = capsys.readouterr()
    assert captured.out == "# Title\n"
    assert captured.err == "let me see\n"


def test_a_pipe_gets_no_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainOutput() as output:
        output.thinking("a\x1b[2J")
        output.text("b\x1b[2J\nc\td")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("b?[2J\nc\td\n", "a?[2J\n")


def test_nothing_said_is_nothing_written(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainOutput():
        pass
    assert capsys.readouterr().out == ""
