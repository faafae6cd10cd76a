"""What Prometheus reads."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from apertis.testing import Exchange, Gate, ScriptedServer, json_response
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.testing import RecordedRequest
    from tests.kit.gateways import RunningGateway
    from tests.kit.http import Client

UPSTREAM = """
[limits]
per_address = "0"
per_key = "0"
[routing]
breaker_failures = 1
breaker_open_seconds = 600
[[upstreams]]
name = "stub"
base_url = "{url}"
"""
NAMES = {
    "apertis_requests",
    "apertis_errors",
    "apertis_tokens",
    "apertis_cost_units",
    "apertis_web_searches",
    "apertis_fallbacks",
    "apertis_cached_answers",
    "apertis_in_flight",
    "apertis_breaker_state",
    "apertis_journal_records",
    "apertis_journal_lag_seconds",
    "apertis_queue_seconds",
    "apertis_first_byte_seconds",
    "apertis_request_seconds",
}


def answer(request: RecordedRequest) -> bytes:
    model = json.loads(request.body)["model"]
    if model == "refused":
        error = {"type": request.headers["x-error-type"], "message": "No"}
        return json_response(400, {"type": "error", "error": error})
    usage = {
        "input_tokens": 100,
        "output_tokens": 20,
        "cache_read_input_tokens": 7,
        "cache_creation_input_tokens": 5,
        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
        "server_tool_use": {"web_search_requests": 1},
    }
    message = {"type": "message", "id": "msg_1", "model": model, "content": [], "usage": usage}
    return json_response(200, message)


def ask(client: Client, model: str, headers: dict[str, str] | None = None) -> int:
    body = {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    sent = {"x-api-key": client.api_key, **(headers or {})}
    return client.call("POST", "/v1/messages", json.dumps(body).encode(), sent).status


class Scraped:
    """All samples, by name and labels; the text must be well-formed."""

    def __init__(self, running: RunningGateway) -> None:
        scraped = running.client.call("GET", "/metrics", headers={})
        assert scraped.status == 200
        assert scraped.headers["content-type"].startswith("text/plain; version=0.0.4")
        self.families = {
            family.name: family for family in text_string_to_metric_families(scraped.body.decode())
        }

    def values(self, name: str, *labels: str) -> dict[Any, float]:
        """The sums of a sample by some of its labels."""
        found: defaultdict[Any, float] = defaultdict(float)
        for family in self.families.values():
            for sample in family.samples:
                if sample.name == name:
                    by = tuple(sample.labels[label] for label in labels)
                    found[by[0] if len(by) == 1 else by] += sample.value
        return dict(found)

    def value(self, name: str) -> float:
        (value,) = self.values(name).values()
        return value


def test_requests_tokens_cost_and_times_are_counted(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    with ScriptedServer(answer) as server:
        running = start_gateway(UPSTREAM.format(url=server.base_url))
        assert [ask(running.client, "claude-sonnet-4-5") for _ in range(3)] == [200] * 3
        assert ask(running.client, "refused", {"x-error-type": "invalid_request_error"}) == 400
        assert running.client.call("GET", "/nowhere").status == 404
        assert running.client.call("GET", "/v1/models", headers={"x-api-key": "sk-"}).status == 401
        scraped = Scraped(running)
    assert set(scraped.families) >= NAMES
    requests = scraped.values("apertis_requests_total", "endpoint", "model", "upstream", "status")
    assert requests == {
        ("messages", "claude-sonnet-4-5", "stub", "200"): 3,
        ("messages", "", "stub", "400"): 1,
        ("", "", "", "404"): 1,
        ("models", "", "", "401"): 1,
    }
    assert scraped.values("apertis_errors_total", "endpoint", "code") == {
        ("messages", "invalid_request_error"): 1,
        ("", "endpoint_not_found"): 1,
        ("models", "invalid_api_key"): 1,
    }
    assert scraped.values("apertis_tokens_total", "class") == {
        "input": 300,
        "output": 60,
        "cache_read": 21,
        "cache_write_5m": 6,
        "cache_write_1h": 9,
    }
    assert scraped.values("apertis_web_searches_total", "model") == {"claude-sonnet-4-5": 3}
    # 3, 15, 0.30, 3.75 and 6 dollars a million tokens and a cent for the search, rounded up once.
    assert scraped.values("apertis_cost_units_total", "model") == {"claude-sonnet-4-5": 3 * 5314}
    for name in ("queue", "first_byte", "request"):
        counts = scraped.values(f"apertis_{name}_seconds_count", "endpoint")
        buckets = scraped.values(f"apertis_{name}_seconds_bucket", "endpoint", "le")
        sums = scraped.values(f"apertis_{name}_seconds_sum", "endpoint")
        assert counts["messages"] == 4
        assert sums["messages"] > 0
        for endpoint, count in counts.items():
            of_it = [number for (where, _), number in buckets.items() if where == endpoint]
            assert of_it == sorted(of_it)
            assert of_it[-1] == buckets[endpoint, "+Inf"] == count


def test_a_thousand_names_are_no_thousand_series(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    with ScriptedServer(answer) as server:
        config = UPSTREAM.format(url=server.base_url)
        running = start_gateway(f'{config}[prices."house-model"]\ninput = "1"\noutput = "1"\n')
        strange = ['\n"\\', "\u2603\u2028", "a" * 200, *(f"model-{n}" for n in range(300))]
        assert {ask(running.client, name) for name in strange} == {200}
        # What is configured or priced keeps its name, however late it comes.
        assert ask(running.client, "house-model") == 200
        assert ask(running.client, "claude-sonnet-4-5") == 200
        for number in range(150):
            assert ask(running.client, "refused", {"x-error-type": f"type-{number}"}) == 400
        scraped = Scraped(running)
    models = scraped.values("apertis_requests_total", "model")
    assert len(models) <= 104
    assert models["other"] == 303 - 100
    assert models['\n"\\'] == models["house-model"] == models["claude-sonnet-4-5"] == 1
    assert len(scraped.values("apertis_tokens_total", "model")) <= 104
    codes = scraped.values("apertis_errors_total", "code")
    assert (len(codes), codes["other"]) == (101, 50)
    assert sum(len(family.samples) for family in scraped.families.values()) < 1000


def test_what_is_under_way_and_what_is_broken_is_told(
    start_gateway: Callable[..., RunningGateway], first_half: bytes, second_half: bytes
) -> None:
    gate = Gate()
    with ScriptedServer([Exchange(first_half, gate, second_half)]) as server:
        running = start_gateway(UPSTREAM.format(url=server.base_url))
        assert Scraped(running).value("apertis_in_flight") == 0
        assert Scraped(running).values("apertis_breaker_state", "upstream") == {"stub": 0}
        connection = running.client.connect()
        body = {"model": "one", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
        connection.request(
            "POST",
            "/v1/messages",
            json.dumps(body | {"stream": True}),
            {"x-api-key": running.admin_key},
        )
        response = connection.getresponse()
        assert Scraped(running).value("apertis_in_flight") == 1
        gate.open()
        assert b"message_stop" in response.read()
        connection.close()
    # The client has the last byte a moment before the gateway counts the request out.
    until(lambda: not Scraped(running).value("apertis_in_flight"))
    scraped = Scraped(running)
    assert scraped.value("apertis_in_flight") == 0
    assert scraped.value("apertis_journal_records") in {0, 1}
    assert 0 <= scraped.value("apertis_journal_lag_seconds") < 60
    # Now nobody listens there.
    assert ask(running.client, "one") >= 500
    assert Scraped(running).values("apertis_breaker_state", "upstream") == {"stub": 2}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(("evil.example", 401), ("evil.example:8080", 401), ("127.0.0.1.evil.example.", 401)),
        *(("1e1.2", 401), ("127.0.0.1:8080", 200), ("[::1]:8080", 200), ("localhost", 200)),
        *(("LOCALHOST.:8080", 200), ("apertis.localhost", 200), ("myhost:8080", 200)),
    ],
)
def test_no_page_of_the_web_reads_metrics_by_a_name_of_its_own(
    sandbox_gateway: RunningGateway, host: str, status: int
) -> None:
    assert sandbox_gateway.client.call("GET", "/metrics", headers={"host": host}).status == status


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded"])
def test_metrics_are_for_this_machine_and_for_administrators(
    sandbox_gateway: RunningGateway, header: str
) -> None:
    elsewhere = {header: "for=203.0.113.7"}
    _, user = sandbox_gateway.make_key()
    client = sandbox_gateway.client
    assert client.call("GET", "/metrics", headers={}).status == 200
    assert client.call("GET", "/metrics", headers=elsewhere).status == 401
    for key, status in ((user.api_key, 403), (client.api_key, 200)):
        answered = client.call("GET", "/metrics", headers=elsewhere | {"x-api-key": key})
        assert answered.status == status
        assert (b"apertis_requests_total" in answered.body) == (status == 200)
