"""What the gateway takes from uvicorn and httptools beyond what they document, by its name.

A release of theirs may change it without a word, so their versions have upper bounds. Whoever
raises one runs this first.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import uvicorn
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from apertis.gateway.serving import protocol, server

ROOT = Path(__file__).resolve().parents[2]

PROTOCOL = {
    "_unset_keepalive_if_required",
    "cycle",
    "flow",
    "headers",
    "loop",
    "on_message_begin",
    "parser",
    "pipeline",
    "scope",
    "server_state",
    "transport",
    "url",
}
CYCLE = {
    "body",
    "default_headers",
    "disconnected",
    "flow",
    "keep_alive",
    "message_event",
    "more_body",
    "on_response",
    "response_complete",
    "response_started",
    "scope",
    "waiting_for_100_continue",
}
SERVER = {"config", "force_exit", "server_state", "servers", "should_exit", "run"}
# What is called on whom, beside the classes that ours are made of.
OTHERS = {
    FlowControl: {"drain", "pause_reading", "resume_reading", "write_paused"},
    ServerState: {"connections", "default_headers", "tasks"},
}
REPLACED = {
    HttpToolsProtocol: {
        "connection_made",
        "connection_lost",
        "data_received",
        "on_body",
        "on_headers_complete",
        "on_message_begin",
        "on_message_complete",
        "on_response_complete",
        "resume_writing",
    },
    uvicorn.Server: {"capture_signals", "shutdown", "startup"},
}


def names_of(cls: type) -> set[str]:
    """All that an instance has: what its class defines, and what its methods set on it."""
    found = set(dir(cls))
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(cls)))):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return found


def used(module: object, owner: str, *, of: str) -> set[str]:
    """The names that a class of a module takes from one of its variables and does not define."""
    source = ast.parse(inspect.getsource(module))  # type: ignore[arg-type]
    (cls,) = [n for n in source.body if isinstance(n, ast.ClassDef) and n.name == owner]
    own = {n.name for n in cls.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    for statement in cls.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            own.add(statement.target.id)
        elif isinstance(statement, ast.Assign):
            own |= {target.id for target in statement.targets if isinstance(target, ast.Name)}
    taken: set[str] = set()
    for node in ast.walk(cls):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in of.split():
            (own if isinstance(node.ctx, ast.Store) and of == "self" else taken).add(node.attr)
    return taken - own


@pytest.mark.parametrize(
    ("cls", "names"),
    [
        (HttpToolsProtocol, PROTOCOL),
        (RequestResponseCycle, CYCLE),
        (uvicorn.Server, SERVER),
        *OTHERS.items(),
        *REPLACED.items(),
    ],
)
def test_what_is_leaned_on_is_there(cls: type, names: set[str]) -> None:
    assert names <= names_of(cls)


def test_the_list_is_whole() -> None:
    assert used(protocol, "HttpProtocol", of="self") <= PROTOCOL | {"cycle"}
    assert used(protocol, "HttpProtocol", of="self.cycle cycle") <= CYCLE
    assert used(protocol, "Exchange", of="self._cycle cycle") <= CYCLE
    assert used(protocol, "Exchange", of="self._cycle.flow cycle.flow") <= OTHERS[FlowControl]
    assert used(server, "Server", of="self") <= SERVER
    assert used(server, "Server", of="self.server_state state") <= OTHERS[ServerState]


def test_a_connection_is_to_be_closed_when_its_client_says_so() -> None:
    # Before 0.53 it was the sending through ASGI that found out, which whole answers pass by.
    assert "should_keep_alive()" in inspect.getsource(HttpToolsProtocol.on_headers_complete)


def test_the_head_of_every_status_is_there() -> None:
    assert STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"
    assert set(range(200, 600)) <= set(STATUS_LINE)


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
    lines = project["dependencies"] + project["optional-dependencies"]["gateway"]
    for name in ("httptools", "uvicorn"):
        (line,) = [line for line in lines if line.startswith(f"{name}>=")]
        lowest, _, beyond = line.removeprefix(f"{name}>=").partition(",<")
        assert beyond, f"{name} has no upper bound"
        here = [int(part) for part in version(name).split(".")[:2]]
        assert [int(part) for part in lowest.split(".")] <= here
        assert here < [int(part) for part in beyond.split(".")]
