"""Made-up companies with what they used, put into a store before a gateway opens it.

`ACME` is one as there are many, for pictures; everybody at `MALLORY` has a name that would be a
script, a template or a link somewhere.
"""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apertis.accounting.prices import cost_units, price_table
from apertis.accounting.record import UsageRecord
from apertis.accounting.tokens import Tokens
from apertis.gateway.budgets.limit import Limit, account_id
from apertis.gateway.budgets.periods import span_of
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.keys.secrets import hash_secret, hint_of
from apertis.gateway.people.record import Group, Person
from apertis.gateway.store.database import Store
from apertis.gateway.units import UNITS_PER_DOLLAR

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator, Sequence
    from pathlib import Path

    from apertis.gateway.people.record import Role
    from apertis.gateway.store.organization import Turn

DAY_SECONDS = 86_400
ADMIN_SECRET = "sk-" + "administrator" * 3
ADMIN_ID = f"key_{999:020}"
ALARM = "name ran"
HOSTILE = (
    f"<script>console.error('{ALARM}')</script>",
    f"\"><img src=x onerror=console.error('{ALARM}')>",
    f"'-console.error('{ALARM}')-'",
    f"javascript:console.error('{ALARM}')",
    "{{7*7}}${7*7}{%raw%}",
    "</script></title></textarea><!--",
    "all\u202edesrever",
    "../../audit?x=1&y=%00#top",
    "W" * 120,
    "__proto__",
    "=HYPERLINK(1)",
    "emoji \N{FAMILY} \u0639\u0631\u0628\u064a \u65e5\u672c",
)


@dataclass(frozen=True)
class Company:
    """Names of what a company has. Groups but the first are in it; nobody is in two."""

    groups: Sequence[str]
    people: Sequence[str]
    programs: Sequence[str]
    """Keys of groups, besides one for each person."""
    models: Sequence[str]
    sessions: Sequence[str]
    agents: Sequence[str]
    tags: Sequence[str]
    upstreams: Sequence[str]
    contact: str


ACME = Company(
    groups=("Acme", "Engineering", "Research", "Support", "Finance"),
    people=(
        "Ada Lindqvist",
        "Ben Okafor",
        "Chiara Romano",
        "Daniel Weiss",
        "Emi Tanaka",
        "Farid Haddad",
        "Greta Sommer",
        "Hugo Martin",
        "Inga Carvalho",
        "Jonas Berg",
        "Kavya Rao",
        "Liam Murphy",
    ),
    programs=("ci-review", "support-triage", "nightly-reports", "docs-search"),
    models=("claude-opus-4-8", "claude-sonnet-4-6", "claude-haiku-4-5"),
    sessions=[f"{number:08x}-5a2c-4f{number:02x}-9c3e-7d10b2a4e6f8" for number in range(17, 41)],
    agents=("explore", "review", "test-runner"),
    tags=("production", "internal", "trial"),
    upstreams=("anthropic", "sandbox"),
    contact="platform@acme.example",
)
MALLORY = Company(
    groups=HOSTILE[:6],
    people=HOSTILE,
    programs=[f"{name} program"[:128] for name in HOSTILE],
    models=HOSTILE,
    sessions=[name.encode("ascii", "replace").decode() for name in HOSTILE],
    agents=[name.encode("ascii", "replace").decode() for name in HOSTILE],
    tags=[name[:60] for name in HOSTILE],
    upstreams=("sandbox", *HOSTILE),
    contact=HOSTILE[1],
)


@dataclass(frozen=True)
class Furnished:
    """What was put into a store."""

    groups: tuple[Group, ...]
    people: tuple[Person, ...]
    keys: tuple[KeyRecord, ...]
    limits: tuple[Limit, ...]
    usage: tuple[UsageRecord, ...]


def furnish(
    data: Path, company: Company, now: int, *, days: int = 40, requests_a_day: int = 40
) -> Furnished:
    """Put a company into the store of a gateway that does not run yet.

    `ADMIN_SECRET` is the administrator's key; that of the `number`-th key is `secret_of(number)`.
    """
    made = _made(company, now, days, requests_a_day)

    async def keep() -> None:
        async with await Store.open(data) as store:
            await store.organization.change(lambda turn: _keep(turn, made), ADMIN_ID)
            for start in range(0, len(made.usage), 500):
                await store.usage.add(made.usage[start : start + 500])

    _run(keep())
    (data / "secret").write_text(ADMIN_SECRET)
    return made


def add_keys(data: Path, count: int, now: int) -> None:
    """Put many keys into the store of a gateway that does not run."""
    keys = [_key(10_000 + number, f"robot {number:05}", now) for number in range(count)]

    async def keep() -> None:
        async with await Store.open(data) as store:
            await store.organization.change(lambda turn: turn.insert_all(keys))

    _run(keep())


def secret_of(number: int) -> str:
    """The secret of a made-up key."""
    return f"sk-{number:045}abc"


def _run(work: Coroutine[Any, Any, None]) -> None:
    # In a thread of its own: that of a test with a browser has a loop that runs.
    with ThreadPoolExecutor(1) as executor:
        executor.submit(asyncio.run, work).result()


def _keep(turn: Turn, made: Furnished) -> None:
    turn.insert_all(made.keys)
    kept: tuple[Iterable[Group], Iterable[Person], Iterable[Limit]]
    kept = made.groups, made.people, made.limits
    for records in kept:
        for record in records:
            turn.insert(record)


def _key(number: int, name: str, now: int, **fields: Any) -> KeyRecord:
    secret = secret_of(number)
    return KeyRecord(
        id=f"key_{number:020}",
        name=name,
        sha256=hash_secret(secret),
        hint=hint_of(secret),
        created_at=now - 90 * DAY_SECONDS + number,
        **fields,
    )


def _limit(number: int, level: Any, subject: str, dollars: int, **fields: Any) -> Limit:
    return Limit(
        id=f"limit_{number:020}",
        level=level,
        subject_id=subject,
        amount_units=dollars * UNITS_PER_DOLLAR,
        period=fields.pop("period", "month"),
        **fields,
    )


def _made(company: Company, now: int, days: int, requests_a_day: int) -> Furnished:
    made_at = now - 90 * DAY_SECONDS
    groups = tuple(
        Group(
            id=f"group_{number:020}",
            name=name,
            parent_id=f"group_{0:020}" if number else None,
            created_at=made_at,
        )
        for number, name in enumerate(company.groups)
    )
    roles: dict[int, Role] = {0: "administrator", 1: "group_administrator", 2: "viewer"}
    people = tuple(
        Person(
            id=f"person_{number:020}",
            name=name,
            email=f"{name.split()[0].lower()}@acme.example" if company is ACME else None,
            role=roles.get(number, "member"),
            group_id=groups[1 + number % (len(groups) - 1)].id,
            created_at=made_at,
        )
        for number, name in enumerate(company.people)
    )
    keys = (
        KeyRecord(
            id=ADMIN_ID,
            name="administrator",
            sha256=hash_secret(ADMIN_SECRET),
            hint=hint_of(ADMIN_SECRET),
            admin=True,
            created_at=made_at,
        ),
        *(
            _key(
                number,
                f"{person.name} laptop" if company is ACME else f"{person.name} "[:127] + "1",
                now,
                person_id=person.id,
                expires_at=now + 3 * DAY_SECONDS if number == 3 else None,
            )
            for number, person in enumerate(people)
        ),
        *(
            _key(
                100 + number,
                name,
                now,
                owner="Platform team" if company is ACME else company.contact,
                group_id=groups[1 + number % (len(groups) - 1)].id,
                tags=(company.tags[number % len(company.tags)],),
                quota_units=200 * UNITS_PER_DOLLAR if number % 2 else None,
                status="disabled" if number == 3 else "enabled",
            )
            for number, name in enumerate(company.programs)
        ),
    )
    limits = (
        _limit(0, "gateway", "", 1500, contact=company.contact),
        *(
            _limit(1 + number, "group", group.id, (400, 500, 300, 250)[number % 4])
            for number, group in enumerate(groups[1:])
        ),
        _limit(50, "person", people[3].id, 110, contact=company.contact, zone="Europe/Berlin"),
        _limit(51, "person", people[4].id, 25, period="day", thresholds=(80, 100)),
        _limit(52, "group", groups[1].id, 20, per_session=True, period="total"),
        _limit(
            53,
            "key",
            keys[-1].id,
            40,
            period="week",
            models=("claude-opus-*",),
            cheaper_model="claude-haiku-4-5",
        ),
    )
    usage = tuple(_usage(company, groups, people, keys[1:], limits, now, days, requests_a_day))
    return Furnished(groups, people, keys, limits, usage)


def _usage(
    company: Company,
    groups: Sequence[Group],
    people: Sequence[Person],
    keys: Sequence[KeyRecord],
    limits: Sequence[Limit],
    now: int,
    days: int,
    requests_a_day: int,
) -> Iterator[UsageRecord]:
    """Work days with mornings and afternoons; the same for the same moment."""
    chosen = random.Random(11)
    prices = price_table({})
    of_person = {person.id: person for person in people}
    number = 0
    for day in range(days, -1, -1):
        midnight = now - now % DAY_SECONDS - day * DAY_SECONDS
        is_weekend = (midnight // DAY_SECONDS + 3) % 7 >= 5
        for _ in range(requests_a_day // (5 if is_weekend else 1)):
            hour = min(max(chosen.gauss(13, 3.2), 0), 23.9)
            at = int(midnight + hour * 3600)
            if at > now - 30:
                continue
            number += 1
            key = keys[min(int(chosen.expovariate(0.22)), len(keys) - 1)]
            person = of_person.get(key.person_id or "")
            model = company.models[min(int(chosen.expovariate(0.9)), len(company.models) - 1)]
            if company is MALLORY:
                model = chosen.choice(company.models)
            outcome = chosen.random()
            status, code = 200, None
            if outcome > 0.985:
                status, code = 529, "overloaded_error"
            elif outcome > 0.97:
                status, code = 402, "budget_exceeded"
            cached = chosen.choice((0, 0, 40_000, 120_000, 380_000))
            tokens = Tokens(
                input=chosen.randint(200, 60_000),
                output=chosen.randint(300, 18_000),
                cache_read=cached,
                cache_write_5m=cached // 12,
            )
            price = prices.find(model) or prices.find("claude-sonnet-4-6")
            assert price is not None
            failed = status != 200
            group_id = key.group_id if person is None else person.group_id
            seat = int(at // 5400 + number % 5)
            subjects = {"", key.id, group_id, groups[0].id, *([person.id] if person else [])}
            accounts = [
                account_id(limit, span_of(limit.period, limit.zone, at).start)
                for limit in limits
                if limit.subject_id in subjects and not limit.per_session and limit.models is None
            ]
            is_agent = chosen.random() < 0.35
            yield UsageRecord(
                request_id=f"req_{number:028}",
                at_ms=at * 1000 + chosen.randint(0, 999),
                key_id=key.id,
                person_id=None if person is None else person.id,
                group_id=group_id,
                model=model,
                requested_model=model,
                upstream=company.upstreams[number % 7 == 0],
                status=status,
                code=code,
                tokens=Tokens() if failed else tokens,
                cost_units=0 if failed else cost_units(tokens, price) * 3,
                streamed=True,
                session=company.sessions[seat % len(company.sessions)],
                agent=chosen.choice(company.agents) if is_agent else None,
                request_class="subagent" if is_agent else "main",
                first_byte_ms=None if failed else int(chosen.lognormvariate(6.2, 0.5)),
                total_ms=int(chosen.lognormvariate(8.6, 0.7)),
                attempts=2 if number % 23 == 0 else 1,
                reserved_units=0 if failed else cost_units(tokens, price) * 5,
                accounts=",".join(accounts),
            )
