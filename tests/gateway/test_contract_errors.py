"""Every error that the gateway answers itself, over real sockets: status, envelope and headers."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.serving.protocol import HttpProtocol
from apertis.testing import AwaitDisconnect, Exchange, Gate, ScriptedServer, json_response
from tests.kit.gateways import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apertis.gateway.serving.protocol import ClientExchange
    from tests.kit.gateways import RunningGateway
    from tests.kit.http import Response

    Start = Callable[..., RunningGateway]

MODEL = "claude-sonnet-4-5"
QUESTION = {
    "model": MODEL,
    "max_tokens": 10,
    "messages": [{"role": "user", "content": "Hi"}],
}
MESSAGES = "/v1/messages"
COUNT = "/v1/messages/count_tokens"
KEYS = "/admin/v1/keys"
SMALL = "[server]\nmax_body_bytes = 2000\nbody_timeout_seconds = 0.2\n"
SANDBOX = f'[[upstreams]]\nname = "sandbox"\nkind = "sandbox"\nmodels = ["{MODEL}"]\n'
STUB = (
    '[[upstreams]]\nname = "stub"\nkind = "anthropic"\nbase_url = "{}"\napi_key_env = "STUB_KEY"\n'
)


def encode(*without: str, **changes: object) -> bytes:
    fields = {name: value for name, value in QUESTION.items() if name not in without}
    return json.dumps(fields | changes).encode()


def check(
    response: Response, status: int, type_: str, code: str, param: str | None = None
) -> dict[str, Any]:
    """Hold an answer against a row of the contract; give the error."""
    assert response.status == status, response
    assert response.headers["content-type"] == "application/json"
    assert int(response.headers["content-length"]) == len(response.body)
    document = json.loads(response.body)
    assert document.keys() == {"type", "error", "request_id"}
    assert document["type"] == "error"
    assert document["request_id"] == response.headers["request-id"]
    error: dict[str, Any] = document["error"]
    assert (error["type"], error["code"], error.get("param")) == (type_, code, param)
    assert error["message"]
    assert ("param" in error) == (param is not None)
    return error


def has_standing(response: Response) -> bool:
    names = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
    return all(response.headers.get(name, "").isdecimal() for name in names)


# Bodies that cannot be read, wherever one is needed.
UNREADABLE = {
    "nothing": b"",
    "no JSON": b"{not json",
    "more than JSON": b'{"name": NaN}',
    "no object": b"[1, 2]",
    "cut": b'{"name": "m"',
    "two objects": b"{} {}",
    "no UTF-8": b'{"name": "\xff\xfe"}',
    "half a character": b'{"name": "\xf0\x9f\x98"}',
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("path", [MESSAGES, COUNT, KEYS, "/v1/messages/batches"])
def test_a_body_that_cannot_be_read(
    sandbox_gateway: RunningGateway, path: str, body: bytes
) -> None:
    response = sandbox_gateway.client.call("POST", path, body)
    check(response, 400, "invalid_request_error", "invalid_request")


@pytest.mark.parametrize("path", [MESSAGES, COUNT, "/v1/messages/batches"])
def test_a_body_that_is_nested_without_an_end(sandbox_gateway: RunningGateway, path: str) -> None:
    response = sandbox_gateway.client.call("POST", path, b'{"model":' + b"[" * 100_000)
    check(response, 400, "invalid_request_error", "invalid_request")


@pytest.mark.parametrize("path", [MESSAGES, COUNT])
def test_a_field_that_stands_twice(sandbox_gateway: RunningGateway, path: str) -> None:
    for twice in (b'"model": "m", ', b'"mod\\u0065l": "m", ', b'"x": 1, "x": 1, '):
        body = b"{" + twice + encode()[1:]
        response = sandbox_gateway.client.call("POST", path, body)
        error = check(response, 400, "invalid_request_error", "invalid_request")
        assert "twice" in error["message"]


@pytest.mark.parametrize("path", [MESSAGES, COUNT, KEYS, "/v1/messages/batches"])
def test_a_body_of_another_type(sandbox_gateway: RunningGateway, path: str) -> None:
    client = sandbox_gateway.client
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "image/png"):
        headers = {"x-api-key": client.api_key, "content-type": content_type}
        response = client.call("POST", path, encode(), headers)
        error = check(response, 400, "invalid_request_error", "invalid_request")
        assert content_type in error["message"]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (MESSAGES, "model"),
        (MESSAGES, "messages"),
        (MESSAGES, "max_tokens"),
        (COUNT, "model"),
        (COUNT, "messages"),
    ],
)
def test_a_missing_parameter(sandbox_gateway: RunningGateway, path: str, field: str) -> None:
    response = sandbox_gateway.client.call("POST", path, encode(field))
    error = check(response, 400, "invalid_request_error", "missing_parameter", field)
    assert error["message"] == f"Missing required parameter '{field}'"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", ""),
        ("model", 7),
        ("model", "m" * 257),
        ("max_tokens", "ten"),
        ("max_tokens", -1),
        ("fallback_models", "m"),
        ("fallback_models", ["a", "b", "c", "d", "e", "f"]),
        ("fallback_timeout", 4999),
        ("fallback_timeout", 300_001),
        ("fallback_enabled", "yes"),
        ("compression", {"enabled": True}),
        ("n", 2),
        ("stop", ["a", "b", "c", "d", "e"]),
        ("user", 7),
        ("presence_penalty", 0.5),
        ("frequency_penalty", -1),
        ("logit_bias", {"50256": -100}),
        ("response_format", {"type": "json_object"}),
        ("seed", 1),
    ],
)
def test_an_invalid_parameter(sandbox_gateway: RunningGateway, field: str, value: object) -> None:
    response = sandbox_gateway.client.call("POST", MESSAGES, encode(**{field: value}))
    check(response, 400, "invalid_request_error", "invalid_parameter", field)


def test_keys_that_are_refused(start_gateway: Start) -> None:
    gateway = start_gateway()
    client = gateway.client

    def refused(headers: dict[str, str], code: str) -> None:
        for path in (MESSAGES, COUNT, "/v1/models", "/v1/messages/batches", KEYS):
            body = encode() if path in {MESSAGES, COUNT} else b""
            response = client.call("POST" if body else "GET", path, body, headers)
            check(response, 401, "authentication_error", code)
            assert response.headers["www-authenticate"] == "Bearer"
            assert has_standing(response)

    refused({}, "missing_api_key")
    refused({"x-api-key": ""}, "missing_api_key")
    refused({"x-api-key": "sk-unknown"}, "invalid_api_key")
    refused({"authorization": "Bearer sk-unknown", "x-api-key": client.api_key}, "invalid_api_key")
    for change in ("disable", "delete"):
        key_id, other = gateway.make_key()
        target = f"{KEYS}/{key_id}" if change == "delete" else f"{KEYS}/{key_id}/{change}"
        changed = client.call("DELETE" if change == "delete" else "POST", target)
        assert changed.status == 200, changed.body
        refused({"x-api-key": other.api_key}, "invalid_api_key")


def test_a_key_whose_time_is_over(start_gateway: Start) -> None:
    gateway = start_gateway()
    key_id, expired = gateway.make_key()
    changed = gateway.client.call(
        "PATCH", f"{KEYS}/{key_id}", b'{"expires_at": "2020-01-01T00:00:00Z"}'
    )
    assert changed.status == 200, changed.body
    for path in (MESSAGES, COUNT):
        response = expired.call("POST", path, encode())
        error = check(response, 401, "authentication_error", "expired_api_key")
        assert "2020-01-01" in error["message"]
        assert has_standing(response)


def test_a_quota_that_is_used_up(start_gateway: Start) -> None:
    gateway = start_gateway()
    _, poor = gateway.make_key(quota_units=1)
    for stream in (False, True):
        response = poor.call("POST", MESSAGES, encode(stream=stream))
        check(response, 402, "billing_error", "quota_exceeded")
        assert has_standing(response)
    # Counting costs nothing.
    assert poor.call("POST", COUNT, encode("max_tokens")).status == 200


def test_what_a_key_may_not_do(start_gateway: Start) -> None:
    gateway = start_gateway()
    _, plain = gateway.make_key()
    for method, path in (("GET", KEYS), ("POST", KEYS), ("GET", "/admin/v1/usage")):
        check(plain.call(method, path, b"{}"), 403, "permission_error", "access_denied")
    headers = {"x-api-key": plain.api_key, "x-forwarded-for": "192.0.2.1"}
    response = plain.call("GET", "/metrics", headers=headers)
    check(response, 403, "permission_error", "access_denied")

    _, narrow = gateway.make_key(models=["claude-haiku-4-5"])
    for path in (MESSAGES, COUNT):
        response = narrow.call("POST", path, encode())
        error = check(response, 403, "permission_error", "model_access_denied", "model")
        assert MODEL in error["message"]
        assert has_standing(response)

    _, bounded = gateway.make_key(quota_units=10_000_000)
    response = bounded.call("POST", MESSAGES, encode(model="a-model-without-a-price"))
    check(response, 403, "permission_error", "model_access_denied", "model")

    _, elsewhere = gateway.make_key(addresses=["10.0.0.0/8", "2001:db8::/32"])
    for method, path in (("POST", MESSAGES), ("POST", COUNT), ("GET", "/v1/models")):
        response = elsewhere.call(method, path, encode() if method == "POST" else b"")
        error = check(response, 403, "permission_error", "ip_not_allowed")
        assert "127.0.0.1" in error["message"]
        assert has_standing(response)


def test_what_does_not_exist(start_gateway: Start) -> None:
    client = start_gateway(SANDBOX).client
    for path in (MESSAGES, COUNT):
        response = client.call("POST", path, encode(model="claude-none"))
        error = check(response, 404, "not_found_error", "model_not_found", "model")
        assert "'claude-none'" in error["message"]
        assert has_standing(response)
    response = client.call("GET", "/v1/models/claude-none")
    check(response, 404, "not_found_error", "model_not_found", "model")
    for method, path in (
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/nothing"),
        ("GET", "/v1/messages/"),
        ("DELETE", "/v1/files/file_1"),
    ):
        response = client.call(method, path)
        check(response, 404, "not_found_error", "endpoint_not_found")
        assert has_standing(response)
    for path in ("/", "/nothing", "/admin/v1/nothing", "/v2/messages", "/.env"):
        response = client.call("POST", path)
        if path == "/":
            check(response, 405, "invalid_request_error", "method_not_allowed")
        else:
            check(response, 404, "not_found_error", "endpoint_not_found")
    check(client.call("GET", f"{KEYS}/key_none"), 404, "not_found_error", "not_found")
    response = client.call("GET", "/v1/messages/batches/msgbatch_none")
    assert (response.status, json.loads(response.body)["error"]["type"]) == (404, "not_found_error")


def test_a_change_that_contradicts_what_is_there(start_gateway: Start) -> None:
    gateway = start_gateway()
    key_id, _ = gateway.make_key()
    assert gateway.client.call("DELETE", f"{KEYS}/{key_id}").status == 200
    response = gateway.client.call("POST", f"{KEYS}/{key_id}/enable")
    check(response, 409, "conflict_error", "conflict")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", MESSAGES, "POST"),
        ("DELETE", MESSAGES, "POST"),
        ("OPTIONS", MESSAGES, "POST"),
        ("PUT", COUNT, "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("DELETE", f"/v1/models/{MODEL}", "GET, HEAD"),
        ("PUT", KEYS, "GET, POST"),
        ("POST", "/api/user/token", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
    ],
)
def test_a_method_that_a_path_does_not_have(
    sandbox_gateway: RunningGateway, method: str, path: str, allowed: str
) -> None:
    response = sandbox_gateway.client.call(method, path)
    check(response, 405, "invalid_request_error", "method_not_allowed")
    assert response.headers["allow"] == allowed


@pytest.mark.parametrize(
    "path", [MESSAGES, COUNT, "/v1/nothing", "/nothing", KEYS, f"{KEYS}/key_none", "/v1/models/x"]
)
def test_an_error_to_head_has_no_body(sandbox_gateway: RunningGateway, path: str) -> None:
    client = sandbox_gateway.client
    with contextlib.closing(client.connect()) as connection:
        for _ in range(2):
            # The second call shows that nothing of a body was left behind by the first.
            connection.request("HEAD", path, headers={"x-api-key": client.api_key})
            response = connection.getresponse()
            assert response.read() == b""
            assert response.status in ((200,) if path == KEYS else (404, 405))
            assert response.getheader("request-id")
            assert int(response.getheader("content-length", "0")) > 0


def test_a_body_that_is_too_large(start_gateway: Start) -> None:
    client = start_gateway(SMALL).client
    headers = {"x-api-key": client.api_key, "content-type": "application/json"}
    large = b'{"x": "' + b"x" * 1_000_000 + b'"}'

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(large), 50_000):
            yield large[start : start + 50_000]

    for path in (MESSAGES, COUNT, KEYS, "/v1/models"):
        method = "GET" if path == "/v1/models" else "POST"
        with contextlib.closing(client.connect()) as connection:
            for body in (large, chunks()):
                connection.request(method, path, body, headers, encode_chunked=body is not large)
                answer = connection.getresponse()
                assert (answer.status, answer.getheader("x-ratelimit-limit")) == (413, "1500")
                error = json.loads(answer.read())["error"]
                assert (error["type"], error["code"]) == ("request_too_large",) * 2
                assert "2000 bytes" in error["message"]
            # What was too much is thrown away, and the connection goes on.
            connection.request("GET", "/healthz")
            assert connection.getresponse().read() == b'{"status":"ok"}'


def exchange(port: int, *sent: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """Send bytes over a connection each, all before the first of their answers is read."""
    answers: list[tuple[int, dict[str, str], bytes]] = []
    with contextlib.ExitStack() as stack:
        address = ("127.0.0.1", port)
        socks = [stack.enter_context(socket.create_connection(address, 10)) for _ in sent]
        for sock, data in zip(socks, sent, strict=True):
            sock.sendall(data)
        for sock in socks:
            response = http.client.HTTPResponse(sock)
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            answers.append((response.status, headers, response.read()))
    return answers


def refused(answer: tuple[int, dict[str, str], bytes], status: int, code: str) -> dict[str, str]:
    assert (answer[0], json.loads(answer[2])["error"]["code"]) == (status, code)
    assert answer[1]["request-id"] == json.loads(answer[2])["request_id"]
    return answer[1]


def test_a_body_that_does_not_come(start_gateway: Start) -> None:
    client = start_gateway(SMALL).client
    rests = [
        b"content-length: 100\r\n\r\n",
        b'content-length: 100\r\n\r\n{"model": "m"',
        b'transfer-encoding: chunked\r\n\r\n3\r\n{"m\r\n',
        b"content-length: 100\r\nexpect: 100-continue\r\n\r\n",
    ]
    heads = [
        f"{method} {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {client.api_key}\r\n".encode()
        for method, path in (
            ("POST", MESSAGES),
            ("POST", COUNT),
            ("POST", KEYS),
            ("GET", "/v1/models"),
        )
    ]
    for answer in exchange(client.port, *[head + rest for head in heads for rest in rests]):
        assert refused(answer, 408, "request_timeout")["x-ratelimit-limit"] == "1500"
        assert json.loads(answer[2])["error"]["type"] == "timeout_error"


class Hasty(HttpProtocol):
    """The server's protocol, with less patience for a head."""

    head_seconds = 0.2


class Nothing:
    """The application of a server that never has a whole head."""

    async def __call__(self, _exchange: ClientExchange) -> None:
        raise AssertionError


@pytest.fixture
def hasty() -> Iterator[int]:
    """The port of a server without patience, and without an application: no head is whole."""
    with serving(Nothing(), Hasty) as port:
        yield port


def test_a_head_that_does_not_come(hasty: int) -> None:
    begun = (b"P", b"POST /v1/messages HTTP/1.1\r\nhost", b"GET /v1/models HTTP/1.1\r\n")
    for answer in exchange(hasty, *begun):
        assert refused(answer, 408, "request_timeout")["connection"] == "close"
    with socket.create_connection(("127.0.0.1", hasty), timeout=60) as sock:
        assert sock.recv(100) == b""


@pytest.mark.parametrize("path", [MESSAGES, COUNT, "/v1/models", KEYS])
def test_a_head_that_is_too_large(sandbox_gateway: RunningGateway, path: str) -> None:
    data = f"POST {path} HTTP/1.1\r\nhost: x\r\n".encode() + b"x-filler: y\r\n" * 100_000
    (answer,) = exchange(sandbox_gateway.client.port, data)
    refused(answer, 431, "headers_too_large")


def test_a_head_that_is_too_large_and_comes_whole(sandbox_gateway: RunningGateway) -> None:
    def asked(filler: int) -> tuple[int, dict[str, str], bytes]:
        head = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-filler: %s\r\n\r\n"
        (answer,) = exchange(sandbox_gateway.client.port, head % (b"y" * filler))
        return answer

    assert asked(60_000)[0] == 200
    refused(asked(70_000), 431, "headers_too_large")


@pytest.mark.parametrize(
    "data",
    [
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}",
        b"POST /v1/messages HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nbad name: x\r\n\r\n",
    ],
)
def test_what_is_not_http(sandbox_gateway: RunningGateway, data: bytes) -> None:
    (answer,) = exchange(sandbox_gateway.client.port, data)
    assert refused(answer, 400, "invalid_request")["connection"] == "close"


def test_a_body_that_is_not_http_ends_its_request_only(sandbox_gateway: RunningGateway) -> None:
    client = sandbox_gateway.client
    head = f"POST {MESSAGES} HTTP/1.1\r\nhost: x\r\nx-api-key: {client.api_key}\r\n".encode()
    (answer,) = exchange(client.port, head + b"transfer-encoding: chunked\r\n\r\nzz\r\n")
    refused(answer, 400, "invalid_request")
    assert client.call("POST", MESSAGES, encode()).status == 200


def test_what_follows_a_request_never_stands_within_its_answer(start_gateway: Start) -> None:
    gate = Gate()
    answer = json_response(200, {"type": "message"})
    with ScriptedServer([Exchange(gate, answer[:40], AwaitDisconnect(5))]) as upstream:
        client = start_gateway(STUB.format(upstream.base_url), STUB_KEY="sk-stub").client
        body = encode()
        head = (
            f"POST {MESSAGES} HTTP/1.1\r\nhost: x\r\nx-api-key: {client.api_key}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", client.port), timeout=60) as sock:
            sock.sendall(head.encode() + body)
            assert gate.reached.wait(60)
            sock.sendall(b"this is not HTTP\r\n\r\n")
            gate.open()
            # Any answer now would be taken for the one that is awaited.
            assert sock.recv(100) == b""


def limited(response: Response, what: str, longest: int) -> None:
    error = check(response, 429, "rate_limit_error", "rate_limit_exceeded")
    assert what in error["message"]
    assert 1 <= int(response.headers["retry-after"]) <= longest
    assert has_standing(response)


def test_too_many_requests(start_gateway: Start) -> None:
    gateway = start_gateway('[limits]\nper_address = "3/1m"\nper_key = "2/1m"\n')
    client = gateway.client
    response = client.call("GET", "/v1/nothing")
    assert (response.headers["x-ratelimit-limit"], response.status) == ("3", 404)
    assert client.call("GET", "/api/user/token").status == 200
    response = client.call("GET", "/api/user/token")
    assert response.headers["x-ratelimit-remaining"] == "0"
    for method, path in (
        ("GET", "/api/user/token"),
        ("POST", MESSAGES),
        ("POST", COUNT),
        ("GET", "/v1/nothing"),
        ("PATCH", "/v1/models"),
        ("GET", KEYS),
    ):
        response = client.call(method, path, encode() if method == "POST" else b"")
        limited(response, "this address", 60)
        assert response.headers["x-ratelimit-remaining"] == "0"
    # Whether the gateway lives is no question of the limits.
    assert client.call("GET", "/healthz").status == 200


def test_too_many_requests_of_a_key(start_gateway: Start) -> None:
    gateway = start_gateway('[limits]\nper_address = "1000/1m"\nper_key = "2/1m"\n')
    _, client = gateway.make_key()
    for left in ("1", "0"):
        response = client.call("POST", MESSAGES, encode())
        assert (response.status, response.headers["x-ratelimit-limit"]) == (200, "2")
        assert response.headers["x-ratelimit-remaining"] == left
    for path in (MESSAGES, COUNT):
        limited(client.call("POST", path, encode()), "this API key", 60)


def test_too_many_tokens_of_a_key(start_gateway: Start) -> None:
    gateway = start_gateway()
    _, client = gateway.make_key(tokens_per_minute=500)
    assert client.call("POST", MESSAGES, encode(max_tokens=400)).status == 200
    response = client.call("POST", MESSAGES, encode(max_tokens=499))
    limited(response, "tokens a minute", 60)


def test_too_many_requests_at_the_same_time(start_gateway: Start) -> None:
    gate = Gate()
    script = [Exchange(gate, json_response(200, {"type": "message"}))]
    with ScriptedServer(script) as upstream:
        gateway = start_gateway(STUB.format(upstream.base_url), STUB_KEY="sk-stub")
        _, client = gateway.make_key(in_flight=1)
        with contextlib.closing(client.connect()) as connection:
            connection.request("POST", MESSAGES, encode(), {"x-api-key": client.api_key})
            assert gate.reached.wait(60)
            limited(client.call("POST", MESSAGES, encode()), "at the same time", 1)
            gate.open()
            assert connection.getresponse().status == 200


def test_a_refusal_names_its_wait_once(start_gateway: Start) -> None:
    client = start_gateway('[limits]\nper_address = "1/1m"\n').client
    client.call("GET", "/v1/models")
    with contextlib.closing(client.connect()) as connection:
        connection.request("POST", MESSAGES, encode(), {"x-api-key": client.api_key})
        names = [name.lower() for name, _ in connection.getresponse().getheaders()]
    assert sorted(names) == sorted(set(names))
    assert "retry-after" in names


def test_a_defect_of_the_gateway(start_gateway: Start) -> None:
    gateway = start_gateway()

    def lag() -> tuple[int, float]:
        raise ZeroDivisionError("sk-secret")

    gateway.gateway.metrics.journal_lag = lag
    response = gateway.client.call("GET", "/metrics")
    error = check(response, 500, "api_error", "internal_error")
    assert error["message"] == "An internal server error occurred"
    assert gateway.client.call("POST", MESSAGES, encode()).status == 200


def test_an_upstream_that_does_not_answer(start_gateway: Start) -> None:
    routing = "[routing]\nfirst_byte_timeout_seconds = 0.2\nconnect_timeout_seconds = 5\n"
    script = [Exchange(AwaitDisconnect(5)), Exchange(b"no HTTP")] * 2
    with ScriptedServer(script) as upstream:
        config = routing + STUB.format(upstream.base_url)
        client = start_gateway(config, STUB_KEY="sk-stub").client
        for path in (MESSAGES, COUNT):
            response = client.call("POST", path, encode())
            check(response, 504, "timeout_error", "upstream_timeout")
            assert has_standing(response)
            response = client.call("POST", path, encode())
            check(response, 502, "api_error", "upstream_error")
            assert "sk-stub" not in response.body.decode()
            assert has_standing(response)


def test_every_good_answer_tells_its_id_and_the_limits(start_gateway: Start) -> None:
    client = start_gateway().client
    for path in (
        MESSAGES,
        COUNT,
        "/v1/models",
        f"/v1/models/{MODEL}",
        "/v1/messages/batches",
        "/api/user/token",
        KEYS,
    ):
        body = encode() if path in {MESSAGES, COUNT} else b""
        response = client.call("POST" if body else "GET", path, body)
        assert response.status == 200, path
        assert response.headers["request-id"]
        assert response.headers["x-apertis-request-id"].startswith("req_")
        assert has_standing(response)


def test_a_request_id_of_the_caller_comes_back(sandbox_gateway: RunningGateway) -> None:
    client = sandbox_gateway.client
    for body, status in ((encode(), 200), (b"{", 400)):
        headers = {"x-api-key": client.api_key, "x-request-id": "mine-7"}
        response = client.call("POST", MESSAGES, body, headers)
        assert (response.status, response.headers["x-request-id"]) == (status, "mine-7")
