"""The sandbox over real HTTP, as `sandbox_server` runs it: paths, keys, and what is not HTTP."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.kit.http import Client, Response

QUESTION = {
    "model": "claude-sonnet-4.5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello!"}],
}


def encode(**changes: object) -> bytes:
    return json.dumps(QUESTION | changes).encode()


def error_of(response: Response) -> dict[str, Any]:
    document = json.loads(response.body)
    assert document["type"] == "error"
    assert document["request_id"] == response.headers["request-id"]
    error: dict[str, Any] = document["error"]
    return error


@pytest.mark.parametrize("target", ["/v1/messages", "/v1/v1/messages", "/v1/messages?beta=true"])
def test_a_message_is_answered(client: Client, target: str) -> None:
    response = client.call("POST", target, encode())
    assert response.status == 200
    message = json.loads(response.body)
    assert message["type"] == "message"
    assert message["content"][0]["text"]
    assert response.headers["content-type"] == "application/json"
    assert int(response.headers["content-length"]) == len(response.body)
    assert response.headers["request-id"]


def test_a_stream_is_server_sent_events(client: Client) -> None:
    response = client.call("POST", "/v1/messages", encode(stream=True))
    assert response.status == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    names = [line[7:] for line in response.body.splitlines() if line.startswith(b"event: ")]
    assert names[0] == b"message_start"
    assert names[-1] == b"message_stop"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_key_is_taken_as_a_bearer_token(client: Client, scheme: str) -> None:
    headers = {"authorization": f"{scheme} {client.api_key}"}
    assert client.call("POST", "/v1/messages", encode(), headers).status == 200


def test_a_wrong_bearer_wins_over_a_right_key(client: Client) -> None:
    headers = {"authorization": "Bearer sk-other", "x-api-key": client.api_key}
    response = client.call("POST", "/v1/messages", encode(), headers)
    assert response.status == 401
    assert error_of(response)["code"] == "invalid_api_key"


def test_a_missing_key_is_said_to_be_missing(client: Client) -> None:
    response = client.call("GET", "/v1/models", headers={})
    assert response.status == 401
    assert error_of(response)["type"] == "authentication_error"
    assert error_of(response)["code"] == "missing_api_key"
    assert response.headers["www-authenticate"] == "Bearer"


def test_tokens_are_counted(client: Client) -> None:
    response = client.call("POST", "/v1/messages/count_tokens", encode())
    assert json.loads(response.body)["input_tokens"] > 0


def test_models_are_listed_and_found(client: Client) -> None:
    listed = json.loads(client.call("GET", "/v1/models?limit=1000").body)
    ids = [model["id"] for model in listed["data"]]
    assert "claude-sonnet-4.5" in ids
    found = json.loads(client.call("GET", f"/v1/models/{ids[0]}").body)
    assert found["id"] == ids[0]
    assert client.call("GET", "/v1/models/none").status == 404


def test_a_batch_is_taken(client: Client) -> None:
    body = json.dumps({"requests": [{"custom_id": "a", "params": QUESTION}]}).encode()
    batch = json.loads(client.call("POST", "/v1/messages/batches", body).body)
    assert batch["type"] == "message_batch"
    found = client.call("GET", f"/v1/messages/batches/{batch['id']}")
    assert json.loads(found.body)["id"] == batch["id"]


def test_the_probes_need_no_key(client: Client) -> None:
    response = client.call("GET", "/healthz", headers={})
    assert (response.status, json.loads(response.body)) == (200, {"status": "ok"})
    for path in ("/healthz", "/api/hello"):
        response = client.call("HEAD", path, headers={})
        assert (response.status, response.body) == (200, b"")


def test_an_unknown_path_is_told_apart_from_a_missing_key(client: Client) -> None:
    response = client.call("POST", "/v1/chat/completions", b"{}", headers={})
    assert response.status == 404
    assert error_of(response)["code"] == "endpoint_not_found"


def test_a_wrong_method_names_the_right_one(client: Client) -> None:
    response = client.call("GET", "/v1/messages")
    assert response.status == 405
    assert response.headers["allow"] == "POST"
    assert error_of(response)["code"] == "method_not_allowed"
    assert client.call("HEAD", "/v1/messages").body == b""


@pytest.mark.parametrize("path", ["/%ff%fe", "/v1/messages%00", "/%2e%2e/etc/passwd", "//", "*"])
def test_a_strange_path_does_not_exist(client: Client, path: str) -> None:
    assert client.call("GET", path).status == 404


@pytest.mark.parametrize(
    "data",
    [
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /\xc3\xa4 HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_in_the_same_envelope(client: Client, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as sock:
        sock.sendall(data)
        with contextlib.closing(sock.makefile("rb")) as file:
            head, _, body = file.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error"]["code"] == "invalid_request"


def test_an_endless_head_is_refused(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nx-filler: ")
        # The server has enough before all of it is sent, and still its answer arrives.
        for _ in range(20):
            connection.sendall(b"a" * 64 * 1024)
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "headers_too_large"
    assert client.call("GET", "/healthz").status == 200


def test_an_offer_to_upgrade_is_ignored_and_the_body_is_read(client: Client) -> None:
    upgrade = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAM"}
    offer = {"x-api-key": client.api_key} | upgrade
    with contextlib.closing(client.connect()) as connection:
        for _ in range(2):
            connection.request("POST", "/v1/messages", encode(), offer)
            response = connection.getresponse()
            assert (response.status, json.loads(response.read())["type"]) == (200, "message")


def test_a_connection_is_kept_for_many_calls(client: Client) -> None:
    with contextlib.closing(client.connect()) as connection:
        for _ in range(3):
            connection.request("POST", "/v1/messages", encode(), {"x-api-key": client.api_key})
            assert connection.getresponse().read()
            assert connection.sock is not None
