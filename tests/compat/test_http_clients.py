"""httpx clients with our defaults."""

from __future__ import annotations

import asyncio
import sys

import httpx2
import pytest

import apertis
from apertis.testing import ScriptedServer, json_response
from tests.kit.exchanges import ANSWER, KEY, LEAST


def test_a_default_client_is_one_of_httpx_with_our_limits() -> None:
    with (
        ScriptedServer([json_response(200, ANSWER)]) as server,
        apertis.DefaultHttpxClient(headers={"x-mine": "1"}) as mine,
    ):
        assert isinstance(mine, httpx2.Client)
        assert mine.timeout == httpx2.Timeout(600.0, connect=10.0)
        client = apertis.Anthropic(api_key=KEY, base_url=server.base_url, http_client=mine)
        assert client.messages.create(**LEAST).text == "Hi."
        assert server.requests[0].headers["x-mine"] == "1"


def test_the_asynchronous_one_does_the_same() -> None:
    async def asked() -> str:
        async with apertis.DefaultAsyncHttpxClient(timeout=5.0) as mine:
            assert mine.timeout == httpx2.Timeout(5.0)
            plain = apertis.AsyncAnthropic(api_key=KEY, base_url=server.base_url)
            client = plain.with_options(http_client=mine)
            message = await client.messages.create(**LEAST)
            return str(message.text)

    with ScriptedServer([json_response(200, ANSWER)]) as server:
        assert asyncio.run(asked()) == "Hi."


def test_without_httpx_the_way_without_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from apertis.compat import http_clients

    monkeypatch.delitem(vars(http_clients), "DefaultHttpxClient", raising=False)
    for name in ("httpx2", "httpx"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(apertis.ConfigurationError, match=r"pip install httpx2.*proxy="):
        _ = http_clients.DefaultHttpxClient
    with pytest.raises(AttributeError, match="no attribute 'Other'"):
        getattr(http_clients, "Other")  # noqa: B009 - checkers know better.
