"""An upstream to which the gateway has no more connections is no reason to wait without end."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from apertis.testing import Exchange, Gate, ScriptedServer, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.gateways import RunningGateway
    from tests.kit.http import Client

CONFIG = """
[routing]
connect_timeout_seconds = 0.1
[[upstreams]]
name = "narrow"
kind = "anthropic"
base_url = "{url}"
max_connections = 1
"""
QUESTION = json.dumps({"model": "m", "max_tokens": 5, "messages": []}).encode()
ANSWER = json_response(200, {"type": "message", "usage": {"input_tokens": 1, "output_tokens": 1}})


def test_a_request_that_gets_no_connection_is_told_that_the_model_is_overloaded(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    gate = Gate()
    held: list[int] = []
    with ScriptedServer([Exchange(gate, ANSWER)]) as server:
        running = start_gateway(CONFIG.format(url=server.base_url))

        def hold(client: Client) -> None:
            held.append(client.call("POST", "/v1/messages", QUESTION).status)

        holder = threading.Thread(target=hold, args=(running.client,))
        holder.start()
        assert gate.reached.wait(60)
        refused = running.client.call("POST", "/v1/messages", QUESTION)
        gate.open()
        holder.join(60)
    error = json.loads(refused.body)["error"]
    assert (refused.status, error["type"], error["code"]) == (
        503,
        "overloaded_error",
        "model_overloaded",
    )
    assert refused.headers["retry-after"] == "1"
    assert held == [200]
    [state] = running.gateway.states(0.0)
    assert state.usable, "that the gateway has no connection left is no fault of the upstream"
