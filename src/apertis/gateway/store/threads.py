"""Conversations that upstreams hold, by the ids of their last responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select

from apertis.gateway.store.records import ThreadMessage
from apertis.gateway.store.schema import thread_messages
from apertis.gateway.store.statements import BulkInsert

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import ColumnElement, Connection, Row

    from apertis.gateway.store.connections import Database

_ROWS = BulkInsert(thread_messages)
_FIELDS = ThreadMessage.__struct_fields__
_MESSAGES = select(*(thread_messages.c[name] for name in _FIELDS))
_IDS_AT_ONCE = 1000


class StoredThreads:
    """Responses that a conversation can continue from. Each belongs to the key that received it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, messages: Iterable[ThreadMessage]) -> None:
        """Keep these; one of an id that the key has already takes that one's place."""
        by_id = {(message.key_id, message.message_id): message for message in messages}
        if not by_id:
            return
        by_key: dict[str, list[str]] = {}
        for key_id, message_id in sorted(by_id):
            by_key.setdefault(key_id, []).append(message_id)
        rows = [tuple(getattr(by_id[id_], name) for name in _FIELDS) for id_ in sorted(by_id)]

        def work(connection: Connection) -> None:
            for key_id, ids in by_key.items():
                for these in _these(key_id, ids):
                    connection.execute(delete(thread_messages).where(*these))
            _ROWS.run(connection, rows)

        await self._database.write(work)

    async def find(self, key_id: str, message_ids: Iterable[str]) -> dict[str, ThreadMessage]:
        """Read those of a key's answers that have one of these ids, by their ids."""
        statements = [_MESSAGES.where(*these) for these in _these(key_id, list(message_ids))]

        def work(connection: Connection) -> Sequence[Row[Any]]:
            return [row for each in statements for row in connection.execute(each)]

        rows = await self._database.read(work)
        found = [ThreadMessage(**dict(zip(_FIELDS, row, strict=True))) for row in rows]
        return {message.message_id: message for message in found}

    async def drop(self, before: int, keep: int) -> None:
        """Forget those from before a time (Unix seconds), and all but about the `keep` newest."""
        at = thread_messages.c.at
        oldest = select(at).order_by(at.desc()).offset(keep).limit(1)

        def work(connection: Connection) -> None:
            last = connection.execute(oldest).scalar_one_or_none()
            # All of one second go together.
            limit = before if last is None else max(before, int(last) + 1)
            connection.execute(delete(thread_messages).where(at < limit))

        await self._database.write(work)


def _these(key_id: str, ids: Sequence[str]) -> Iterator[tuple[ColumnElement[bool], ...]]:
    """Name a key's messages, so many at once as a statement takes."""
    for start in range(0, len(ids), _IDS_AT_ONCE):
        part = ids[start : start + _IDS_AT_ONCE]
        yield thread_messages.c.key_id == key_id, thread_messages.c.message_id.in_(part)
