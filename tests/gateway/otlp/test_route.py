"""Telemetry over HTTP: always accepted from whoever has a key, dropped or sent on, never kept."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.kit.consoles import make
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.collectors import Collector
    from tests.kit.gateways import RunningGateway
    from tests.kit.http import Client, Response

MARK = "said-by-a-client"
EXPORT = json.dumps(
    {"resourceLogs": [{"resource": {"attributes": []}, "scopeLogs": [{"scope": {"name": MARK}}]}]}
).encode()
PROTOBUF = b"\x0a\x02\x12\x00"


def send(client: Client, signal: str, body: bytes, kind: str, **headers: str) -> Response:
    sent = {"content-type": kind, "authorization": f"Bearer {client.api_key}", **headers}
    return client.call("POST", f"/v1/{signal}", body, sent)


def outcomes(gateway: RunningGateway) -> dict[str, int]:
    text = gateway.client.call("GET", "/metrics").body.decode()
    lines = (line for line in text.splitlines() if line.startswith("apertis_telemetry_exports_t"))
    return {line.split('"')[1]: int(float(line.rpartition(" ")[2])) for line in lines}


@pytest.mark.parametrize("signal", ["metrics", "logs", "traces"])
def test_it_is_accepted_and_dropped_without_a_collector(
    sandbox_gateway: RunningGateway, signal: str
) -> None:
    _, client = sandbox_gateway.make_key()
    as_json = send(client, signal, EXPORT, "application/json; charset=utf-8")
    assert (as_json.status, as_json.body) == (200, b"{}")
    assert as_json.headers["content-type"] == "application/json"
    for body in (PROTOBUF, b"\xff", b""):
        answer = send(client, signal, body, "application/x-protobuf")
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["content-type"] == "application/x-protobuf"
    assert outcomes(sandbox_gateway)["dropped"] >= 4


def test_it_needs_a_key_and_a_post(sandbox_gateway: RunningGateway) -> None:
    client = sandbox_gateway.client
    kind = {"content-type": "application/json"}
    assert client.call("POST", "/v1/metrics", EXPORT, kind).status == 401
    assert client.call("GET", "/v1/metrics").status == 405


def started(
    start: Callable[..., RunningGateway], collector: Collector, **settings: Any
) -> tuple[RunningGateway, Client]:
    lines = {"endpoint": collector.url, **settings}
    table = "".join(f"{name} = {json.dumps(value)}\n" for name, value in lines.items())
    gateway = start(f"[otlp]\n{table}")
    group = make(gateway, "groups", name="Platform")
    make(gateway, "people", name="Ånn", email="ann@example.com", group=group)
    return gateway, gateway.make_key(name="laptop", person="Ånn")[1]


def test_it_goes_on_with_whose_it_is(
    start_gateway: Callable[..., RunningGateway], collector: Collector
) -> None:
    _, client = started(start_gateway, collector)
    packed = gzip.compress(EXPORT)
    assert send(client, "logs", packed, "application/json", **{"content-encoding": "gzip"}).status
    until(lambda: collector.exports)
    ((path, headers, body),) = collector.exports
    assert path == "/v1/logs"
    # The key of the caller stays here.
    assert client.api_key not in json.dumps(headers)
    assert "content-encoding" not in headers
    (resource,) = json.loads(body)["resourceLogs"]
    told = {one["key"]: one["value"]["stringValue"] for one in resource["resource"]["attributes"]}
    assert told["apertis.key.name"] == "laptop"
    assert told["apertis.person.name"] == "Ånn"
    assert told["apertis.person.email"] == "ann@example.com"
    assert told["apertis.group.name"] == "Platform"
    assert resource["scopeLogs"] == [{"scope": {"name": MARK}}]


def test_it_goes_on_with_headers_or_with_nothing(
    start_gateway: Callable[..., RunningGateway], collector: Collector
) -> None:
    _, client = started(start_gateway, collector, identity="headers")
    send(client, "metrics", PROTOBUF, "application/x-protobuf")
    until(lambda: collector.exports)
    _, headers, body = collector.exports.pop()
    assert body == PROTOBUF
    assert headers["x-apertis-person-name"] == "%C3%85nn"
    assert headers["x-apertis-person-email"] == "ann@example.com"


def test_nothing_of_it_is_kept(
    start_gateway: Callable[..., RunningGateway], collector: Collector
) -> None:
    gateway, client = started(start_gateway, collector, identity="none", max_body_bytes=len(EXPORT))
    send(client, "logs", EXPORT, "application/json")
    until(lambda: outcomes(gateway).get("relayed"))
    assert collector.exports[0][2] == EXPORT
    collector.statuses.append(503)
    send(client, "logs", EXPORT, "application/json")
    until(lambda: outcomes(gateway).get("failed"))
    assert send(client, "logs", EXPORT + b" ", "application/json").status == 200
    assert outcomes(gateway) == {"relayed": 1, "failed": 1, "too_large": 1}
    until(lambda: len([x for x in gateway.log_lines() if x.get("path") == "/v1/logs"]) == 3)
    kept = [path for path in gateway.data.rglob("*") if path.is_file()]
    for path in (gateway.log, *kept):
        assert MARK.encode() not in path.read_bytes()
    assert gateway.usage()["totals"] in (None, {}) or gateway.usage()["totals"]["requests"] == 0


def test_what_cannot_be_read_is_counted(
    start_gateway: Callable[..., RunningGateway], collector: Collector
) -> None:
    gateway, client = started(start_gateway, collector)
    assert send(client, "traces", b"{", "application/json").status == 200
    assert outcomes(gateway) == {"malformed": 1}
    assert collector.exports == []
