"""`fallbacks` in a body: each model is allowed and priced, and all of the chain is set aside."""

from __future__ import annotations

import asyncio
import itertools
import json
from math import ceil
from typing import TYPE_CHECKING, Any

import pytest

from apertis.accounting.prices import LIST_PRICES
from apertis.testing import Exchange, ScriptedServer, json_response
from tests.kit.money import Money, Upstream, call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apertis.testing import RecordedRequest
    from tests.kit.gateways import RunningGateway
    from tests.kit.money import Answer

CONFIG = """
[limits]
per_address = "0"
per_key = "0"
[[upstreams]]
name = "plain"
base_url = "{url}"
api_key_env = "PLAIN"
models = ["small", "large", "unpriced"]
[[upstreams]]
name = "other"
base_url = "{url}"
api_key_env = "OTHER"
priority = 1
[[upstreams.models]]
id = "small"
[[upstreams.models]]
id = "huge"
upstream_model = "huge-20990101"
[[upstreams.models]]
id = "large"
upstream_model = "big"
aliases = ["l"]
[[upstreams]]
name = "lonely"
base_url = "{url}"
api_key_env = "LONELY"
models = ["lonely"]
[prices.small]
input = "0.1"
output = "0.5"
[prices.large]
input = "5"
output = "25"
[prices.huge]
input = "10"
output = "50"
[prices.lonely]
input = "1"
output = "1"
"""
# Dollars per million tokens are half as many units per token.
UNITS = {"small": (0.05, 0.25), "large": (2.5, 12.5), "huge": (5.0, 25.0)}


_numbers = itertools.count(1)


def message(request: RecordedRequest) -> Exchange:
    if request.target.endswith("/batches"):
        made = {"id": f"msgbatch_{next(_numbers)}", "processing_status": "in_progress"}
        return Exchange(json_response(200, {**made, "type": "message_batch", "results_url": None}))
    said: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": json.loads(request.body)["model"],
        "content": [],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 1},
    }
    usage = json.loads(request.body).get("metadata", {}).get("usage")
    return Exchange(json_response(200, {**said, "usage": usage} if usage else said))


class Chains:
    def __init__(self, gateway: RunningGateway, server: ScriptedServer) -> None:
        self.gateway = gateway
        self.server = server

    def ask(self, body: bytes, headers: dict[str, str] | None = None, **key: Any) -> Answer:
        _, client = self.gateway.make_key(**key)
        return asyncio.run(call(client.port, client.api_key, body, headers))

    def booked(self, data: bytes) -> dict[str, Any]:
        """What is booked of a request."""
        id_, client = self.gateway.make_key(quota_usd="5")
        assert asyncio.run(call(client.port, client.api_key, data)).status == 200
        (row,) = Money(self.gateway, Upstream()).settled(id_, 1)
        return row

    def ask_batch(self, *bodies: bytes, **key: Any) -> tuple[int, str]:
        """Ask for a batch of these; the status, and the code of an error."""
        entries = [{"custom_id": f"{n}", "params": json.loads(b)} for n, b in enumerate(bodies)]
        _, client = self.gateway.make_key(**key)
        answer = client.call(
            "POST", "/v1/messages/batches", json.dumps({"requests": entries}).encode()
        )
        said = json.loads(answer.body)
        return answer.status, said["error"]["code"] if "error" in said else ""

    def sent(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.server.requests[-1].body)
        return found

    def by(self) -> str:
        return self.server.requests[-1].headers["x-api-key"]


@pytest.fixture
def chains(start_gateway: Callable[..., RunningGateway]) -> Iterator[Chains]:
    with ScriptedServer(message, require_all=False) as server:
        config = CONFIG.format(url=server.base_url)
        environment = {"PLAIN": "plain", "OTHER": "other", "LONELY": "lonely"}
        yield Chains(start_gateway(config, **environment), server)


def body(model: str = "small", max_tokens: int = 1000, **fields: Any) -> bytes:
    asked = {"model": model, "max_tokens": max_tokens, **fields}
    return json.dumps({**asked, "messages": [{"role": "user", "content": "hi"}]}).encode()


def bound(data: bytes, *hops: tuple[str, int]) -> int:
    prompt = -(-len(data) // 2) + 100
    return sum(ceil(prompt * UNITS[name][0] + most * UNITS[name][1]) for name, most in hops)


def told(answer: Answer) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["error"]["code"]


def test_a_model_that_the_key_may_not_use_is_refused_wherever_it_is_named(chains: Chains) -> None:
    for fallbacks in ([{"model": "large"}], [{"model": "small"}, {"model": "l"}], "default"):
        answer = chains.ask(body(fallbacks=fallbacks), models=["small"])
        assert told(answer) == (403, "model_access_denied")
    assert not chains.server.requests
    assert chains.ask(body(fallbacks=[{"model": "large"}]), models=["small", "large"]).status == 200


def test_default_is_for_keys_that_may_use_every_model(chains: Chains) -> None:
    every = [*LIST_PRICES, "small", "large", "huge", "lonely"]
    assert chains.ask(body(fallbacks="default"), models=every).status == 200
    assert told(chains.ask(body(fallbacks="default"), models=every[1:]))[0] == 403
    assert chains.ask(body(fallbacks="default")).status == 200


def test_a_model_without_a_price_is_refused_to_a_key_with_a_quota(chains: Chains) -> None:
    data = body(fallbacks=[{"model": "unpriced"}])
    assert told(chains.ask(data, quota_usd="5")) == (403, "model_access_denied")
    assert chains.ask(data).status == 200


@pytest.mark.parametrize(
    ("fallbacks", "hops"),
    [
        ([{"model": "large"}], [("large", 1000)]),
        ([{"model": "large", "max_tokens": 9}], [("large", 9)]),
        (
            [{"model": "large", "max_tokens": 9000}, {"model": "small"}],
            [("large", 9000), ("small", 1000)],
        ),
        ([{"model": "large"}] * 3, [("large", 1000)] * 3),
    ],
)
def test_the_sum_over_the_chain_is_set_aside_to_the_unit(
    chains: Chains, fallbacks: list[dict[str, Any]], hops: list[tuple[str, int]]
) -> None:
    data = body(fallbacks=fallbacks)
    most = bound(data, ("small", 1000), *hops)
    assert told(chains.ask(data, quota_units=most - 1)) == (402, "quota_exceeded")
    assert chains.ask(data, quota_units=most).status == 200


def test_default_sets_aside_what_every_model_may_cost(chains: Chains) -> None:
    data = body(fallbacks="default")
    assert told(chains.ask(data, quota_usd="0.4")) == (402, "quota_exceeded")
    assert chains.ask(data, quota_usd="2").status == 200


@pytest.mark.parametrize("speed", ['"fast"', '"unheard-of"'])
def test_a_fast_hop_costs_what_fast_mode_costs(chains: Chains, speed: str) -> None:
    # Fast mode of this model costs twice as much.
    plain = body("small", fallbacks=[{"model": "claude-opus-5-5", "speed": "standard"}])
    fast = plain.replace(b'"standard"', speed.encode())
    config = chains.gateway.data.parent / "apertis.toml"
    config.write_text(config.read_text().replace('"huge"', '"claude-opus-5-5"', 1))
    chains.gateway.gateway.reload()
    need = bound(plain, ("small", 1000)) + ceil((-(-len(plain) // 2) + 100) * 2 + 1000 * 10)
    assert chains.ask(plain, quota_units=need).status == 200
    assert told(chains.ask(fast, quota_units=need)) == (402, "quota_exceeded")
    assert chains.ask(fast, quota_units=2 * need).status == 200


def test_models_go_up_under_the_names_of_the_upstream_that_has_them_all(chains: Chains) -> None:
    assert chains.ask(body(fallbacks=[{"model": "large"}])).status == 200
    assert (chains.by(), chains.sent()["fallbacks"]) == ("plain", [{"model": "large"}])
    # Only the second one has it, and calls both otherwise.
    data = body(fallbacks=[{"model": "l", "max_tokens": 5}, {"model": "huge"}])
    assert chains.ask(data).status == 200
    expected = [{"model": "big", "max_tokens": 5}, {"model": "huge-20990101"}]
    assert (chains.by(), chains.sent()["fallbacks"]) == ("other", expected)


def test_a_chain_that_no_upstream_has_as_a_whole_is_refused(chains: Chains) -> None:
    assert told(chains.ask(body(fallbacks=[{"model": "nobody"}]))) == (404, "model_not_found")
    assert told(chains.ask(body(fallbacks=[{"model": "lonely"}]))) == (400, "invalid_parameter")
    assert not chains.server.requests


def test_a_chain_that_is_written_twice_is_refused_and_not_priced(chains: Chains) -> None:
    entry = b'{"model":"large","max_tokens":1,"max_tokens":900000}'
    data = body(fallbacks=[]).replace(b"[]", b"[%s]" % entry, 1)
    assert told(chains.ask(data, quota_usd="1")) == (400, "invalid_parameter")
    assert not chains.server.requests


def test_another_models_answer_is_never_kept_for_the_next_request(chains: Chains) -> None:
    data = body(fallbacks=[{"model": "large"}])
    for _ in range(2):
        answer = chains.ask(data, {"x-response-cache": "on"})
        assert "x-response-cache" not in answer.headers
    assert len(chains.server.requests) == 2


def test_models_of_the_gateway_and_of_the_upstream_stand_in_beside_each_other(
    chains: Chains,
) -> None:
    # One of the first, and all of the second: each is asked with the same chain.
    data = body(fallbacks=[{"model": "large"}], fallback_models=["large"], fallback_enabled=True)
    most = bound(data, ("large", 1000), ("large", 1000))
    assert told(chains.ask(data, quota_units=most - 1)) == (402, "quota_exceeded")
    assert chains.ask(data, quota_units=most).status == 200


def attempt(kind: str, model: str | None, used: tuple[int, int]) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": kind, "input_tokens": used[0], "output_tokens": used[1]}
    return entry if model is None else {**entry, "model": model}


def reported(*attempts: dict[str, Any]) -> dict[str, Any]:
    last = attempts[-1]
    top = {name: last[name] for name in ("input_tokens", "output_tokens")}
    return {"usage": {**top, "iterations": list(attempts)}}


def cost(*used: tuple[str, int, int]) -> int:
    return sum(ceil(a * UNITS[name][0] + b * UNITS[name][1]) for name, a, b in used)


def test_each_attempt_is_booked_at_its_own_model(chains: Chains) -> None:
    usage = reported(
        attempt("message", "small", (400, 20)), attempt("fallback_message", "large", (410, 300))
    )
    row = chains.booked(body(fallbacks=[{"model": "large"}], metadata=usage))
    assert row["cost_units"] == cost(("small", 400, 20), ("large", 410, 300))
    assert (row["model"], row["requested_model"], row["estimated"]) == ("large", "small", 0)
    assert (row["input_tokens"], row["output_tokens"]) == (410, 300)


def test_an_upstreams_own_name_of_a_model_finds_its_price(chains: Chains) -> None:
    usage = reported(
        attempt("message", None, (400, 20)),
        attempt("message", "big", (410, 5)),
        attempt("fallback_message", "huge-20990101", (420, 300)),
    )
    row = chains.booked(body(fallbacks=[{"model": "l"}, {"model": "huge"}], metadata=usage))
    used = (("small", 400, 20), ("large", 410, 5), ("huge", 420, 300))
    assert (row["model"], row["cost_units"], row["estimated"]) == ("huge", cost(*used), 0)


def test_a_model_that_nobody_knows_costs_what_the_dearest_of_the_chain_costs(
    chains: Chains,
) -> None:
    usage = reported(
        attempt("message", "small", (400, 20)), attempt("fallback_message", "what", (410, 300))
    )
    row = chains.booked(body(fallbacks=[{"model": "large"}], metadata=usage))
    assert row["cost_units"] == cost(("small", 400, 20), ("large", 410, 300))
    assert (row["model"], row["estimated"]) == ("what", 1)


def test_what_one_attempt_cannot_have_used_is_estimated_alone(chains: Chains) -> None:
    usage = reported(
        attempt("message", "small", (10**12, 20)), attempt("fallback_message", "large", (410, 300))
    )
    row = chains.booked(body(fallbacks=[{"model": "large"}], metadata=usage))
    large = cost(("large", 410, 300))
    assert large + cost(("small", 20, 20)) <= row["cost_units"] <= large + cost(("small", 400, 20))
    assert row["estimated"]


def test_the_requests_of_a_batch_are_held_to_the_same(chains: Chains) -> None:
    for fallbacks in ([{"model": "large"}], "default"):
        found = chains.ask_batch(body(), body(fallbacks=fallbacks), models=["small"])
        assert found == (403, "model_access_denied")
    unpriced = body(fallbacks=[{"model": "unpriced"}])
    assert chains.ask_batch(unpriced, quota_usd="5") == (403, "model_access_denied")
    assert chains.ask_batch(body(fallbacks=[{"model": "nobody"}])) == (404, "model_not_found")
    assert chains.ask_batch(body(fallbacks=[{"model": "lonely"}])) == (400, "invalid_parameter")
    assert chains.ask_batch(body(fallbacks=[{"model": ""}])) == (400, "invalid_parameter")
    assert not chains.server.requests


def test_a_batch_holds_the_sum_over_its_chains_and_names_them_for_its_upstream(
    chains: Chains,
) -> None:
    data = body(fallbacks=[{"model": "l"}, {"model": "huge", "max_tokens": 10}])
    # A batch costs half.
    most = bound(data, ("small", 1000), ("large", 1000), ("huge", 10)) / 2
    assert chains.ask_batch(data, quota_units=int(most) - 3) == (402, "quota_exceeded")
    assert chains.ask_batch(data, quota_units=int(most) + 3) == (200, "")
    (request,) = chains.sent()["requests"]
    expected = [{"model": "big"}, {"model": "huge-20990101", "max_tokens": 10}]
    assert (chains.by(), request["params"]["fallbacks"]) == ("other", expected)
    assert chains.ask_batch(body(fallbacks="default"), quota_usd="0.2")[0] == 402
    assert chains.ask_batch(body(fallbacks="default"), quota_usd="1")[0] == 200


def test_a_limit_of_a_model_holds_in_a_batch_where_it_stands_in(chains: Chains) -> None:
    key_id, client = chains.gateway.make_key()
    limit = {"key": key_id, "amount_usd": "0.001", "models": ["large"]}
    made = chains.gateway.client.call("POST", "/admin/v1/limits", json.dumps(limit).encode())
    assert made.status == 200

    def status(data: bytes) -> int:
        entries = [{"custom_id": "a", "params": json.loads(data)}]
        path, sent = "/v1/messages/batches", json.dumps({"requests": entries}).encode()
        return client.call("POST", path, sent).status

    for fallbacks in ([{"model": "l"}], [{"model": "huge"}, {"model": "large"}], "default"):
        assert status(body(fallbacks=fallbacks)) == 402
    assert status(body(fallbacks=[{"model": "huge"}])) == 200


def test_going_on_with_a_conversation_in_a_batch_holds_a_window(chains: Chains) -> None:
    thread = {"type": "continue", "previous_message_id": "msg_1"}
    refused = (400, "thread_unsupported_request")
    assert chains.ask_batch(body(thread=thread), body(), quota_usd="0.05") == refused
    assert chains.ask_batch(body(thread=thread), body(), quota_usd="0.2") == (200, "")
    assert chains.ask_batch(body(thread=thread), quota_units=5) == (402, "quota_exceeded")
    # One that begins is all in its body.
    assert chains.ask_batch(body(thread={"type": "create"}), quota_usd="0.05") == (200, "")
