"""What a client is made of: its arguments, the environment, its copies."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from apertis import Apertis, AsyncApertis, ConfigurationError, MissingAPIKeyError, Timeout
from apertis.testing import ScriptedServer, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    Connect = Callable[..., Apertis]

KEY = "sk-0123456789abcdefghij"
MODELS = {"data": [], "has_more": False}


def answering() -> ScriptedServer:
    return ScriptedServer(lambda _: json_response(200, MODELS), require_all=False)


def test_a_missing_key_is_an_error_at_the_first_call_that_helps(connect: Connect) -> None:
    client = connect(base_url="http://127.0.0.1:9")
    with pytest.raises(MissingAPIKeyError) as caught:
        client.models.list()
    for help_ in ("api_key=", "APERTIS_API_KEY", "https://apertis.ai/token", "apertis serve"):
        assert help_ in str(caught.value)


def test_the_missing_key_shows_when_a_stream_begins(connect: Connect) -> None:
    client = connect(base_url="http://127.0.0.1:9")
    manager = client.messages.stream(model="m", max_tokens=1, messages=[])
    with pytest.raises(MissingAPIKeyError), manager:
        pass


def test_the_key_is_a_bearer_token(connect: Connect) -> None:
    with answering() as server:
        connect(api_key=KEY, base_url=server.base_url).models.list()
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert "x-api-key" not in server.requests[0].headers


def test_a_key_that_was_read_from_a_file_may_end_in_a_line_feed(connect: Connect) -> None:
    with answering() as server:
        connect(api_key=f" {KEY}\n", base_url=server.base_url).models.list()
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_the_environment_stands_in_for_arguments(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering() as server:
        monkeypatch.setenv("APERTIS_API_KEY", KEY)
        monkeypatch.setenv("APERTIS_BASE_URL", server.base_url + "/v1")
        connect().models.list()
        connect(api_key="sk-another-key-of-mine").models.list()
    first, second = server.requests
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert second.headers["authorization"] == "Bearer sk-another-key-of-mine"


def test_an_empty_variable_is_no_setting(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APERTIS_API_KEY", "")
    monkeypatch.setenv("APERTIS_BASE_URL", "")
    client = connect()
    assert client.base_url == "https://api.apertis.ai"
    with pytest.raises(MissingAPIKeyError):
        client.models.list()


def test_an_empty_key_is_a_missing_one(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was meant to come from somewhere else is not taken from the environment instead."""
    monkeypatch.setenv("APERTIS_API_KEY", KEY)
    with pytest.raises(MissingAPIKeyError):
        connect(api_key="", base_url="http://127.0.0.1:9").models.list()


def test_the_hosted_service_is_the_default(connect: Connect) -> None:
    assert connect().base_url == "https://api.apertis.ai"


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
@pytest.mark.parametrize("prefix", ["", "/gateway/claude"])
def test_base_url_may_end_in_v1_or_not(connect: Connect, prefix: str, ending: str) -> None:
    with answering() as server:
        client = connect(api_key=KEY, base_url=server.base_url + prefix + ending)
        client.models.list()
        assert client.base_url == server.base_url + prefix
    assert server.requests[0].target == f"{prefix}/v1/models"


def test_every_request_says_who_asks_and_in_which_version(connect: Connect) -> None:
    with answering() as server:
        connect(api_key=KEY, base_url=server.base_url).models.list()
        authority = server.base_url.removeprefix("http://")
        connect(api_key=KEY, base_url=server.base_url, anthropic_version="2026-01-01").models.list()
    first, second = server.requests
    assert first.headers["anthropic-version"] == "2023-06-01"
    assert second.headers["anthropic-version"] == "2026-01-01"
    assert first.headers["user-agent"].startswith("Apertis/Python ")
    assert first.headers["accept"] == "application/json"
    assert first.headers["host"] == authority


def test_default_headers_are_sent_and_none_leaves_one_out(connect: Connect) -> None:
    with answering() as server:
        client = connect(
            api_key=KEY,
            base_url=server.base_url,
            default_headers={"X-Team": "red", "User-Agent": None},
        )
        client.models.list()
        client.models.list(extra_headers={"x-team": "blue", "anthropic-version": None})
    first, second = server.requests
    assert first.headers["x-team"] == "red"
    assert "user-agent" not in first.headers
    assert second.headers["x-team"] == "blue"
    assert "anthropic-version" not in second.headers


def test_a_key_in_a_header_is_enough(connect: Connect) -> None:
    with answering() as server:
        client = connect(base_url=server.base_url, default_headers={"X-API-Key": KEY})
        client.models.list()
    assert server.requests[0].headers["x-api-key"] == KEY
    assert "authorization" not in server.requests[0].headers


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"api_key": "two words"}, "api_key"),
    ({"api_key": "clé"}, "api_key"),
    ({"api_key": 7}, "api_key"),
    ({"base_url": "api.apertis.ai"}, "base_url"),
    ({"base_url": "ftp://api.apertis.ai"}, "base_url"),
    ({"base_url": "http://"}, "base_url"),
    ({"base_url": "http://host:99999"}, "base_url"),
    ({"base_url": "http://me:secret@host"}, "base_url"),
    ({"base_url": "http://host?x=1"}, "base_url"),
    ({"base_url": 7}, "base_url"),
    ({"timeout": 0}, "timeout"),
    ({"timeout": -1}, "timeout"),
    ({"timeout": "5"}, "timeout"),
    ({"timeout": True}, "timeout"),
    ({"timeout": float("nan")}, "timeout"),
    ({"timeout": float("inf")}, "timeout"),
    ({"timeout": 1e10}, "timeout"),
    ({"max_retries": -1}, "max_retries"),
    ({"max_retries": 1.5}, "max_retries"),
    ({"max_retries": None}, "max_retries"),
    ({"max_retries": True}, "max_retries"),
    ({"max_retry_after": -1}, "max_retry_after"),
    ({"max_retry_after": float("nan")}, "max_retry_after"),
    ({"max_retry_after": "5"}, "max_retry_after"),
    ({"anthropic_version": ""}, "anthropic_version"),
    ({"default_headers": ["x-a"]}, "default_headers"),
    ({"default_headers": {"bad name": "x"}}, "default_headers"),
    ({"default_headers": {"x-a": "a\r\nx-b: c"}}, "default_headers"),
    ({"default_headers": {"x-a": 7}}, "default_headers"),
    ({"http_client": "http"}, "http_client"),
]


@pytest.mark.parametrize(
    ("settings", "name"), WRONG, ids=[f"{k}={v!r}" for s, _ in WRONG for k, v in s.items()]
)
def test_a_setting_that_cannot_work_is_named(
    connect: Connect, settings: dict[str, Any], name: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        connect(**{"api_key": KEY, **settings})
    assert name in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["connect", "response", "idle", "total"])
@pytest.mark.parametrize("value", [0, -1, "5", True, float("nan"), float("inf"), 1e10])
def test_a_deadline_that_cannot_work_is_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Timeout(**{name: value})


def test_wrong_variables_are_named_as_such(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APERTIS_BASE_URL", "nowhere")
    with pytest.raises(ConfigurationError, match="'nowhere'"):
        connect()


def test_a_copy_has_its_own_settings_and_shares_the_connections(connect: Connect) -> None:
    with answering() as server:
        client = connect(
            api_key=KEY, base_url=server.base_url, default_headers={"x-a": "1", "x-b": "1"}
        )
        client.models.list()
        copy = client.with_options(
            api_key="sk-the-key-of-the-copy", default_headers={"x-b": "2", "x-c": "2"}
        )
        copy.models.list()
        client.models.list()
        assert server.connection_count == 1
    first, second, third = (request.headers for request in server.requests)
    assert second["authorization"] == "Bearer sk-the-key-of-the-copy"
    assert (second["x-a"], second["x-b"], second["x-c"]) == ("1", "2", "2")
    assert first == third
    assert "x-c" not in third


def test_a_copy_may_point_elsewhere(connect: Connect) -> None:
    with answering() as one, answering() as other:
        client = connect(api_key=KEY, base_url=one.base_url, timeout=5)
        copy = client.with_options(base_url=other.base_url + "/v1", timeout=None, max_retries=0)
        copy.models.list()
        client.models.list()
        assert (len(one.requests), len(other.requests)) == (1, 1)


@pytest.mark.parametrize(
    "change", [{"max_retries": -1}, {"timeout": 0}, {"api_key": ""}, {"base_url": "x"}]
)
def test_a_copy_checks_its_settings(connect: Connect, change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(change))):
        connect(api_key=KEY).with_options(**change)


def test_close_ends_the_connections_and_the_client_goes_on(connect: Connect) -> None:
    with answering() as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        client.models.list()
        assert server.open_connection_count == 1
        client.close()
        server.wait_until_disconnected()
        client.models.list()
        assert server.connection_count == 2


def test_a_with_block_closes_the_client(connect: Connect) -> None:
    with answering() as server:
        with connect(api_key=KEY, base_url=server.base_url) as client:
            client.models.list()
        server.wait_until_disconnected()


def test_no_repr_shows_a_key(connect: Connect) -> None:
    client = connect(api_key=KEY, default_headers={"x-api-key": KEY})
    shown = [repr(client), repr(client._sender.settings), str(client)]
    assert all(KEY not in text and "0123456789" not in text for text in shown)
    assert "api.apertis.ai" in shown[0]


def test_one_client_serves_several_event_loops() -> None:
    with answering() as server:
        client = AsyncApertis(api_key=KEY, base_url=server.base_url)

        async def program() -> None:
            await client.models.list()
            await asyncio.gather(client.models.list(), client.models.list())

        asyncio.run(program())
        asyncio.run(program())
        asyncio.run(client.close())
        assert len(server.requests) == 6
        server.wait_until_disconnected()


def test_what_is_no_tls_context_is_refused(connect: Connect) -> None:
    with pytest.raises(ConfigurationError, match=r"ssl_context must be an ssl\.SSLContext"):
        connect(api_key=KEY, ssl_context=5)
