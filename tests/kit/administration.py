"""The admin API on a real store, called without a socket."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from apertis.accounting.record import UsageRecord
from apertis.accounting.tokens import Tokens
from apertis.gateway.admin.http import create_admin
from apertis.gateway.cache import Entry, ResponseCache
from apertis.gateway.config import CacheSettings, RoutingSettings, UpstreamSettings
from apertis.gateway.keys.directory import Directory
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.keys.secrets import hash_secret, hint_of, new_key_id
from apertis.gateway.people.record import Group, Person
from apertis.gateway.routing.router import Router
from apertis.gateway.serving.asgi import CALLER, REQUEST_ID
from apertis.gateway.store.database import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_Kept = TypeVar("_Kept", Person, Group)

NOW = 1_800_000_000.0
ADMIN = "sk-admin"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str, str | None]:
        """Status, code and param of an error, whose envelope is checked on the way."""
        assert self.json["type"] == "error"
        assert self.json["request_id"] == self.headers["request-id"]
        error = self.json["error"]
        assert error["message"]
        assert error["type"].endswith(("_error", "_too_large"))
        return self.status, error["code"], error.get("param")


@dataclass
class Administration:
    """A gateway's admin API with the parts that it stands on."""

    store: Store
    loop: asyncio.Runner
    directory: Directory = field(default_factory=Directory)
    cache: ResponseCache = field(default_factory=lambda: ResponseCache(CacheSettings()))
    now: float = NOW

    def __post_init__(self) -> None:
        upstreams = (UpstreamSettings(name="main", kind="sandbox"),)
        self.app = create_admin(
            store=self.store,
            directory=self.directory,
            upstreams=Router(upstreams, RoutingSettings()).states,
            cache=self.cache,
            now=lambda: self.now,
        )

    def call(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        secret: str = ADMIN,
        request_id: str | None = None,
    ) -> Answer:
        """Send one request; a body that is not bytes is sent as JSON."""
        raw = (
            b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        )
        return self.loop.run(self._call(method, target, raw, secret, request_id))

    async def _call(
        self, method: str, target: str, body: bytes, secret: str, request_id: str | None
    ) -> Answer:
        path, _, query = target.partition("?")
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(b"x-api-key", secret.encode()), (b"host", b"test")],
            "scheme": "http",
            "server": ("test", 80),
            "root_path": "",
            CALLER: self.directory.find(secret, self.now),
        }
        if request_id is not None:
            scope[REQUEST_ID] = request_id
        # In pieces, as bodies come.
        pieces = [body[i : i + 1000] for i in range(0, len(body), 1000)] or [b""]
        messages: list[Any] = []

        async def receive() -> dict[str, Any]:
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message: Any) -> None:
            messages.append(message)

        await self.app(scope, receive, send)
        head = messages[0]
        headers = {name.decode(): value.decode() for name, value in head["headers"]}
        return Answer(head["status"], headers, b"".join(m.get("body", b"") for m in messages[1:]))

    def key(self, secret: str, **fields: Any) -> KeyRecord:
        """Put a key into the store, past the API, as the command line does."""
        record = KeyRecord(
            **{
                "id": new_key_id(),
                "name": "a key",
                "sha256": hash_secret(secret),
                "hint": hint_of(secret),
                "created_at": int(NOW),
                **fields,
            }
        )
        return self.loop.run(self.store.keys.insert(record))

    def keep(self, record: _Kept) -> _Kept:
        """Put a person or a group into the store, past the API."""
        return self.loop.run(self.store.organization.insert(record))

    def used(self, key: str, **fields: Any) -> None:
        """Book a request."""
        number = self.__dict__["_requests"] = self.__dict__.get("_requests", 0) + 1
        record = UsageRecord(
            **{
                "request_id": f"req_{number}",
                "at_ms": int(NOW) * 1000,
                "key_id": key,
                "model": "claude-sonnet-4-5",
                "requested_model": "claude-sonnet-4-5",
                "status": 200,
                "tokens": Tokens(input=10, output=20),
                "cost_units": 165,
                **fields,
            }
        )
        assert self.loop.run(self.store.usage.add([record])) == 1

    def cached(self, key: str, name: bytes) -> None:
        """Keep an answer in the response cache."""
        entry = Entry(body=b"{}", streamed=False, stored_at=self.now)
        assert self.cache.put(name, key, entry)


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[Administration]:
    """The admin API, with one administrator's key, whose secret is `ADMIN`."""
    with asyncio.Runner() as loop:
        store = loop.run(Store.open(tmp_path))
        administration = Administration(store, loop)
        administration.key(ADMIN, id="key_" + "0" * 20, name="root", admin=True, created_at=1)
        administration.directory.apply(loop.run(store.keys.changes_since(0)))
        yield administration
        loop.run(store.close())
