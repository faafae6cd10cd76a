"""`apertis serve --workers 2`: real processes on one port and one store."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from apertis.cli.exit_codes import ExitCode
from apertis.errors import ConfigurationError
from apertis.gateway.config import ServerSettings, Settings, StoreSettings
from apertis.gateway.replicas.parent import Parent, worker_environment
from apertis.testing import AwaitDisconnect, Exchange, ScriptedServer
from tests.kit.http import question
from tests.kit.money import rows_of, spent_by
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.store.database import Store
    from tests.kit.postgresql import PostgreSQL
    from tests.kit.processes import Served

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="workers need POSIX")
FREE = {"APERTIS_LIMITS_PER_ADDRESS": "0", "APERTIS_LIMITS_PER_KEY": "0"}


@pytest.fixture
def serve_workers(serve_process: Callable[..., Served]) -> Callable[..., Served]:
    def start(*options: str, **more: Any) -> Served:
        return serve_process("--workers", "2", *options, **FREE, **more)

    return start


def children(served: Served) -> list[int]:
    """The processes of the workers."""
    found = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children")
    if not found.exists():
        pytest.skip("this system does not tell whose child a process is")
    return [int(pid) for pid in found.read_text().split()]


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # Nobody may have taken note of its end yet.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def metric(served: Served, name: str) -> float:
    lines = served.call("GET", "/metrics").body.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def ask_until_both_answered(served: Served) -> int:
    """Ask over new connections until both workers have logged; give how often."""
    seen: set[int] = set()
    for number in count(1):
        assert served.ask().status == 200
        line = served.err.next(lambda line: '"path":"/v1/messages"' in line)
        seen.add(json.loads(line)["worker"])
        if seen == {0, 1}:
            return number
        assert number < 500
    raise AssertionError


def test_two_workers_answer_on_one_port_and_their_metrics_are_those_of_one(
    serve_workers: Callable[..., Served], tmp_path: Path
) -> None:
    served = serve_workers()
    asked = ask_until_both_answered(served)
    asked += sum(served.ask().status == 200 for _ in range(20))
    name = 'apertis_requests_total{endpoint="messages"'
    assert metric(served, name) == asked
    assert metric(served, 'apertis_request_seconds_count{endpoint="messages"}') == asked
    assert metric(served, "apertis_workers") == 2 + 2
    assert metric(served, "apertis_workers_answered") == 2
    until(lambda: len(rows_of(tmp_path / "data")) == asked)
    ready = served.call("GET", "/readyz").json
    assert ready["workers"] == {"ready": 2, "of": 2}
    assert ready["replica"].rpartition("/")[2] in {"0", "1"}
    pids = children(served)
    assert len(pids) == 2
    assert served.stop() == 0
    assert all(map(is_gone, pids))
    assert {line["worker"] for line in served.log() if "path" in line} == {0, 1}
    # All is booked: nothing is left of the journals.
    assert not list((tmp_path / "data" / "usage-journal").rglob("usage-*"))


def test_a_worker_that_is_killed_loses_no_record_and_another_takes_its_place(
    serve_workers: Callable[..., Served], tmp_path: Path
) -> None:
    served = serve_workers()
    made = served.call("POST", "/admin/v1/keys", b'{"name": "ci", "quota_units": 500000000}')
    key = json.loads(made.body)
    answered: list[str] = []
    failed = 0
    at_once = 8

    async def load(pid: int) -> None:
        nonlocal failed
        loop = asyncio.get_running_loop()
        port = int(served.base_url.rpartition(":")[2])
        body = question()
        head = (
            f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {key['secret']}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        ).encode()
        ended = asyncio.Event()

        async def ask() -> None:
            """Ask without a pause over one connection, and over a new one when that breaks."""
            nonlocal failed
            while not ended.is_set():
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    while not ended.is_set():
                        writer.write(head + body)
                        told = (await reader.readuntil(b"\r\n\r\n")).decode()
                        fields = dict(line.split(": ", 1) for line in told.splitlines()[1:-1])
                        await reader.readexactly(int(fields["content-length"]))
                        assert told.startswith("HTTP/1.1 200"), told
                        answered.append(fields["x-apertis-request-id"])
                except (asyncio.IncompleteReadError, ConnectionError):
                    failed += 1
                finally:
                    writer.close()

        async def kill() -> None:
            await loop.run_in_executor(None, until, lambda: len(answered) > 100)
            os.kill(pid, signal.SIGKILL)
            before = len(answered)
            await loop.run_in_executor(None, until, lambda: len(answered) > before + 100)
            ended.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(kill())
            for _ in range(at_once):
                group.create_task(ask())

    first, second = children(served)
    asyncio.run(load(first))
    again = served.event("a worker ended, and another takes its place")
    assert again["reason"] == "it was ended by SIGKILL"
    served.event("a worker serves again")
    # Nothing but what was under way with the one that was killed.
    assert failed <= at_once
    assert second in children(served)
    assert first not in children(served)
    assert len(children(served)) == 2
    # What it had written is booked, each once, and counted on.
    until(lambda: set(answered) <= {row["request_id"] for row in rows_of(tmp_path / "data")})
    assert metric(served, "apertis_workers_answered") == 2
    assert served.stop() == 0
    booked = rows_of(tmp_path / "data", key["id"])
    assert len(booked) <= len(answered) + failed
    assert spent_by(tmp_path / "data", key["id"]) == sum(row["cost_units"] for row in booked)


def test_a_worker_that_is_told_to_end_alone_is_replaced(
    serve_workers: Callable[..., Served],
) -> None:
    served = serve_workers()
    counted = ask_until_both_answered(served)
    os.kill(children(served)[0], signal.SIGTERM)
    served.event("a worker ended, and another takes its place")
    # The one that is left is ready by itself, and says that it is alone.
    assert served.call("GET", "/readyz").json["workers"] == {"ready": 1, "of": 2}
    served.event("a worker serves again")
    # What it counted is not forgotten: it told it when it ended.
    assert metric(served, 'apertis_requests_total{endpoint="messages"') == counted
    assert served.stop() == 0


def test_a_parent_that_is_killed_leaves_no_worker(serve_workers: Callable[..., Served]) -> None:
    served = serve_workers()
    pids = children(served)
    served.send(signal.SIGKILL)
    until(lambda: all(map(is_gone, pids)), 20)
    again = serve_workers()
    assert again.told_key is None
    assert again.call("GET", "/readyz").status == 200
    assert again.stop() == 0


def test_a_key_that_is_disabled_is_so_everywhere(serve_workers: Callable[..., Served]) -> None:
    served = serve_workers()
    made = json.loads(served.call("POST", "/admin/v1/keys", b'{"name": "ci"}').body)
    headers = {"x-api-key": made["secret"]}

    def statuses() -> set[int]:
        return {served.call("POST", "/v1/messages", question(), headers).status for _ in range(12)}

    assert statuses() == {200}
    assert served.call("POST", f"/admin/v1/keys/{made['id']}/disable").status == 200
    until(lambda: statuses() == {401}, 1.0)
    assert served.stop() == 0


def test_cached_responses_are_forgotten_by_all(serve_workers: Callable[..., Served]) -> None:
    served = serve_workers()
    headers = {**served.headers, "x-response-cache": "on"}

    answers: list[str | None] = []

    def ask() -> int:
        """Ask both workers, as the system shares connections between them; the misses so far."""
        answers.extend(
            served.call("POST", "/v1/messages", question(), headers).headers["x-response-cache"]
            for _ in range(40)
        )
        return answers.count("miss")

    def expect(misses: int) -> None:
        until(lambda: ask() >= misses)
        assert ask() == misses

    expect(2)
    assert served.call("DELETE", "/admin/v1/cache").status == 200
    expect(4)
    assert set(answers) == {"hit", "miss"}
    assert served.stop() == 0


def test_what_is_under_way_finishes_and_a_second_signal_does_not_wait(
    serve_workers: Callable[..., Served], first_half: bytes
) -> None:
    with ScriptedServer([Exchange(first_half, AwaitDisconnect())] * 4) as server:
        served = serve_workers(
            ANTHROPIC_BASE_URL=server.base_url,
            ANTHROPIC_API_KEY="sk-ours",
            APERTIS_SERVER_STOP_SECONDS="600",
        )
        streams = [served.stream() for _ in range(4)]
        for stream in streams:
            assert stream.event().startswith(b"event: message_start")
        served.send(signal.SIGTERM)
        with pytest.raises(ConnectionError):
            until(lambda: served.call("GET", "/healthz").status != 200)
        assert served.process.poll() is None
        served.send(signal.SIGTERM)
        assert all(b"service_unavailable" in stream.rest() for stream in streams)
        assert served.wait() == 0


def test_the_configuration_is_read_again_by_all_and_a_wrong_one_by_none(
    serve_workers: Callable[..., Served], configured: Callable[[str], str]
) -> None:
    path = configured("[log]\nrequests = true\n")
    served = serve_workers("--config", path)
    configured("[log]\nrequests = 7\n")
    served.send(signal.SIGHUP)
    assert "log.requests" in served.event("the configuration was not taken over")["reason"]
    configured("[log]\nrequests = false\n[server]\nworkers = 3\n")
    served.send(signal.SIGHUP)
    told = [served.event("the configuration was read again") for _ in range(2)]
    assert {event["worker"] for event in told} == {0, 1}
    for _ in range(20):
        assert served.ask().status == 200
    assert served.stop() == 0
    assert not [line for line in served.log() if line.get("path") == "/v1/messages"]
    assert [line for line in served.log() if "not taken over" in line.get("event", "")] != []


def test_workers_that_cannot_start_end_it_all_with_their_error(
    launch: Callable[..., Served], tmp_path: Path
) -> None:
    (tmp_path / "data" / "usage-journal").mkdir(parents=True)
    (tmp_path / "data" / "usage-journal" / "1").touch()
    served = launch("--data", str(tmp_path / "data"), "--workers", "2")
    assert served.wait() == ExitCode.CONFIGURATION
    (line,) = served.err.all()
    assert line.startswith("apertis: cannot open the usage journal in ")
    assert served.out.all() == []


def test_what_any_number_of_workers_left_is_booked_by_any_other(
    serve_process: Callable[..., Served], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    asked = 0
    key = ""
    for workers in (1, 3, 2):
        served = serve_process("--workers", str(workers), **FREE)
        served.api_key = key = served.told_key or key
        for _ in range(30):
            assert served.ask().status == 200
            asked += 1
        # The end comes before all is booked, or behind it.
        for pid in [*children(served), served.process.pid]:
            os.kill(pid, signal.SIGKILL)
        served.wait()
    served = serve_process("--workers", "2", **FREE)
    assert len(rows_of(data)) == asked
    assert sorted(path.name for path in (data / "usage-journal").iterdir()) == ["0", "1"]
    assert served.stop() == 0


def test_a_budget_is_spent_by_both_workers_and_not_beyond(
    serve_workers: Callable[..., Served], tmp_path: Path
) -> None:
    served = serve_workers()
    asked: dict[str, Any] = {"max_tokens": 1000}
    first = json.loads(served.call("POST", "/admin/v1/keys", b'{"name": "first"}').body)
    body = question(**asked)

    def ask(secret: str) -> int:
        return served.call("POST", "/v1/messages", body, {"x-api-key": secret}).status

    assert ask(first["secret"]) == 200
    data = tmp_path / "data"
    until(lambda: rows_of(data, first["id"]))
    (row,) = rows_of(data, first["id"])
    # What a request may cost is a multiple of what it does.
    quota = 150 * row["cost_units"]
    made = json.dumps({"name": "limited", "quota_units": quota}).encode()
    key = json.loads(served.call("POST", "/admin/v1/keys", made).body)
    with ThreadPoolExecutor(16) as threads:
        statuses = list(threads.map(ask, [key["secret"]] * 200))
    assert set(statuses) <= {200, 402}
    served_in_all = statuses.count(200)
    refused = 0
    while refused < 20:
        status = ask(key["secret"])
        served_in_all += status == 200
        refused = refused + 1 if status == 402 else 0
    until(lambda: len(rows_of(data, key["id"])) == served_in_all)
    spent = sum(row["cost_units"] for row in rows_of(data, key["id"]))
    reservation = 16 * row["cost_units"]
    assert quota - reservation < spent <= quota
    view = json.loads(served.call("GET", f"/admin/v1/keys/{key['id']}").body)
    assert view["used_units"] == spent
    assert served.stop() == 0


def test_workers_share_a_postgresql_database_with_other_gateways(
    serve_workers: Callable[..., Served], launch: Callable[..., Served], own_postgres: PostgreSQL
) -> None:
    url = own_postgres.url
    served = serve_workers(APERTIS_STORE_URL=url)
    other = launch("--json", "--data", "other", APERTIS_STORE_URL=url, **FREE)
    other.wait_until_it_serves()
    assert other.told_key is None
    until(lambda: served.call("GET", "/readyz").json["replicas"] == 3)
    made = json.loads(served.call("POST", "/admin/v1/keys", b'{"name": "ci"}').body)
    headers = {"x-api-key": made["secret"]}

    def statuses() -> set[int]:
        return {
            one.call("POST", "/v1/messages", question(), headers).status
            for one in (served, other)
            for _ in range(8)
        }

    assert statuses() == {200}
    other.api_key = served.api_key
    assert other.call("POST", f"/admin/v1/keys/{made['id']}/disable").status == 200
    until(lambda: statuses() == {401}, 2.0)
    # A second gateway in the same data directory is refused.
    second = launch("--data", "data", "--workers", "2", APERTIS_STORE_URL=url)
    assert second.wait() == ExitCode.CONFIGURATION
    (line,) = second.err.all()
    assert line.startswith("apertis: another gateway uses the usage journal")
    for one in (served, other):
        assert one.stop() == 0


DEAF = """
import socket, sys
from apertis.gateway.replicas.messages import Ready, encode, receive
line = socket.socket(fileno=int(sys.argv[-1]))
receive(line)
line.sendall(encode(Ready()))
while True:
    receive(line)
"""


def parent_of(program: str, tmp_path: Path, told: list[str]) -> tuple[Parent, socket.socket]:
    """A parent whose workers are such programs."""

    def tell(_: str, text: str, **__: object) -> None:
        told.append(text)

    listener = socket.create_server(("127.0.0.1", 0))
    server = ServerSettings(workers=2, stop_seconds=0)
    parent = Parent(
        Settings(StoreSettings(data=tmp_path), server),
        listener,
        (sys.executable, "-c", program),
        environment=worker_environment(os.environ),
        options={},
        reread=lambda: None,
        tell=tell,
        order_seconds=0.2,
    )
    return parent, listener


def test_workers_that_do_not_end_are_killed(tmp_path: Path) -> None:
    told: list[str] = []
    parent, listener = parent_of(DEAF, tmp_path, told)

    async def ready(_: Store) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with listener:
        asyncio.run(parent.run(ready))
    assert told == ["a worker was killed that did not end"] * 2
    assert parent.failures == 2


def test_workers_that_crash_at_the_start_end_it_all(tmp_path: Path) -> None:
    parent, listener = parent_of("raise SystemExit(7)", tmp_path, [])

    async def ready(_: Store) -> None:
        raise AssertionError

    with listener, pytest.raises(ConfigurationError, match="it ended with exit code 7"):
        asyncio.run(parent.run(ready))
