"""The log says why an upstream failed; the caller does not learn its address."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from apertis.testing import Close, Exchange, ScriptedServer, http_chunk, sse_event, sse_head

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.gateways import RunningGateway

CONFIG = """
[[upstreams]]
name = "stub"
kind = "anthropic"
base_url = "{url}"
"""
START = sse_event(
    {
        "type": "message_start",
        "message": {"model": "m", "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}},
    }
)


def test_a_stream_that_breaks_off_has_its_reason_in_the_log_only(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    question = {"model": "m", "max_tokens": 5, "messages": [], "stream": True}
    with ScriptedServer([Exchange(sse_head(), http_chunk(START), Close)]) as server:
        running = start_gateway(CONFIG.format(url=server.base_url))
        answer = running.client.call("POST", "/v1/messages", json.dumps(question).encode())
        where = server.base_url.removeprefix("http://")
    assert b"upstream_error" in answer.body
    assert where.encode() not in answer.body
    running.gateway.log.flush()
    [line] = [line for line in running.log_lines() if line.get("path") == "/v1/messages"]
    assert line["code"] == "upstream_error"
    assert where in line["reason"]
