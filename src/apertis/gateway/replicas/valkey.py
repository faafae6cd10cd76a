"""A Valkey server that gateways of one store tell each other counts through, if there is one.

Nothing that is there is needed: it may be away, be emptied or show an old state at any time.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from apertis.errors import ConfigurationError
from apertis.gateway.replicas.sharing import Spoken
from apertis.installation import install_command
from apertis.models.json import json_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from apertis.gateway.config import Secret

# The name of the store's secret for what is kept there.
VALKEY_SECRET: Final = "valkey"
_TIMEOUT_SECONDS = 0.3
# What is said is kept for those that are a little behind.
_KEPT_MS = 10_000
_TTL_MS = 60_000
_MAX_WORDS = 1000

_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Word(msgspec.Struct, array_like=True):
    replica: str
    told: list[tuple[str, _Count, _Count]]
    idle: list[str]


class Valkey:
    """One server, as the gateways of one store see it; `secret` is the store's.

    `on_change` is told of what went wrong, and None when all is well again.
    """

    def __init__(
        self, url: Secret, secret: bytes, on_change: Callable[[str | None], None] = lambda _: None
    ) -> None:
        if find_spec("valkey") is None:
            raise ConfigurationError(f"valkey.url needs valkey: {install_command('valkey')}")
        # Loaded where it is configured.
        asked: Any = importlib.import_module("valkey.asyncio")
        no_retry = importlib.import_module("valkey.backoff").NoBackoff()
        self._client: Any = asked.Valkey.from_url(
            url.reveal(),
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=importlib.import_module("valkey.asyncio.retry").Retry(no_retry, 0),
        )
        errors: Any = importlib.import_module("valkey.exceptions")
        self._errors: tuple[type[Exception], ...] = (*(errors.ValkeyError, OSError, TimeoutError),)
        self._secret = secret
        # Several stores can have one server.
        self.prefix = f"apertis:{self.name_of(b'store')[:16]}:"
        self._on_change = on_change
        self._trouble: str | None = None

    def name_of(self, text: bytes) -> str:
        """Return a name for this that tells nothing of it to whoever does not have the store."""
        return hmac.digest(self._secret, text, hashlib.sha256).hex()

    async def run(self, commands: Callable[[Any], object]) -> list[Any] | None:
        """Send commands in one round trip, and return what came back; None while it is away."""
        pipeline = self._client.pipeline(transaction=False)
        commands(pipeline)
        try:
            async with asyncio.timeout(2 * _TIMEOUT_SECONDS):
                found: list[Any] = await pipeline.execute()
        except self._errors as error:
            # Texts of errors have the host at most.
            self._now(str(error) or type(error).__name__)
            return None
        self._now(None)
        return found

    def _now(self, trouble: str | None) -> None:
        if (trouble is None) != (self._trouble is None):
            self._on_change(trouble)
        self._trouble = trouble

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()


class ValkeyShares:
    """Counts in a stream: each gateway adds its word, and reads what came since its last one.

    The server's clock gives the ids, so that nobody's own clock matters. The last own word must
    still be there; if it is not, the server was emptied or shows an old state.
    """

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey
        self._stream = f"{valkey.prefix}shares"
        self._last = b""

    async def exchange(
        self, replica: str, told: Sequence[tuple[str, int, int]], idle: Sequence[str]
    ) -> tuple[Sequence[Spoken], bool] | None:
        """Say what one counted, and return what others said since the last call."""
        word = msgspec.json.encode((replica, told, idle))
        last = self._last

        def commands(pipeline: Any) -> None:
            kept = {"minid": max(_ms(last) - _KEPT_MS, 0)} if last else {}
            pipeline.xadd(self._stream, {"word": word}, **kept)
            pipeline.pexpire(self._stream, _TTL_MS)
            # Those that were said first may be missing after a pause; they are too old by then.
            pipeline.xrange(self._stream, min=last or "-", count=_MAX_WORDS)

        found = await self._valkey.run(commands)
        if found is None:
            return None
        self._last = found[0]
        entries = found[2]
        now_ms = _ms(self._last)
        is_whole = False
        spoken: list[Spoken] = []
        for at, fields in entries:
            age_ms = now_ms - _ms(at)
            read = json_or_none(fields.get(b"word", b""), _WORD)
            if read is None:
                continue
            if at == last:
                # An emptied server may give the id again, to others or to this one.
                is_whole = read.replica == replica and self._last != last
            elif 0 <= age_ms <= _KEPT_MS:
                spoken.append(Spoken(read.replica, read.told, read.idle, age_ms))
        return spoken, is_whole and len(entries) < _MAX_WORDS


def _ms(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[0])


_WORD = msgspec.json.Decoder(_Word)
