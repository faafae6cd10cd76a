"""What editors offer for a call that is not yet written: its parameters."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import apertis
from apertis.params import BatchCreateParams, CountTokensParams, CreateParams, ModelListParams

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "from apertis import {client}\nclient = {client}()\nclient.{method}("
CALLS = [
    ("messages.create", CreateParams),
    ("messages.stream", CreateParams),
    ("messages.count_tokens", CountTokensParams),
    ("messages.batches.create", BatchCreateParams),
    ("models.list", ModelListParams),
]


def offered(completions: list[Any]) -> set[str]:
    return {c.name.removesuffix("=") for c in completions if c.type == "param"}


@pytest.mark.parametrize("client", ["Apertis", "AsyncApertis"])
@pytest.mark.parametrize(("method", "params"), CALLS, ids=[name for name, _ in CALLS])
def test_jedi_completes_the_parameters(client: str, method: str, params: Any) -> None:
    jedi = pytest.importorskip("jedi", reason="jedi is not installed")
    code = PROGRAM.format(client=client, method=method)
    script = jedi.Script(code, project=jedi.Project(ROOT, added_sys_path=[ROOT / "src"]))
    assert params.__annotations__.keys() <= offered(script.complete())


@pytest.mark.parametrize("client", ["Apertis", "AsyncApertis"])
def test_a_notebook_completes_the_parameters(client: str) -> None:
    # IPython asks jedi about the objects that are there.
    jedi = pytest.importorskip("jedi", reason="jedi is not installed")
    names = {"client": getattr(apertis, client)(api_key="k")}
    session = jedi.Interpreter("client.messages.create(", [names])
    assert CreateParams.__annotations__.keys() <= offered(session.complete())
    result = jedi.Interpreter("client.messages.create().", [names]).complete()
    if client == "Apertis":
        assert {"content", "stop_reason", "usage"} <= {c.name for c in result}


def test_the_stub_for_jedi_is_fresh() -> None:
    tool = ROOT / "tools" / "generate_completion.py"
    run = subprocess.run(
        [sys.executable, str(tool), "--check"], check=False, capture_output=True, text=True
    )
    assert (run.returncode, run.stdout) == (0, "")


class Server:
    """pyright as an editor talks to it."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "pyright.langserver", "--stdio"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self.process.stdin.flush()

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        self.send({"id": method, "method": method, "params": params})
        while True:
            message = self._receive()
            if message.get("id") == method and "method" not in message:
                return message["result"]
            if "id" in message:
                # It asks for settings.
                items = message.get("params", {}).get("items", ())
                found = [{"pythonPath": sys.executable} if i else None for i in items]
                self.send({"id": message["id"], "result": found or None})

    def _receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        length = 0
        while line := self.process.stdout.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        found: dict[str, Any] = json.loads(self.process.stdout.read(length))
        return found


def test_pyright_completes_the_parameters() -> None:
    if importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright is not installed")
    code = PROGRAM.format(client="Apertis", method="messages.create") + ")\n"
    root, document = ROOT.as_uri(), (ROOT / "tests" / "typing" / "program.py").as_uri()
    server = Server()
    try:
        server.ask(
            "initialize",
            {
                "processId": None,
                "rootUri": root,
                "capabilities": {"workspace": {"configuration": True}},
                "workspaceFolders": [{"uri": root, "name": "apertis"}],
            },
        )
        server.send({"method": "initialized", "params": {}})
        opened = {"uri": document, "languageId": "python", "version": 1, "text": code}
        server.send({"method": "textDocument/didOpen", "params": {"textDocument": opened}})
        place = {"line": 2, "character": len("client.messages.create(")}
        found = server.ask(
            "textDocument/completion", {"textDocument": {"uri": document}, "position": place}
        )
    finally:
        server.process.kill()
        server.process.communicate()
    labels = {item["label"].removesuffix("=") for item in found["items"]}
    assert CreateParams.__annotations__.keys() <= labels
