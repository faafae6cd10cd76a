"""What a gateway keeps: on PostgreSQL from start to end, and on a file of an earlier version."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from apertis.cli.exit_codes import ExitCode
from tests.kit.http import question
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.kit.postgresql import PostgreSQL
    from tests.kit.processes import Served

_PATIENCE_SECONDS = 20


def requests_booked(served: Served) -> int:
    """How many the store knows of."""
    report: dict[str, Any] = json.loads(served.call("GET", "/admin/v1/usage").body)
    return int(report["totals"]["requests"])


def test_postgresql_is_a_store_from_start_to_end(
    serve_process: Callable[..., Served], launch: Callable[..., Served], own_postgres: PostgreSQL
) -> None:
    url: str = own_postgres.url
    served = serve_process(APERTIS_STORE_URL=url)
    assert served.api_key is not None
    made = json.loads(served.call("POST", "/admin/v1/keys", b'{"name": "ci"}').body)
    assert served.ask().status == 200
    until(lambda: requests_booked(served) == 1)

    # One database has one gateway, wherever the other's data is.
    other = launch("--data", "elsewhere", APERTIS_STORE_URL=url)
    assert other.wait() == ExitCode.CONFIGURATION
    (line,) = other.err.all()
    assert line.startswith("apertis: another gateway")
    assert "PostgreSQL database" in line

    # Without its store it serves on, and says so.
    own_postgres.stop()
    until(lambda: served.call("GET", "/readyz").status == 503)
    assert b"the store does not answer" in served.call("GET", "/readyz").body
    assert [served.ask().status for _ in range(3)] == [200] * 3
    own_postgres.start()
    until(lambda: served.call("GET", "/readyz").status == 200)
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


def test_a_gateway_whose_store_another_one_took_serves_no_quota(
    serve_process: Callable[..., Served], launch: Callable[..., Served], own_postgres: PostgreSQL
) -> None:
    asyncpg: Any = pytest.importorskip("asyncpg")
    url = urlsplit(own_postgres.url)._replace(path="/taken").geturl()

    async def run(where: str, statement: str) -> None:
        connection = await asyncpg.connect(where)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run(own_postgres.url, "CREATE DATABASE taken"))
    served = serve_process(APERTIS_STORE_URL=url)
    made = served.call("POST", "/admin/v1/keys", b'{"name": "limited", "quota_units": 500000000}')
    limited = {"x-api-key": json.loads(made.body)["secret"]}
    assert served.call("POST", "/v1/messages", question(), limited).status == 200

    # The sessions end, and another gateway is there before this one looks.
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
        "AND database = (SELECT oid FROM pg_database WHERE datname = 'taken')"
    )
    asyncio.run(run(own_postgres.url, cut))
    other = launch("--json", "--data", "elsewhere", APERTIS_STORE_URL=url)
    assert "base_url" in json.loads(other.out.next(lambda line: line.startswith("{")))
    assert served.event("not ready")["reason"] == "another gateway has the store"
    answer = served.call("GET", "/readyz")
    assert (answer.status, b"another gateway has the store" in answer.body) == (503, True)
    assert served.call("POST", "/v1/messages", question(), limited).status == 503
    assert served.ask().status == 200

    assert other.stop() == 0
    until(lambda: served.call("GET", "/readyz").status == 200)
    assert served.call("POST", "/v1/messages", question(), limited).status == 200
