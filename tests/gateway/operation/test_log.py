"""What is written down: enough to operate by, and nothing that was said or is secret."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import signal
import socket
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.observe.log import Log
from apertis.testing import (
    Close,
    Exchange,
    ScriptedServer,
    http_chunk,
    json_response,
    sse_event,
    sse_head,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from apertis.testing import RecordedRequest
    from tests.kit.gateways import RunningGateway
    from tests.kit.processes import Served

MARK = "xyzzy-"
MESSAGE = {
    "id": f"msg_{MARK}id",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": f"{MARK}answer"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1000, "output_tokens": 20},
}
HEADERS = {"set-cookie": f"{MARK}cookie", "x-anything": f"{MARK}header"}
ERROR = {
    "type": "error",
    "error": {"type": "invalid_request_error", "message": f"{MARK}error"},
}


def events(*found: Any) -> bytes:
    return b"".join(http_chunk(sse_event(event)) for event in found)


STARTED = {"type": "message_start", "message": MESSAGE | {"content": []}}
# By the name that the request has, what the upstream does with it.
UPSTREAM: dict[str, bytes | Exchange] = {
    "fine": json_response(200, MESSAGE, HEADERS),
    "refused": json_response(400, ERROR, HEADERS),
    "broken": json_response(500, ERROR | {"more": f"{MARK}more"}),
    "no json": b"HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n<p>xyzzy-page</",
    "no http": Exchange(f"{MARK}protocol\r\n\r\n".encode(), Close()),
    "error event": sse_head() + events(STARTED, ERROR) + http_chunk(b""),
    "no event": Exchange(sse_head() + http_chunk(b"data: {xyzzy-data\n\n"), Close()),
    "cut": Exchange(sse_head() + events(STARTED), Close()),
}


def play(request: RecordedRequest) -> bytes | Exchange:
    name: str = json.loads(request.body)["metadata"]["user_id"].partition(" ")[0].replace("_", " ")
    return UPSTREAM[name]


def question(name: str, **fields: Any) -> bytes:
    asked = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 100,
        "system": f"{MARK}system",
        "messages": [{"role": "user", "content": f"{MARK}question"}],
        "metadata": {"user_id": f"{name.replace(' ', '_')} {MARK}user"},
        "tools": [{"name": f"{MARK}tool", "input_schema": {"type": "object"}}],
    }
    return json.dumps(asked | fields).encode()


def test_nothing_said_and_no_secret_is_ever_written(
    serve_process: Callable[..., Served], tmp_path: Path
) -> None:
    with ScriptedServer(play) as server:
        served = serve_process(
            ANTHROPIC_BASE_URL=server.base_url, ANTHROPIC_API_KEY=f"sk-{MARK}upstream"
        )
        target = f"/v1/messages?beta=true&token={MARK}query"
        extra = {"cookie": f"a={MARK}cookie", "x-anything": f"{MARK}header", "user-agent": MARK}
        sent = 0

        def call(body: bytes, **headers: str) -> None:
            nonlocal sent
            sent += 1
            served.call("POST", target, body, extra | headers)

        for name in UPSTREAM:
            for stream in (False, True):
                call(question(name, stream=stream))
        call(b'{"model": "xyzzy-cut')
        call(question("fine", max_tokens=f"{MARK}tokens"))
        call(question("fine", fallback_models=[{"model": f"{MARK}fallback"}]))
        call(question("fine", compression=f"{MARK}compression"))
        call(b"\xff" + MARK.encode())
        call(question("fine"), **{"x-api-key": f"sk-{MARK}guess"})
        call(question("fine"), authorization=f"Bearer sk-{MARK}guess")
        call(question("fine"), authorization=f"Basic {MARK}guess")
        call(question("fine"), **{"content-type": f"text/{MARK}type"})
        call(question("fine"), **{"x-forwarded-for": f"{MARK}address"})
        call(question("fine"), **{"x-claude-code-request-class": f"{MARK}class"})
        for body in (f'{{"name": "a", "quota": "{MARK}quota"}}', f'{{"{MARK}field": 1}}', MARK):
            sent += 1
            served.call("POST", f"/admin/v1/keys?secret={MARK}query", body.encode())
        made = json.loads(served.call("POST", "/admin/v1/keys", b'{"name": "another"}').body)
        sent += 1
        port = int(served.base_url.rpartition(":")[2])
        for head in (f"{MARK}method / HTTP/1.1\r\n\r\n", f"GET / HTTP/1.1\r\n{MARK}line\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as raw:
                raw.sendall(head.encode())
                assert raw.recv(12) == b"HTTP/1.1 400"
        assert served.stop() == 0
    lines = served.log()
    assert len([line for line in lines if "path" in line]) == sent
    assert {line["path"] for line in lines if "path" in line} == {"/v1/messages", "/admin/v1/keys"}
    secrets = (MARK, served.api_key or "", made["secret"])
    assert len(set(secrets)) == 3
    kept = {"the log": "".join(served.err.all()), "what it said": "".join(served.out.all()[1:])}
    for path in (tmp_path / "data").rglob("*"):
        if path.is_file():
            kept[path.name] = path.read_bytes().decode("latin-1")
    assert "apertis.sqlite3" in kept
    assert not [name for name, text in kept.items() if any(secret in text for secret in secrets)]


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_is_one_line_with_all_that_is_known_of_it(
    start_gateway: Callable[..., RunningGateway],
    first_half: bytes,
    second_half: bytes,
    stream: bool,
) -> None:
    plain = json_response(200, MESSAGE, {"request-id": "req_theirs"})
    with ScriptedServer([first_half + second_half if stream else plain]) as server:
        running = start_gateway(
            '[[upstreams]]\nname = "stub"\napi_key_env = "STUB_KEY"\n'
            f'base_url = "{server.base_url}"\n[[upstreams.models]]\nid = "house"\n'
            'upstream_model = "claude-sonnet-4-5"\naliases = ["short"]\n',
            STUB_KEY="sk-ours",
        )
        key_id, client = running.make_key(name="ci")
        headers = {
            "x-api-key": client.api_key,
            "x-request-id": "caller-1",
            "x-claude-code-session-id": "session-1",
            "x-claude-code-agent-id": "agent-1",
            "x-claude-code-request-class": "subagent",
        }
        body = question("fine", model="short", stream=stream)
        answer = client.call("POST", "/v1/messages?beta=true", body, headers)
    assert answer.status == 200
    line = logged(running, "/v1/messages")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    times = [line.pop(f"{name}_ms") for name in ("queue", "first_byte", "total")]
    assert 0 < times[0] < times[1] <= times[2]
    theirs = {} if stream else {"upstream_request_id": "req_theirs"}
    assert line == theirs | {
        "request_id": answer.headers["x-apertis-request-id"],
        "client_request_id": "caller-1",
        "method": "POST",
        "path": "/v1/messages",
        "status": 200,
        "address": "127.0.0.1",
        "key": "ci",
        "key_id": key_id,
        "session": "session-1",
        "agent": "agent-1",
        "request_class": "subagent",
        "model": "house",
        "requested_model": "short",
        "upstream": "stub",
        "input_tokens": 1000,
        "output_tokens": 20,
        # 3 and 15 dollars a million tokens.
        "cost_units": 1500 + 150,
    } | ({"stream": True} if stream else {})


def logged(running: RunningGateway, path: str) -> dict[str, Any]:
    """The last line about a path; lines wait a moment for company."""
    # A stop would write them all, and so does an event.
    running.gateway.log.event("info", "flushed")
    return [line for line in running.log_lines() if line.get("path") == path][-1]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a-1_b.c:2", "a-1_b.c:2"),
        ("x" * 500, "x" * 128),
        ("caf\xe9 \x80!", "caf? ?!"),
        ("tab\there", "tab?here"),
    ],
)
def test_a_callers_request_id_comes_back_within_bounds(
    sandbox_gateway: RunningGateway, sent: str, kept: str
) -> None:
    client = sandbox_gateway.client
    headers = {"x-api-key": client.api_key, "x-request-id": sent}
    for target, status in (("/v1/models", 200), ("/v1/messages", 400)):
        method = "GET" if status == 200 else "POST"
        answer = client.call(method, target, b"{}" if status == 400 else b"", headers)
        assert answer.status == status
        assert answer.headers["x-request-id"] == kept
        assert answer.headers["x-apertis-request-id"].startswith("req_")
    assert logged(sandbox_gateway, "/v1/messages")["client_request_id"] == kept


def test_a_long_path_is_cut(sandbox_gateway: RunningGateway) -> None:
    sandbox_gateway.client.call("GET", "/" + "p" * 50_000)
    sandbox_gateway.gateway.log.event("info", "flushed")
    assert max(len(line.get("path", "")) for line in sandbox_gateway.log_lines()) == 300


def test_a_log_that_nobody_reads_stops_no_request_and_loses_no_line(
    serve_process: Callable[..., Served],
) -> None:
    reading, writing = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    served = serve_process(log=writing)
    os.close(writing)
    connection = served.connect()

    def knock(times: int) -> None:
        for _ in range(times):
            connection.request("GET", "/healthz")
            assert connection.getresponse().read() == b'{"status":"ok"}'

    # Many times what the pipe holds, and more lines than wait for company.
    knock(1000)
    with os.fdopen(reading, "rb", closefd=False) as pipe:
        lines = [json.loads(pipe.readline()) for _ in range(1000)]
    assert {line["path"] for line in lines} == {"/healthz"}
    assert len({line["request_id"] for line in lines}) == 1000
    os.close(reading)
    knock(300)
    assert served.stop() == 0


def test_a_slow_reader_gets_the_last_lines_of_a_gateway_that_stops(
    serve_process: Callable[..., Served],
) -> None:
    reading, writing = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    served = serve_process(log=writing)
    os.close(writing)
    connection = served.connect()
    for _ in range(200):
        connection.request("GET", "/healthz")
        connection.getresponse().read()
    served.send(signal.SIGTERM)
    # It closes idle connections first, and its log last.
    assert connection.sock.recv(1) == b""
    with os.fdopen(reading, "rb") as pipe:
        assert len(pipe.readlines()) == 200
    assert served.wait() == 0


# A library that warns, at the moment of a signal.
WARNING = """
import signal, warnings
signal.signal(signal.SIGUSR1, lambda *_: warnings.warn("first line\\nxyzzy-second", stacklevel=1))
from apertis.cli import main
main()
"""


def test_the_warnings_of_libraries_are_json_too(serve_process: Callable[..., Served]) -> None:
    served = serve_process(program=("-c", WARNING))
    served.send(signal.SIGUSR1)
    found = json.loads(served.err.next(lambda line: "first line" in line))
    assert (found["level"], found["logger"]) == ("warning", "py.warnings")
    assert served.stop() == 0
    assert len(served.log()) == 1


def test_requests_can_be_left_out(start_gateway: Callable[..., RunningGateway]) -> None:
    running = start_gateway(APERTIS_LOG_REQUESTS="false")
    assert running.client.call("GET", "/v1/models").status == 200
    running.gateway.log.event("info", "flushed")
    assert [line["event"] for line in running.log_lines()] == ["flushed"]


def shown_on_a_terminal(serve_process: Callable[..., Served], **environment: str) -> list[str]:
    """What a terminal shows of a request, one with a name that gives orders, and an event."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    served = serve_process(log=theirs, **environment)
    os.close(theirs)
    assert served.ask().status == 200
    assert served.ask(model="a\x1b[31mb\u202e\u0007").status == 404
    served.send(signal.SIGHUP)
    shown = b""
    while b"read again" not in shown:
        shown += os.read(ours, 65536)
    assert served.stop() == 0
    os.close(ours)
    return shown.decode().splitlines()


def test_a_terminal_shows_short_lines_that_give_it_no_orders(
    serve_process: Callable[..., Served],
) -> None:
    lines = shown_on_a_terminal(serve_process)
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d  POST  /v1/messages  200  claude-sonnet-4.5  \d+ in \d+ out  "
        r"\$0\.\d{4}  \d+ ms  admin",
        lines[0],
    )
    assert "404  not_found_error  a?[31mb??  " in lines[1]
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d  info: the configuration was read again \(needs_restart: \[\]\)", lines[2]
    )
    assert all(line.isprintable() for line in lines)


def test_json_can_be_had_on_a_terminal_and_text_elsewhere(
    serve_process: Callable[..., Served],
) -> None:
    lines = shown_on_a_terminal(serve_process, APERTIS_LOG_FORMAT="json")
    assert [json.loads(line).get("status") for line in lines] == [200, 404, None]
    served = serve_process(APERTIS_LOG_FORMAT="text")
    served.send(signal.SIGHUP)
    assert "  info: the configuration" in served.err.next(lambda line: "read again" in line)
    assert served.stop() == 0


def test_lines_of_several_processes_are_not_mixed() -> None:
    """Whoever shares a pipe may write between two pieces: each ends with a line."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(10)
    with ours, theirs:

        async def write() -> None:
            log = Log(theirs.fileno(), asyncio.get_running_loop(), worker=3)
            for number in range(200):
                log._lines.append(b'{"number":%d,"text":"%s"}' % (number, b"x" * (number % 90)))
            log.event("info", "done", long="y" * 10_000)
            log.event("info", "last")
            await log.close(5)

        asyncio.run(write())
        pieces: list[bytes] = []
        while not pieces or b'"last"' not in pieces[-1]:
            pieces.append(ours.recv(2**20))
    long = [piece for piece in pieces if not piece.endswith(b"\n")]
    assert long, "a line that is longer than a piece has several"
    assert all(set(piece[100:]) <= {ord("y")} for piece in long)
    lines = [json.loads(line) for line in b"".join(pieces).splitlines()]
    assert [line.get("number") for line in lines[:200]] == list(range(200))
    assert {line["worker"] for line in lines} == {3}
