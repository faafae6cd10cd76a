"""The doctor in the console: who lets it look, what it finds, and who sees it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from apertis.testing import ScriptedServer, json_response
from tests.kit.consoles import sign_in, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.consoles import Office, Visitor
    from tests.kit.gateways import RunningGateway

CONFIG = """
[[upstreams]]
name = "sandbox"
kind = "sandbox"

[[upstreams]]
name = "gone"
base_url = "http://127.0.0.1:9"
api_key_env = "GONE_KEY"
"""


@pytest.fixture
def office(open_office: Callable[..., Office]) -> Office:
    return open_office(CONFIG, GONE_KEY="sk-ant-hidden")


def test_only_an_administrator_lets_it_look_and_viewers_see_what_it_found(office: Office) -> None:
    assert "has not looked since this process started" in words_of(office.viewer.see("/doctor"))
    assert "Look now" not in words_of(office.viewer.see("/doctor"))
    assert office.viewer.send("/doctor").status == 403
    assert "has not looked" in words_of(office.viewer.see("/doctor"))
    for role in ("group_administrator", "member"):
        assert office.visitors[role].see("/doctor").status == 403
        assert office.visitors[role].send("/doctor").status == 403
    done = office.administrator.send("/doctor")
    assert (done.status, done.headers["location"]) == (303, "/console/doctor")
    for visitor in (office.administrator, office.viewer):
        words = words_of(visitor.see("/doctor"))
        assert "1 thing does not work." in words
        assert f"ok configuration {office.gateway.data.parent / 'apertis.toml'}" in words
        assert "apertis.sqlite3, schema" in words
        assert "fails upstream gone cannot connect to 127.0.0.1:9" in words
        assert "check that http://127.0.0.1:9 is its address" in words
        assert "sk-ant-hidden" not in words


def test_what_an_upstream_says_is_text(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    evil = "<script>alert(1)</script>"
    error = {"type": "error", "error": {"type": evil, "message": evil}}
    answer = json_response(403, error, {"server": evil, "location": evil})
    with ScriptedServer([answer], require_all=False) as upstream:
        running = start_gateway(
            f'[[upstreams]]\nname = "u"\nbase_url = "{upstream.base_url}"\napi_key_env = "K"\n',
            K="sk-ant-hidden",
        )
        visitor = sign_in(running.client.port, running.admin_key)
        assert visitor.send("/doctor").status == 303
        page = visitor.see("/doctor").body.decode()
    assert "upstream u" in page
    assert "<script>alert" not in page
    assert "sk-ant-hidden" not in page


def test_whoever_asks_while_it_looks_waits_for_the_same(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    asked, go = threading.Event(), threading.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await asyncio.get_running_loop().run_in_executor(None, go.wait, 30)
        writer.write(json_response(200, {"data": [], "has_more": False}))
        await writer.drain()
        writer.close()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    starting = asyncio.run_coroutine_threadsafe(asyncio.start_server(hold, "127.0.0.1", 0), loop)
    server = starting.result(30)
    port = server.sockets[0].getsockname()[1]
    try:
        running = start_gateway(
            f'[[upstreams]]\nname = "u"\nbase_url = "http://127.0.0.1:{port}"\napi_key_env = "K"\n',
            K="sk-ant-hidden",
        )
        visitors = [sign_in(running.client.port, running.admin_key) for _ in range(2)]
        for visitor in visitors:
            visitor.form_token()
        statuses: list[int] = []

        def look(visitor: Visitor) -> None:
            statuses.append(visitor.send("/doctor").status)

        senders = [threading.Thread(target=look, args=(visitor,)) for visitor in visitors]
        senders[0].start()
        assert asked.wait(30)
        assert "The doctor is looking right now" in words_of(visitors[1].see("/doctor"))
        asked.clear()
        senders[1].start()
        assert not asked.wait(0.2)
        go.set()
        for sender in senders:
            sender.join(30)
        assert statuses == [303, 303]
        assert not asked.is_set()
    finally:
        go.set()
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
