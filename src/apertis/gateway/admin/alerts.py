"""Alerts as the admin API and the command line show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, Struct

from apertis.gateway.alerts.decide import EVENT_TYPES
from apertis.gateway.units import Time, iso

if TYPE_CHECKING:
    from apertis.gateway.store.alerts import Delivery, StoredAlerts, ToldAlert


class AlertListFields(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Filters for reading alerts, the newest first."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after_id: Annotated[str, Meta(description="Alerts that come after this one.")] | None = None
    failed: Annotated[bool, Meta(description="Only those that a target did not take yet.")] = False


class DeliveryView(Struct, kw_only=True, frozen=True):
    """An alert on its way to one target."""

    target: str
    state: Literal["waiting", "delivered", "failed"]
    attempts: int
    next_attempt_at: Time | None
    ended_at: Time | None
    error: Annotated[str, Meta(description="Why the last attempt failed.")] | None


class AlertView(Struct, kw_only=True, frozen=True):
    """An alert that was told. `data` are the facts that webhooks get too."""

    id: str
    message_id: Annotated[str, Meta(description="The `webhook-id` of its messages.")]
    type: str
    level: Literal["info", "warning", "error"]
    at: Time
    text: str
    data: dict[str, Any]
    deliveries: tuple[DeliveryView, ...]


class AlertPage(Struct, kw_only=True, frozen=True):
    """One page of alerts, the newest first; `last_id` is the next one's `after_id`."""

    data: tuple[AlertView, ...]
    has_more: bool
    last_id: str | None


async def alert_page(stored: StoredAlerts, asked: AlertListFields) -> AlertPage:
    """Read the page that is asked for."""
    found = await stored.list(
        limit=asked.limit + 1, after_id=asked.after_id, failed_only=asked.failed
    )
    shown = found[: asked.limit]
    return AlertPage(
        data=tuple(map(_view, shown)),
        has_more=len(found) > asked.limit,
        last_id=shown[-1].alert.id if shown else None,
    )


def _view(told: ToldAlert) -> AlertView:
    alert = told.alert
    return AlertView(
        id=alert.id,
        message_id=told.message_id,
        type=EVENT_TYPES[alert.kind],
        level=alert.level,
        at=iso(told.at_ms / 1000),
        text=alert.text,
        data=alert.data,
        deliveries=tuple(map(_delivery, told.deliveries)),
    )


def _delivery(delivery: Delivery) -> DeliveryView:
    next_ms, ended_ms = delivery.next_ms, delivery.ended_ms
    return DeliveryView(
        target=delivery.target,
        state=delivery.state,
        attempts=delivery.attempts,
        next_attempt_at=None if next_ms is None else iso(next_ms / 1000),
        ended_at=None if ended_ms is None else iso(ended_ms / 1000),
        error=delivery.error,
    )
