"""SIGHUP: what is read again acts at once, and what is left behind goes away."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
from typing import TYPE_CHECKING, Any

from apertis.gateway.config import read_settings
from apertis.gateway.gateway import Gateway
from apertis.gateway.upstreams.anthropic import AnthropicUpstream
from apertis.testing import Exchange, Gate, ScriptedServer, json_response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.kit.processes import Served

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "one",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1_000_000, "output_tokens": 0},
}

CONFIG = """
[server]
stop_seconds = {stop_seconds}
[limits]
per_address = "0"
per_key = "{per_key}"
[prices.one]
input = "{price}"
output = "1"
[[upstreams]]
name = "first"
base_url = "{first}"
models = ["one"]
"""
SECOND = """
[[upstreams]]
name = "second"
base_url = "{second}"
models = ["two"]
"""


def hang_up(served: Served) -> dict[str, Any]:
    served.send(signal.SIGHUP)
    return served.event("the configuration was read again")


def test_what_changed_acts_and_what_did_not_keeps_its_connections(
    serve_process: Callable[..., Served],
    configured: Callable[[str], str],
    first_half: bytes,
    second_half: bytes,
) -> None:
    gate = Gate()
    with (
        ScriptedServer([json_response(200, MESSAGE)] * 4) as first,
        ScriptedServer(
            [json_response(200, MESSAGE), Exchange(first_half, gate, second_half)]
        ) as second,
    ):

        def write(per_key: str, price: str, rest: str = "", stop_seconds: int = 30) -> str:
            text = CONFIG.format(
                per_key=per_key, price=price, first=first.base_url, stop_seconds=stop_seconds
            )
            return configured(text + rest.format(second=second.base_url))

        served = serve_process("--config", write("100/1m", "2"))
        assert served.ask(model="two").error["code"] == "model_not_found"
        before = served.ask(model="one")
        assert before.headers["x-ratelimit-limit"] == "100"

        write("50/1m", "3", SECOND)
        assert hang_up(served)["needs_restart"] == []
        after = served.ask(model="one")
        assert after.headers["x-ratelimit-limit"] == "50"
        assert first.connection_count == 1
        assert served.ask(model="two").status == 200

        # An upstream that is taken out closes behind its last answer.
        stream = served.stream(model="two")
        stream.event()
        write("50/1m", "3", stop_seconds=29)
        assert hang_up(served)["needs_restart"] == ["server.stop_seconds"]
        assert served.ask(model="two").error["code"] == "model_not_found"
        assert second.open_connection_count == 1
        gate.open()
        assert b"event: message_stop" in stream.rest()
        second.wait_until_disconnected()

        configured("[limits]\nper_key = 'many'\n")
        served.send(signal.SIGHUP)
        told = served.event("the configuration was not taken over")
        assert "apertis.toml:2: limits.per_key" in told["reason"]
        kept = served.ask(model="one")
        assert (kept.status, kept.headers["x-ratelimit-limit"]) == (200, "50")
        assert served.ask(model="one").status == 200
        assert first.connection_count == 1
        assert served.stop() == 0
    costs = [line["cost_units"] for line in served.log() if line.get("upstream") == "first"]
    assert costs == [1_000_000, 1_500_000, 1_500_000, 1_500_000]


def test_many_reloads_leave_nothing_behind(tmp_path: Path) -> None:
    number = 0

    def read() -> Any:
        upstreams = json.dumps([{"name": "a", "base_url": f"http://127.0.0.1:{1000 + number}"}])
        return read_settings({"APERTIS_UPSTREAMS": upstreams}, data=tmp_path)

    async def run() -> tuple[int, int, int]:
        nonlocal number
        gateway = Gateway(read(), reread=read, log_descriptor=None)
        await gateway.start()
        tasks = len(asyncio.all_tasks())
        for number in range(1, 30):  # noqa: B007
            gateway.reload()
            await asyncio.sleep(0)
        for _ in range(3):
            await asyncio.sleep(0)
        # What ran meanwhile by itself may have tasks of its own under way.
        more = len(asyncio.all_tasks()) - tasks
        gc.collect()
        alive = sum(isinstance(found, AnthropicUpstream) for found in gc.get_objects())
        port = int(gateway.settings.upstreams[0].base_url.rpartition(":")[2])  # type: ignore[union-attr]
        await gateway.stop()
        return more, alive, port

    gc.collect()
    before = sum(isinstance(found, AnthropicUpstream) for found in gc.get_objects())
    more, alive, port = asyncio.run(run())
    assert port == 1029
    assert alive - before == 1
    assert more <= 1
