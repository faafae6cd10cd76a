"""All keys of a running gateway, found by their secrets, changed while requests are under way."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

import msgspec

from apertis.gateway.keys.matching import compile_models, compile_networks
from apertis.gateway.keys.secrets import hash_secret

if TYPE_CHECKING:
    from collections.abc import Iterable, ValuesView

    from apertis.gateway.budgets.lease import Chain
    from apertis.gateway.keys.matching import ModelList, Networks
    from apertis.gateway.keys.record import KeyRecord


class Key:
    """A key that lives: its record as it is now, what it has used, and what it may reach.

    A change of the record is seen at once by whoever holds the key. `chain` is for whoever knows
    what it is paid from, until something of that changes. `is_barred`: the person behind it may
    not use it any more.
    """

    __slots__ = ("_models", "_networks", "chain", "is_barred", "record", "used_units")

    def __init__(self, record: KeyRecord) -> None:
        self.record = record
        self.used_units = record.used_units
        self.chain: Chain | None = None
        self.is_barred = False
        self._models: ModelList | None = None
        self._networks: Networks | None = None

    def change(self, record: KeyRecord) -> None:
        """Take over a newer record of the same key.

        What is spent only grows: the store may not yet have what this process has booked.
        """
        self.record = record
        self.used_units = max(self.used_units, record.used_units)
        self.chain = None
        self._models = None
        self._networks = None

    def is_secret(self, sha256: str, now: float) -> bool:
        """Return whether this is the hash of its secret, or of the one before in its grace."""
        record = self.record
        # How long a look-up in a dict takes tells at most about the hash; this tells nothing.
        if hmac.compare_digest(record.sha256, sha256):
            return True
        previous, until = record.previous_sha256, record.previous_until
        if previous is None or until is None or now >= until:
            return False
        return hmac.compare_digest(previous, sha256)

    def allows(self, model: str, aliases: Iterable[str] = ()) -> bool:
        """Return whether the key may use a model, by this name or by one of its other names.

        How names are compared: `apertis.gateway.keys.matching.ModelList`.
        """
        entries = self.record.models
        if entries is None:
            return True
        allowed = self._models
        if allowed is None:
            # Compiled when first asked for: most of many keys are idle.
            allowed = self._models = compile_models(entries)
        return allowed.allows(model) or any(allowed.allows(alias) for alias in aliases)

    def allows_address(self, address: str) -> bool:
        """Return whether the key may be used from an address; what is no address is in no list."""
        entries = self.record.addresses
        if entries is None:
            return True
        networks = self._networks
        if networks is None:
            networks = self._networks = compile_networks(entries)
        return address in networks


class Directory:
    """The keys by id and by the hashes of their secrets: one look-up, however many there are."""

    __slots__ = ("_by_hash", "_by_id", "version")

    def __init__(self, records: Iterable[KeyRecord] = ()) -> None:
        self._by_id: dict[str, Key] = {}
        self._by_hash: dict[str, Key] = {}
        # The newest record's version: whoever fetches changes asks for what is newer than this.
        self.version = 0
        self.apply(records)

    def __len__(self) -> int:
        return len(self._by_id)

    def apply(self, records: Iterable[KeyRecord]) -> None:
        """Add keys that are new, and change those that are known, by id.

        A record older than the known one is passed over, so the order of arrival does not matter.
        A deleted key is found by no secret any more, but stays under its id: requests under way
        still settle on its account.
        """
        for record in records:
            key = self._by_id.get(record.id)
            if key is None:
                key = self._by_id[record.id] = Key(record)
            elif record.version < key.record.version:
                continue
            else:
                self._forget_hashes(key)
                key.change(record)
            self._index_hashes(key)
            self.version = max(self.version, record.version)

    def restart(self, records: Iterable[KeyRecord]) -> None:
        """Take over all records of a store that knows less than before, whatever was known.

        A key that it does not have is deleted.
        """
        gone = dict(self._by_id)
        self._by_hash.clear()
        self.version = 0
        for record in records:
            gone.pop(record.id, None)
            key = self._by_id.get(record.id)
            if key is None:
                key = self._by_id[record.id] = Key(record)
            else:
                key.change(record)
            self._index_hashes(key)
            self.version = max(self.version, record.version)
        for key in gone.values():
            key.change(msgspec.structs.replace(key.record, status="deleted"))

    def find(self, secret: str, now: float) -> Key | None:
        """Give the key that a secret belongs to; `now` is Unix seconds.

        Disabled and expired keys are found too; to refuse them is `admit`'s decision. The secret
        before a rotation finds its key until its grace ends.
        """
        presented = hash_secret(secret)
        key = self._by_hash.get(presented)
        return key if key is not None and key.is_secret(presented, now) else None

    def get(self, key_id: str) -> Key | None:
        """Give a key by its id, a deleted one too."""
        return self._by_id.get(key_id)

    def all(self) -> ValuesView[Key]:
        """Return all keys, deleted ones too, in the order in which they came."""
        return self._by_id.values()

    def _index_hashes(self, key: Key) -> None:
        record = key.record
        if record.status == "deleted":
            return
        if record.previous_sha256 is not None:
            self._by_hash[record.previous_sha256] = key
        self._by_hash[record.sha256] = key

    def _forget_hashes(self, key: Key) -> None:
        for known in (key.record.sha256, key.record.previous_sha256):
            if known is not None and self._by_hash.get(known) is key:
                del self._by_hash[known]
