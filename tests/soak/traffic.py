"""The load: many callers at once who do all that callers do."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tests.soak.client import Answer, Client
from tests.soak.upstream import PRICE, Usage

__all__ = ["Asked", "Traffic"]

WORKERS = 24
# Each worker rests so long between two requests, on average half of it.
REST_SECONDS = 0.08
SESSIONS = 200
KINDS = {
    "plain": 30,
    "stream": 30,
    "leaves": 12,
    "cached": 10,
    "refused": 4,
    "error after": 5,
    "cut after": 5,
    "impatient": 2,
    "stranger": 2,
}


@dataclass(frozen=True)
class Asked:
    """A request that was answered: what it was to come to."""

    kind: str
    id: str
    usage: Usage
    hit: bool


@dataclass
class Traffic:
    """Callers of the gateway on a port, until a moment of the monotonic clock."""

    port: int
    admin: str
    dice: random.Random
    ends_at: float
    # By the gateway's id of the request.
    answered: dict[str, Asked] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    changes: int = 0
    problems: list[str] = field(default_factory=list)
    _secret: str = field(default="", repr=False)
    _numbers: count[int] = field(default_factory=count)

    async def run(self) -> None:
        """Load the gateway until the time is over."""
        made = await self._admin(Client(self.port), "POST", "", name="soak", quota_units=10**12)
        self._secret = made["secret"]
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())
            group.create_task(self._change_keys())

    async def _work(self) -> None:
        client = Client(self.port)
        kinds, weights = [*KINDS], [*KINDS.values()]
        while time.monotonic() < self.ends_at:
            kind = self.dice.choices(kinds, weights)[0]
            self.counts[kind] += 1
            await self._ask(client, kind)
            if self.dice.random() < 0.05:
                client.close()
            await asyncio.sleep(self.dice.random() * REST_SECONDS)
        client.close()

    async def _ask(self, client: Client, kind: str) -> None:
        dice = self.dice
        number = dice.randrange(20) if kind == "cached" else next(self._numbers)
        steady = random.Random(number) if kind == "cached" else dice
        usage = {name: steady.randrange(1, 400) for name in PRICE}
        id_ = f"{kind}-{number}"
        deltas = steady.randrange(2, 30)
        plan = {"id": id_, "kind": kind, "usage": usage, "deltas": deltas}
        stream = kind in ("stream", "leaves", "error after", "cut after")
        asked = {"model": "model", "max_tokens": 500, "stream": stream}
        body = {**asked, "messages": [{"role": "user", "content": json.dumps(plan)}]}
        headers = {
            "x-api-key": "sk-nobody" if kind == "stranger" else self._secret,
            "content-type": "application/json",
            "x-claude-code-session-id": f"session-{dice.randrange(SESSIONS)}",
            "x-response-cache": "on" if kind == "cached" else "off",
        }
        leave_after = dice.randrange(1, deltas + 1) if kind == "leaves" else None
        patience = 0.1 if kind == "impatient" else 30
        try:
            async with asyncio.timeout(patience):
                answer = await client.call(
                    "POST", "/v1/messages", headers, json.dumps(body).encode(), leave_after
                )
        except TimeoutError:
            client.close()
            if kind != "impatient":
                self.problems.append(f"no answer to a request of kind {kind!r}")
            return
        self._take(kind, id_, usage, answer)

    def _take(self, kind: str, id_: str, usage: Usage, answer: Answer) -> None:
        expected = {"refused": 529, "stranger": 401}.get(kind, 200)
        if answer.status != expected:
            self.problems.append(f"{kind}: {answer.status} {answer.body[:200]!r}")
        if kind == "stranger":
            return
        hit = answer.headers.get("x-response-cache") == "hit"
        request_id = answer.headers["x-apertis-request-id"]
        stopped = b"event: message_stop" in answer.body
        if kind == "stream" and not stopped:
            self.problems.append(f"a stream without its end: {answer.body[-200:]!r}")
        if kind.endswith("after") and (stopped or b"event: error" not in answer.body):
            self.problems.append(f"a failed stream without an error: {answer.body[-200:]!r}")
        self.answered[request_id] = Asked(kind, id_, usage, hit)

    async def _change_keys(self) -> None:
        """Make a key, use it, change it, and delete it, again and again."""
        client = Client(self.port)
        while time.monotonic() < self.ends_at:
            made = await self._admin(client, "POST", "", name="passing", quota_units=10**9)
            path, secret = f"/{made['id']}", made["secret"]
            await self._expect(client, secret, 200)
            await self._admin(client, "PATCH", path, models=["another"])
            await self._expect(client, secret, 403)
            rotated = await self._admin(client, "POST", f"{path}/rotate", grace_seconds=0)
            await self._expect(client, secret, 401)
            await self._admin(client, "PATCH", path, models=None, quota_units=0)
            await self._expect(client, rotated["secret"], 402)
            await self._admin(client, "DELETE", path)
            await self._expect(client, rotated["secret"], 401)
            self.changes += 1
            await asyncio.sleep(1)
        client.close()

    async def _expect(self, client: Client, secret: str, status: int) -> None:
        plan = {"id": f"key-{next(self._numbers)}", "kind": "plain", "deltas": 0}
        plan["usage"] = dict.fromkeys(PRICE, 7)
        content = json.dumps(plan)
        body = {
            "model": "model",
            "max_tokens": 9,
            "messages": [{"role": "user", "content": content}],
        }
        headers = {"x-api-key": secret, "content-type": "application/json"}
        answer = await client.call("POST", "/v1/messages", headers, json.dumps(body).encode())
        if answer.status != status:
            self.problems.append(f"a changed key: {answer.status}, not {status}")

    async def _admin(self, client: Client, method: str, path: str, **fields: Any) -> dict[str, Any]:
        headers = {"x-api-key": self.admin, "content-type": "application/json"}
        body = json.dumps(fields).encode() if fields else b""
        answer = await client.call(method, f"/admin/v1/keys{path}", headers, body)
        assert answer.status == 200, answer
        document: dict[str, Any] = json.loads(answer.body)
        return document
