"""How many of our modules, and functions, one plain request through the gateway crosses."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import apertis
from apertis.gateway.config import read_settings
from apertis.gateway.gateway import Gateway
from apertis.gateway.serving.protocol import Connections, HttpProtocol

if TYPE_CHECKING:
    from types import FrameType

MAX_SWITCHES = 70
MAX_CALLS = 138

ROOT = str(Path(apertis.__file__).parent) + os.sep
# They look after themselves beside the requests.
LEFT_OUT = ("gateway/store/", "gateway/observe/log.py:flush")
BODY = json.dumps(
    {
        "model": "claude-sonnet-4-5",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "x" * 900}],
    }
).encode()
ANSWER = json.dumps(
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": "y" * 900}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }
).encode()
CONFIG = """
[limits]
per_address = "1000/1m"
per_key = "1000/1m"
tokens_per_minute = 1000000
in_flight = 100
[[upstreams]]
name = "stub"
base_url = "http://127.0.0.1:{port}"
api_key_env = "STUB_KEY"
"""


class Stub(asyncio.Protocol):
    """An upstream that answers every request that comes in one piece."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(BODY[-100:]):
            head = (
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            )
            self.transport.write(head % len(ANSWER) + ANSWER)


class Walk:
    """The calls of our functions, each as `file:function`."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(ROOT):
            name = f"{file.removeprefix(ROOT)}:{frame.f_code.co_name}"
            if not name.startswith(LEFT_OUT):
                self.calls.append(name)

    @property
    def switches(self) -> int:
        """How often a call's function lies in another module than the one before."""
        modules = [call.partition(":")[0] for call in self.calls]
        return sum(one != other for one, other in zip(modules, ["", *modules], strict=False))


async def walked(folder: Path) -> tuple[Walk, bytes]:
    """One warm request through a whole gateway, over sockets of this loop."""
    loop = asyncio.get_running_loop()
    upstream = await loop.create_server(Stub, "127.0.0.1", 0)
    file = folder / "apertis.toml"
    file.write_text(CONFIG.format(port=upstream.sockets[0].getsockname()[1]), encoding="utf-8")
    given = {"STUB_KEY": "sk-stub"}
    settings = read_settings(given, config=file, data=folder / "data")
    with (folder / "log.jsonl").open("wb") as log:
        gateway = Gateway(settings, log_descriptor=log.fileno())
        await gateway.start()
        secret = gateway.secret
        connections = Connections(gateway.handler, gateway.commit)
        server = await loop.create_server(lambda: HttpProtocol(connections, loop), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        request = (
            f"POST /v1/messages HTTP/1.1\r\nhost: gateway\r\nx-api-key: {secret}\r\n"
            "anthropic-version: 2023-06-01\r\ncontent-type: application/json\r\n"
            f"content-length: {len(BODY)}\r\n\r\n"
        ).encode() + BODY
        walks: list[Walk] = []
        answer = b""
        for warm in (False,) * 5 + (True,) * 5:
            # What runs by itself, such as a settlement, may come into one of them, not into all.
            await asyncio.sleep(0)
            walk = Walk()
            sys.setprofile(walk if warm else None)
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(len(ANSWER))
            # The rest of the work, behind the answer.
            await asyncio.gather(*(each.task for each in connections.under_way if each.task))
            sys.setprofile(None)
            walks += [walk] * warm
        writer.close()
        server.close()
        await gateway.stop()
    upstream.close()
    return min(walks, key=lambda walk: walk.switches), answer


def test_a_plain_request_walks_a_short_way(tmp_path: Path) -> None:
    walk, answer = asyncio.run(walked(tmp_path))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(ANSWER)
    told = "\n".join(walk.calls)
    assert walk.switches <= MAX_SWITCHES, told
    assert len(walk.calls) <= MAX_CALLS, told
