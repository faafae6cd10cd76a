from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path
from typing import Any

import pytest

from apertis.gateway.config import (
    RoutingSettings,
    SandboxSettings,
    Secret,
    Settings,
    StoreSettings,
    UpstreamSettings,
)
from apertis.gateway.doctor import Finding, State
from apertis.gateway.doctor.diagnosis import upstream_findings
from apertis.testing import Close, Exchange, ScriptedServer, json_response

KEY = Secret("sk-ant-0123456789", setting="api_key_env", source="MY_KEY")
MODELS = json_response(200, {"data": [{"id": "m", "type": "model"}], "has_more": True})


def findings(*upstreams: UpstreamSettings, seconds: float = 0.25) -> tuple[Finding, ...]:
    settings = Settings(
        StoreSettings(Path()),
        routing=RoutingSettings(connect_timeout_seconds=5.0),
        sandbox=SandboxSettings(),
        upstreams=upstreams,
    )
    clock = itertools.count(0, seconds)
    return asyncio.run(upstream_findings(settings, lambda: next(clock)))


def finding_of(answer: bytes | Exchange, **changes: Any) -> Finding:
    with ScriptedServer([answer]) as server:
        values = {"api_key": KEY} | changes
        (finding,) = findings(UpstreamSettings("one", base_url=server.base_url, **values))
    assert "0123456789" not in repr(finding)
    return finding


def test_an_upstream_is_asked_for_a_model_with_its_own_key() -> None:
    with ScriptedServer([MODELS]) as server:
        upstream = UpstreamSettings("one", base_url=f"{server.base_url}/a", api_key=KEY)
        (finding,) = findings(upstream)
        (request,) = server.requests
    assert (request.method, request.target) == ("GET", "/a/v1/models?limit=1")
    assert request.headers["x-api-key"] == KEY.reveal()
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert finding == Finding(
        "upstream one",
        State.OK,
        f"{upstream.base_url} accepts the key and answers in 250 ms",
    )


def test_a_slow_upstream_is_a_warning() -> None:
    with ScriptedServer([MODELS]) as server:
        upstream = UpstreamSettings("one", base_url=server.base_url, api_key=KEY)
        (finding,) = findings(upstream, seconds=3.0)
    assert finding.state is State.WARN
    assert "3000 ms" in finding.message


def test_an_upstream_that_is_not_there_is_a_failure() -> None:
    with ScriptedServer([]) as server:
        url = server.base_url
    (finding,) = findings(UpstreamSettings("one", base_url=url, api_key=KEY))
    assert finding.state is State.FAIL
    assert finding.message.startswith("cannot connect to 127.0.0.1:")
    assert finding.advice is not None
    assert url in finding.advice


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_named_by_its_place(status: int) -> None:
    finding = finding_of(json_response(status, {"error": {"message": "invalid x-api-key"}}))
    assert finding.state is State.FAIL
    assert f"rejects the key ({status})" in finding.message
    assert finding.advice is not None
    assert "api_key_env = MY_KEY" in finding.advice


def test_a_missing_key_is_told_from_a_wrong_one() -> None:
    finding = finding_of(json_response(401, {}), api_key=None)
    assert finding.state is State.FAIL
    assert "wants a key, and none is configured" in finding.message
    assert finding_of(MODELS, api_key=None).message.endswith("answers without a key in 250 ms")


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (json_response(500, {}), State.FAIL, "fails with status 500"),
        (json_response(529, {}), State.FAIL, "fails with status 529"),
        (json_response(429, {}), State.WARN, "limits the requests of its key"),
        (json_response(404, {}), State.WARN, "answers GET /v1/models with status 404"),
        (json_response(308, {}, {"location": "https://x/y"}), State.FAIL, "redirects to https://x"),
        (json_response(200, {"models": []}), State.FAIL, "something other than a list of models"),
        (json_response(200, ["data"]), State.FAIL, "something other than a list of models"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>",
            State.FAIL,
            "something other than a list of models",
        ),
        (
            Exchange(b"HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n{", Close()),
            State.FAIL,
            "",
        ),
        (b"SSH-2.0-OpenSSH_9.7\r\n", State.FAIL, ""),
    ],
)
def test_an_answer_that_is_none_is_told(answer: bytes | Exchange, state: State, words: str) -> None:
    finding = finding_of(answer)
    assert finding.state is state
    assert words in finding.message
    assert finding.advice


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    body = b'{"data": ["' + b"x" * 2**20
    endless = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n" + body
    assert finding_of(endless).state is State.FAIL


def test_the_sandbox_is_told_for_what_it_is() -> None:
    (finding,) = findings(UpstreamSettings("s", "sandbox"))
    assert finding.state is State.OK
    assert "not a model" in finding.message


def test_upstreams_are_told_in_their_order() -> None:
    with ScriptedServer([MODELS]) as server:
        found = findings(
            UpstreamSettings("a", base_url=server.base_url), UpstreamSettings("b", "sandbox")
        )
    assert [finding.subject for finding in found] == ["upstream a", "upstream b"]


@pytest.mark.skipif(os.name != "posix", reason="files have no modes there")
def test_a_key_that_other_users_can_read_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "one.key"
    file.touch(0o600)
    key = Secret("k", setting="api_key_file", source=str(file))
    with ScriptedServer([MODELS, MODELS]) as server:
        upstream = UpstreamSettings("one", base_url=server.base_url, api_key=key)
        assert [finding.state for finding in findings(upstream)] == [State.OK]
        file.chmod(0o640)
        _, exposed = findings(upstream)
    assert exposed.state is State.WARN
    assert exposed.advice == f"chmod 600 {file}"
