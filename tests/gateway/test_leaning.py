"""What the gateway takes from httptools beyond what it documents."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

ROOT = Path(__file__).resolve().parents[2]


def test_the_parser_says_where_an_offer_to_upgrade_ends_and_what_stopped_it() -> None:
    class Stops:
        def on_header(self, name: bytes, _value: bytes) -> None:
            if name == b"stop":
                raise LookupError

    head = b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
    with pytest.raises(HttpParserUpgrade) as offered:
        HttpRequestParser(Stops()).feed_data(head + b"rest")
    assert offered.value.args[0] == len(head)
    with pytest.raises(HttpParserError) as stopped:
        HttpRequestParser(Stops()).feed_data(b"GET / HTTP/1.1\r\nstop: a\r\n\r\n")
    assert isinstance(stopped.value.__context__, LookupError)


def test_what_is_leaned_on_has_an_upper_bound_that_holds_here() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"]
    (line,) = [line for line in lines if line.startswith("httptools>=")]
    lowest, _, beyond = line.removeprefix("httptools>=").partition(",<")
    assert beyond, "httptools has no upper bound"
    here = [int(part) for part in version("httptools").split(".")[:2]]
    assert [int(part) for part in lowest.split(".")] <= here
    assert here < [int(part) for part in beyond.split(".")]
