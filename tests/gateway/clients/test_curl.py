"""The gateway as curl sees it: the least of all clients."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kit.gateways import RunningGateway

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not there")

BODY = (
    '{"model": "claude-opus-5", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}'
)


@dataclass(frozen=True)
class Answer:
    status: str
    headers: dict[str, str]
    body: str


def curl(gateway: RunningGateway, target: str, *options: str) -> Answer:
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--include", *options, f"{gateway.base_url}{target}"],
        capture_output=True,
        timeout=20,
        check=True,
    )
    head, _, body = done.stdout.decode().partition("\r\n\r\n")
    # An answer to `expect: 100-continue` comes before the real one.
    if " 100 " in head.partition("\r\n")[0]:
        head, _, body = body.partition("\r\n\r\n")
    line, *fields = head.split("\r\n")
    pairs = (field.partition(": ") for field in fields)
    return Answer(line.split()[1], {name.lower(): value for name, _, value in pairs}, body)


def key(gateway: RunningGateway, scheme: str = "x-api-key: ") -> tuple[str, ...]:
    return ("-H", f"{scheme}{gateway.client.api_key}", "-H", "content-type: application/json")


@pytest.mark.parametrize("scheme", ["x-api-key: ", "Authorization: Bearer "])
def test_it_gets_a_message(sandbox_gateway: RunningGateway, scheme: str) -> None:
    answer = curl(sandbox_gateway, "/v1/messages", *key(sandbox_gateway, scheme), "-d", BODY)
    assert answer.status == "200"
    assert json.loads(answer.body)["type"] == "message"
    assert answer.headers["request-id"]


@pytest.mark.parametrize("protocol", ["--http1.0", "--http1.1"])
def test_curl_shows_a_stream_as_it_comes(sandbox_gateway: RunningGateway, protocol: str) -> None:
    body = BODY.replace("{", '{"stream": true, ', 1)
    options = (*key(sandbox_gateway), "--no-buffer", protocol, "-d", body)
    answer = curl(sandbox_gateway, "/v1/messages?beta=true", *options)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.body.startswith("event: message_start\n")
    assert answer.body.endswith('event: message_stop\ndata: {"type":"message_stop"}\n\n')


def test_it_sends_a_large_body_in_chunks_and_after_asking(sandbox_gateway: RunningGateway) -> None:
    text = "much to read " * 100_000
    large = BODY.replace('"Hi"', json.dumps(text))
    for framing in ("transfer-encoding: chunked", "expect: 100-continue"):
        answer = subprocess.run(
            [
                *("curl", "--silent", *key(sandbox_gateway), "-H", framing, "--data-binary", "@-"),
                f"{sandbox_gateway.base_url}/v1/messages/count_tokens",
            ],
            input=large.encode(),
            capture_output=True,
            timeout=20,
            check=True,
        )
        assert json.loads(answer.stdout)["input_tokens"] > 300_000


def test_it_reads_what_is_wrong(sandbox_gateway: RunningGateway) -> None:
    refused = curl(sandbox_gateway, "/v1/messages", *key(sandbox_gateway), "-d", "{no json")
    error = json.loads(refused.body)
    assert (refused.status, error["error"]["code"]) == ("400", "invalid_request")
    assert error["request_id"] == refused.headers["request-id"]
    # Without a content type curl names that of forms.
    form = curl(sandbox_gateway, "/v1/messages", *key(sandbox_gateway)[:2], "-d", BODY)
    assert (form.status, "content-type" in form.body) == ("400", True)


def test_it_finds_the_probes_open(sandbox_gateway: RunningGateway) -> None:
    for target in ("/healthz", "/readyz", "/openapi.json"):
        assert curl(sandbox_gateway, target).status == "200"
    for target in ("/", "/api/hello"):
        assert curl(sandbox_gateway, target, "--head").status == "200"
