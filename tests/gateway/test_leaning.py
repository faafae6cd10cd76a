"""What the gateway takes from libraries beyond what they document."""

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


# Of Authlib the client without a web framework of its own: `signin/oidc` keeps what it would keep.
@pytest.mark.parametrize("name", ["httptools", "authlib"])
def test_what_is_leaned_on_has_an_upper_bound_that_holds_here(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["oidc"]]
    (line,) = [line for line in lines if line.startswith(f"{name}>=")]
    lowest, _, beyond = line.removeprefix(f"{name}>=").partition(",<")
    assert beyond, f"{name} has no upper bound"
    here = [int(part) for part in version(name).split(".")[:2]]
    assert [int(part) for part in lowest.split(".")] <= here
    assert here < [int(part) for part in beyond.split(".")]
