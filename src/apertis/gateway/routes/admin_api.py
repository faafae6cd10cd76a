"""What the admin API does behind each of its paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from apertis.gateway.errors import Refusal, not_found, request_too_large
from apertis.gateway.routes.admin_fields import RotateFields, read_fields
from apertis.gateway.routes.admin_keys import KeyAdministration, Made, find_key
from apertis.gateway.routes.admin_queries import CacheFields, ListFields, page_of
from apertis.gateway.routes.admin_reading import read_body_as, read_query_as
from apertis.gateway.routes.admin_usage import UsageFields, report
from apertis.gateway.routes.admin_views import (
    KeyPage,
    KeyView,
    Purged,
    UpstreamList,
    key_view,
    upstream_view,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.routes.admin_ports import Cache, Directory, Store, Upstreams

__all__ = ["AdminApi", "Result"]

Result = Refusal | msgspec.Struct

_MOST_BODY_BYTES = 2**20


class AdminApi:
    """What is behind each path: a request in, a JSON object or a `Refusal` out."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        upstreams: Upstreams,
        cache: Cache,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._directory = directory
        self._upstreams = upstreams
        self._cache = cache
        self._now = now
        self._keys = KeyAdministration(store.keys, now, self._everyone, self._catch_up)

    async def list_keys(self, request: Request) -> Result:
        """List keys in pages."""
        asked = read_query_as(request.url.query, ListFields)
        if isinstance(asked, Refusal):
            return asked
        page = page_of(await self._everyone(), asked)
        if isinstance(page, Refusal):
            return page
        ids = [record.id for record in page.records]
        return KeyPage(
            data=tuple(self._view(record) for record in page.records),
            has_more=page.has_more,
            first_id=ids[0] if ids else None,
            last_id=ids[-1] if ids else None,
        )

    async def create_key(self, request: Request) -> Result:
        """Make a key; its secret is in this answer only."""
        body = await _body(request)
        fields = body if isinstance(body, Refusal) else read_fields(body)
        return self._shown(
            fields if isinstance(fields, Refusal) else await self._keys.create(fields)
        )

    async def read_key(self, request: Request) -> Result:
        """Show one key."""
        key_id = _key_id(request)
        record = await self._store.keys.get(key_id)
        return (
            not_found(f"There is no key '{key_id[:100]}'") if record is None else self._view(record)
        )

    async def change_key(self, request: Request) -> Result:
        """Set the fields that are given."""
        body = await _body(request)
        fields = body if isinstance(body, Refusal) else read_fields(body)
        if isinstance(fields, Refusal):
            return fields
        return self._shown(await self._keys.change(_key_id(request), fields))

    async def delete_key(self, request: Request) -> Result:
        """Delete a key for good."""
        return self._shown(await self._keys.delete(_key_id(request)))

    async def rotate_key(self, request: Request) -> Result:
        """Give a key another secret, shown in this answer only."""
        body = await _body(request)
        if isinstance(body, Refusal):
            return body
        asked = read_body_as(body or b"{}", RotateFields)
        if isinstance(asked, Refusal):
            return asked
        return self._shown(await self._keys.rotate(_key_id(request), asked.grace_seconds))

    async def enable_key(self, request: Request) -> Result:
        """Let a key in again."""
        return self._shown(await self._keys.set_status(_key_id(request), "enabled"))

    async def disable_key(self, request: Request) -> Result:
        """Keep a key out until it is enabled."""
        return self._shown(await self._keys.set_status(_key_id(request), "disabled"))

    async def report_usage(self, request: Request) -> Result:
        """Add usage up."""
        asked = read_query_as(request.url.query, UsageFields)
        if isinstance(asked, Refusal):
            return asked
        keys = await self._everyone()
        answer = await report(asked, self._store.usage, keys, self._now())
        return answer if isinstance(answer, Refusal) else answer.view()

    async def list_upstreams(self, _: Request) -> Result:
        """Show the state of each upstream's breaker."""
        return UpstreamList(data=tuple(map(upstream_view, self._upstreams.states(self._now()))))

    async def purge_cache(self, request: Request) -> Result:
        """Drop answers that the response cache keeps."""
        asked = read_query_as(request.url.query, CacheFields)
        if isinstance(asked, Refusal):
            return asked
        if asked.key is None:
            purged = len(self._cache)
            self._cache.clear()
            return Purged(purged=purged)
        record = find_key(await self._everyone(), asked.key)
        if isinstance(record, Refusal):
            return record
        return Purged(purged=self._cache.purge(record.id))

    async def _catch_up(self) -> None:
        """Bring the directory up to date.

        What was changed elsewhere comes along: a change of our own alone would move the
        directory's version past it.
        """
        self._directory.apply(await self._store.keys.changes_since(self._directory.version))

    async def _everyone(self) -> list[KeyRecord]:
        await self._catch_up()
        return [key.record for key in self._directory.all()]

    def _shown(self, result: KeyRecord | Made | Refusal) -> Result:
        if isinstance(result, Refusal):
            return result
        if isinstance(result, Made):
            return self._view(result.record, result.secret)
        return self._view(result)

    def _view(self, record: KeyRecord, secret: str | None = None) -> KeyView:
        live = self._directory.get(record.id)
        # The store hears of usage a moment later than the key's account.
        used = record.used_units if live is None else max(record.used_units, live.account.used)
        return key_view(msgspec.structs.replace(record, used_units=used), secret)


def _key_id(request: Request) -> str:
    key_id: str = request.path_params["key_id"]
    return key_id


async def _body(request: Request) -> bytes | Refusal:
    """Read the body, up to far more than any key needs."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > _MOST_BODY_BYTES:
            return request_too_large(_MOST_BODY_BYTES)
        chunks.append(chunk)
    return b"".join(chunks)
