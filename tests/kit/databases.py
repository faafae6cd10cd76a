"""Databases of their own on the PostgreSQL of tests, and questions to them."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from tests.kit.postgresql import PostgreSQL


def new_database(server: PostgreSQL, name: str) -> str:
    """Make a database with this name, as far as it may be one; the URL that leads to it."""
    asyncpg: Any = pytest.importorskip("asyncpg")
    # The end tells the rounds of one test apart.
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[-60:].strip("_")

    async def make() -> None:
        connection = await asyncpg.connect(server.url)
        try:
            await connection.execute(f"CREATE DATABASE {plain}")
        finally:
            await connection.close()

    asyncio.run(make())
    return urlsplit(server.url)._replace(path=f"/{plain}").geturl()


def query(url: str, text: str, *values: Any) -> list[Any]:
    """Ask the database, and give the rows."""
    asyncpg: Any = pytest.importorskip("asyncpg")

    async def run() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return list(await connection.fetch(text, *values))
        finally:
            await connection.close()

    return asyncio.run(run())


def script(url: str, text: str) -> None:
    """Run several statements."""
    asyncpg: Any = pytest.importorskip("asyncpg")

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(text)
        finally:
            await connection.close()

    asyncio.run(run())
