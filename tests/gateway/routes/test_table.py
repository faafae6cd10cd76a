from __future__ import annotations

import pytest

from apertis.gateway.errors import Refusal
from apertis.gateway.routes.table import Endpoint, resolve

API_CALLS = [
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/v1/messages/batches"),
    ("GET", "/v1/messages/batches"),
    ("GET", "/v1/messages/batches/msgbatch_1"),
    ("DELETE", "/v1/messages/batches/msgbatch_1"),
    ("POST", "/v1/messages/batches/msgbatch_1/cancel"),
    ("GET", "/v1/messages/batches/msgbatch_1/results"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/claude-sonnet-4.5"),
]


@pytest.mark.parametrize(("method", "path"), API_CALLS)
def test_the_api_is_there(method: str, path: str) -> None:
    assert resolve(method, path) == (Endpoint.API, path)


@pytest.mark.parametrize(("method", "path"), API_CALLS)
def test_a_base_that_ends_in_v1_reaches_the_same(method: str, path: str) -> None:
    assert resolve(method, f"/v1{path}") == (Endpoint.API, path)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_probes_are_open(method: str) -> None:
    assert resolve(method, "/healthz") == (Endpoint.HEALTH, "/healthz")
    assert resolve(method, "/api/hello") == (Endpoint.HELLO, "/api/hello")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
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
