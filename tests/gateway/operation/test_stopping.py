"""How a gateway ends: answers under way, what they used, and its exit code."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.store.database import Store
from apertis.gateway.store.records import UsageQuery, UsageRow
from apertis.testing import AwaitDisconnect, Exchange, Gate, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.kit.processes import Served


def upstream(server: ScriptedServer) -> dict[str, str]:
    return {"ANTHROPIC_BASE_URL": server.base_url, "ANTHROPIC_API_KEY": "sk-ours"}


def booked(data: Path) -> list[UsageRow]:
    async def read() -> list[UsageRow]:
        async with await Store.open(data) as store:
            return await store.usage.report(UsageQuery(group_by=("kind",)))

    return asyncio.run(read())


def refuses_connections(url: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) != 0


def tell(served: Served, number: signal.Signals) -> None:
    """Send a signal to stop, and wait until it is heeded: idle connections are closed then."""
    idle = served.connect()
    idle.request("GET", "/healthz")
    assert idle.getresponse().read() == b'{"status":"ok"}'
    served.send(number)
    assert idle.sock.recv(1) == b""
    assert refuses_connections(served.base_url)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_streams_under_way_finish_and_are_booked(
    serve_process: Callable[..., Served],
    tmp_path: Path,
    first_half: bytes,
    second_half: bytes,
    number: signal.Signals,
) -> None:
    gate = Gate()
    with ScriptedServer([Exchange(first_half, gate, second_half)] * 3) as server:
        served = serve_process(**upstream(server))
        streams = [served.stream() for _ in range(3)]
        assert [stream.event()[:20] for stream in streams] == [b"event: message_start"] * 3
        tell(served, number)
        gate.open()
        ends = [stream.rest() for stream in streams]
        assert served.wait() == 0
    assert all(b"event: message_stop" in end and b"event: error" not in end for end in ends)
    (row,) = booked(tmp_path / "data")
    assert (row.requests, row.input_tokens, row.output_tokens) == (3, 3000, 60)
    lines = served.log()
    assert [line["path"] for line in lines] == ["/healthz", *["/v1/messages"] * 3]
    assert all("interrupted" not in line for line in lines)


def test_what_takes_longer_than_a_stop_waits_ends_with_an_error(
    serve_process: Callable[..., Served], tmp_path: Path, first_half: bytes
) -> None:
    silent = Exchange(AwaitDisconnect())
    with ScriptedServer([Exchange(first_half, AwaitDisconnect()), silent]) as server:
        served = serve_process(APERTIS_SERVER_STOP_SECONDS="0.2", **upstream(server))
        stream = served.stream()
        started = [stream.event() for _ in range(3)]
        plain = served.begin()
        while len(server.requests) < 2:
            assert served.process.poll() is None
        served.send(signal.SIGTERM)
        last = stream.event()
        # The body ends as it should: nothing was cut.
        assert stream.rest() == b""
        answer = plain.getresponse()
        refused = json.loads(answer.read())
        assert served.wait() == 0
    assert started[-1].startswith(b"event: content_block_delta")
    error = json.loads(last.removeprefix(b"event: error\ndata: "))
    assert error["type"] == "error"
    assert error["error"]["code"] == "service_unavailable"
    assert (answer.status, refused["error"]["code"]) == (503, "service_unavailable")
    (row,) = booked(tmp_path / "data")
    assert row.requests == 2
    assert row.input_tokens > 1000
    assert row.output_tokens > 0
    lines = [line for line in served.log() if "path" in line]
    assert sorted(line["status"] for line in lines) == [200, 503]
    assert all(line["interrupted"] and line["code"] == "service_unavailable" for line in lines)


def test_a_second_signal_does_not_wait(
    serve_process: Callable[..., Served], tmp_path: Path, first_half: bytes
) -> None:
    with ScriptedServer([Exchange(first_half, AwaitDisconnect())]) as server:
        # The first signal alone would wait for longer than this test does.
        served = serve_process(APERTIS_SERVER_STOP_SECONDS="600", **upstream(server))
        stream = served.stream()
        stream.event()
        tell(served, signal.SIGTERM)
        served.send(signal.SIGINT)
        assert b"service_unavailable" in stream.rest()
        assert served.wait() == 0
    (row,) = booked(tmp_path / "data")
    assert (row.requests, row.input_tokens) == (1, 1000)
