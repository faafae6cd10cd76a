"""Ctrl-C ends a blocked call at once, wherever it waits."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from apertis.testing import AwaitDisconnect, Exchange, Gate, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no signals to send")

PROGRAM = """
import asyncio, sys, threading
from apertis import Apertis, AsyncApertis
kind, base_url = sys.argv[1:]
asked = dict(model="m", max_tokens=8, messages=[{"role": "user", "content": "hello"}])
client = Apertis(base_url=base_url, api_key="k", max_connections=1, proxy="")
if kind == "answer":
    print("ready", flush=True)
    client.messages.create(**asked)
elif kind == "event":
    with client.messages.stream(**asked) as stream:
        for text in stream.text_stream:
            print("ready", flush=True)
elif kind == "connection":
    print("ready", flush=True)
    client.messages.create(**asked)
elif kind == "turn":
    stream = client.messages.create(**asked, stream=True)
    next(stream)
    print("ready", flush=True)
    client.messages.create(**asked)
elif kind == "retry":
    print("ready", flush=True)
    client.messages.create(**asked)
elif kind == "task":
    async def main():
        async with AsyncApertis(base_url=base_url, api_key="k", proxy="") as client:
            async with client.messages.stream(**asked) as stream:
                async for text in stream.text_stream:
                    print("ready", flush=True)
    asyncio.run(main())
"""


def interrupt(kind: str, base_url: str, gate: Gate | None = None) -> tuple[float, str, int]:
    """The seconds from the signal to the end, the last line of stderr, and the exit code."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM, kind, base_url]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
            if gate is not None:
                assert gate.reached.wait(30)
            wait_until_blocked(process.pid)
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
            seconds = time.monotonic() - started
        finally:
            process.kill()
    return seconds, said, process.returncode


def wait_until_blocked(pid: int) -> None:
    """Return when the process sleeps, as its system says; at once where that cannot be known."""
    try:
        for _ in range(2000):
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:  # noqa: PTH123
                if stat.read().rpartition(")")[2].split()[0] == "S":
                    return
    except OSError:
        pass


@pytest.fixture
def full_listener() -> Iterator[str]:
    """A port whose queue is full, so that nobody gets through to it."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    address = listener.getsockname()
    fillers = []
    for _ in range(8):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(address)
        fillers.append(filler)
    yield f"http://127.0.0.1:{address[1]}"
    for sock in (*fillers, listener):
        sock.close()


def check(seconds: float, said: str, code: int) -> None:
    assert said.splitlines()[-1] == "KeyboardInterrupt"
    assert "ResourceWarning" not in said
    # Python ends itself by the signal, so that a shell sees what happened.
    assert code == -signal.SIGINT
    # The promise is a fifth of a second; above it is the end of an interpreter on a busy machine.
    assert seconds < 5


def test_a_call_that_waits_for_its_answer_is_ended() -> None:
    gate = Gate()
    with ScriptedServer([Exchange(gate, AwaitDisconnect())]) as server:
        check(*interrupt("answer", server.base_url, gate))
        gate.open()
        server.wait_until_disconnected()


@pytest.mark.parametrize("kind", ["event", "task"])
def test_a_stream_that_waits_for_an_event_is_ended(begun: bytes, kind: str) -> None:
    with ScriptedServer([Exchange(begun, AwaitDisconnect())]) as server:
        check(*interrupt(kind, server.base_url))
        server.wait_until_disconnected()


def test_a_call_that_waits_for_its_turn_is_ended(begun: bytes) -> None:
    with ScriptedServer([Exchange(begun, AwaitDisconnect())]) as server:
        check(*interrupt("turn", server.base_url))
        server.wait_until_disconnected()


def test_a_call_that_connects_is_ended(full_listener: str) -> None:
    check(*interrupt("connection", full_listener))


def test_a_call_that_waits_for_its_next_try_is_ended() -> None:
    asked_to_wait = b"HTTP/1.1 529 Busy\r\nretry-after: 50\r\ncontent-length: 0\r\n\r\n"
    gate = Gate()
    with ScriptedServer([Exchange(asked_to_wait, gate)]) as server:
        check(*interrupt("retry", server.base_url, gate))
        gate.open()
