from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from apertis.gateway.catalogue.entries import (
    Document,
    Entry,
    configured_entry,
    id_of,
    listed_entry,
)
from apertis.models import ModelInfo


def document(text: str) -> Document:
    return msgspec.json.decode(text, type=Document)


def shown(entry: Entry | None) -> dict[str, Any]:
    assert entry is not None
    decoded: dict[str, Any] = json.loads(msgspec.json.encode(entry.document))
    return decoded


def test_a_configured_model_has_every_field_that_clients_expect() -> None:
    assert shown(configured_entry("claude-opus-4-5-20251101", (), None)) == {
        "id": "claude-opus-4-5-20251101",
        "type": "model",
        "object": "model",
        "name": "claude-opus-4-5-20251101",
        "display_name": "claude-opus-4-5-20251101",
        "created": 1761955200,
        "created_at": "2025-11-01T00:00:00Z",
        "owned_by": "anthropic",
        "lifecycle": "active",
    }


@pytest.mark.parametrize("id", ["mine", "claude-20251341", "claude-00000101"])
def test_without_a_date_it_is_as_old_as_the_epoch(id: str) -> None:
    entry = shown(configured_entry(id, (), None))
    assert (entry["created"], entry["created_at"]) == (0, "1970-01-01T00:00:00Z")


def test_what_an_upstream_says_stays_as_it_came() -> None:
    text = (
        '{"type":"model","id":"claude-x","display_name":"Claude X",'
        '"created_at":"2026-01-02T03:04:05.600+02:00","lifecycle":"deprecated",'
        '"max_tokens":1.50e2,"new":{"a":[1, 2 ,null]},"name":null}'
    )
    entry = listed_entry(document(text))
    assert entry is not None
    sent = msgspec.json.encode(entry.document).decode()
    assert sent.startswith(text[:-1])
    assert shown(entry)["created"] == 1767315845
    assert shown(entry)["object"] == "model"
    assert entry.lifecycle == "deprecated"


def test_a_model_without_much_is_completed() -> None:
    entry = shown(listed_entry(document('{"id":"m","created":1761955200}')))
    assert entry["created_at"] == "2025-11-01T00:00:00Z"
    assert (entry["name"], entry["display_name"], entry["owned_by"]) == ("m", "m", "apertis")


@pytest.mark.parametrize("date", ['"x"', "7", "null", '"2026-01-02"', '"9999-99-99"'])
def test_an_odd_date_does_not_keep_a_model_away(date: str) -> None:
    entry = shown(listed_entry(document(f'{{"id":"m","created_at":{date}}}')))
    assert entry["created_at"] == json.loads(date)
    assert isinstance(entry["created"], int)


def test_a_configured_name_shows_what_the_upstream_says_of_its_model() -> None:
    known = document('{"id":"claude-x","display_name":"Claude X","max_tokens":7}')
    entry = configured_entry("fast", ("quick",), known)
    assert (entry.id, entry.aliases) == ("fast", ("quick",))
    assert shown(entry)["id"] == "fast"
    assert (shown(entry)["display_name"], shown(entry)["max_tokens"]) == ("Claude X", 7)
    assert id_of(known) == "claude-x"


@pytest.mark.parametrize("text", ['{"id":7}', '{"id":""}', '{"id":null}', "{}"])
def test_what_has_no_id_is_no_model(text: str) -> None:
    assert listed_entry(document(text)) is None


def test_our_own_client_reads_it() -> None:
    entry = configured_entry("claude-sonnet-4-20250514", (), None)
    info = msgspec.convert(shown(entry), ModelInfo)
    assert info.display_name == "claude-sonnet-4-20250514"
    assert info.created == 1747180800
