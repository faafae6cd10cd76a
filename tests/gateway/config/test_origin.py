from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.config.origin import TomlLines, TomlPath

TEXT = '''\
# A file with a bit of everything.
title = "a # no comment [x]"   # a comment with "quotes'
"quoted key" = 1
site."google.com".port = 2
[server]  # trailing
host = 'C:\\no\\escape'
text = """
[not.a.header]
x = 1 \\"""
"""
literal = \'\'\'
[[nor.this]]
\'\'\'
list = [
  "a", # [comment]
  { b = 1, c = [2,
    3] },
]
after = 1979-05-27 07:32:00
[[upstreams]]
name = "one"
models = ["m", { id = "n" }]

[[upstreams]]
name = "two"
  [[upstreams.models]]
  id = "o"
  [[upstreams.models]]
  id = "p"
[prices."claude.x"]
input = 1.5
'''


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("quoted key",), 3),
        (("site",), 4),
        (("site", "google.com", "port"), 4),
        (("server",), 5),
        (("server", "host"), 6),
        (("server", "text"), 7),
        (("server", "literal"), 11),
        (("server", "list"), 14),
        (("server", "list", 0), 15),
        (("server", "list", 1, "b"), 16),
        (("server", "list", 1, "c", 1), 17),
        (("server", "after"), 19),
        (("upstreams",), 20),
        (("upstreams", 0), 20),
        (("upstreams", 0, "name"), 21),
        (("upstreams", 0, "models", 1, "id"), 22),
        (("upstreams", 1), 24),
        (("upstreams", 1, "name"), 25),
        (("upstreams", 1, "models", 0, "id"), 27),
        (("upstreams", 1, "models", 1), 28),
        (("upstreams", 1, "models", 1, "id"), 29),
        (("prices", "claude.x", "input"), 31),
    ],
)
def test_every_value_is_found(path: TomlPath, line: int, newline: str) -> None:
    tomllib.loads(TEXT)
    assert TomlLines(TEXT.replace("\n", newline)).of(path) == line


def test_what_is_not_there_is_where_it_could_be() -> None:
    lines = TomlLines(TEXT)
    assert lines.of(("upstreams", 1, "nmae")) == 24
    assert lines.of(("server", "list", 7, "x")) == 14
    assert lines.of(("nothing",)) == 1


def test_a_table_that_is_told_in_pieces_is_where_it_begins() -> None:
    lines = TomlLines("[a.b]\nx = 1\n[a]\ny = 2\n[a.c]\nz = 3\n")
    assert [lines.of(path) for path in [("a",), ("a", "y"), ("a", "c", "z")]] == [1, 4, 6]


def test_an_array_of_tables_inside_one_of_the_same_name_is_told_apart() -> None:
    lines = TomlLines("[[a]]\n[[a.a]]\nx = 1\n[[a.a]]\nx = 2\n[[a]]\n[[a.a]]\nx = 3\n")
    paths: list[TomlPath] = [("a", 0, "a", 0, "x"), ("a", 0, "a", 1, "x"), ("a", 1, "a", 0, "x")]
    assert [lines.of(path) for path in paths] == [3, 5, 8]


keys = st.text("ab-_.é \"'", min_size=1, max_size=4)
scalars = st.sampled_from(["1", "-1.5", "true", '"a#b"', "'c]d'", '"""\n[x]\n"""', "07:32:00"])


def quoted(key: str) -> str:
    return '"' + key.replace('"', '\\"') + '"'


@st.composite
def documents(draw: st.DrawFn) -> str:
    lines: list[str] = []
    for key in draw(st.lists(keys, unique=True, max_size=4)):
        array = draw(st.booleans())
        for _ in range(draw(st.integers(1, 3)) if array else 1):
            lines.append(f"[[{quoted(key)}]]" if array else f"[{quoted(key)}]")
            for name in draw(st.lists(keys, unique=True, max_size=3)):
                values = draw(st.lists(scalars, min_size=1, max_size=3))
                joint = draw(st.sampled_from([", ", ",\n", ", # [\n"]))
                value = values[0] if draw(st.booleans()) else f"[{joint.join(values)}]"
                lines.append(f"{quoted(name)} = {value}")
    return "\n".join(lines) + "\n"


def leaves(value: Any, path: TomlPath = ()) -> list[TomlPath]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in leaves(item, (*path, key))]
    if isinstance(value, list):
        return [leaf for n, item in enumerate(value) for leaf in leaves(item, (*path, n))]
    return [path]


@given(documents())
@settings(max_examples=150, deadline=None)
def test_the_lines_of_any_document_are_in_its_order(text: str) -> None:
    lines = TomlLines(text)
    found = [lines.of(path) for path in leaves(tomllib.loads(text))]
    assert found == sorted(found)
    for path, line in zip(leaves(tomllib.loads(text)), found, strict=True):
        key = next(part for part in reversed(path) if isinstance(part, str))
        at = text.split("\n")
        assert isinstance(path[-1], int) or at[line - 1].startswith(quoted(key))
