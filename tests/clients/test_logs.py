"""What is logged: lines about calls, and nothing that was said in them."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from apertis import APIConnectionError, APIError, ConfigurationError
from apertis.testing import Close, Exchange, ScriptedServer, json_response, sse_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apertis import Apertis

    Connect = Callable[..., Apertis]

KEY = "sk-0123456789abcdefghij"
SAID = "said in confidence"
USAGE = {"input_tokens": 1, "output_tokens": 2}
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": SAID}],
    "stop_reason": "end_turn",
    "usage": USAGE,
}
EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {**MESSAGE, "content": []}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": SAID}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_stop"},
]
ASK: dict[str, Any] = {
    "model": "m",
    "max_tokens": 5,
    "messages": [{"role": "user", "content": SAID}],
    "system": SAID,
    "metadata": {"user_id": SAID},
}


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    logger = logging.getLogger("apertis")
    level, handlers = logger.level, list(logger.handlers)
    yield
    logger.setLevel(level)
    for handler in set(logger.handlers) - set(handlers):
        logger.removeHandler(handler)


def logged(
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    level: str,
    **settings: Any,
) -> list[logging.LogRecord]:
    """What a call, a failing call, a retried one and a stream leave in the log."""
    monkeypatch.setenv("APERTIS_LOG", level)
    refusal = {"error": {"type": "t", "message": f"{KEY} {SAID}"}}
    script = [
        json_response(503, refusal, {"retry-after-ms": "1"}),
        json_response(200, MESSAGE, {"request-id": "req_1", "set-cookie": "s=very-secret"}),
        json_response(400, refusal, {"x-echo": "1"}),
        sse_response(EVENTS, {"request-id": "req_2"}),
    ]
    with ScriptedServer(script) as server:
        client = connect(**{"api_key": KEY, "base_url": server.base_url, **settings})
        client.messages.create(**ASK)
        with pytest.raises(APIError):
            client.messages.create(**ASK)
        with client.messages.stream(**ASK) as stream:
            stream.until_done()
    return [record for record in caplog.records if record.name.startswith("apertis")]


def text_of(records: list[logging.LogRecord]) -> str:
    return "\n".join(f"{record.levelname} {record.getMessage()}" for record in records)


def test_info_is_a_line_a_request(
    connect: Connect, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = logged(connect, caplog, monkeypatch, "info")
    assert {record.levelno for record in records} == {logging.INFO}
    text = text_of(records)
    assert "POST /v1/messages again in 0.00 s, try 2: 503" in text
    assert "POST /v1/messages 200 in" in text
    assert "req_1" in text
    assert "req_2" in text
    assert "POST /v1/messages 400" in text


def test_debug_has_headers_and_sizes_too(
    connect: Connect, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = text_of(logged(connect, caplog, monkeypatch, " DEBUG "))
    assert f"DEBUG POST /v1/messages, {len(json.dumps(ASK, separators=(',', ':')))} bytes" in text
    assert "'anthropic-version': '2023-06-01'" in text
    assert "'authorization': '***'" in text
    assert "'request-id': 'req_1'" in text


@pytest.mark.parametrize("level", ["info", "debug"])
def test_no_log_has_a_secret_or_a_word_of_the_conversation(
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    level: str,
) -> None:
    names = [
        "x-api-key",
        "cookie",
        "proxy-authorization",
        "x-goog-api-key",
        "cf-access-client-secret",
        "x-auth-token",
        "x-amz-security-token",
        "x-password",
        "x-credential",
    ]
    headers = {name: f"very-secret-{i}" for i, name in enumerate(names)}
    text = text_of(logged(connect, caplog, monkeypatch, level, default_headers=headers))
    assert KEY not in text
    assert "0123456789" not in text
    assert "very-secret" not in text
    assert SAID not in text


@pytest.mark.usefixtures("quick")
def test_a_broken_connection_is_told(
    connect: Connect, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APERTIS_LOG", "info")
    with ScriptedServer([Exchange(Close), Exchange(Close)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url, max_retries=1)
        with pytest.raises(APIConnectionError):
            client.messages.create(**ASK)
        where = server.base_url.removeprefix("http://")
    assert "POST /v1/messages failed in 0.0" in text_of(caplog.records)
    assert f"again in 0.00 s, try 2: {where}" in text_of(caplog.records)


def test_nothing_is_logged_unless_it_was_asked_for(
    connect: Connect, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert logged(connect, caplog, monkeypatch, "") == []


def test_the_applications_own_settings_of_logging_count_too(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    with ScriptedServer([json_response(200, MESSAGE)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        with caplog.at_level(logging.INFO, logger="apertis"):
            client.messages.create(**ASK)
    assert "POST /v1/messages 200" in text_of(caplog.records)


@pytest.mark.parametrize("wrong", ["verbose", "1", "warning"])
def test_a_wrong_level_is_named(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("APERTIS_LOG", wrong)
    with pytest.raises(ConfigurationError, match=f"APERTIS_LOG must be info or debug.*{wrong}"):
        connect(api_key=KEY)
