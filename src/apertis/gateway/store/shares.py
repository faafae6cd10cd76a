"""Counts of requests and tokens that gateways tell each other about each second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, or_, select, text

from apertis.gateway.store.clock import store_ms
from apertis.gateway.store.schema import shares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from apertis.gateway.store.connections import Database

# A party, how much of it was let in, and how much was asked for.
Share = tuple[str, int, int]
# The same of another gateway: the party, the gateway, both counts, and when it said so.
OtherShare = tuple[str, str, int, int, int]

# What was written just before the last look may have become visible after it.
_OVERLAP_MS = 5_000
# No limit is counted over more than a week.
_KEPT_MS = 7 * 86_400_000
_IDLE_MS = 60_000

_TELL = text(
    "INSERT INTO shares (party, replica, used, demand, seen_ms) "
    "VALUES (:party, :replica, :used, :demand, :seen_ms) ON CONFLICT (party, replica) "
    "DO UPDATE SET used = excluded.used, demand = excluded.demand, seen_ms = excluded.seen_ms"
)


class StoredShares:
    """The last word of each gateway about each party."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def exchange(
        self, replica: str, told: Sequence[Share], idle: Sequence[str], since_ms: int
    ) -> tuple[int, list[OtherShare]]:
        """Say what a gateway counted, and read what others have said since then.

        The time that comes back is what the next call is given.
        """

        def work(connection: Connection) -> tuple[int, list[OtherShare]]:
            at = store_ms(connection)
            rows = [
                {"party": party, "replica": replica, "used": used, "demand": demand, "seen_ms": at}
                for party, used, demand in (*told, *((party, 0, 0) for party in idle))
            ]
            if rows:
                connection.execute(_TELL, rows)
            others = select(
                shares.c.party, shares.c.replica, shares.c.used, shares.c.demand, shares.c.seen_ms
            ).where(shares.c.replica != replica, shares.c.seen_ms > since_ms - _OVERLAP_MS)
            return at, [tuple(row) for row in connection.execute(others)]

        return await self._database.write(work)

    async def sweep(self) -> None:
        """Forget what gateways that are gone have said."""

        def work(connection: Connection) -> None:
            now = store_ms(connection)
            # All have read by then that it is idle.
            is_idle = and_(shares.c.used == 0, shares.c.demand == 0)
            is_read = and_(is_idle, shares.c.seen_ms < now - _IDLE_MS)
            connection.execute(
                delete(shares).where(or_(shares.c.seen_ms < now - _KEPT_MS, is_read))
            )

        await self._database.write(work)
