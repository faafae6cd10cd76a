"""The list of models through a running gateway."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from apertis import Apertis

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.gateway.conftest import Client, RunningGateway

CONFIG = """
[limits]
per_address = "0"
per_key = "0"

[[upstreams]]
name = "sandbox"
kind = "sandbox"
models = [
    "claude-sonnet-4-5",
    "claude-opus-4-1",
    {id = "house", aliases = ["fast"], upstream_model = "claude-haiku-4-5"},
]
"""


def ids(client: Client, query: str = "") -> list[str]:
    answer = client.call("GET", f"/v1/models?{query}")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    return [model["id"] for model in json.loads(answer.body)["data"]]


@pytest.fixture
def gateway(start_gateway: Callable[..., RunningGateway]) -> RunningGateway:
    return start_gateway(CONFIG)


def test_a_key_sees_the_models_that_it_may_use(gateway: RunningGateway) -> None:
    assert ids(gateway.client) == ["claude-sonnet-4-5", "claude-opus-4-1", "house"]
    assert ids(gateway.client, "limit=1&after_id=claude-sonnet-4-5") == ["claude-opus-4-1"]
    _, some = gateway.make_key(models=["claude-opus*", "fast"])
    assert ids(some) == ["claude-opus-4-1", "house"]
    for name, status in (("fast", 200), ("house", 200), ("claude-sonnet-4-5", 404), ("no", 404)):
        answer = some.call("GET", f"/v1/models/{name}")
        assert answer.status == status
        document: dict[str, Any] = json.loads(answer.body)
        assert status == 404 or document["id"] == "house"
        assert status == 200 or document["error"]["code"] == "model_not_found"


def test_the_sdk_lists_models(gateway: RunningGateway) -> None:
    with Apertis(api_key=gateway.admin_key, base_url=gateway.base_url) as client:
        assert [model.id for model in client.models.list()] == ids(gateway.client)
        assert client.models.retrieve("house").id == "house"


def test_what_is_configured_anew_is_listed_at_once(gateway: RunningGateway) -> None:
    file = gateway.data.parent / "apertis.toml"
    file.write_text(CONFIG.replace('    "claude-opus-4-1",\n', ""))
    gateway.gateway.reload()
    assert ids(gateway.client) == ["claude-sonnet-4-5", "house"]


def test_head_and_wrong_pages(gateway: RunningGateway) -> None:
    answer = gateway.client.call("HEAD", "/v1/models")
    assert (answer.status, answer.body) == (200, b"")
    refused = gateway.client.call("GET", "/v1/models?limit=x")
    assert refused.status == 400
    assert json.loads(refused.body)["error"]["param"] == "limit"
