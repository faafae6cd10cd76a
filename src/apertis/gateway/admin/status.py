"""The gateways of the store as the admin API and the command line show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from apertis.gateway.units import Dollars, Time, iso, usd
from apertis.models.json import json_or_none

if TYPE_CHECKING:
    from apertis.gateway.store.accounts import HeldLeases
    from apertis.gateway.store.database import Store
    from apertis.gateway.store.replicas import Replica

# A gateway that is there says so every two seconds, and uses no lease in its last ten.
_GONE_MS = 10_000
_MARGIN_MS = 10_000


class ReplicaView(Struct, kw_only=True, frozen=True):
    """One start of a gateway, and the money that it may spend."""

    name: str
    state: Annotated[
        Literal["here", "stopped", "gone"],
        Meta(
            description="`gone`: it has said nothing for ten seconds. What it had leased is kept "
            "from others until it starts again, or its journal is replayed or forgotten."
        ),
    ]
    version: str | None
    started_at: Time | None
    seen_at: Time | None
    open_breakers: tuple[str, ...]
    leases: int
    leased_usd: Annotated[Dollars, Meta(description="What it may spend in all.")]
    reserved_usd: Annotated[Dollars, Meta(description="Of that, for requests under way.")]
    free_usd: Annotated[
        Dollars, Meta(description="What it may spend on further requests without the store.")
    ]
    seconds_left: Annotated[
        float | None, Meta(description="For how long it may do so; null: it has no leases.")
    ]


class ReplicaPage(Struct, kw_only=True, frozen=True):
    """All gateways of the store; none where one has it to itself. Its clock is the store's."""

    at: Time
    data: tuple[ReplicaView, ...]
    lost_usd: Annotated[
        Dollars, Meta(description="Booked as spent for gateways that were forgotten.")
    ]


class _State(Struct, frozen=True):
    version: str | None = None
    # Of each upstream a number, why its breaker is open, and for how long.
    breakers: dict[str, tuple[int, str | None, float]] = {}


_STATE = msgspec.json.Decoder(_State)


async def replica_page(store: Store) -> ReplicaPage:
    """Read who is there, and what each holds."""
    seen, overview = await store.replicas.read(), await store.accounts.overview()
    held = {(one.replica, one.epoch): one for one in overview.held}
    views = [
        _view(replica.name, replica, held.pop((replica.name, replica.epoch), None), seen.at_ms)
        for replica in seen.replicas
    ]
    # Earlier starts, which nobody has closed yet.
    views += [_view(name, None, lease, seen.at_ms) for (name, _), lease in held.items()]
    return ReplicaPage(
        at=iso(seen.at_ms / 1000),
        data=tuple(sorted(views, key=lambda view: (view.name, view.started_at or ""))),
        lost_usd=usd(overview.lost_units),
    )


def _view(name: str, replica: Replica | None, held: HeldLeases | None, now_ms: int) -> ReplicaView:
    state: Literal["here", "stopped", "gone"] = "gone"
    told = _State()
    started_at = seen_at = None
    if replica is not None:
        told = json_or_none(replica.state.encode(), _STATE) or told
        started_at = iso(replica.started_ms / 1000)
        if not replica.seen_ms:
            state = "stopped"
        else:
            seen_at = iso(replica.seen_ms / 1000)
            state = "here" if replica.seen_ms > now_ms - _GONE_MS else "gone"
    leased, reserved = (0, 0) if held is None else (held.leased, held.open)
    left = None
    if held is not None and held.leases:
        left = max(held.expires_ms - _MARGIN_MS - now_ms, 0) / 1000
    return ReplicaView(
        name=name,
        state=state,
        version=told.version,
        started_at=started_at,
        seen_at=seen_at,
        open_breakers=tuple(
            name for name, (_, cause, _) in told.breakers.items() if cause is not None
        ),
        leases=0 if held is None else held.leases,
        leased_usd=usd(leased),
        reserved_usd=usd(reserved),
        free_usd=usd(max(leased - reserved, 0)),
        seconds_left=left,
    )
