"""Batches through a running gateway: whose they are, what they cost, and what clients see."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import threading
from typing import TYPE_CHECKING, Any

import pytest

from apertis import Apertis
from apertis.errors import APIStatusError
from apertis.testing import Close, Exchange, Gate, ScriptedServer, http_chunk, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apertis.testing import RecordedRequest
    from tests.kit.gateways import RunningGateway
    from tests.kit.http import Client, Response

BATCHES = "/v1/messages/batches"
MODEL = "claude-sonnet-4-5"
# List prices of the model in units a token, at half price: 0.75 for input, 3.75 for output.
UNLIMITED = '[limits]\nper_address = "0"\nper_key = "0"\n'


def request_of(custom_id: str, **params: Any) -> Any:
    message = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}
    return {"custom_id": custom_id, "params": {**message, **params}}


def body_of(*requests: dict[str, Any]) -> bytes:
    return json.dumps({"requests": requests}).encode()


def error_of(response: Response) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(response.body)["error"]
    return error


class FakeAPI:
    """An upstream whose batches end when the test says so, with the results that it gives."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.requests: list[RecordedRequest] = []
        self.results: dict[str, list[dict[str, Any]]] = {}
        self.answers: dict[tuple[str, str], bytes] = {}
        self.gone: set[str] = set()
        self.cut_after: int | None = None
        self.gate: Gate | None = None

    def entry(self, batch_id: str) -> dict[str, Any]:
        lines = self.results.get(batch_id)
        kinds = [line["result"]["type"] for line in lines or ()]
        counts = {
            kind: kinds.count(kind) for kind in ("succeeded", "errored", "canceled", "expired")
        }
        return {
            "id": batch_id,
            "type": "message_batch",
            "processing_status": "in_progress" if lines is None else "ended",
            "request_counts": {"processing": 0 if lines else 1, **counts},
            "created_at": "2026-01-31T12:00:00Z",
            "results_url": None
            if lines is None
            else f"https://api.example.com/v1/messages/batches/{batch_id}/results",
        }

    def __call__(self, request: RecordedRequest) -> Exchange | bytes:
        self.requests.append(request)
        planned = self.answers.get((request.method, request.path))
        if planned is not None:
            return planned
        parts = request.path.removeprefix(BATCHES).strip("/").split("/")
        batch_id = parts[0]
        if request.method == "POST" and not batch_id:
            self.bodies.append(request.body)
            made = json_response(200, self.entry(f"msgbatch_{len(self.bodies)}"))
            return made if self.gate is None else Exchange(self.gate, made)
        if batch_id in self.gone:
            error = {"type": "not_found_error", "message": "no such batch"}
            return json_response(404, {"type": "error", "error": error})
        if parts[-1] == "results":
            return self.lines(batch_id)
        if request.method == "DELETE":
            self.gone.add(batch_id)
            return json_response(200, {"id": batch_id, "type": "message_batch_deleted"})
        return json_response(200, self.entry(batch_id))

    def lines(self, batch_id: str) -> Exchange | bytes:
        lines = self.results.get(batch_id)
        if lines is None:
            error = {"type": "invalid_request_error", "message": "has not ended"}
            return json_response(400, {"type": "error", "error": error})
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-jsonl\r\n"
        head += b"transfer-encoding: chunked\r\n\r\n"
        sent = lines if self.cut_after is None else lines[: self.cut_after]
        # Cut without regard to lines.
        data = b"".join(json.dumps(line).encode() + b"\n" for line in sent)
        pieces = [data[at : at + 100] for at in range(0, len(data), 100)]
        chunks = b"".join(map(http_chunk, pieces))
        if self.cut_after is not None:
            return Exchange(head + chunks, Close)
        return head + chunks + http_chunk(b"")


def succeeded(custom_id: str, input_tokens: int = 10, output_tokens: int = 4) -> dict[str, Any]:
    usage = {"input_tokens": input_tokens, "output_tokens": output_tokens}
    message = {
        "id": f"msg_{custom_id}",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [{"type": "text", "text": 'Zoë\u2028says: ["}\n'}],
        "stop_reason": "end_turn",
        "usage": usage,
    }
    return {"custom_id": custom_id, "result": {"type": "succeeded", "message": message}}


def failed(custom_id: str, kind: str) -> dict[str, Any]:
    result: dict[str, Any] = {"type": kind}
    if kind == "errored":
        error = {"type": "invalid_request_error", "message": "no"}
        result["error"] = {"type": "error", "error": error}
    return {"custom_id": custom_id, "result": result}


def cost(*tokens: tuple[int, int]) -> int:
    """Half of the list price, each line rounded up: 3 and 15 dollars a million."""
    return sum(-(-(i * 1_500_000 + o * 7_500_000) // 2_000_000) for i, o in tokens)


@pytest.fixture
def api() -> FakeAPI:
    return FakeAPI()


@pytest.fixture
def upstream(api: FakeAPI) -> Iterator[ScriptedServer]:
    with ScriptedServer(api, require_all=False) as server:
        yield server


@pytest.fixture
def gateway(
    upstream: ScriptedServer, start_gateway: Callable[..., RunningGateway]
) -> RunningGateway:
    return start_gateway(config_for(upstream), STUB_KEY="sk-stub")


def config_for(upstream: ScriptedServer, more: str = "") -> str:
    return (
        f'{UNLIMITED}{more}\n[[upstreams]]\nname = "stub"\nkind = "anthropic"\n'
        f'base_url = "{upstream.base_url}"\napi_key_env = "STUB_KEY"\n'
    )


def account(client: Client) -> dict[str, int]:
    data: dict[str, int] = json.loads(client.call("GET", "/api/user/token").body)["data"]
    return data


def make(client: Client, *requests: dict[str, Any]) -> str:
    answer = client.call("POST", BATCHES, body_of(*requests))
    assert answer.status == 200, answer.body
    batch_id: str = json.loads(answer.body)["id"]
    return batch_id


def read_lines(client: Client, batch_id: str) -> list[dict[str, Any]]:
    answer = client.call("GET", f"{BATCHES}/{batch_id}/results")
    assert answer.status == 200, answer.body
    return [json.loads(line) for line in answer.body.split(b"\n") if line]


def booked(gateway: RunningGateway, key_id: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = gateway.usage(by="kind", key=key_id)["data"]
    return rows


def test_the_sdk_makes_reads_and_deletes_a_batch(sandbox_gateway: RunningGateway) -> None:
    _, own = sandbox_gateway.make_key()
    with Apertis(api_key=own.api_key, base_url=sandbox_gateway.base_url) as client:
        batches = client.messages.batches
        made = batches.create(requests=[request_of("a"), request_of("b", max_tokens=7)])
        assert made.processing_status == "in_progress"
        ended = batches.retrieve(made.id)
        assert ended.processing_status == "ended"
        assert ended.results_url == f"{sandbox_gateway.base_url}{BATCHES}/{made.id}/results"
        results = {line.custom_id: line.result for line in batches.results(made.id)}
        assert {name: result.type for name, result in results.items()} == {
            "a": "succeeded",
            "b": "succeeded",
        }
        assert [batch.id for batch in batches.list()] == [made.id]
        assert batches.delete(made.id).id == made.id
        assert not list(batches.list())
        with pytest.raises(APIStatusError) as raised:
            batches.retrieve(made.id)
        assert raised.value.status == 404


def test_a_batch_goes_up_byte_by_byte(gateway: RunningGateway, api: FakeAPI) -> None:
    body = (
        b' { "requests" : [ {"custom_id":"a", "params": {"model":"claude-sonnet-4-5" ,'
        b'"max_tokens":1e1,"messages":[{"role":"user","content":"\\u00e9\\/ Zo\xc3\xab"}]}}\n]}\t'
    ).replace(b"1e1", b"10")
    headers = {
        "x-api-key": gateway.admin_key,
        "content-type": "application/json",
        "anthropic-version": "2026-10-21",
        "anthropic-beta": "some-beta",
    }
    answer = gateway.client.call("POST", f"{BATCHES}?beta=true", body, headers)
    assert answer.status == 200
    assert api.bodies == [body]
    sent = api.requests[0]
    assert sent.target == f"{BATCHES}?beta=true"
    assert sent.headers["anthropic-version"] == "2026-10-21"
    assert sent.headers["anthropic-beta"] == "some-beta"
    assert sent.headers["x-api-key"] == "sk-stub"


def test_results_come_down_byte_by_byte(gateway: RunningGateway, api: FakeAPI) -> None:
    batch_id = make(gateway.client, request_of("a"), request_of("b"))
    api.results[batch_id] = lines = [succeeded("b"), failed("a", "errored")]
    expected = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    for _ in range(2):
        answer = gateway.client.call("GET", f"{BATCHES}/{batch_id}/results")
        assert answer.body == expected
        assert answer.headers["content-type"] == "application/x-jsonl"


def test_every_kind_of_line_is_booked_once_however_often_it_is_read(
    gateway: RunningGateway, api: FakeAPI
) -> None:
    key_id, client = gateway.make_key(quota_units=100_000)
    names = ("a", "b", "c", "d", "e")
    batch_id = make(client, *(request_of(name) for name in names))
    held = account(client)["reserved_quota"]
    assert held > 5 * cost((0, 100))
    assert account(client)["used_quota"] == 0
    api.results[batch_id] = [
        succeeded("c", 100, 50),
        failed("a", "errored"),
        failed("b", "canceled"),
        succeeded("d", 7, 3),
        failed("e", "expired"),
    ]
    spent = cost((100, 50), (7, 3))
    for _ in range(3):
        assert len(read_lines(client, batch_id)) == 5
        seen = account(client)
        assert (seen["used_quota"], seen["reserved_quota"]) == (spent, 0)
    (row,) = booked(gateway, key_id)
    assert (row["kind"], row["requests"], row["cost_units"]) == ("batch", 2, spent)


@pytest.mark.parametrize("seed", range(3))
def test_the_ledger_is_the_sum_of_usages_over_cuts_and_restarts(
    upstream: ScriptedServer,
    api: FakeAPI,
    run_gateway: Callable[..., contextlib.AbstractContextManager[RunningGateway]],
    seed: int,
) -> None:
    """Whatever is read, in whatever pieces, by whichever process: each answer is paid once."""
    chance = random.Random(seed)
    expected = 0
    config, environment = config_for(upstream), {"STUB_KEY": "sk-stub"}
    with run_gateway(config, **environment) as running:
        key_id, client = running.make_key(quota_units=1_000_000)
        batches: list[str] = []
        for _ in range(3):
            names = [f"line-{place}" for place in range(chance.randrange(1, 9))]
            batches.append(make(client, *map(request_of, names)))
            api.results[batches[-1]] = lines = []
            chance.shuffle(names)
            for name in names:
                used = (chance.randrange(200), chance.randrange(100))
                kind = chance.choice(["succeeded", "succeeded", "errored", "canceled", "expired"])
                if kind == "succeeded":
                    expected += cost(used)
                    lines.append(succeeded(name, *used))
                else:
                    lines.append(failed(name, kind))
        held = account(client)["reserved_quota"]
        assert held >= expected
    for _ in range(3):
        with run_gateway(config, **environment) as running:
            own = type(client)(running.client.port, client.api_key)
            seen = account(own)
            assert seen["used_quota"] + seen["reserved_quota"] >= expected
            api.cut_after = chance.randrange(4)
            for batch_id in batches:
                # Cut somewhere; what came is booked.
                with contextlib.suppress(http.client.IncompleteRead):
                    own.call("GET", f"{BATCHES}/{batch_id}/results")
            api.cut_after = None
    with run_gateway(config, **environment) as running:
        own = type(client)(running.client.port, client.api_key)
        for batch_id in batches * 2:
            assert read_lines(own, batch_id) == api.results[batch_id]
        seen = account(own)
        assert (seen["used_quota"], seen["reserved_quota"]) == (expected, 0)
        assert sum(row["cost_units"] for row in booked(running, key_id)) == expected
    with run_gateway(config, **environment) as running:
        own = type(client)(running.client.port, client.api_key)
        seen = account(own)
        assert (seen["used_quota"], seen["reserved_quota"]) == (expected, 0)


def test_readers_at_the_same_time_pay_once(gateway: RunningGateway, api: FakeAPI) -> None:
    key_id, client = gateway.make_key(quota_units=10_000_000)
    names = [f"line-{place}" for place in range(300)]
    batch_id = make(client, *map(request_of, names))
    api.results[batch_id] = [succeeded(name, place, 5) for place, name in enumerate(names)]
    counts: list[int] = []

    def read() -> None:
        counts.append(len(read_lines(client, batch_id)))

    readers = [threading.Thread(target=read) for _ in range(6)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(60)
    assert counts == [300] * 6
    spent = cost(*((place, 5) for place in range(300)))
    seen = account(client)
    assert (seen["used_quota"], seen["reserved_quota"]) == (spent, 0)
    assert [row["cost_units"] for row in booked(gateway, key_id)] == [spent]


def test_a_batch_is_its_keys_own(gateway: RunningGateway, api: FakeAPI) -> None:
    key_id, client = gateway.make_key(quota_units=100_000)
    _, other = gateway.make_key()
    batch_id = make(client, request_of("a"))
    api.results[batch_id] = [succeeded("a", 10, 4)]
    before = len(api.requests)
    for method, path in (
        ("GET", batch_id),
        ("POST", f"{batch_id}/cancel"),
        ("DELETE", batch_id),
        ("GET", f"{batch_id}/results"),
        ("GET", "msgbatch_never"),
        ("GET", "a%00b"),
    ):
        answer = other.call(method, f"{BATCHES}/{path}")
        assert (answer.status, error_of(answer)["code"]) == (404, "not_found")
    assert len(api.requests) == before
    assert json.loads(other.call("GET", BATCHES).body)["data"] == []
    # An administrator sees it, and its owner pays whoever reads.
    listed = json.loads(gateway.client.call("GET", BATCHES).body)
    assert [entry["id"] for entry in listed["data"]] == [batch_id]
    assert len(read_lines(gateway.client, batch_id)) == 1
    assert account(client)["used_quota"] == cost((10, 4))
    assert [row["requests"] for row in booked(gateway, key_id)] == [1]


def test_what_a_quota_cannot_pay_for_never_goes_up(gateway: RunningGateway, api: FakeAPI) -> None:
    _, client = gateway.make_key(quota_units=3 * cost((0, 100)))
    answer = client.call("POST", BATCHES, body_of(*map(request_of, "abcd")))
    assert (answer.status, error_of(answer)["code"]) == (402, "quota_exceeded")
    assert not api.bodies
    assert account(client)["reserved_quota"] == 0
    # The bound is at the price of batches: half of what the same requests cost alone.
    make(client, request_of("a"), request_of("b"))


def test_a_refusal_of_the_upstream_passes_and_holds_nothing(
    gateway: RunningGateway, api: FakeAPI
) -> None:
    _, client = gateway.make_key(quota_units=100_000)
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "no, thanks"}}
    api.answers["POST", BATCHES] = refusal = json_response(400, error, {"request-id": "req_up"})
    answer = client.call("POST", BATCHES, body_of(request_of("a")))
    assert answer.status == 400
    assert refusal.endswith(answer.body)
    assert answer.headers["request-id"] == "req_up"
    assert account(client)["reserved_quota"] == 0
    assert json.loads(client.call("GET", BATCHES).body)["data"] == []


MODELS = """
models = [
    "claude-sonnet-4-5",
    "unheard-of",
    {id = "house", aliases = ["fast"], upstream_model = "claude-haiku-4-5"},
]
[[upstreams]]
name = "other"
kind = "sandbox"
models = ["claude-opus-4-1"]
"""


@pytest.fixture
def routed(
    upstream: ScriptedServer, start_gateway: Callable[..., RunningGateway]
) -> RunningGateway:
    return start_gateway(config_for(upstream) + MODELS, STUB_KEY="sk-stub")


def test_aliases_and_the_gateways_own_fields_are_spliced(
    routed: RunningGateway, api: FakeAPI
) -> None:
    body = (
        b'{"requests": [{"custom_id":"a","params":{"model":"fast", "max_tokens": 5 ,'
        b'"messages":[]}}, {"params":{"messages":[], "max_tokens":5, "stop":"end",'
        b'"model":"claude-sonnet-4.5","n":1},"custom_id":"b"} ,'
        b'{"custom_id":"c","params":{"model":"claude-sonnet-4-5","max_tokens":5,"messages":[]}}]}'
    )
    answer = routed.client.call("POST", BATCHES, body)
    assert answer.status == 200, answer.body
    (sent,) = api.bodies
    assert sent == (
        b'{"requests": [{"custom_id":"a","params":{"model":"claude-haiku-4-5", "max_tokens": 5 ,'
        b'"messages":[]}}, {"params":{"messages":[], "max_tokens":5,'
        b'"model":"claude-sonnet-4-5","stop_sequences":["end"]},"custom_id":"b"} ,'
        b'{"custom_id":"c","params":{"model":"claude-sonnet-4-5","max_tokens":5,"messages":[]}}]}'
    )


# Haiku's list price is 1 and 5 dollars a million tokens.
@pytest.mark.parametrize(
    ("price", "expected"),
    [
        ('[prices."house"]\ninput = 1000\noutput = 1000\nbatch_percent = 25\n', 14 * 500 // 4),
        ("", (1_000 + 400 * 5) // 4),
    ],
)
def test_an_alias_is_paid_at_the_price_of_its_model(
    upstream: ScriptedServer,
    api: FakeAPI,
    start_gateway: Callable[..., RunningGateway],
    price: str,
    expected: int,
) -> None:
    gateway = start_gateway(config_for(upstream, price) + MODELS, STUB_KEY="sk-stub")
    _, client = gateway.make_key(quota_units=100_000_000)
    batch_id = make(client, request_of("a", model="fast"))
    used = (10, 4) if price else (1_000, 400)
    api.results[batch_id] = [succeeded("a", *used)]
    read_lines(client, batch_id)
    assert account(client)["used_quota"] == expected


def test_a_limit_of_a_model_holds_for_batches_by_any_of_its_names(
    upstream: ScriptedServer, api: FakeAPI, start_gateway: Callable[..., RunningGateway]
) -> None:
    price = '[prices."house"]\ninput = 1000\noutput = 1000\n'
    gateway = start_gateway(config_for(upstream, price) + MODELS, STUB_KEY="sk-stub")
    key_id, client = gateway.make_key()
    limit = {"key": key_id, "amount_usd": "0.001", "models": ["house"]}
    assert gateway.client.call("POST", "/admin/v1/limits", json.dumps(limit).encode()).status == 200
    for name in ("house", "fast"):
        body = body_of(request_of("a", model=name))
        assert client.call("POST", BATCHES, body).status == 402
    assert not api.bodies
    make(client, request_of("a"))


def test_results_count_for_the_group_of_which_the_key_was_when_the_batch_was_made(
    gateway: RunningGateway, api: FakeAPI
) -> None:
    def admin(method: str, path: str, **fields: Any) -> dict[str, Any]:
        data = json.dumps(fields).encode()
        response = gateway.client.call(method, f"/admin/v1/{path}", data)
        assert response.status == 200, response.body
        found: dict[str, Any] = response.json
        return found

    before, after = (admin("POST", "groups", name=name) for name in ("before", "after"))
    limits = [admin("POST", "limits", group=of["id"], amount_usd=1) for of in (before, after)]
    key_id, client = gateway.make_key(group=before["id"])
    first = make(client, request_of("a"), request_of("b"))
    admin("PATCH", f"keys/{key_id}", group=after["id"])
    second = make(client, request_of("a"))
    for batch_id, names in ((first, "ab"), (second, "a")):
        api.results[batch_id] = [succeeded(name) for name in names]
        read_lines(client, batch_id)
        read_lines(client, batch_id)
    rows = gateway.usage(by="group", key=key_id)["data"]
    assert sorted(row["cost_units"] for row in rows) == [cost((10, 4)), cost(*[(10, 4)] * 2)]
    spent = [admin("GET", f"limits/{limit['id']}")["spent_units"] for limit in limits]
    assert spent == [cost(*[(10, 4)] * 2), cost((10, 4))]


@pytest.mark.parametrize(
    ("changes", "status", "code", "param"),
    [
        ({"model": "claude-opus-4-1"}, 400, "invalid_parameter", ""),
        ({"model": "nobody"}, 404, "model_not_found", ".1.params.model"),
        ({"model": 5}, 400, "invalid_parameter", ".1.params.model"),
        ({"n": 2}, 400, "invalid_parameter", ".1.params.n"),
        ({"max_tokens": None}, 400, "invalid_parameter", ".1.params.max_tokens"),
        ({"seed": 1}, 400, "invalid_parameter", ".1.params.seed"),
        ({"fallback_enabled": True}, 400, "invalid_parameter", ".1.params.fallback_enabled"),
    ],
)
def test_a_request_that_cannot_be_is_named(
    routed: RunningGateway,
    api: FakeAPI,
    changes: dict[str, Any],
    status: int,
    code: str,
    param: str,
) -> None:
    body = body_of(request_of("a"), request_of("b", **changes))
    answer = routed.client.call("POST", BATCHES, body)
    error = error_of(answer)
    assert (answer.status, error["code"]) == (status, code)
    assert error["param"] == f"requests{param}"
    assert not api.bodies


def test_models_that_no_upstream_has_together_are_named(routed: RunningGateway) -> None:
    body = body_of(request_of("a"), request_of("b", model="claude-opus-4-1"))
    message = error_of(routed.client.call("POST", BATCHES, body))["message"]
    assert "'claude-sonnet-4-5', 'claude-opus-4-1'" in message


def test_a_keys_list_of_models_holds_for_every_request(routed: RunningGateway) -> None:
    _, client = routed.make_key(models=["claude-sonnet-4-5"])
    make(client, request_of("a"))
    answer = client.call("POST", BATCHES, body_of(request_of("a"), request_of("b", model="fast")))
    error = error_of(answer)
    assert (answer.status, error["code"]) == (403, "model_access_denied")
    assert error["param"] == "requests.1.params.model"


def test_a_model_without_a_price_is_not_for_a_quota(routed: RunningGateway) -> None:
    _, client = routed.make_key(quota_units=100_000)
    answer = client.call("POST", BATCHES, body_of(request_of("a", model="unheard-of")))
    assert answer.status == 403
    assert error_of(answer)["param"] == "requests.0.params.model"
    _, unlimited = routed.make_key()
    make(unlimited, request_of("a", model="unheard-of"))


def test_a_batch_goes_to_the_next_upstream_when_one_does_not_take_it(
    upstream: ScriptedServer, api: FakeAPI, start_gateway: Callable[..., RunningGateway]
) -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with ScriptedServer([json_response(529, error)]) as busy:
        first = (
            f'[[upstreams]]\nname = "busy"\nkind = "anthropic"\nbase_url = "{busy.base_url}"\n'
            'api_key_env = "STUB_KEY"\n'
        )
        config = f"{config_for(upstream)}priority = 1\n{first}"
        gateway = start_gateway(config, STUB_KEY="sk-stub")
        batch_id = make(gateway.client, request_of("a"))
        # From now on it is the second one's.
        api.results[batch_id] = [succeeded("a")]
        assert len(read_lines(gateway.client, batch_id)) == 1


def test_results_that_break_off_are_seen_to_break_off(
    gateway: RunningGateway, api: FakeAPI
) -> None:
    _, client = gateway.make_key(quota_units=100_000)
    batch_id = make(client, *map(request_of, "abc"))
    held = account(client)["reserved_quota"]
    api.results[batch_id] = [succeeded(name, 10, 4) for name in "abc"]
    api.cut_after = 2
    with pytest.raises(http.client.IncompleteRead) as raised:
        client.call("GET", f"{BATCHES}/{batch_id}/results")
    whole = [line for line in raised.value.partial.split(b"\n") if line]
    assert len(whole) == 2
    seen = account(client)
    assert seen["used_quota"] == cost((10, 4), (10, 4))
    assert 0 < seen["reserved_quota"] < held
    api.cut_after = None
    assert len(read_lines(client, batch_id)) == 3
    seen = account(client)
    assert (seen["used_quota"], seen["reserved_quota"]) == (cost(*[(10, 4)] * 3), 0)


DEEP = b"[" * 3000 + b"]" * 3000


@pytest.mark.parametrize("odd", [rb'"one \ud83d"', DEEP, b'"\xff"'])
@pytest.mark.parametrize("noise", [b"", b"what\n"])
def test_an_odd_line_is_handed_on_and_booked_with_all_others(
    gateway: RunningGateway, api: FakeAPI, odd: bytes, noise: bytes
) -> None:
    _, client = gateway.make_key(quota_usd="1")
    batch_id = make(client, request_of("a"), request_of("b"))
    line = b'{"custom_id":"b","result":{"message":{"content":[%b],"usage":%b}}}\n'
    line %= (odd, b'{"input_tokens":10,"output_tokens":4}')
    lines = noise + json.dumps(succeeded("a")).encode() + b"\n" + line
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(lines)
    api.answers["GET", f"{BATCHES}/{batch_id}/results"] = head + lines
    for _ in range(2):
        answer = client.call("GET", f"{BATCHES}/{batch_id}/results")
        assert (answer.status, answer.body) == (200, lines)
    assert account(client)["used_quota"] == 2 * cost((10, 4))


def test_what_is_no_result_at_all_is_not_handed_out(gateway: RunningGateway, api: FakeAPI) -> None:
    batch_id = make(gateway.client, request_of("a"))
    api.answers["GET", f"{BATCHES}/{batch_id}/results"] = (
        b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nno results\n"
    )
    answer = gateway.client.call("GET", f"{BATCHES}/{batch_id}/results")
    assert (answer.status, error_of(answer)["code"]) == (502, "upstream_error")


def test_results_that_are_not_there_yet_are_refused_by_the_upstream(
    gateway: RunningGateway, api: FakeAPI
) -> None:
    batch_id = make(gateway.client, request_of("a"))
    answer = gateway.client.call("GET", f"{BATCHES}/{batch_id}/results")
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["message"] == "has not ended"


def test_what_nobody_read_is_booked_before_a_batch_is_deleted(
    gateway: RunningGateway, api: FakeAPI
) -> None:
    key_id, client = gateway.make_key(quota_units=100_000)
    batch_id = make(client, request_of("a"), request_of("b"))
    api.results[batch_id] = [succeeded("a", 10, 4), failed("b", "expired")]
    answer = client.call("DELETE", f"{BATCHES}/{batch_id}")
    assert json.loads(answer.body) == {"id": batch_id, "type": "message_batch_deleted"}
    seen = account(client)
    assert (seen["used_quota"], seen["reserved_quota"]) == (cost((10, 4)), 0)
    assert [row["cost_units"] for row in booked(gateway, key_id)] == [cost((10, 4))]
    assert client.call("GET", f"{BATCHES}/{batch_id}").status == 404


def test_a_batch_is_not_deleted_while_its_usage_cannot_be_read(
    gateway: RunningGateway, api: FakeAPI
) -> None:
    batch_id = make(gateway.client, request_of("a"))
    error = {"type": "error", "error": {"type": "api_error", "message": "later"}}
    api.answers["GET", f"{BATCHES}/{batch_id}/results"] = json_response(500, error)
    answer = gateway.client.call("DELETE", f"{BATCHES}/{batch_id}")
    assert (answer.status, error_of(answer)["code"]) == (503, "service_unavailable")
    assert "DELETE" not in {request.method for request in api.requests}


def test_a_batch_of_which_nothing_succeeded_holds_nothing_once_that_is_seen(
    gateway: RunningGateway, api: FakeAPI
) -> None:
    _, client = gateway.make_key(quota_units=100_000)
    batch_id = make(client, request_of("a"))
    client.call("GET", f"{BATCHES}/{batch_id}")
    assert account(client)["reserved_quota"] > 0
    api.results[batch_id] = [failed("a", "canceled")]
    client.call("POST", f"{BATCHES}/{batch_id}/cancel")
    assert account(client)["reserved_quota"] == 0


def test_a_batch_that_its_upstream_lost_holds_nothing(
    gateway: RunningGateway, api: FakeAPI
) -> None:
    _, client = gateway.make_key(quota_units=100_000)
    kept, lost = make(client, request_of("a")), make(client, request_of("a"))
    api.gone.add(lost)
    answer = client.call("GET", f"{BATCHES}/{lost}")
    assert json.loads(answer.body)["error"]["message"] == "no such batch"
    assert account(client)["reserved_quota"] > 0
    listed = json.loads(client.call("GET", BATCHES).body)
    assert [entry["id"] for entry in listed["data"]] == [kept]
    api.results[kept] = [failed("a", "errored")]
    client.call("GET", f"{BATCHES}/{kept}")
    assert account(client)["reserved_quota"] == 0


def test_a_list_has_pages(gateway: RunningGateway, api: FakeAPI) -> None:
    _, client = gateway.make_key()
    made = [make(client, request_of("a")) for _ in range(5)]
    make(gateway.client, request_of("a"))

    def page(query: str) -> tuple[list[str], bool]:
        found = json.loads(client.call("GET", f"{BATCHES}?{query}").body)
        ids = [entry["id"] for entry in found["data"]]
        assert (found["first_id"], found["last_id"]) == (ids[0], ids[-1])
        return ids, found["has_more"]

    everything = page("")[0]
    assert sorted(everything) == sorted(made)
    assert page("limit=2") == (everything[:2], True)
    assert page(f"limit=2&after_id={everything[1]}") == (everything[2:4], True)
    assert page(f"limit=2&after_id={everything[3]}") == (everything[4:], False)
    assert page(f"limit=3&before_id={everything[4]}") == (everything[1:4], True)
    with Apertis(api_key=client.api_key, base_url=gateway.base_url) as sdk:
        assert [batch.id for batch in sdk.messages.batches.list(limit=2)] == everything
    refused = client.call("GET", f"{BATCHES}?limit=0")
    assert (refused.status, error_of(refused)["param"]) == (400, "limit")


def test_a_list_that_is_not_whole_is_an_error(gateway: RunningGateway, api: FakeAPI) -> None:
    batch_id = make(gateway.client, request_of("a"))
    make(gateway.client, request_of("a"))
    error = {"type": "error", "error": {"type": "api_error", "message": "later"}}
    api.answers["GET", f"{BATCHES}/{batch_id}"] = json_response(500, error)
    assert gateway.client.call("GET", BATCHES).status == 500


@pytest.mark.parametrize(
    ("trusted", "origin"), [(False, "http://"), (True, "https://claude.corp/ai")]
)
def test_results_are_found_by_the_address_that_the_client_called(
    upstream: ScriptedServer,
    api: FakeAPI,
    start_gateway: Callable[..., RunningGateway],
    trusted: bool,
    origin: str,
) -> None:
    proxies = '[server]\ntrusted_proxies = ["127.0.0.1"]\n' if trusted else ""
    gateway = start_gateway(config_for(upstream, proxies), STUB_KEY="sk-stub")
    batch_id = make(gateway.client, request_of("a"))
    api.results[batch_id] = [succeeded("a")]
    headers = {
        "x-api-key": gateway.admin_key,
        "x-forwarded-proto": "https",
        "x-forwarded-host": "claude.corp",
        "x-forwarded-prefix": "/ai/",
    }
    answer = gateway.client.call("GET", f"{BATCHES}/{batch_id}", headers=headers)
    expected = gateway.base_url if not trusted else origin
    results_url = json.loads(answer.body)["results_url"]
    assert results_url == f"{expected}{BATCHES}/{batch_id}/results"


def test_a_batch_is_kept_when_its_caller_leaves_before_it_is_made(
    gateway: RunningGateway, api: FakeAPI
) -> None:
    _, client = gateway.make_key(quota_units=100_000)
    api.gate = gate = Gate()
    with contextlib.closing(client.connect()) as connection:
        headers = {"x-api-key": client.api_key}
        connection.request("POST", BATCHES, body_of(request_of("a")), headers)
        assert gate.reached.wait(60)
    gate.open()
    listed: list[Any] = []
    for _ in range(1000):
        listed = json.loads(client.call("GET", BATCHES).body)["data"]
        if listed:
            break
    assert [entry["id"] for entry in listed] == ["msgbatch_1"]
    assert account(client)["reserved_quota"] > 0
    assert account(client)["used_quota"] == 0


def test_a_batch_whose_upstream_is_configured_no_more_is_told_so(
    upstream: ScriptedServer,
    api: FakeAPI,
    run_gateway: Callable[..., contextlib.AbstractContextManager[RunningGateway]],
) -> None:
    with run_gateway(config_for(upstream), STUB_KEY="sk-stub") as running:
        batch_id = make(running.client, request_of("a"))
    with run_gateway(UNLIMITED) as running:
        answer = running.client.call("GET", f"{BATCHES}/{batch_id}")
        assert (answer.status, error_of(answer)["code"]) == (502, "upstream_error")
        assert "'stub'" in error_of(answer)["message"]


def test_the_sandbox_gives_no_id_twice_over_restarts(
    run_gateway: Callable[..., contextlib.AbstractContextManager[RunningGateway]],
) -> None:
    made = []
    for _ in range(2):
        with run_gateway(UNLIMITED) as running:
            made.append(make(running.client, request_of("a")))
    assert made[0] != made[1]
