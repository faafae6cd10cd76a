"""The background work of alerts: look, claim, deliver; never on the path of a request.

Theory of operation. Every few seconds the first of the gateways looks at the store, and each looks
at its own breakers and journal. What `decide` makes of that is claimed: the store adds the row of
an alert once, with a delivery for each target. Whoever finds a delivery due takes it for a while,
sends, and says what became of it; one that was taken and not ended is due again after that while,
for anybody. So a message may come twice where a process ended in between, with the same id, and
none is lost.

While the store is away nothing can be claimed. The journal is then told of by the gateway whose
journal it is, which needs no claim for that, and put down once the store is back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from apertis.gateway.alerts.decide import (
    LEVELS,
    QUIET_MS,
    SPIKE_DAYS,
    JournalLag,
    OpenBreaker,
    ending_keys,
    lagging_journal,
    linked,
    open_breakers,
    passed_budgets,
    retry_seconds,
    spike,
)
from apertis.gateway.alerts.delivery import build_targets
from apertis.gateway.errors import StoreUnavailableError
from apertis.gateway.store.alerts import Alert, ToldAlert, new_message_id
from apertis.gateway.units import UNITS_PER_DOLLAR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from apertis.gateway.alerts.delivery import Outcome, Target
    from apertis.gateway.config import AlertSettings, AlertTargetSettings
    from apertis.gateway.store.alerts import Attempt, StoredAlerts

# Keys and hours are slower than budgets: they are looked at every twelfth time.
_SELDOM: Final = 12
# How many attempts one process has under way.
_MAX_ATTEMPTS: Final = 8
# A taken delivery is left to others after the attempt's time and this.
_SPARE_SECONDS: Final = 60.0
_CLEAN_LOOKS: Final = 720
_GIVE_UP_MS: Final = 86_400_000
_MAX_REMEMBERED: Final = 20_000


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a gateway, as its alerts ask for it."""

    replica: str
    # Whether this gateway does what one does for all.
    is_first: Callable[[], bool]
    breakers: Callable[[], Sequence[OpenBreaker]]
    journal_lag: Callable[[], tuple[int, float]]
    # The public URL, where a console is served at it.
    console_url: Callable[[], str | None]
    wall_clock: Callable[[], float]
    log: Callable[..., None]


class Alerts:
    """The alerts of one gateway. `attempts` counts by target and what became of them."""

    def __init__(
        self,
        store: StoredAlerts,
        settings: AlertSettings,
        conditions: Conditions,
        *,
        look_seconds: float,
        spare_seconds: float = _SPARE_SECONDS,
    ) -> None:
        self.attempts: Counter[tuple[str, str]] = Counter()
        self._store = store
        self._conditions = conditions
        self._look_seconds = look_seconds
        self._spare_seconds = spare_seconds
        self._settings = settings
        self._targets = {target.name: target for target in build_targets(settings)}
        # Those that new settings do without: they are still to be closed.
        self._retired: list[Target] = []
        self._looks = 0
        # Ids that are known to be told, so that a look need not ask the store again.
        self._known: dict[str, None] = {}
        self._open: frozenset[str] = frozenset()
        self._lagging = False
        # Told while the store was away: to be put down when it is back.
        self._unclaimed: dict[str, tuple[Alert, set[str]]] = {}
        self._due = asyncio.Event()

    def reconfigure(self, settings: AlertSettings) -> None:
        """Take new settings over; `ConfigurationError`, and nothing changes, if that cannot be."""
        targets = {target.name: target for target in build_targets(settings)}
        self._retired += self._targets.values()
        self._settings, self._targets = settings, targets

    async def run(self) -> None:
        """Look and deliver until canceled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look_forever())
            tasks.create_task(self._deliver_forever())

    async def close(self) -> None:
        """Close the connections to targets."""
        for target in (*self._targets.values(), *self._retired):
            await target.close()

    async def _look_forever(self) -> None:
        while True:
            await asyncio.sleep(self._look_seconds)
            while self._retired:
                await self._retired.pop().close()
            await self.look()

    async def look(self) -> None:
        """Look once at everything, and claim what there is to tell of."""
        lag = self._lag_alert()
        try:
            await self._put_down()
            if self._conditions.is_first():
                await self._look_at_the_store()
            await self._look_at_breakers()
            if lag is not None and not self._lagging:
                await self._claim([lag], quiet_ms=QUIET_MS)
        except StoreUnavailableError:
            # Readiness tells of it.
            if lag is not None and not self._lagging:
                await self._tell_without_claim(lag)
        self._lagging = lag is not None

    async def _look_at_the_store(self) -> None:
        settings, looks = self._settings, self._looks
        self._looks += 1
        seldom = looks % _SELDOM == 0
        if looks % _CLEAN_LOOKS == 0:
            await self._store.clean(self._targets, give_up_ms=_GIVE_UP_MS)
        days = settings.key_days
        seen = await self._store.look(
            key_seconds=max(days) * 86_400 if seldom and days else None,
            days=SPIKE_DAYS if seldom and settings.spike_factor else None,
        )
        found = [*passed_budgets(seen.budgets), *ending_keys(seen.keys, days, seen.at_ms)]
        if seen.spending is not None and settings.spike_factor:
            floor_units = int(settings.spike_floor * UNITS_PER_DOLLAR)
            sudden = spike(seen.spending, settings.spike_factor, floor_units)
            found += [] if sudden is None else [sudden]
        new = [alert for alert in found if alert.id not in self._known]
        told = await self._store.known([alert.id for alert in new])
        await self._claim([alert for alert in new if alert.id not in told])
        if len(self._known) > _MAX_REMEMBERED:
            self._known.clear()
        self._known.update(dict.fromkeys(alert.id for alert in found))

    async def _look_at_breakers(self) -> None:
        breakers = self._conditions.breakers()
        now_ms = int(self._conditions.wall_clock() * 1000)
        found = list(open_breakers(breakers, self._open, now_ms))
        await self._claim(found, quiet_ms=QUIET_MS)
        self._open = frozenset(breaker.upstream for breaker in breakers)

    def _lag_alert(self) -> Alert | None:
        settings, conditions = self._settings, self._conditions
        return lagging_journal(
            JournalLag(*conditions.journal_lag()),
            conditions.replica,
            settings.journal_records,
            settings.journal_seconds,
            int(conditions.wall_clock() * 1000),
        )

    async def _claim(self, found: Sequence[Alert], *, quiet_ms: int = 0) -> None:
        public_url = self._conditions.console_url()
        found = [linked(alert, public_url) for alert in found]
        targets = {alert.id: targets_of(alert, self._settings.targets) for alert in found}
        for told in await self._store.claim(found, targets, quiet_ms=quiet_ms):
            self._note(told.alert)
            self._due.set()

    def _note(self, alert: Alert) -> None:
        # Without the text, which has names of people.
        self._conditions.log(alert.level, "alert", kind=alert.kind, alert=alert.id)

    async def _tell_without_claim(self, alert: Alert) -> None:
        alert = linked(alert, self._conditions.console_url())
        self._note(alert)
        now_ms = int(self._conditions.wall_clock() * 1000)
        told = ToldAlert(alert=alert, message_id=new_message_id(), at_ms=now_ms)
        names = [
            name for name in targets_of(alert, self._settings.targets) if name in self._targets
        ]
        outcomes = await asyncio.gather(*(self._send(self._targets[name], told) for name in names))
        delivered = {
            name for name, outcome in zip(names, outcomes, strict=True) if outcome.error is None
        }
        self._unclaimed[alert.id] = alert, delivered

    async def _put_down(self) -> None:
        for alert, delivered in list(self._unclaimed.values()):
            targets = {alert.id: targets_of(alert, self._settings.targets)}
            await self._store.claim([alert], targets, delivered=delivered)
            del self._unclaimed[alert.id]
            self._due.set()

    async def _deliver_forever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_seconds):
                    await self._due.wait()
            self._due.clear()
            try:
                while await self.deliver():
                    pass
            except StoreUnavailableError:
                continue

    async def deliver(self) -> int:
        """Try what is due, some at once; how many there were."""
        hold_seconds = self._settings.timeout_seconds + self._spare_seconds
        taken = await self._store.take(
            self._targets, limit=_MAX_ATTEMPTS, hold_ms=int(hold_seconds * 1000)
        )
        await asyncio.gather(*map(self._try, taken))
        return len(taken)

    async def _try(self, attempt: Attempt) -> None:
        target = self._targets.get(attempt.target)
        if target is None:
            # It was taken out just now; whoever has it may try later.
            return
        outcome = await self._send(target, attempt.told)
        again = None
        if outcome.error is not None and not outcome.is_final:
            again = retry_seconds(attempt.number)
        retry_ms = None if again is None else int(again * 1000)
        await self._store.end(attempt, outcome.error, retry_ms)

    async def _send(self, target: Target, told: ToldAlert) -> Outcome:
        outcome = await target.send(told)
        self.attempts[target.name, "failed" if outcome.error else "delivered"] += 1
        if outcome.error is not None:
            self._conditions.log(
                "warning",
                "an alert was not delivered",
                target=target.name,
                alert=told.alert.id,
                reason=outcome.error,
            )
        return outcome


def targets_of(alert: Alert, targets: Iterable[AlertTargetSettings]) -> list[str]:
    """Return the names of the targets that get an alert."""
    return [
        target.name
        for target in targets
        if alert.kind in target.kinds and LEVELS.index(alert.level) >= LEVELS.index(target.level)
    ]


async def send_test(
    targets: Iterable[Target], message_id: str, now: float
) -> tuple[tuple[str, Outcome], ...]:
    """Send a test through each target at once, whatever it otherwise gets."""
    alert = Alert(
        id=f"test:{message_id}",
        kind="test",
        level="info",
        text="This is a test of Apertis's alerts: nothing has happened.",
        data={},
    )
    told = ToldAlert(alert=alert, message_id=message_id, at_ms=int(now * 1000))
    listed = tuple(targets)
    outcomes = await asyncio.gather(*(target.send(told) for target in listed))
    for target in listed:
        await target.close()
    return tuple((target.name, outcome) for target, outcome in zip(listed, outcomes, strict=True))
