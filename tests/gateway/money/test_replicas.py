"""Three gateways on one PostgreSQL spend no more than there is, and nearly all that there is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.store.database import Store
from apertis.gateway.store.records import ReplicaRunningError
from apertis.testing import ScriptedServer
from tests.kit.databases import new_database, query, script
from tests.kit.environment import clean_environment
from tests.kit.money import CONFIG, ENVIRONMENT, PRICES, Money, Upstream, call, price_tables
from tests.kit.processes import PROGRAM
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.kit.money import Answer
    from tests.kit.postgresql import PostgreSQL
    from tests.kit.processes import Served

# `make soak` has more rounds, and leases of the usual time.
ROUNDS = int(os.environ.get("SOAK_ROUNDS", "3"))
LEASE_SECONDS = float(os.environ.get("SOAK_LEASE_SECONDS", "2"))
# A request reserves ten times what it costs: 40 tokens of output where 4 are used, and so on.
USED = {"input_tokens": 20, "output_tokens": 2}


@dataclass
class Replicas:
    """Gateways by their names, on one database, before one upstream that keeps books."""

    launch: Callable[..., Served]
    upstream: Upstream
    url: str
    config: str
    secret: str = ""
    served: dict[str, Served] = field(default_factory=dict)

    def start(self, *names: str, lease_seconds: float = 60.0) -> None:
        """Start them all, and wait until they serve."""
        started = {
            name: self.launch(
                *("--config", self.config, "--data", name, "--json"),
                **ENVIRONMENT,
                APERTIS_STORE_URL=self.url,
                APERTIS_SERVER_REPLICA=name,
                APERTIS_STORE_LEASE_SECONDS=str(lease_seconds),
                APERTIS_LOG_REQUESTS="false",
            )
            for name in names
        }
        for name, served in started.items():
            served.wait_until_it_serves()
            self.secret = self.secret or served.told_key or ""
            self.served[name] = served
        for served in started.values():
            served.api_key = self.secret

    def admin(self, method: str, target: str, **fields: Any) -> Any:
        """Call the admin API of one of them."""
        body = json.dumps(fields).encode() if fields else b""
        served = next(iter(self.served.values()))
        response = served.call(method, f"/admin/v1/{target}", body)
        assert response.status == 200, response.body
        return response.json

    def port(self, name: str) -> int:
        return int(self.served[name].base_url.rpartition(":")[2])

    def ask(self, secret: str, names: list[str], body: bytes, at_once: int = 100) -> list[Answer]:
        """Send the request to these in their order, so many at once."""

        async def run() -> list[Answer]:
            turns = asyncio.Semaphore(at_once)

            async def one(name: str) -> Answer:
                async with turns:
                    return await call(self.port(name), secret, body)

            return await asyncio.gather(*map(one, names))

        return asyncio.run(run())

    def kill(self, name: str) -> None:
        """End one at once, as a machine that runs out of memory would."""
        self.served.pop(name).close()

    def tree(self, amount: int, **fields: Any) -> tuple[str, str]:
        """Make a group with a budget and a key in it: the limit's id and the key's secret."""
        self.admin("POST", "groups", name="studio")
        limit = self.admin("POST", "limits", group="studio", amount_units=amount, **fields)
        key = self.admin("POST", "keys", name="ci", group="studio")
        return limit["id"], key["secret"]

    def booked(self) -> set[str]:
        """The ids of all requests in the ledger."""
        return {row[0] for row in query(self.url, "SELECT request_id FROM usage")}

    def ledger(self) -> int:
        """What all requests have cost, by the ledger."""
        (row,) = query(self.url, "SELECT coalesce(sum(cost_units), 0) FROM usage")
        return int(row[0])

    def accounts(self, limit_id: str) -> list[dict[str, Any]]:
        """The accounts of a limit."""
        names = ("id", "limit_units", "spent", "leased", "held")
        text = f"SELECT {', '.join(names)} FROM accounts WHERE limit_id = $1 ORDER BY id"
        return [dict(zip(names, row, strict=True)) for row in query(self.url, text, limit_id)]

    def reported(self) -> int:
        """What the upstream's answers have cost, by the price list."""
        return sum(Money.price_of(book["model"], book["usage"]) for book in self.upstream.books)


@pytest.fixture
def replicas(
    launch: Callable[..., Served],
    own_postgres: PostgreSQL,
    configured: Callable[[str], str],
    request: pytest.FixtureRequest,
) -> Iterator[Replicas]:
    upstream = Upstream()
    with ScriptedServer(upstream, require_all=False) as server:
        config = CONFIG.format(url=server.base_url, third='["beta"]') + price_tables(PRICES)
        url = new_database(own_postgres, request.node.name)
        yield Replicas(launch, upstream, url, configured(config))


def cost_of_one() -> int:
    return Money.price_of("alpha", USED)


def reservation(body: bytes) -> int:
    return Money.price_of("alpha", Money.bound_of(body))


def test_three_replicas_spend_a_groups_budget_to_its_end_and_not_beyond(
    replicas: Replicas,
) -> None:
    replicas.start("a", "b", "c")
    body = Money.body({"usage": USED})
    cost, most = cost_of_one(), reservation(body)
    assert most > 8 * cost
    studio = replicas.admin("POST", "groups", name="studio")
    team = replicas.admin("POST", "groups", name="team", parent="studio")
    assert team["parent_id"] == studio["id"]
    amount = 60 * cost
    limit = replicas.admin(
        "POST", "limits", group="studio", amount_units=amount, period="month", zone="Europe/Berlin"
    )
    keys = [replicas.admin("POST", "keys", name=f"k{n}", group="team") for n in range(6)]
    names = ["a", "b", "c"]

    async def all_at_once() -> list[Answer]:
        turns = asyncio.Semaphore(120)

        async def one(number: int) -> Answer:
            async with turns:
                secret = keys[number % len(keys)]["secret"]
                return await call(replicas.port(names[number % 3]), secret, body)

        return list(await asyncio.gather(*map(one, range(600))))

    answers = asyncio.run(all_at_once())
    assert {answer.status for answer in answers} <= {200, 402}
    # One by one to each, until each refuses.
    refused: set[str] = set()
    while refused != set(names):
        for name in names:
            (answer,) = replicas.ask(keys[0]["secret"], [name], body)
            if answer.status == 402:
                refused.add(name)
            else:
                assert answer.status == 200
                refused.clear()
    spent = replicas.reported()
    until(lambda: replicas.ledger() == spent)
    assert spent <= amount
    assert amount - spent < most + 0.03 * amount
    until(lambda: [one["spent"] for one in replicas.accounts(limit["id"])] == [spent])
    for name in names:
        assert replicas.served[name].stop() == 0
    (account,) = replicas.accounts(limit["id"])
    assert account["spent"] == spent == replicas.ledger()
    assert (account["leased"], account["held"]) == (0, 0)


def test_a_thousand_keys_of_one_group_share_what_their_replica_has_of_its_budget(
    replicas: Replicas,
) -> None:
    replicas.start("a")
    replicas.admin("POST", "groups", name="school")
    replicas.admin("POST", "limits", group="school", amount_usd="100", period="month")
    keys = [replicas.admin("POST", "keys", name=f"k{n}", group="school") for n in range(100)]
    # Two cents each.
    usage = {"input_tokens": 10, "output_tokens": 1}
    body = Money.body({"usage": usage}, max_tokens=1200)
    assert 9_000 < reservation(body) < 11_000

    async def all_at_once() -> list[Answer]:
        turns = asyncio.Semaphore(100)

        async def one(number: int) -> Answer:
            async with turns:
                return await call(replicas.port("a"), keys[number % 100]["secret"], body)

        return list(await asyncio.gather(*map(one, range(1000))))

    answers = asyncio.run(all_at_once())
    assert [answer.status for answer in answers] == [200] * 1000


async def traffic(
    replicas: Replicas,
    secret: str,
    body: bytes,
    names: list[str],
    count: int,
    meanwhile: Callable[[], object],
    at: int,
) -> list[Answer]:
    """Send so many requests to these in turns; with one of them something else happens."""
    delivered: list[Answer] = []
    turns = asyncio.Semaphore(20)
    ports = {name: replicas.port(name) for name in names}

    async def one(number: int) -> None:
        async with turns:
            if number == at:
                await asyncio.to_thread(meanwhile)
            # Who is killed answers nobody.
            with contextlib.suppress(OSError, AssertionError, IndexError, ValueError):
                delivered.append(await call(ports[names[number % len(names)]], secret, body))

    await asyncio.gather(*map(one, range(count)))
    return delivered


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_replica_that_is_killed_costs_no_record_and_no_money(
    replicas: Replicas, round_: int
) -> None:
    replicas.start("a", "b", "c", lease_seconds=2)
    body = Money.body({"usage": USED})
    cost = cost_of_one()
    amount = 400 * cost
    limit_id, secret = replicas.tree(amount, period="month")
    victim = "abc"[round_ % 3]
    names = ["a", "b", "c"]

    answers = asyncio.run(
        traffic(replicas, secret, body, names, 240, lambda: replicas.kill(victim), 20 + 7 * round_)
    )
    good = [answer for answer in answers if answer.status == 200 and answer.whole]
    assert len(good) > 100
    assert {answer.status for answer in answers} <= {200, 402, 0}
    others = [name for name in names if name != victim]
    # What the others cannot use is no more than what the victim had; they spend the rest.
    refused = 0
    while refused < 6:
        last = replicas.ask(secret, others, body)
        refused = refused + 1 if all(answer.status == 402 for answer in last) else 0
        good += [answer for answer in last if answer.status == 200]
    assert replicas.reported() <= amount

    replicas.start(victim, lease_seconds=2)
    ids = {answer.headers["request-id"] for answer in good}
    until(lambda: ids <= replicas.booked())
    # What the victim had is there again, but for what was under way: that may be all of it.

    def is_there_or_lost() -> bool:
        (account,) = replicas.accounts(limit_id)
        left = account["limit_units"] - account["spent"] - account["leased"]
        return replicas.ask(secret, [victim], body)[0].status == 200 or left < reservation(body)

    until(is_there_or_lost, 20.0)
    for name in names:
        assert replicas.served[name].stop() == 0
    (account,) = replicas.accounts(limit_id)
    (row,) = query(replicas.url, "SELECT coalesce(sum(lost), 0) FROM leases")
    assert account["spent"] == replicas.ledger() + int(row[0])
    assert (account["leased"], account["held"]) == (0, 0)
    assert replicas.reported() <= amount


def test_without_the_database_requests_go_on_while_leases_last(
    replicas: Replicas, own_postgres: PostgreSQL
) -> None:
    replicas.start("a", lease_seconds=12)
    body = Money.body({"usage": USED})
    _, secret = replicas.tree(10_000 * cost_of_one(), period="week")
    assert {answer.status for answer in replicas.ask(secret, ["a"] * 40, body)} == {200}
    until(lambda: replicas.ledger() == replicas.reported())
    own_postgres.stop()
    try:
        # What was granted in advance is spent in the meantime.
        assert replicas.ask(secret, ["a"], body)[0].status == 200
        until(lambda: replicas.served["a"].call("GET", "/readyz").json.get("store") is not None)
        ready = replicas.served["a"].call("GET", "/readyz")
        assert (ready.status, ready.json["seconds_left"] > 0) == (200, True)
        until(lambda: replicas.ask(secret, ["a"], body)[0].status == 503, 20.0)
    finally:
        own_postgres.start()
    until(lambda: replicas.ask(secret, ["a"], body)[0].status == 200, 20.0)
    until(lambda: replicas.ledger() == replicas.reported(), 20.0)
    assert replicas.served["a"].stop() == 0


def test_a_replica_that_slept_spends_nothing_that_it_lost(replicas: Replicas) -> None:
    replicas.start("a", "b", lease_seconds=LEASE_SECONDS)
    body = Money.body({"usage": USED})
    cost = cost_of_one()
    limit_id, secret = replicas.tree(200 * cost, period="day")
    replicas.ask(secret, ["a", "b"] * 20, body)
    sleeper = replicas.served["a"]
    sleeper.send(signal.SIGSTOP)
    until(lambda: replicas.ask(secret, ["b"], body)[0].status == 402, 60.0)
    # Its leases have expired: it is forgotten, and others spend what it had.
    until(lambda: forgotten(replicas, "a"), 10.0 + 2 * LEASE_SECONDS)
    until(lambda: replicas.ask(secret, ["b"], body)[0].status == 200, 10.0)
    sleeper.send(signal.SIGCONT)
    until(lambda: {a.status for a in replicas.ask(secret, ["a", "b"] * 3, body)} == {402}, 30.0)
    assert replicas.reported() <= 200 * cost
    until(lambda: replicas.ledger() == replicas.reported())
    (account,) = replicas.accounts(limit_id)
    assert account["spent"] <= 200 * cost


def forgotten(replicas: Replicas, name: str) -> bool:
    """Close what a replica had, as `apertis journal forget` does; False while it may be there."""

    async def run() -> bool:
        async with await Store.open(replicas.url) as store:
            try:
                await store.accounts.forget(name, expiry_ms=int(LEASE_SECONDS * 1000))
            except ReplicaRunningError:
                return False
            return True

    return asyncio.run(run())


def test_a_database_that_was_restored_knows_again_what_was_spent(replicas: Replicas) -> None:
    replicas.start("a", "b", lease_seconds=3)
    body = Money.body({"usage": USED})
    cost = cost_of_one()
    limit_id, secret = replicas.tree(300 * cost, period="month")
    tables = ("accounts", "leases", "replicas", "usage", "key_usage")
    assert {a.status for a in replicas.ask(secret, ["a", "b"] * 10, body)} == {200}
    until(lambda: replicas.ledger() == replicas.reported())
    for table in tables:
        query(replicas.url, f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")
    assert {a.status for a in replicas.ask(secret, ["a", "b"] * 40, body)} == {200}
    until(lambda: replicas.ledger() == replicas.reported())
    # Each has been heard of since: by that it knows.
    until(
        lambda: (
            not query(
                replicas.url,
                "SELECT name FROM replicas JOIN kept_replicas USING (name, sequence)",
            )
        )
    )
    restore = [
        f"DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table};" for table in tables
    ]
    script(replicas.url, "BEGIN; " + " ".join(restore) + " COMMIT;")
    assert replicas.ledger() < replicas.reported()
    # Journals are sent again, and nobody has spent anything twice or for nothing.
    until(lambda: replicas.ledger() == replicas.reported(), 20.0)
    refused = 0
    while refused < 4:
        last = replicas.ask(secret, ["a", "b"], body)
        refused = refused + 1 if all(answer.status == 402 for answer in last) else 0
    assert replicas.reported() <= 300 * cost
    for name in ("a", "b"):
        assert replicas.served[name].stop() == 0
    (account,) = replicas.accounts(limit_id)
    assert account["spent"] == replicas.ledger() == replicas.reported()


def test_a_replica_that_never_comes_back_is_settled_by_whoever_has_its_disk(
    replicas: Replicas, tmp_path: Path
) -> None:
    replicas.start("a", "b", lease_seconds=2)
    body = Money.body({"usage": USED})
    limit_id, secret = replicas.tree(400 * cost_of_one(), period="month")
    names = ["a", "b"]
    answers = asyncio.run(
        traffic(replicas, secret, body, names, 160, lambda: replicas.kill("a"), 90)
    )
    ids = {answer.headers["request-id"] for answer in answers if answer.status == 200}
    replay = [*PROGRAM, "journal", "replay", "a", "--json"]
    # Without the gateway's own settings: the store is all that the command needs.
    environment = clean_environment(APERTIS_STORE_URL=replicas.url)
    done = [
        subprocess.run(
            [sys.executable, *replay],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        for _ in range(2)
    ]
    assert [one.returncode for one in done] == [0, 3], [one.stderr for one in done]
    told = json.loads(done[0].stdout)
    assert told["replicas"] == ["a"]
    assert "there is no usage journal in a" in done[1].stderr
    until(lambda: ids <= replicas.booked())
    # What it had is there for the other at once.
    refused = 0
    while refused < 4:
        refused = refused + 1 if replicas.ask(secret, ["b"], body)[0].status == 402 else 0
    assert replicas.served["b"].stop() == 0
    (account,) = replicas.accounts(limit_id)
    lost = sum(lease["lost_units"] for lease in told["closed"])
    assert account["spent"] == replicas.ledger() + lost
    assert (account["leased"], account["held"]) == (0, 0)
    assert replicas.reported() <= 400 * cost_of_one()
    # Less is left than one request reserves, and what nobody knows the end of.
    assert account["limit_units"] - account["spent"] < 10 * cost_of_one() + 12 * cost_of_one()
