"""Nothing shows a key: no repr, no message, no log, no copy, whatever the service echoes."""

from __future__ import annotations

import copy
import logging
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from apertis import Apertis, APIError, APIStatusError, AsyncApertis, ConfigurationError
from apertis.sansio.marks import NOT_GIVEN
from apertis.testing import ScriptedServer, json_response, sse_response

if TYPE_CHECKING:
    from collections.abc import Callable

    Connect = Callable[..., Apertis]

KEY = "a-key-that-looks-like-no-other"
LEAST: dict[str, Any] = {
    "model": "m",
    "max_tokens": 5,
    "messages": [{"role": "user", "content": "Hello"}],
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
REFUSED = {"type": "error", "error": {"type": "authentication_error", "message": f"no {KEY}"}}
ECHOES = {
    "x-echo": f"Bearer {KEY}",
    "authorization": f"Bearer {KEY}",
    "x-other": "sk-ant-0123456789abcdef",
    "request-id": f"req_{KEY}",
}

SETTINGS = pytest.mark.parametrize(
    "settings",
    [
        {"api_key": KEY},
        {"api_key": "sk-other-0123456789", "default_headers": {"x-api-key": KEY}},
        {"api_key": "sk-other-0123456789", "default_headers": {"authorization": f"Bearer {KEY}"}},
        {"api_key": "sk-other-0123456789", "default_headers": {"cookie": f"session={KEY}"}},
    ],
    ids=["key", "x-api-key", "authorization", "cookie"],
)


def shown(value: Any) -> str:
    """All that a program may print of a value, and keep of it."""
    if isinstance(value, APIError):
        parts = [value.__dict__, value.args, value.request_id, getattr(value, "response", "")]
        return repr([repr(value), str(value), *parts]) + repr(pickle.dumps(value))
    return repr(value) + str(value)


@SETTINGS
def test_a_key_that_the_service_echoes_is_shown_by_no_error(
    connect: Connect, settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "apertis")
    echoes = ECHOES if "cookie" not in str(settings) else {"x-echo": f"session={KEY}"}
    said = REFUSED if "cookie" not in str(settings) else {"error": {"message": f"session={KEY}"}}
    answers = [
        json_response(401, said, echoes),
        json_response(200, said, echoes),
        json_response(200, {"id": f"session={KEY}"}, echoes),
        sse_response([{"type": "error", **said}], echoes),
    ]
    for answer in answers:
        with ScriptedServer([answer]) as server:
            client = connect(base_url=server.base_url, max_retries=0, **settings)
            with pytest.raises(APIError) as caught:
                client.messages.create(**LEAST, stream=answer is answers[-1])
        assert KEY not in shown(caught.value)
        assert "***" in repr(caught.value.headers)  # type: ignore[attr-defined]
        if isinstance(caught.value, APIStatusError):
            response = caught.value.response
            assert KEY not in repr(response) + repr(dict(response.headers)) + str(
                response.request_id
            )
            assert KEY not in repr(response.headers.multi_items())
    assert KEY not in caplog.text


def test_the_key_of_one_call_is_a_secret_too(connect: Connect) -> None:
    with ScriptedServer([json_response(401, REFUSED, ECHOES)]) as server:
        client = connect(base_url=server.base_url, api_key="sk-other-0123456789")
        with pytest.raises(APIError) as caught:
            client.messages.create(**LEAST, extra_headers={"x-api-key": KEY})
    assert KEY not in shown(caught.value)


def test_an_answer_shows_no_key_either(connect: Connect) -> None:
    with ScriptedServer([json_response(200, MESSAGE, ECHOES)]) as server:
        message = connect(base_url=server.base_url, api_key=KEY).messages.create(**LEAST)
    assert KEY not in repr(message.response)
    assert message.response.headers["x-echo"] == "Bearer ***"
    assert KEY.encode() not in pickle.dumps(message)
    assert "sk-ant-0123456789abcdef" not in repr(message.response)


def test_a_stand_in_for_a_key_leaves_the_headers_readable(connect: Connect) -> None:
    answer = json_response(200, MESSAGE, {"x-count": "1", "x-echo": "Bearer 1", "retry-after": "1"})
    with ScriptedServer([answer]) as server:
        message = connect(base_url=server.base_url, api_key="1").messages.create(**LEAST)
    assert message.response.headers["x-count"] == "1"
    assert "Bearer 1'" not in repr(message.response)


@pytest.mark.parametrize("kind", [Apertis, AsyncApertis])
def test_a_client_and_what_belongs_to_it_cannot_be_pickled(kind: Any) -> None:
    client = kind(api_key=KEY)
    copies = (
        client,
        client.with_options(),
        client.messages,
        client.models,
        client.messages.batches,
    )
    for part in copies:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match=r"cannot be pickled.*API key.*each process"):
                pickle.dumps(part, protocol)


@pytest.mark.parametrize("kind", [Apertis, AsyncApertis])
def test_a_copy_of_a_client_shares_its_connections(kind: Any) -> None:
    client = kind(api_key=KEY, max_retries=7)
    for twin in (copy.copy(client), copy.deepcopy(client), copy.deepcopy([client])[0]):
        assert type(twin) is kind
        assert twin._sender.transport is client._sender.transport
        assert twin._sender.settings.retry.max_retries == 7
        assert twin.messages is not None


@pytest.mark.parametrize("kind", [Apertis, AsyncApertis])
def test_no_repr_of_a_client_or_of_its_parts_has_the_key(kind: Any) -> None:
    headers = {"x-api-key": KEY, "cookie": KEY}
    client = kind(api_key=KEY, default_headers=headers, proxy=f"http://user:{KEY}@127.0.0.1:1")
    sender = client._sender
    for part in (client, client.messages, client.models, sender, sender.settings, sender.transport):
        assert KEY not in repr(part) + str(part)
    assert repr(NOT_GIVEN)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:{}@host:port",
        "http://user:{}/more@host:1",
        "http://user:a@{}@host:x",
        "user:{}@host:1",
        "ftp://user:{}@host",
        "http://[user:{}@host",
        "//user:{}@host",
    ],
)
def test_an_error_about_a_url_shows_no_password(url: str) -> None:
    for name in ("base_url", "proxy"):
        if name == "proxy" and url.startswith(("user:", "//user:")):
            continue
        with pytest.raises(ConfigurationError) as caught:
            Apertis(api_key="k", **{name: url.format(KEY)})  # type: ignore[arg-type]
        assert KEY not in repr(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
