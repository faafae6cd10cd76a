"""Alerts as the admin API and the command line show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, Struct

from apertis.errors import ConfigurationError
from apertis.gateway.alerts.decide import EVENT_TYPES
from apertis.gateway.alerts.delivery import build_targets
from apertis.gateway.alerts.watch import send_test
from apertis.gateway.errors import Refusal, conflict, not_found
from apertis.gateway.store.alerts import Kind, Severity, new_message_id
from apertis.gateway.units import Time, iso

if TYPE_CHECKING:
    from apertis.gateway.config import AlertSettings
    from apertis.gateway.store.alerts import Delivery, StoredAlerts, ToldAlert


class AlertListFields(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Filters for reading alerts, the newest first."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after_id: Annotated[str, Meta(description="Alerts that come after this one.")] | None = None
    failed: Annotated[bool, Meta(description="Only those that a target did not take yet.")] = False
    kind: Annotated[Kind, Meta(description="Only of this kind.")] | None = None
    level: Annotated[Severity, Meta(description="Only of this level.")] | None = None


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
    kind: Annotated[Kind, Meta(description="As the settings of targets name it.")]
    level: Severity
    at: Time
    text: str
    data: dict[str, Any]
    deliveries: tuple[DeliveryView, ...]


class AlertPage(Struct, kw_only=True, frozen=True):
    """One page of alerts, the newest first; `last_id` is the next one's `after_id`."""

    data: tuple[AlertView, ...]
    has_more: bool
    last_id: str | None


class TriedTarget(Struct, kw_only=True, frozen=True):
    """The outcome of a test at one target."""

    target: str
    delivered: bool
    error: str | None


async def try_targets(
    settings: AlertSettings, now: float, name: str | None = None
) -> tuple[TriedTarget, ...] | Refusal:
    """Send a test through each target, or the one with this name, and say what became of it."""
    known = [target.name for target in settings.targets]
    if not known:
        return conflict("There is no target: name one in [[alerts.targets]] of the settings")
    if name is not None and name not in known:
        return not_found(f"There is no target '{name[:100]}'; there are {', '.join(known)}")
    try:
        targets = build_targets(settings)
    except ConfigurationError as error:
        return conflict(str(error))
    wanted = [target for target in targets if name in (None, target.name)]
    return tuple(
        TriedTarget(target=target, delivered=outcome.error is None, error=outcome.error)
        for target, outcome in await send_test(wanted, new_message_id(), now)
    )


async def alert_page(stored: StoredAlerts, asked: AlertListFields) -> AlertPage:
    """Read the page that is asked for."""
    found = await stored.list(
        limit=asked.limit + 1,
        after_id=asked.after_id,
        failed_only=asked.failed,
        kind=asked.kind,
        level=asked.level,
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
        kind=alert.kind,
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
