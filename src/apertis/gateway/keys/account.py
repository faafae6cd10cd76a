"""The money of one key: what it may spend, has spent, and has promised to requests under way."""

from __future__ import annotations


class Account:
    """A quota that parallel requests cannot overspend.

    Reserve the most that a request can cost before it is sent, and settle once with what it did
    cost. Then `used` passes `quota` by no more than the sum of `actual - reserved` over the
    requests that cost more than was reserved for them. All amounts are units, 500,000 to the US
    dollar, and never negative.
    """

    __slots__ = ("held", "quota", "reserved", "used")

    def __init__(self, quota: int | None, used: int = 0) -> None:
        self.quota = quota
        self.used = used
        # For requests under way, and for batches: each gives back what is its own alone.
        self.reserved = 0
        self.held = 0

    @property
    def remaining(self) -> int | None:
        """Units that can still be reserved; None without a quota. Below zero after an overshoot."""
        return None if self.quota is None else self.quota - self.used - self.set_aside

    @property
    def set_aside(self) -> int:
        """Units reserved for requests and batches together."""
        return self.reserved + self.held

    def reserve(self, units: int) -> bool:
        """Reserve `units` for a request; False, and nothing is reserved, if they are not left.

        A reservation of 0 is granted as long as the quota is not overspent.
        """
        quota = self.quota
        if quota is not None and self.used + self.reserved + self.held + units > quota:
            return False
        self.reserved += units
        return True

    def hold(self, units: int) -> None:
        """Set `units` aside for a batch, whether they are there or not: it was granted earlier."""
        self.held += units

    def hand_over(self, units: int) -> None:
        """Let a request's reservation become the hold of the batch that it made."""
        self.settle(units, 0)
        self.hold(units)

    def let_go(self, units: int, actual: int) -> None:
        """Give up to `units` of the holds back, and book what a batch has cost.

        A store that kept a batch, and failed before it could say so, knows of more holds.
        """
        self.held -= min(units, self.held)
        self.used += actual

    def settle(self, reserved: int, actual: int) -> None:
        """Give a reservation back and book what the request cost.

        A `ValueError` means that more was given back than is reserved: a reservation was settled
        twice. Nothing is booked then.
        """
        if reserved > self.reserved:
            message = f"cannot give back {reserved} reserved units: {self.reserved} are reserved"
            raise ValueError(message)
        self.reserved -= reserved
        self.used += actual
