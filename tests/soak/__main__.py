"""Mixed traffic through `apertis serve` for minutes: nothing may grow, and every unit must add up.

    make soak              ten minutes
    make soak SECONDS=60   one

Whole answers, streams, callers who leave, upstreams that fail, answers from the cache, and keys
that come and go; memory, file descriptors and tasks are looked at all the while, and the ledger
is compared with what the upstream reported at the end. No test of `make test`: it takes too long.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.soak.client import Client
from tests.soak.traffic import Asked, Traffic
from tests.soak.upstream import Upstream, cost_of

SAMPLES = 40
# Between the second quarter, behind the warm-up, and the last one.
MAX_GROWTH_KIB = 6 * 1024
MAX_MORE_DESCRIPTORS = 8
MAX_MORE_TASKS = 8

CONFIG = """
[limits]
per_address = "0"
per_key = "0"
[routing]
breaker_failures = 1000000
[[upstreams]]
name = "first"
kind = "anthropic"
base_url = "{url}"
api_key_env = "SOAK_KEY"
models = ["model"]
[[upstreams]]
name = "second"
kind = "anthropic"
base_url = "{url}"
api_key_env = "SOAK_KEY"
models = ["model"]
[prices.model]
input = "3"
output = "15"
cache_read = "0.3"
"""


@dataclass(frozen=True)
class Sample:
    """How the gateway stood at one moment."""

    seconds: float
    rss_kib: int
    descriptors: int
    tasks: int
    lag: int


@dataclass
class Watch:
    """Looks at the gateway from outside, and notes what is wrong with it."""

    port: int
    pid: int
    problems: list[str]
    samples: list[Sample] = field(default_factory=list)

    async def metrics(self) -> dict[str, float]:
        """The gateway's gauges and counters by name, summed over all labels."""
        client = Client(self.port)
        answer = await client.call("GET", "/metrics", {})
        client.close()
        found: dict[str, float] = {}
        for line in answer.body.decode().splitlines():
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                name = name.partition("{")[0]
                found[name] = found.get(name, 0) + float(value)
        return found

    async def run(self, interval: float) -> None:
        """Take a sample every so often, until cancelled."""
        started = time.monotonic()
        while True:
            await asyncio.sleep(interval)
            gauges = await self.metrics()
            sample = Sample(
                time.monotonic() - started,
                *resources(self.pid),
                int(gauges["apertis_tasks"]),
                int(gauges["apertis_journal_records"]),
            )
            self.samples.append(sample)
            print(
                f"{sample.seconds:6.0f} s  {sample.rss_kib / 1024:6.1f} MiB  "
                f"{sample.descriptors:4} descriptors  {sample.tasks:4} tasks  "
                f"{sample.lag:4} records waiting  {gauges['apertis_requests_total']:8.0f} requests",
                flush=True,
            )

    async def rest(self) -> dict[str, float]:
        """Wait until nothing is under way and all is in the store; what the metrics say then."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            gauges = await self.metrics()
            # The one that asks for the metrics is under way itself.
            if not gauges["apertis_journal_records"] and gauges["apertis_in_flight"] <= 1:
                return gauges
            await asyncio.sleep(0.1)
        raise TimeoutError("the gateway does not come to rest")

    def compare(self) -> None:
        """Note what grew."""
        quarter = max(len(self.samples) // 4, 1)
        early, late = self.samples[quarter : 2 * quarter], self.samples[-quarter:]

        def grown(name: str, most: int) -> None:
            before = max(getattr(sample, name) for sample in early)
            after = max(getattr(sample, name) for sample in late)
            print(f"{name}: {before} in the second quarter, {after} in the last one")
            if after - before > most:
                self.problems.append(f"{name} grew from {before} to {after}")

        grown("rss_kib", MAX_GROWTH_KIB)
        grown("descriptors", MAX_MORE_DESCRIPTORS)
        grown("tasks", MAX_MORE_TASKS)


def resources(pid: int) -> tuple[int, int]:
    """The resident memory of a process in KiB, and how many descriptors it has open."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]), sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


@dataclass
class Audit:
    """Holds the ledger against what was answered, and against the upstream's books."""

    upstream: Upstream
    problems: list[str]

    def run(self, data: Path, answered: dict[str, Asked], spent: int) -> None:
        """Compare; `spent` is what the metrics said at the end."""
        with contextlib.closing(sqlite3.connect(data / "apertis.sqlite3")) as database:
            database.row_factory = sqlite3.Row
            rows = {row["request_id"]: row for row in database.execute("select * from usage")}
            (daily,) = database.execute("select sum(cost_units) from usage_quarters").fetchone()
            (used,) = database.execute("select sum(used_units) from key_usage").fetchone()
        self.equal("answers in the ledger", len(answered.keys() & rows.keys()), len(answered))
        for request_id in answered.keys() & rows.keys():
            self._row(rows[request_id], answered[request_id])
        total = sum(row["cost_units"] for row in rows.values())
        print(f"{len(rows)} records of {total} units in the ledger")
        self.equal("units in the daily sums", daily, total)
        self.equal("units of the keys", used, total)
        self.equal("units in the metrics", spent, total)

    def _row(self, row: sqlite3.Row, asked: Asked) -> None:
        if asked.hit or asked.kind == "refused":
            expected = 0
        elif row["estimated"] and asked.kind in ("leaves", "error after", "cut after"):
            expected = cost_of({**asked.usage, "output_tokens": row["output_tokens"]})
        else:
            expected = cost_of(asked.usage)
            if self.upstream.books.get(asked.id) != asked.usage:
                self.problems.append(f"{asked.id} is not in the upstream's books")
        if row["cost_units"] != expected or bool(row["cached"]) != asked.hit:
            self.problems.append(f"{asked.id} costs {row['cost_units']}, not {expected}")

    def equal(self, what: str, found: int, expected: int) -> None:
        """Note it if two numbers differ."""
        print(f"{what}: {found}")
        if found != expected:
            self.problems.append(f"{what}: {found}, not {expected}")


def serve(folder: Path, url: str) -> subprocess.Popen[bytes]:
    """Start a gateway whose data and log are in a folder."""
    file = folder / "apertis.toml"
    file.write_text(CONFIG.format(url=url))
    command = [sys.executable, "-m", "apertis.cli", "serve", "--json", "--port", "0"]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [*command, "--config", str(file), "--data", str(folder / "data")],
            env={**os.environ, "SOAK_KEY": "sk-soak"},
            stdout=subprocess.PIPE,
            stderr=log,
        )


def first_line(process: subprocess.Popen[bytes]) -> bytes:
    output: IO[bytes] | None = process.stdout
    assert output is not None
    return output.readline()


async def soak(folder: Path, seconds: float, seed: int) -> list[str]:
    """Start a gateway, load it, stop it; give what was wrong."""
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, backlog=256)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    process = await asyncio.to_thread(serve, folder, url)
    try:
        told = json.loads(await asyncio.to_thread(first_line, process))
        port = int(told["base_url"].rpartition(":")[2])
        ends_at = time.monotonic() + seconds
        traffic = Traffic(port, told["api_key"], random.Random(seed), ends_at)
        watch = Watch(port, process.pid, traffic.problems)
        watching = asyncio.get_running_loop().create_task(watch.run(seconds / SAMPLES))
        await traffic.run()
        watching.cancel()
        gauges = await watch.rest()
        # Counted while the gateway runs: when it ends, all connections do.
        given_up, unanswered = upstream.given_up, upstream.unanswered
    finally:
        process.terminate()
        code = await asyncio.to_thread(process.wait, 60)
        server.close()
    print(f"{traffic.counts}; {traffic.changes} keys came and went")
    print(f"{gauges['apertis_tasks']:.0f} tasks at rest")
    watch.compare()
    audit = Audit(upstream, traffic.problems)
    audit.equal("exit code", code, 0)
    audit.equal("calls given up", given_up, unanswered)
    audit.run(folder / "data", traffic.answered, int(gauges["apertis_cost_units_total"]))
    return traffic.problems


def main() -> int:
    parser = argparse.ArgumentParser(description="Load a gateway, and look for growth.")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        problems = asyncio.run(soak(Path(folder), given.seconds, given.seed))
    for problem in problems[:20]:
        print(f"wrong: {problem}")
    print(f"{len(problems)} problems in {given.seconds:.0f} s" if problems else "All is well.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
