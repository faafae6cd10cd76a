"""`client.beta`: the same resources; features are parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.testing import ScriptedServer, json_response, sse_response
from tests.kit.exchanges import ANSWER, EVENTS, KEY, LEAST

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis import Apertis

    Connect = Callable[..., Apertis]


def test_beta_messages_are_messages_with_features(connect: Connect) -> None:
    with ScriptedServer([json_response(200, ANSWER), sse_response(EVENTS)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        assert client.beta.messages.create(**LEAST, betas=["a", "b"]).text == "Hi."
        with client.beta.messages.stream(**LEAST, betas=["a"]) as stream:
            assert stream.get_final_text() == "Hi."
        features = [request.headers["anthropic-beta"] for request in server.requests]
        assert features == ["a,b", "a"]
        assert {request.query for request in server.requests} == {"beta=true"}


def test_beta_has_batches_and_models_and_raw_responses(connect: Connect) -> None:
    listed = json_response(200, {"data": [], "has_more": False})
    with ScriptedServer([listed, listed, json_response(200, ANSWER)]) as server:
        beta = connect(api_key=KEY, base_url=server.base_url).beta
        assert list(beta.messages.batches.list(betas=["a"])) == []
        assert list(beta.models.list()) == []
        assert beta.with_raw_response.messages.create(**LEAST).parse().text == "Hi."
        assert server.requests[0].headers["anthropic-beta"] == "a"
