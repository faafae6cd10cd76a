from __future__ import annotations

import pytest

from apertis.gateway.errors import Refusal
from apertis.gateway.serving.endpoints import Endpoint, resolve

API_CALLS = [
    ("POST", "/v1/messages", Endpoint.MESSAGES, ""),
    ("POST", "/v1/messages/count_tokens", Endpoint.COUNT_TOKENS, ""),
    ("POST", "/v1/messages/batches", Endpoint.BATCHES, ""),
    ("GET", "/v1/messages/batches", Endpoint.BATCHES, ""),
    ("GET", "/v1/messages/batches/msgbatch_1", Endpoint.BATCHES, "msgbatch_1"),
    ("DELETE", "/v1/messages/batches/msgbatch_1", Endpoint.BATCHES, "msgbatch_1"),
    ("POST", "/v1/messages/batches/msgbatch_1/cancel", Endpoint.BATCHES, "msgbatch_1"),
    ("GET", "/v1/messages/batches/msgbatch_1/results", Endpoint.BATCHES, "msgbatch_1"),
    ("GET", "/v1/models", Endpoint.MODELS, ""),
    ("GET", "/v1/models/claude-sonnet-4.5", Endpoint.MODELS, "claude-sonnet-4.5"),
    # Names of models may hold a slash.
    ("GET", "/v1/models/anthropic/claude", Endpoint.MODELS, "anthropic/claude"),
]


@pytest.mark.parametrize(("method", "path", "endpoint", "name"), API_CALLS)
def test_the_api_is_there(method: str, path: str, endpoint: Endpoint, name: str) -> None:
    assert resolve(method, path) == (endpoint, path, name)


@pytest.mark.parametrize(("method", "path", "endpoint", "name"), API_CALLS)
def test_a_base_that_ends_in_v1_reaches_the_same(
    method: str, path: str, endpoint: Endpoint, name: str
) -> None:
    assert resolve(method, f"/v1{path}") == (endpoint, path, name)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/healthz", Endpoint.HEALTH),
        ("/readyz", Endpoint.READY),
        ("/metrics", Endpoint.METRICS),
        ("/openapi.json", Endpoint.OPENAPI),
        ("/api/hello", Endpoint.HELLO),
        ("/api/user/token", Endpoint.USER_TOKEN),
    ],
)
def test_what_can_be_read_can_be_probed(method: str, path: str, endpoint: Endpoint) -> None:
    assert resolve(method, path) == (endpoint, path, "")


@pytest.mark.parametrize(
    ("path", "endpoint"), [("/api/hello", Endpoint.HELLO), ("/api/user/token", Endpoint.USER_TOKEN)]
)
def test_a_base_that_ends_in_v1_reaches_what_is_beside_it(path: str, endpoint: Endpoint) -> None:
    assert resolve("GET", f"/v1{path}") == (endpoint, path, "")


def test_the_root_says_what_this_is_and_answers_the_probe_of_older_claude_codes() -> None:
    for method in ("GET", "HEAD"):
        assert resolve(method, "/") == (Endpoint.HOME, "/", "")
    assert isinstance(resolve("POST", "/"), Refusal)


@pytest.mark.parametrize("path", ["/admin/v1/keys", "/admin/v1/keys/key_1/rotate", "/admin/v1/x"])
def test_what_is_below_the_administration_is_its_own_to_judge(path: str) -> None:
    assert resolve("PATCH", path) == (Endpoint.ADMIN, path, "")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/admin",
        "/admin/v2/keys",
        "/v1",
        "/v1/",
        "/v1/v1/v1/messages",
        "/V1/messages",
        "/v1/messages/",
        "//v1/messages",
        "/v1/messages/../models",
        "/v1/models/",
        "/v1/messages\n",
        "/v1/messages/batches/a/b/results",
    ],
)
def test_other_paths_do_not_exist(path: str) -> None:
    refusal = resolve("GET", path)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (404, "endpoint_not_found")


def test_a_wrong_method_is_told_the_right_ones() -> None:
    refusal = resolve("PUT", "/v1/messages/batches")
    assert isinstance(refusal, Refusal)
    assert refusal.status == 405
    assert dict(refusal.headers)["allow"] == "GET, POST"


@pytest.mark.parametrize(
    ("path", "meant", "why"),
    [
        ("/messages", "/v1/messages does", "base URL end in /v1"),
        ("/messages/count_tokens", "/v1/messages/count_tokens does", "base URL end in /v1"),
        ("/messages/batches", "/v1/messages/batches does", "base URL end in /v1"),
        ("/models", "/v1/models does", "base URL end in /v1"),
        ("/v1/messages/", "/v1/messages does", "a slash too many"),
        ("//v1/messages", "/v1/messages does", "a slash too many"),
        ("/v1//messages", "/v1/messages does", "a slash too many"),
        ("/anthropic/v1/messages", "/v1/messages does", "a path that is not here"),
        ("/v1/v1/v1/messages", "/v1/messages does", "a path that is not here"),
        ("/v1/complete", "POST /v1/messages", "Claude's Messages API"),
        ("/v1/chat/completions", "POST /v1/messages", "Claude's Messages API"),
        ("/chat/completions", "POST /v1/messages", "Claude's Messages API"),
        ("/v1/responses", "POST /v1/messages", "Claude's Messages API"),
    ],
)
def test_a_path_that_is_nearly_right_is_told_the_right_one(path: str, meant: str, why: str) -> None:
    refusal = resolve("POST", path)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 404
    assert refusal.message.startswith(f"The requested endpoint does not exist: POST {path}; ")
    assert meant in refusal.message
    assert why in refusal.message


@pytest.mark.parametrize("path", ["/", "/v1", "/nothing", "/v2/messages", "/admin", "/" * 5000])
def test_a_path_that_is_nothing_like_one_is_told_none(path: str) -> None:
    refusal = resolve("POST", path)
    assert isinstance(refusal, Refusal)
    assert ";" not in refusal.message or refusal.status == 405


def test_the_chat_asks_by_its_own_path_for_what_the_api_gives() -> None:
    assert resolve("POST", "/console/chat/messages") == (Endpoint.CHAT, "/v1/messages", "")
    assert resolve("GET", "/console/chat/models") == (Endpoint.CHAT, "/v1/models", "")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/console/chat/messages"),
        ("POST", "/console/chat/models"),
        ("POST", "/console/chat/messages/"),
        ("POST", "/console/chat"),
    ],
)
def test_whatever_else_is_there_is_a_page(method: str, path: str) -> None:
    assert resolve(method, path) == (Endpoint.CONSOLE, path, "")
