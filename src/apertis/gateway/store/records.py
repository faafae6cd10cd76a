"""Queries to the store and their results, as values; importing this loads no database code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from apertis.accounting.estimate import Held
from apertis.accounting.record import UsageRecord  # noqa: TC001 - msgspec reads it.
from apertis.accounting.tokens import COLUMNS
from apertis.errors import ApertisError
from apertis.gateway.budgets.accounts import AccountChange  # noqa: TC001 - msgspec reads it.
from apertis.gateway.budgets.periods import CalendarPeriod

Dimension = Literal[
    "key",
    "person",
    "group",
    "model",
    "hour",
    "day",
    "week",
    "month",
    "session",
    "request_class",
    "agent",
    "upstream",
    "kind",
]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
TIMES: tuple[CalendarPeriod, ...] = get_args(CalendarPeriod)


class _Filters(msgspec.Struct, frozen=True, kw_only=True):
    """The requests that are asked for.

    From `since_ms` until before `until_ms` (Unix milliseconds; None: no limit). Each filter names
    the values to keep (`keys`, `people` and `groups` are ids); an empty one keeps all.
    """

    since_ms: int | None = None
    until_ms: int | None = None
    keys: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    upstreams: tuple[str, ...] = ()


class UsageQuery(_Filters, frozen=True, kw_only=True):
    """A usage query: which records to add up, and how to group them.

    One row for each combination of `group_by` that occurs; one row in all when that is empty.
    Hours, days, weeks and months are those of `zone`. Rows come in the order of their group, or the
    most expensive first; `limit` cuts them. `with_times` asks for histograms of durations too.
    """

    group_by: tuple[Dimension, ...] = ()
    zone: str = "UTC"
    request_classes: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    order: Literal["group", "cost"] = "group"
    limit: int | None = None
    with_times: bool = False


class RecentQuery(_Filters, frozen=True, kw_only=True):
    """A question for the last requests, newest first, at most `limit` of them.

    Only those before the place `before`, which is the `next` of an answer. `models` are those that
    were asked for or answered, `codes` the codes of errors. A status is kept from `min_status`
    until before `end_status`. Of `of_keys`, `of_people` and `of_groups` a request needs one alone:
    they say whose requests there are for who asks.
    """

    before: tuple[int, str] | None = None
    codes: tuple[str, ...] = ()
    min_status: int | None = None
    end_status: int | None = None
    of_keys: tuple[str, ...] = ()
    of_people: tuple[str, ...] = ()
    of_groups: tuple[str, ...] = ()
    limit: int = 50


class Recent(msgspec.Struct, frozen=True, kw_only=True):
    """The last requests that were found, newest first.

    `next` is the place where to go on; None: there are no others. `looked_until_ms` is how far was
    looked, where the search was given up before it had found as many as were asked for.
    """

    records: tuple[UsageRecord, ...] = ()
    next: tuple[int, str] | None = None
    looked_until_ms: int | None = None


class SessionQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A question for sessions of Claude Code, from the day of `since_ms` on (days in UTC).

    The ones used last come first, or the most expensive; after the first `offset` at most `limit`.
    A filter names the values to keep; an empty one keeps all.
    """

    since_ms: int = 0
    keys: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    order: Literal["last", "cost"] = "last"
    offset: int = 0
    limit: int = 50


if TYPE_CHECKING:
    _TokenSums = msgspec.Struct
else:
    _TokenSums = msgspec.defstruct(
        "_TokenSums", [(column, int, 0) for column in COLUMNS.values()], frozen=True, kw_only=True
    )


class _Sums(_TokenSums, frozen=True, kw_only=True):
    """The sums of requests, their tokens by class, and their cost.

    `failed` counts the requests that ended with status 400 or above, `cached` those that the
    response cache answered, `estimated` those whose tokens are not the upstream's final count,
    `interrupted` those whose answer did not reach its end.
    """

    requests: int = 0
    failed: int = 0
    cached: int = 0
    estimated: int = 0
    interrupted: int = 0
    cost_units: int = 0

    if TYPE_CHECKING:
        # The sums of tokens have no line of their own: they are those of `COLUMNS`.
        def __getattr__(self, column: str) -> int: ...


class UsageRow(_Sums, frozen=True, kw_only=True):
    """The exact sums of one group.

    A dimension that was not asked for is None; so is one that its records do not have. `key`,
    `person` and `group` are ids, `hour` its first moment and `day`, `week` and `month` their first
    day, as ISO 8601 writes them in the query's zone; a month is `2026-09`.
    `first_byte_times` and `total_times` are the counts of
    `histogram`, if they were asked for: of messages that were no errors.
    """

    key: str | None = None
    person: str | None = None
    group: str | None = None
    model: str | None = None
    hour: str | None = None
    day: str | None = None
    week: str | None = None
    month: str | None = None
    session: str | None = None
    request_class: str | None = None
    agent: str | None = None
    upstream: str | None = None
    kind: str | None = None
    owner: str | None = None
    tag: str | None = None
    first_byte_times: tuple[int, ...] = ()
    total_times: tuple[int, ...] = ()

    if TYPE_CHECKING:

        def __init__(self, **values: Any) -> None: ...


class SessionRow(_Sums, frozen=True, kw_only=True):
    """The exact sums of one session with one key, and when it was first and last used.

    Of what an earlier version booked these are the first moments of days in UTC. `agents` is how
    many there were besides the session itself.
    """

    session: str
    key: str
    first_ms: int
    last_ms: int
    agents: int

    if TYPE_CHECKING:

        def __init__(self, **values: Any) -> None: ...


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch: its owner, its upstream, and what is still held of its reservation.

    `created_at` is in Unix seconds. Person and group are those of its making: its results count for
    them, wherever its key has moved since. `held_units`, `lines` and `settled_lines` are kept by
    the store: they follow from the lines.
    """

    id: str
    upstream: str
    key_id: str
    created_at: int
    person_id: str | None = None
    group_id: str | None = None
    held_units: int = 0
    lines: int = 0
    settled_lines: int = 0


class BatchLine(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a batch: the model that it asks for, and the units reserved for it."""

    custom_id: str
    model: str
    held_units: int = 0
    settled: bool = False


class BatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one line: its usage, or None when it used nothing.

    `costs` are the units of each model where several have answered.
    """

    custom_id: str
    record: UsageRecord | None = None
    costs: tuple[tuple[str, int], ...] = ()


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """The effect of a settlement: the lines that were settled now, and never before.

    `released_units` were held for them and are free again; `cost_units` were booked instead.
    """

    custom_ids: tuple[str, ...] = ()
    released_units: int = 0
    cost_units: int = 0
    # The same for each account that the batch holds something of.
    accounts: tuple[AccountChange, ...] = ()


class ThreadMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A response that a conversation can go on from, and what its upstream holds by then.

    `at` is when it was given, in Unix seconds.
    """

    key_id: str
    message_id: str
    upstream: str
    tokens: int
    searches: int
    allowance: int
    hour: bool
    at: int

    @property
    def held(self) -> Held:
        """Tokens that the upstream holds."""
        return Held(self.tokens, self.searches, self.allowance, self.hour)


class UnknownKeyError(ApertisError):
    """No key has this id."""


class UnknownBatchError(ApertisError):
    """No batch with this id was made here."""


class UnknownReplicaError(ApertisError):
    """No replica of this name has leases."""


class ReplicaRunningError(ApertisError):
    """A replica may still be there: it was a moment ago."""
