from __future__ import annotations

from typing import Protocol

import msgspec
import pytest

from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.keys.secrets import hash_secret


class MakeRecord(Protocol):
    def __call__(self, secret: str = "sk-first", **fields: object) -> KeyRecord: ...


@pytest.fixture
def make_record() -> MakeRecord:
    """A record of a key with this secret; its id is `key_` and the secret's own end."""

    def make(secret: str = "sk-first", **fields: object) -> KeyRecord:
        plain = KeyRecord(
            id=f"key_{secret[3:]}",
            name=secret[3:],
            sha256=hash_secret(secret),
            hint="sk-...",
            created_at=1_000,
        )
        return msgspec.structs.replace(plain, **fields)

    return make
