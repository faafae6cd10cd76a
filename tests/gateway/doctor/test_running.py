from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.doctor import Finding, State, gateway_findings
from apertis.testing import Exchange, ScriptedServer, json_response, sandbox_server
from apertis.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.testing import RecordedRequest
    from tests.kit.gateways import RunningGateway

DEEP = b"[" * 100_000 + b"]" * 100_000


def findings(url: str, key: str | None = None) -> tuple[Finding, ...]:
    return asyncio.run(gateway_findings(url, key))


def states(found: tuple[Finding, ...]) -> list[tuple[str, State]]:
    return [(each.subject, each.state) for each in found]


def test_a_gateway_that_is_well_says_so(sandbox_gateway: RunningGateway) -> None:
    found = findings(sandbox_gateway.base_url, sandbox_gateway.admin_key)
    assert {state for _, state in states(found)} == {State.OK}
    assert found[0].message == f"{sandbox_gateway.base_url} runs version {__version__}"
    assert "may use" in found[2].message
    assert sandbox_gateway.admin_key not in repr(found)


def test_a_key_that_is_refused_and_one_that_is_not_there(sandbox_gateway: RunningGateway) -> None:
    refused = findings(sandbox_gateway.base_url, "sk-wrong")[2]
    assert (refused.state, "rejected (401)" in refused.message) == (State.FAIL, True)
    assert "sk-wrong" not in repr(refused)
    assert findings(sandbox_gateway.base_url)[2].state is State.OK


def test_a_gateway_that_is_not_ready_says_why(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    running = start_gateway()
    running.data.rename(running.data.with_name("elsewhere"))
    ready = findings(running.base_url)[1]
    assert (ready.state, ready.message) == (State.FAIL, "it is not: the data directory is gone")
    running.data.with_name("elsewhere").rename(running.data)


def test_where_nobody_listens() -> None:
    with ScriptedServer([]) as server:
        url = server.base_url
    (found,) = findings(url)
    assert found.state is State.FAIL
    assert found.message.startswith(f"{url} does not answer")


def test_another_server_is_no_gateway() -> None:
    with sandbox_server() as sandbox:
        assert State.FAIL not in {f.state for f in findings(sandbox.base_url)[:1]}
    with ScriptedServer([json_response(404, {})]) as server:
        (found,) = findings(server.base_url)
    assert (found.state, "not an Apertis gateway" in found.message) == (State.FAIL, True)


@pytest.mark.parametrize("path", ["/healthz", "/", "/readyz", "/v1/models"])
@pytest.mark.parametrize("body", [DEEP, b'{"status":"\\ud800"}', b'{"status":"\xff"}', b"", b"[]"])
def test_answers_that_nobody_can_read_are_findings(path: str, body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"

    def answer(request: RecordedRequest) -> bytes | Exchange:
        where = request.target.partition("?")[0]
        if where == path:
            return head % len(body) + body
        if where == "/":
            return json_response(200, {"name": "apertis", "version": __version__})
        return json_response(200, {"status": "ok", "data": [{}]})

    with ScriptedServer(answer) as server:
        found = findings(server.base_url, "sk-key")
    assert [each.state for each in found if each.state is not State.OK] != []
