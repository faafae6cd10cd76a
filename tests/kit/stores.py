"""A store on each database, and records to put into it."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import pytest

from apertis.accounting.record import UsageRecord
from apertis.accounting.tokens import Tokens
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.keys.secrets import hash_secret
from apertis.gateway.store.database import Store
from tests.kit.postgresql import postgresql_server

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a real PostgreSQL server that is there for this run only."""
    with postgresql_server() as server:
        yield server.url


@pytest.fixture
def postgres_schema(postgres: str) -> str:
    """The URL of an empty schema on that server."""
    asyncpg = pytest.importorskip("asyncpg")
    name = f"test_{next(_numbers)}"

    async def make() -> None:
        connection = await asyncpg.connect(postgres)
        await connection.execute(f"CREATE SCHEMA {name}")
        await connection.close()

    asyncio.run(make())
    return f"{postgres}&search_path={name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a new store can be made, on each kind of database."""
    if request.param == "sqlite":
        return tmp_path / "data"
    url: str = request.getfixturevalue("postgres_schema")
    return url


@dataclass(frozen=True)
class Opened:
    """An open store, and the loop that it lives on."""

    store: Store
    runner: asyncio.Runner

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)


@pytest.fixture
def opened(location: Path | str) -> Iterator[Opened]:
    with asyncio.Runner() as runner:
        store = runner.run(Store.open(location))
        yield Opened(store, runner)
        runner.run(store.close())


@pytest.fixture(scope="session")
def make_key() -> Callable[..., KeyRecord]:
    def make(**fields: Any) -> KeyRecord:
        number = next(_numbers)
        made: dict[str, Any] = {
            "id": f"key_{number:020}",
            "name": f"key {number}",
            "sha256": f"{number:064x}",
            "hint": "sk-...wxyz",
            "created_at": 1_790_000_000 + number,
        }
        return KeyRecord(**{**made, **fields})

    return make


@pytest.fixture(scope="session")
def make_usage() -> Callable[..., UsageRecord]:
    def make(**fields: Any) -> UsageRecord:
        number = next(_numbers)
        made: dict[str, Any] = {
            "request_id": f"req_{number:020}",
            "at_ms": 1_790_000_000_000,
            "key_id": "key_a",
            "model": "claude-sonnet-4-5",
            "requested_model": "claude-sonnet-4-5",
            "upstream": "anthropic",
            "status": 200,
            "tokens": Tokens(input=10, output=20),
            "cost_units": 30,
        }
        return UsageRecord(**{**made, **fields})

    return make


class MakeRecord(Protocol):
    def __call__(self, secret: str = "sk-first", **fields: object) -> KeyRecord: ...


@pytest.fixture(scope="session")
def make_record() -> MakeRecord:
    """A record of a key with this secret; its id is `key_` and the secret's own end."""

    def make(secret: str = "sk-first", **fields: object) -> KeyRecord:
        plain = KeyRecord(
            id=f"key_{secret[3:]}",
            name=secret[3:],
            sha256=hash_secret(secret),
            hint="sk-...",
            created_at=1_000,
        )
        return msgspec.structs.replace(plain, **fields)

    return make
