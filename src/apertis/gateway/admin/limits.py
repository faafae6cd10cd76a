"""Creation and changes of limits of money: shared by the admin API and the command line."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfoNotFoundError

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from apertis.gateway.admin.key_fields import refusal_of, units_of
from apertis.gateway.admin.keys import Administration, find_key, find_named
from apertis.gateway.admin.reading import PageFields
from apertis.gateway.budgets.limit import QUOTA, Level, Limit, LimitStatus
from apertis.gateway.budgets.periods import Period, span_of, time_zone
from apertis.gateway.errors import (
    Refusal,
    conflict,
    invalid_parameter,
    missing_parameter,
    not_found,
)
from apertis.gateway.keys import validation as rules
from apertis.gateway.keys.secrets import new_id
from apertis.gateway.people.organization import Organization
from apertis.gateway.units import Dollars, Time, iso, usd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.store.organization import LimitAccount, StoredOrganization, Turn

MAX_THRESHOLDS = 20
MAX_THRESHOLD = 1000
LEVELS: tuple[Level, ...] = ("key", "person", "group", "gateway")

_Units = Annotated[int, Meta(ge=0, le=rules.MAX_UNITS)]
_Amount = Annotated[_Units, Meta(description="In units: 500,000 are 1 US dollar.")]
_Usd = Annotated[Decimal, Meta(description="In US dollars, in place of units.")]
_Percents = Annotated[
    tuple[int, ...],
    Meta(max_length=MAX_THRESHOLDS, description="Percents of the amount at which to tell."),
]
_Contact = Annotated[str, Meta(description="Whom to ask for more, as errors say it.")]
_Cheaper = Annotated[str, Meta(description="The model that answers when this is used up.")]
_Loss = Annotated[_Units, Meta(description="What may be spent while the store is away.")]
_Version = Annotated[
    int, Meta(description="The version that was seen: with another one by now it is a conflict.")
]


class _LimitSettings(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    amount_units: _Amount | UnsetType = UNSET
    amount_usd: _Usd | UnsetType = UNSET
    overdraft_units: _Amount | UnsetType = UNSET
    overdraft_usd: _Usd | UnsetType = UNSET
    thresholds: _Percents | UnsetType = UNSET
    contact: _Contact | UnsetType | None = UNSET
    cheaper_model: _Cheaper | UnsetType | None = UNSET
    store_loss_units: _Loss | UnsetType | None = UNSET
    store_loss_usd: _Usd | UnsetType | None = UNSET


class LimitChanges(_LimitSettings, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The fields of a limit that can change; what is left out stays as it is."""

    version: _Version | UnsetType = UNSET


class LimitRemoval(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The limit as it was seen by whoever removes it."""

    version: _Version | None = None


class LimitFields(_LimitSettings, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A new limit: of a key, a person, a group or the whole gateway, and how much it is."""

    key: Annotated[str, Meta(description="A key's name or id.")] | UnsetType = UNSET
    person: Annotated[str, Meta(description="A person's name or id.")] | UnsetType = UNSET
    group: Annotated[str, Meta(description="A group's name or id.")] | UnsetType = UNSET
    gateway: Annotated[bool, Meta(description="Of all that the gateway spends.")] = False
    period: Period = "month"
    zone: Annotated[str, Meta(description="Time zone of the period: Europe/Berlin.")] = "UTC"
    models: (
        Annotated[
            tuple[str, ...], Meta(description="Models that count in it, with wildcards; null: all.")
        ]
        | None
    ) = None
    per_session: Annotated[bool, Meta(description="Each session has the amount to itself.")] = False


class LimitListFields(PageFields, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Filters for listing limits; removed ones only if `status` asks for them."""

    key: Annotated[str, Meta(description="A key's name or id.")] | None = None
    person: Annotated[str, Meta(description="A person's name or id.")] | None = None
    group: Annotated[str, Meta(description="A group's name or id.")] | None = None
    level: Level | None = None
    status: Literal["enabled", "removed", "all"] | None = None


class LimitView(Struct, kw_only=True, frozen=True):
    """A limit, and how much of it is spent in the running period.

    Money is in units: 500,000 are 1 US dollar. Of a limit per session it is the session that has
    spent most.
    """

    id: str
    level: Level
    subject: Annotated[str | None, Meta(description="The name; null for the gateway.")]
    subject_id: str | None
    amount_units: int
    amount_usd: Dollars
    overdraft_units: int
    period: Period
    zone: str
    models: Annotated[tuple[str, ...] | None, Meta(description="null: all.")]
    per_session: bool
    thresholds: tuple[int, ...]
    contact: str | None
    cheaper_model: str | None
    store_loss_units: int | None
    status: LimitStatus
    created_at: Time
    version: Annotated[int, Meta(description="Grows with each change of the limit.")]
    spent_units: int
    spent_usd: Dollars
    leased_units: Annotated[int, Meta(description="Handed out to gateways, and not spent yet.")]
    held_units: Annotated[int, Meta(description="Held by message batches.")]
    left_units: int
    left_usd: Dollars
    percent: Annotated[int | None, Meta(description="Spent of the amount; null of nothing.")]
    period_start: Time | None
    resets_at: Annotated[Time | None, Meta(description="null: never.")]


class LimitPage(Struct, kw_only=True, frozen=True):
    """One page of limits, oldest first."""

    data: tuple[LimitView, ...]
    has_more: bool
    first_id: str | None
    last_id: str | None


LIMIT_FORBIDDEN = dict.fromkeys(
    ("key", "person", "group", "gateway", "period", "zone", "models", "per_session"),
    "another one is another limit; make that, and remove this one",
)


class LimitAdministration(Administration):
    """Every change that an administrator can make to limits."""

    async def create(self, fields: LimitFields, actor: str) -> Limit | Refusal:
        """Make a limit."""
        return await self._do(lambda turn: _create(turn, fields, int(self._now())), actor)

    async def change(self, limit_id: str, fields: LimitChanges, actor: str) -> Limit | Refusal:
        """Set the fields that are given; all accounts of the limit follow at once."""
        return await self._do(lambda turn: _change(turn, limit_id, fields), actor)

    async def remove(
        self, limit_id: str, actor: str, version: int | None = None
    ) -> Limit | Refusal:
        """Remove a limit; what was spent of it is kept. Repeating it changes nothing."""
        return await self._do(lambda turn: _remove(turn, limit_id, version), actor)


def _create(turn: Turn, fields: LimitFields, now: int) -> Limit | Refusal:
    known = Organization(turn.all())
    keys = turn.read_keys() if isinstance(fields.key, str) else ()
    limit = new_limit(fields, known, keys, now)
    return limit if isinstance(limit, Refusal) else turn.insert(limit)


def new_limit(
    fields: LimitFields, known: Organization, keys: Sequence[KeyRecord], now: int
) -> Limit | Refusal:
    """Return the limit that fields make; `keys` are those that the key's name is looked up in."""
    values = _values(fields)
    if isinstance(values, Refusal):
        return values
    if "amount_units" not in values:
        return missing_parameter("amount_usd")
    subject = _subject(fields, known, keys)
    if isinstance(subject, Refusal):
        return subject
    level, subject_id = subject
    limit = Limit(
        id=new_id("limit"),
        level=level,
        subject_id=subject_id,
        period=fields.period,
        zone=fields.zone,
        models=fields.models,
        per_session=fields.per_session,
        created_at=now,
        **values,
    )
    return refuse_limit(known, limit) or limit


def _change(turn: Turn, limit_id: str, fields: LimitChanges) -> Limit | Refusal:
    known = Organization(turn.all())
    changed = changed_limit(fields, known, limit_id)
    if isinstance(changed, Refusal) or changed == known.limits[limit_id]:
        return changed
    return turn.update(changed)


def changed_limit(fields: LimitChanges, known: Organization, limit_id: str) -> Limit | Refusal:
    """Return a limit as fields change it, with the version that it has before."""
    values = _values(fields)
    if isinstance(values, Refusal):
        return values
    version = None if isinstance(fields.version, UnsetType) else fields.version
    limit = _living(known, limit_id, version)
    if isinstance(limit, Refusal):
        return limit
    changed = msgspec.structs.replace(limit, **values)
    return refusal_of(list(_problems(changed))) or changed


def _remove(turn: Turn, limit_id: str, version: int | None) -> Limit | Refusal:
    known = Organization(turn.all())
    limit = known.limits.get(limit_id)
    if limit is not None and limit.status == "removed":
        return limit
    found = _living(known, limit_id, version)
    if isinstance(found, Refusal):
        return found
    return turn.update(msgspec.structs.replace(found, status="removed"))


def _living(known: Organization, limit_id: str, version: int | None) -> Limit | Refusal:
    limit = known.limits.get(limit_id)
    if limit is None:
        if limit_id.startswith(QUOTA):
            key_id = limit_id.removeprefix(QUOTA)
            return conflict(f"That is the quota of the key '{key_id[:100]}': change the key")
        return not_found(f"There is no limit '{limit_id[:100]}'")
    if limit.status == "removed":
        return conflict(f"The limit '{limit_id}' is removed, and removal is final; make another")
    if version not in (None, limit.version):
        message = f"The limit was changed since it was seen (version {version}, now"
        return conflict(f"{message} {limit.version}): look at it again", "version")
    return limit


def _values(fields: _LimitSettings) -> dict[str, Any] | Refusal:
    """Turn the settings that were given into values of a `Limit`, by its names."""
    given = {
        name: value
        for name in _LimitSettings.__struct_fields__
        if (value := getattr(fields, name)) is not UNSET
    }
    for name in ("amount", "overdraft", "store_loss"):
        if f"{name}_usd" not in given:
            continue
        if f"{name}_units" in given:
            message = f"Give '{name}_units' or '{name}_usd', not both"
            return invalid_parameter(f"{name}_usd", message)
        dollars: Decimal | None = given.pop(f"{name}_usd")
        units = None if dollars is None else units_of(dollars, f"{name}_usd")
        if isinstance(units, Refusal):
            return units
        given[f"{name}_units"] = units
    if "thresholds" in given:
        given["thresholds"] = tuple(sorted(set(given["thresholds"])))
    return given


def _subject(
    fields: LimitFields | LimitListFields,
    known: Organization,
    keys: Sequence[KeyRecord],
) -> tuple[Level, str] | Refusal:
    """Find what is to be limited, or was asked for."""
    named = {
        level: value
        for level in ("key", "person", "group")
        if isinstance(value := getattr(fields, level), str)
    }
    if isinstance(fields, LimitFields) and fields.gateway:
        named["gateway"] = ""
    if len(named) != 1:
        field = "key" if not named else list(named)[1]
        several = ", not several of them" if named else ""
        message = f"Give one of 'key', 'person', 'group' and 'gateway'{several}"
        return invalid_parameter(field, message)
    ((level, name),) = named.items()
    found: KeyRecord | Any
    if level == "gateway":
        return "gateway", ""
    if level == "key":
        found = find_key(keys, name)
        if isinstance(found, Refusal):
            return found
        if found.status == "deleted" and isinstance(fields, LimitFields):
            return conflict(f"The key '{found.id}' is deleted, and deletion is final", "key")
        return "key", found.id
    if level == "person":
        found = find_named(tuple(known.people.values()), name, "person", "person")
        return found if isinstance(found, Refusal) else ("person", found.id)
    found = find_named(tuple(known.groups.values()), name, "group", "group")
    return found if isinstance(found, Refusal) else ("group", found.id)


def refuse_limit(known: Organization, limit: Limit) -> Refusal | None:
    """Say what is wrong with a new limit; None when nothing is."""
    refusal = refusal_of(list(_problems(limit)))
    if refusal is not None:
        return refusal
    for other in known.limits_of(limit.level, limit.subject_id):
        if _counts_same(limit, other):
            message = "There is a limit of the same period, zone and models already"
            return conflict(f"{message} ({other.id}): change its amount instead")
    return None


def _counts_same(one: Limit, other: Limit) -> bool:
    zone = one.zone == other.zone or one.period == "total"
    models = set(one.models or ()) == set(other.models or ())
    return zone and models and (one.period, one.per_session) == (other.period, other.per_session)


def _problems(limit: Limit) -> Iterator[rules.Problem]:
    for name in ("amount_units", "overdraft_units", "store_loss_units"):
        value: int | None = getattr(limit, name)
        if value is not None:
            yield from rules.at_most(rules.MAX_UNITS, "units (500,000 to the dollar)")(name, value)
    if limit.amount_units + limit.overdraft_units > rules.MAX_UNITS:
        rule = "an amount and an overdraft that are less together"
        yield rules.Problem("overdraft_units", limit.overdraft_units, rule)
    if not _is_zone(limit.zone):
        rule = "a time zone such as UTC or Europe/Berlin"
        yield rules.Problem("zone", limit.zone, rule)
    if limit.models is not None:
        yield from rules.models("models", limit.models)
    for index, percent in enumerate(limit.thresholds):
        if not 1 <= percent <= MAX_THRESHOLD:
            yield rules.Problem(f"thresholds[{index}]", percent, f"1 to {MAX_THRESHOLD} percent")
    if limit.contact is not None:
        yield from rules.label("contact", limit.contact)
    if limit.cheaper_model is not None:
        yield from rules.fallback_models("cheaper_model", (limit.cheaper_model,))


def _is_zone(name: str) -> bool:
    try:
        time_zone(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def limits_asked_for(
    asked: LimitListFields, known: Organization, keys: Sequence[KeyRecord]
) -> Callable[[Limit], bool] | Refusal:
    """Return whether a limit is one that is asked for; `keys` gives all there are."""
    subject: tuple[Level, str] | Refusal | None = None
    if any((asked.key, asked.person, asked.group)):
        subject = _subject(asked, known, keys)
    if isinstance(subject, Refusal):
        return subject
    status = asked.status or "enabled"

    def wanted(limit: Limit) -> bool:
        return (
            status in (limit.status, "all")
            and asked.level in (None, limit.level)
            and subject in (None, (limit.level, limit.subject_id))
        )

    return wanted


async def limit_views(
    limits: Iterable[Limit],
    organization: StoredOrganization,
    names: Mapping[str, str],
    now: float,
) -> tuple[LimitView, ...]:
    """Show limits with what is spent of them; `names` are those of what they limit, by its id."""
    limits = tuple(limits)
    spans = {limit: span_of(limit.period, limit.zone, now) for limit in limits}
    found = await organization.accounts(spans)
    # Of a limit per session the one that is nearest to its end.
    fullest: dict[str, LimitAccount] = {}
    for account in found:
        other = fullest.get(account.limit_id)
        if other is None or _taken(account) > _taken(other):
            fullest[account.limit_id] = account
    return tuple(
        _view(limit, fullest.get(limit.id), spans[limit], names.get(limit.subject_id))
        for limit in limits
    )


def _taken(account: LimitAccount) -> int:
    # What is leased can still be spent, by the gateways that have it.
    return account.spent + account.held


def _view(
    limit: Limit, account: LimitAccount | None, span: tuple[int, int | None], subject: str | None
) -> LimitView:
    spent = 0 if account is None else account.spent
    taken = 0 if account is None else _taken(account)
    left = max(limit.most_units - taken, 0)
    start, end = span
    return LimitView(
        id=limit.id,
        level=limit.level,
        subject=subject,
        subject_id=limit.subject_id or None,
        amount_units=limit.amount_units,
        amount_usd=usd(limit.amount_units),
        overdraft_units=limit.overdraft_units,
        period=limit.period,
        zone=limit.zone,
        models=limit.models,
        per_session=limit.per_session,
        thresholds=limit.thresholds,
        contact=limit.contact,
        cheaper_model=limit.cheaper_model,
        store_loss_units=limit.store_loss_units,
        status=limit.status,
        created_at=iso(limit.created_at),
        version=limit.version,
        spent_units=spent,
        spent_usd=usd(spent),
        leased_units=0 if account is None else account.leased,
        held_units=0 if account is None else account.held,
        left_units=left,
        left_usd=usd(left),
        percent=spent * 100 // limit.amount_units if limit.amount_units else None,
        period_start=None if end is None else iso(start),
        resets_at=None if end is None else iso(end),
    )
