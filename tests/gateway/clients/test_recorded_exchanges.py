"""Every recorded exchange with the real API passes through the gateway to the byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.gateway.clients.conftest import World

RECORDED = Path(__file__).resolve().parents[4] / "shared" / "recorded"
# Made by the transport, or for the person who looks at the recording.
NOT_OURS = {"content-length", "transfer-encoding", "connection", "content-encoding", "set-cookie"}
# Headers that speak of the upstream's own address, or are the gateway's to say.
STAYING = {"alt-svc", "strict-transport-security", "date"}
# Which pages may read an answer is said by the gateway's own `allowed_origins`.
STAYING_PREFIX = "access-control-"
# Two messages in one stream, and an end before the start: the gateway refuses what is malformed.
MALFORMED = {
    # Behind content, so it is an event of the stream, and before any.
    "ai-b31f986c2955": 200,
    "anthropic-sdk-python-dbe20b943bc6": 502,
}
MESSAGE = {"model": "claude-scripted", "max_tokens": 5, "messages": []}


def load(path: Path) -> dict[str, Any]:
    recording: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    recording["body"] = recording["response"]["body_text"].encode()
    headers = recording["response"]["headers"]
    recording["headers"] = {k.lower(): v for k, v in headers.items() if k.lower() not in NOT_OURS}
    return recording


RECORDINGS = {path.stem: load(path) for path in sorted(RECORDED.glob("*-*.json"))}


def wire(recording: dict[str, Any]) -> bytes:
    lines = [f"HTTP/1.1 {recording['response']['status']} X"]
    lines += [f"{name}: {value}" for name, value in recording["headers"].items()]
    lines += [f"content-length: {len(recording['body'])}", "", ""]
    body: bytes = recording["body"]
    return "\r\n".join(lines).encode("latin-1") + body


SCRIPTS: dict[str, Any] = {f"recorded {name}": wire(r) for name, r in RECORDINGS.items()}


@pytest.mark.corpus
def test_recorded_answers_pass_to_the_byte(world: World) -> None:
    _, client = world.scripted.make_key()
    headers = {"x-api-key": client.api_key, "content-type": "application/json"}
    passed = 0
    for name, recording in RECORDINGS.items():
        request, status = recording["request"], recording["response"]["status"]
        if request["path"].partition("?")[0] != "/v1/messages" or status == 401:
            continue
        streamed = "event-stream" in recording["headers"].get("content-type", "")
        body = {**(request["body"] or MESSAGE), "model": "claude-scripted", "stream": streamed}
        case = {**headers, "x-case": f"recorded {name}"}
        answer = client.call("POST", request["path"], json.dumps(body).encode(), case)
        if name in MALFORMED:
            # What came before the fault, and then why nothing follows.
            sound, _, why = answer.body.rpartition(b"event: error\n")
            assert (name, answer.status) == (name, MALFORMED[name])
            assert recording["body"].startswith(sound)
            assert b"upstream_error" in why
            continue
        assert (name, answer.status, answer.body) == (name, status, recording["body"])
        kept = {
            name: value
            for name, value in recording["headers"].items()
            if name not in STAYING and not name.startswith(STAYING_PREFIX)
        }
        assert kept.items() <= answer.headers.items(), name
        passed += 1
    assert passed > 50
