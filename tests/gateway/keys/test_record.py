from __future__ import annotations

import msgspec
import pytest

from apertis.gateway.keys.record import KeyRecord


def test_a_record_without_settings_limits_nothing() -> None:
    record = KeyRecord(id="key_1", name="plain", sha256="00", hint="sk-...0000", created_at=1)
    assert record.status == "enabled"
    assert not record.admin
    assert (record.quota_units, record.models, record.addresses, record.expires_at) == (None,) * 4


def test_a_record_is_never_changed_in_place() -> None:
    record = KeyRecord(id="key_1", name="plain", sha256="00", hint="sk-...0000", created_at=1)
    with pytest.raises(AttributeError):
        record.name = "other"  # type: ignore[misc]


def test_a_record_survives_the_way_through_json() -> None:
    record = KeyRecord(
        id="key_1", name="n", sha256="00", hint="h", created_at=1, models=("a", "b*"), tags=("t",)
    )
    assert msgspec.json.decode(msgspec.json.encode(record), type=KeyRecord) == record
