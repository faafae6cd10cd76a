"""How many requests of a party are under way at once."""

from __future__ import annotations

__all__ = ["InFlight"]


class InFlight:
    """Counts what has come in and has not left; a party with nothing under way costs nothing."""

    __slots__ = ("_counts", "total")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        # Requests of all parties together.
        self.total = 0

    def enter(self, who: str, limit: int) -> bool:
        """Count a request in, unless `limit` are under way already; 0 is no limit.

        Requests without a limit are counted too: the party may get one while they are under way.
        """
        count = self._counts.get(who, 0)
        if limit and count >= limit:
            return False
        self._counts[who] = count + 1
        self.total += 1
        return True

    def leave(self, who: str) -> bool:
        """Count a request out; False, and nothing changes, if none of this party is under way."""
        count = self._counts.get(who, 0)
        if count == 0:
            return False
        if count == 1:
            del self._counts[who]
        else:
            self._counts[who] = count - 1
        self.total -= 1
        return True

    def count(self, who: str) -> int:
        """How many requests of a party are under way."""
        return self._counts.get(who, 0)
