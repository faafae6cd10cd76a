"""Migration of a database to the newest schema, or the reason that it cannot be used."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from sqlalchemy import Column, MetaData, String, Table, insert, inspect, text

from apertis.errors import ConfigurationError
from apertis.gateway.errors import StoreSilentError, StoreUnavailableError
from apertis.gateway.store.schema import HEAD, key_version, metadata, usage_rollup

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from apertis.gateway.store.connections import Database
    from apertis.gateway.store.location import StoreLocation

_REVISION = text("SELECT version_num FROM alembic_version")


async def is_at_head(database: Database, place: StoreLocation) -> bool:
    """Return whether the tables are in the newest form; a database without any is not.

    `ConfigurationError` when a newer version made them, or another program.
    """
    revision = await _revision(database, place)
    if revision is not None and not re.fullmatch("[0-9]{4}", revision):
        raise ConfigurationError(
            f"{place.name} belongs to another program: its tables have the revision {revision!r}"
        )
    if revision is not None and revision > HEAD:
        raise ConfigurationError(
            f"{place.name} was written by a newer version of Apertis (its tables have the revision "
            f"{revision}, this version knows {HEAD}): update Apertis, or give it another store"
        )
    return revision == HEAD


async def upgrade(database: Database, place: StoreLocation) -> None:
    """Create the tables, or after a copy take all steps that are missing: all of it, or nothing."""
    revision = await _revision(database, place)
    if revision is not None:
        await asyncio.to_thread(place.copy, revision)
    await database.write(_create if revision is None else _run_migrations, seconds=None)


async def _revision(database: Database, place: StoreLocation) -> str | None:
    try:
        return await database.read(lambda at: at.execute(_REVISION).scalar_one_or_none())
    except StoreSilentError:
        raise
    except StoreUnavailableError:
        # Usually there is no such table; anything else fails here again, and is told.
        tables = await database.read(lambda at: inspect(at).get_table_names())
    if tables and not place.is_shared:
        raise ConfigurationError(
            f"{place.name} belongs to another program: it has the table {min(tables)!r}"
        )
    return None


def _create(connection: Connection) -> None:
    # The first start of a gateway without Alembic, which would stay in its memory: 11 MB.
    metadata.create_all(connection, checkfirst=False)
    connection.execute(insert(key_version).values(id=1, version=0))
    connection.execute(insert(usage_rollup).values(id=1, complete_since_ms=0))
    revisions = Column("version_num", String(32), primary_key=True)
    table = Table("alembic_version", MetaData(), revisions)
    table.create(connection)
    connection.execute(insert(table).values(version_num=HEAD))


def _run_migrations(connection: Connection) -> None:
    # Alembic takes as long to load as all the rest of the store, and is needed once a version.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "apertis.gateway.store:migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise ConfigurationError(f"no step leads to the tables of this version: {error}") from error
