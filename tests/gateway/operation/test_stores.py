"""What a gateway keeps: on PostgreSQL from start to end, and on a file of an earlier version."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from apertis.cli.exit_codes import ExitCode
from tests.kit.http import question
from tests.kit.waiting import keep_apart, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.kit.postgresql import PostgreSQL
    from tests.kit.processes import Served

_PATIENCE_SECONDS = 20


def requests_booked(served: Served) -> int:
    """How many the store knows of."""
    answer = served.call("GET", "/admin/v1/usage")
    assert answer.status == 200, answer.body
    report: dict[str, Any] = json.loads(answer.body)
    return int(report["totals"]["requests"])


def test_postgresql_is_a_store_from_start_to_end(
    serve_process: Callable[..., Served],
    launch: Callable[..., Served],
    own_postgres: PostgreSQL,
    tmp_path: Path,
) -> None:
    url: str = own_postgres.url
    served = serve_process(APERTIS_STORE_URL=url)
    assert served.api_key is not None
    made = json.loads(served.call("POST", "/admin/v1/keys", b'{"name": "ci"}').body)
    assert served.ask().status == 200
    until(lambda: requests_booked(served) == 1)

    # Each gateway has a directory of its own for its journal.
    other = launch("--data", str(tmp_path / "data"), APERTIS_STORE_URL=url)
    assert other.wait() == ExitCode.CONFIGURATION
    (line,) = other.err.all()
    assert line.startswith("apertis: another gateway uses the usage journal")

    # Without its store it serves on, and says for how long.
    assert served.call("GET", "/readyz").json["seconds_left"] > 40
    own_postgres.stop()
    until(lambda: "store" in served.call("GET", "/readyz").json)
    ready = served.call("GET", "/readyz")
    assert (ready.status, ready.json["store"]) == (200, "the store does not answer")
    assert 0 < ready.json["seconds_left"] < 50
    assert served.event("not ready")["reason"] == "the store does not answer"
    assert [served.ask().status for _ in range(3)] == [200] * 3
    own_postgres.start()
    until(lambda: "store" not in served.call("GET", "/readyz").json)
    until(lambda: requests_booked(served) == 4)
    assert served.stop() == 0
    # What drivers and libraries say of it is JSON like all else.
    assert len([line for line in served.log() if line.get("path") == "/v1/messages"]) == 4

    again = serve_process(APERTIS_STORE_URL=url)
    assert again.told_key is None
    again.api_key = made["secret"]
    assert again.ask().status == 200
    assert again.stop() == 0


def test_the_database_is_named_without_its_password(
    launch: Callable[..., Served], own_postgres: PostgreSQL
) -> None:
    url = own_postgres.url.replace("postgres:", "postgres:xyzzy-password")
    assert "xyzzy" in url
    served = launch(APERTIS_STORE_URL=url, APERTIS_DATA="journal")
    line = served.out.next(lambda line: line.startswith("Data:"))
    assert "PostgreSQL database 'postgres'" in line
    assert "journal" in line
    assert served.stop() == 0
    assert "xyzzy" not in "".join([*served.out.all(), *served.err.all()])


def test_a_store_of_an_earlier_version_is_copied_and_migrated(
    serve_process: Callable[..., Served], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    file = data / "apertis.sqlite3"
    config = Config()
    config.set_main_option("script_location", "apertis.gateway.store:migrations")
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()

    served = serve_process()
    assert served.ask().status == 200
    assert served.stop() == 0

    def revision(path: Path) -> str:
        with closing(sqlite3.connect(path)) as connection:
            found: str = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
            return found

    assert revision(data / "apertis.sqlite3.backup-0001") == "0001"
    assert revision(file) > "0001"
    again = serve_process()
    assert again.told_key is None
    assert again.stop() == 0


def test_several_gateways_serve_from_one_database(
    launch: Callable[..., Served], own_postgres: PostgreSQL
) -> None:
    url = database(own_postgres, "several")
    served = [
        launch("--json", "--data", name, APERTIS_STORE_URL=url, APERTIS_SERVER_REPLICA=name)
        for name in ("a", "b", "c")
    ]
    for one in served:
        one.wait_until_it_serves()
    # They started at once, on a database without tables: one of them made the first key.
    (key,) = [one.told_key for one in served if one.told_key is not None]
    for one in served:
        one.api_key = key
    a, b, c = served

    made = json.loads(a.call("POST", "/admin/v1/keys", b'{"name": "ci"}').body)
    headers = {"x-api-key": made["secret"]}
    assert [one.call("POST", "/v1/messages", question(), headers).status for one in served] == [
        200
    ] * 3
    # What one was told all act on, at once where a key is new to it and within a second elsewhere.
    assert b.call("POST", f"/admin/v1/keys/{made['id']}/disable").status == 200
    until(
        lambda: (
            {one.call("POST", "/v1/messages", question(), headers).status for one in served}
            == {401}
        ),
        1.0,
    )
    # The ledger is one, whoever is asked.
    until(lambda: len(booked := {requests_booked(one) for one in served}) == 1 and min(booked) >= 3)
    for one in served:
        assert one.call("GET", "/readyz").status == 200
    until(lambda: b.call("GET", "/readyz").json["replicas"] == 3)
    assert b"apertis_replicas 3.0" in b.call("GET", "/metrics").body
    page = c.call("GET", "/admin/v1/replicas").json
    assert [(view["name"], view["state"]) for view in page["data"]] == [
        ("a", "here"),
        ("b", "here"),
        ("c", "here"),
    ]
    # One that is gone leaves nothing that keeps the others.
    a.close()
    assert b.ask().status == 200
    again = launch("--json", "--data", "a", APERTIS_STORE_URL=url, APERTIS_SERVER_REPLICA="a")
    again.wait_until_it_serves()
    assert again.told_key is None
    for one in (again, b, c):
        assert one.stop() == 0


def test_a_gateway_whose_name_another_one_took_serves_no_quota(
    launch: Callable[..., Served], own_postgres: PostgreSQL
) -> None:
    url = database(own_postgres, "taken")
    named = {"APERTIS_STORE_URL": url, "APERTIS_SERVER_REPLICA": "web-1"}
    served = launch("--json", "--data", "one", **named)
    served.wait_until_it_serves()
    made = served.call("POST", "/admin/v1/keys", b'{"name": "limited", "quota_units": 500000000}')
    limited = {"x-api-key": json.loads(made.body)["secret"]}
    assert served.call("POST", "/v1/messages", question(), limited).status == 200

    other = launch("--json", "--data", "elsewhere", **named)
    other.wait_until_it_serves()
    reason = "another gateway has the name 'web-1'"
    assert served.event("not ready")["reason"].startswith(reason)
    answer = served.call("GET", "/readyz")
    assert (answer.status, reason in answer.json["reason"]) == (503, True)
    assert served.call("POST", "/v1/messages", question(), limited).status == 503
    assert served.ask().status == 200
    assert other.call("POST", "/v1/messages", question(), limited).status == 200
    assert other.stop() == 0
    # The name does not come back by itself: who has it in the store has its leases.
    assert served.call("GET", "/readyz").status == 503
    assert served.stop() == 0


def database(server: PostgreSQL, name: str) -> str:
    """A new database on the server."""
    asyncpg: Any = pytest.importorskip("asyncpg")

    async def make() -> None:
        connection = await asyncpg.connect(server.url)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    asyncio.run(make())
    return urlsplit(server.url)._replace(path=f"/{name}").geturl()


def test_a_rate_is_one_over_all_gateways(
    launch: Callable[..., Served], own_postgres: PostgreSQL
) -> None:
    url = database(own_postgres, "rates")
    served = [
        launch("--json", "--data", name, APERTIS_STORE_URL=url, APERTIS_SERVER_REPLICA=name)
        for name in ("one", "two")
    ]
    for one in served:
        one.wait_until_it_serves()
    (key,) = [one.told_key for one in served if one.told_key is not None]
    for one in served:
        one.api_key = key
        until(lambda one=one: one.call("GET", "/readyz").json["replicas"] == 2)  # type: ignore[misc]
    made = served[0].call("POST", "/admin/v1/keys", b'{"name": "ci", "requests_limit": "40/1h"}')
    headers = {"x-api-key": made.json["secret"]}

    def let_in() -> int:
        answers = [
            one.call("POST", "/v1/messages", question(), headers)
            for _ in range(5)
            for one in served
        ]
        assert {answer.status for answer in answers} <= {200, 429}
        return sum(answer.status == 200 for answer in answers)

    total = let_in()
    while total < 40:
        total += let_in()
    keep_apart()
    # Two more rounds, in which each hears of the other.
    for _ in range(2):
        started = time.monotonic()
        total += let_in()
        until(lambda since=started: time.monotonic() > since + 1.2)  # type: ignore[misc]
    assert 40 <= total <= 40 + 20
    assert let_in() == 0
    for one in served:
        assert one.stop() == 0
