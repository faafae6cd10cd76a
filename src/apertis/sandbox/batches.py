"""Message batches (https://docs.claude.com/en/api/creating-message-batches).

A batch is in progress when it is created and has ended when it is first retrieved after that. Its
results are worked out when they are read: nothing runs in between.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias
from urllib.parse import parse_qs

from apertis.sandbox.catalogue import page
from apertis.sandbox.reply import Reply, SandboxRefusal, invalid, json_bytes, json_reply
from apertis.sandbox.rules import matching, object_, record
from apertis.sandbox.values import JsonObject, is_array, objects_of, stable_id

# There is no clock here: all batches are of one day.
_CREATED = "2026-01-31T12:00:00Z"
_ENDED = "2026-01-31T12:01:00Z"
_EXPIRES = "2026-02-01T12:00:00Z"
_MAX_BATCHES = 1000
_MAX_REQUESTS = 100_000
_PATH = re.compile(r"/v1/messages/batches(?:/([^/]+)(?:/(cancel|results))?)?")

_REQUEST = record({"custom_id": matching("[a-zA-Z0-9_-]{1,64}"), "params": object_}, closed=True)

# From the parameters of one request to its message, or to why there is none.
Answer: TypeAlias = Callable[[JsonObject], JsonObject | SandboxRefusal]


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch: its requests, and how far it is."""

    id: str
    requests: tuple[JsonObject, ...]
    status: str = "in_progress"
    canceled: bool = False

    def entry(self, host: str, counts: Mapping[str, int]) -> JsonObject:
        """Return the batch as the API shows it; what counts is known once it has ended."""
        ended = self.status == "ended"
        results = f"{host}/v1/messages/batches/{self.id}/results" if ended else None
        return {
            "id": self.id,
            "type": "message_batch",
            "processing_status": self.status,
            "request_counts": counts,
            "created_at": _CREATED,
            "expires_at": _EXPIRES,
            "ended_at": _ENDED if ended else None,
            "cancel_initiated_at": _CREATED if self.canceled else None,
            "archived_at": None,
            "results_url": results,
        }


@dataclass(slots=True)
class Batches:
    """The batches of one sandbox, the newest 1,000 of them.

    Whoever keeps the ids of batches beyond the life of a sandbox gives each a `seed` of its own:
    their ids differ then.
    """

    seed: str = ""
    held: dict[str, Batch] = field(default_factory=dict[str, Batch])
    created: int = 0

    def reply(
        self, method: str, path: str, query: str, host: str, body: JsonObject, answer: Answer
    ) -> JsonObject | bytes | SandboxRefusal:
        """Answer a request below `/v1/messages/batches`; results are lines of JSON."""
        found = _PATH.fullmatch(path)
        if found is None:
            return SandboxRefusal(404, "Not Found")
        batch_id, action = found.groups()
        desk = _Desk(self, host, answer)
        if batch_id is None:
            return desk.create(body) if method == "POST" else desk.list(query)
        batch = self.held.get(batch_id)
        if batch is None:
            return SandboxRefusal(404, f"Message batch {batch_id} was not found")
        if action == "cancel":
            return desk.cancel(batch)
        if action == "results":
            return desk.results(batch)
        return desk.delete(batch) if method == "DELETE" else desk.retrieve(batch)


def allowed_methods(path: str) -> tuple[str, ...]:
    """Return the methods that a path of batches takes; none for a path that is not there."""
    found = _PATH.fullmatch(path)
    if found is None:
        return ()
    batch_id, action = found.groups()
    if batch_id is None:
        return ("GET", "POST")
    return {"cancel": ("POST",), "results": ("GET",)}.get(action, ("GET", "DELETE"))


@dataclass(frozen=True, slots=True)
class _Desk:
    batches: Batches
    host: str
    answer: Answer

    def create(self, body: JsonObject) -> JsonObject | SandboxRefusal:
        problem = _create_problem(body)
        if problem is not None:
            return invalid(problem)
        self.batches.created += 1
        number = self.batches.created
        seed = hashlib.sha256(json_bytes(body)).digest()
        batch_id = stable_id("msgbatch_01", seed, f"{self.batches.seed}{number}")
        batch = Batch(batch_id, tuple(body["requests"]))
        held = self.batches.held
        held[batch.id] = batch
        if len(held) > _MAX_BATCHES:
            del held[next(iter(held))]
        return self._entry(batch)

    def list(self, query: str) -> JsonObject | SandboxRefusal:
        newest_first = [self._entry(batch) for batch in reversed(self.batches.held.values())]
        return page(newest_first, {name: told[-1] for name, told in parse_qs(query).items()})

    def retrieve(self, batch: Batch) -> JsonObject:
        if batch.status != "ended":
            batch = replace(batch, status="ended")
            self.batches.held[batch.id] = batch
        return self._entry(batch)

    def cancel(self, batch: Batch) -> JsonObject | SandboxRefusal:
        if batch.status == "ended":
            return invalid(f"Message batch {batch.id} has already ended and cannot be canceled")
        batch = replace(batch, status="canceling", canceled=True)
        self.batches.held[batch.id] = batch
        return self._entry(batch)

    def delete(self, batch: Batch) -> JsonObject | SandboxRefusal:
        if batch.status != "ended":
            return invalid(
                f"Message batch {batch.id} is still in progress. "
                "It can be deleted once it has ended; cancel it to end it now."
            )
        del self.batches.held[batch.id]
        return {"id": batch.id, "type": "message_batch_deleted"}

    def results(self, batch: Batch) -> bytes | SandboxRefusal:
        if batch.status != "ended":
            return invalid(f"Message batch {batch.id} has not ended: there are no results yet")
        lines = [
            json_bytes({"custom_id": item["custom_id"], "result": self._result(batch, item)})
            for item in batch.requests
        ]
        return b"\n".join(lines) + b"\n"

    def _result(self, batch: Batch, item: JsonObject) -> JsonObject:
        if batch.canceled:
            return {"type": "canceled"}
        outcome = self.answer(item["params"])
        if isinstance(outcome, SandboxRefusal):
            request_id = stable_id("req_011", batch.id.encode(), item["custom_id"])
            return {"type": "errored", "error": outcome.body(request_id)}
        return {"type": "succeeded", "message": outcome}

    def _entry(self, batch: Batch) -> JsonObject:
        counts: dict[str, int] = dict.fromkeys(
            ("processing", "succeeded", "errored", "canceled", "expired"), 0
        )
        if batch.status != "ended":
            counts["processing"] = len(batch.requests)
        else:
            for item in batch.requests:
                counts[self._result(batch, item)["type"]] += 1
        return batch.entry(self.host, counts)


def _create_problem(body: JsonObject) -> str | None:
    if "requests" not in body:
        return "requests: Field required"
    requests = body["requests"]
    if not is_array(requests):
        return "requests: Input should be a valid list"
    if not 1 <= len(requests) <= _MAX_REQUESTS:
        return f"requests: List should have between 1 and {_MAX_REQUESTS} items"
    for place, item in enumerate(requests):
        problem = next(_REQUEST(f"requests.{place}", item), None)
        if problem is not None:
            return problem
    ids = [item["custom_id"] for item in objects_of(requests)]
    if len(set(ids)) < len(ids):
        return "requests: `custom_id` must be unique within a batch"
    return None


def results_reply(lines: bytes, request_id: str) -> Reply:
    """Return the lines of a batch's results."""
    head = json_reply(200, None, request_id).headers
    kept = tuple(pair for pair in head if pair[0] != "content-type")
    return Reply(200, (("content-type", "application/x-jsonl"), *kept), (lines,))
