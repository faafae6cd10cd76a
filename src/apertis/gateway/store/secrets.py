"""Secrets that a store makes for itself, at their first use."""

from __future__ import annotations

import secrets as random_secrets
from typing import TYPE_CHECKING

from sqlalchemy import select, text, update

from apertis.gateway.store.audit import note
from apertis.gateway.store.schema import secrets

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from apertis.gateway.store.connections import Database

_BYTES = 32
# Others may make it at the same moment: one of them is kept.
_MAKE = text(
    f"INSERT INTO {secrets.name} (name, value) VALUES (:name, :value) "  # noqa: S608
    "ON CONFLICT (name) DO NOTHING"
)


class StoredSecrets:
    """Secrets by name: the same for all that work on this store, and nowhere else."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> bytes:
        """Return a secret; the first one who asks for it makes it."""
        found = await self._database.read(lambda connection: _value(connection, name))
        if found is None:
            made = random_secrets.token_hex(_BYTES)
            found = await self._database.write(lambda connection: _made(connection, name, made))
        return bytes.fromhex(found)

    async def replace(self, name: str, actor: str) -> bytes:
        """Make a secret anew; what was made with the one before is void."""
        made = random_secrets.token_hex(_BYTES)

        def work(connection: Connection) -> None:
            _made(connection, name, made)
            connection.execute(update(secrets).where(secrets.c.name == name).values(value=made))
            note(connection, actor, "rotate", "secret", name)

        await self._database.write(work)
        return bytes.fromhex(made)


def _value(connection: Connection, name: str) -> str | None:
    found: str | None = connection.scalar(select(secrets.c.value).where(secrets.c.name == name))
    return found


def _made(connection: Connection, name: str, value: str) -> str:
    connection.execute(_MAKE, {"name": name, "value": value})
    return _value(connection, name) or value
