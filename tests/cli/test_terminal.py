from __future__ import annotations

import ast
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.cli.terminal import clean, echo_json, one_line, printable

CLI = Path(__file__).parents[2] / "src" / "apertis" / "cli"


@given(st.text())
def test_no_order_to_a_terminal_is_left(text: str) -> None:
    for character in clean(text):
        assert unicodedata.category(character) != "Cc" or character in "\n\t"
        assert unicodedata.bidirectional(character) not in {
            *("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"),
        }


@given(st.text(st.characters(exclude_categories=["Cc", "Cf"])))
def test_all_other_text_stays(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\x1b[31mred\x1b[0m", "?[31mred?[0m"),
        ("\x1b]52;c;cm0gLXJmIH4=\x07", "?]52;c;cm0gLXJmIH4=?"),
        ("\x9b2J", "?2J"),
        ("one\r\ntwo\rthree", "one\ntwothree"),
        ("a\u202egnp.exe", "a?gnp.exe"),
        ("👩\u200d👧 naïve\u00a0text\t日本", "👩\u200d👧 naïve\u00a0text\t日本"),
    ],
)
def test_escapes_become_visible(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_a_line_and_a_cell_have_no_line_end() -> None:
    assert one_line("a\n b\t\x1bc") == "a b ?c"
    assert printable("a\tb\nc") == "a?b?c"
    assert printable(None) == ""


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_is_clean_and_means_the_same(value: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        written: list[str] = []
        patch.setattr("click.echo", written.append)
        echo_json(value)
    [text] = written
    assert clean(text) == text
    assert json.loads(text) == value


@pytest.mark.parametrize("path", sorted(CLI.glob("*.py")), ids=lambda path: path.stem)
def test_only_the_terminal_module_prints(path: Path) -> None:
    called = {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
    }
    if path.stem != "terminal":
        assert not called & {"print", "click.echo", "click.secho", "sys.stdout.write"}
