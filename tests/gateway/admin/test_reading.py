"""Bodies, queries and pages of the admin API, read or refused."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from apertis.gateway.admin.reading import (
    ListFields,
    PageOf,
    nearest,
    page_of,
    read_body_as,
    read_query_as,
)
from apertis.gateway.errors import Refusal
from apertis.gateway.keys.record import KeyRecord


class Fields(Struct, forbid_unknown_fields=True):
    name: str = ""
    count: Annotated[int, Meta(ge=1)] | None = None
    tags: list[str] = []


def refused(body: bytes) -> tuple[str | None, str]:
    refusal = read_body_as(body, Fields, {"secret": "the gateway makes it"})
    assert isinstance(refusal, Refusal)
    assert refusal.status == 400
    return refusal.param, refusal.message


def test_a_body_that_fits_is_a_value() -> None:
    assert read_body_as(b'{"name": "a", "count": 2}', Fields) == Fields("a", 2)


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        (b"{", None, "The body is not JSON"),
        (b"[]", None, "The body must be a JSON object: expected an object, got an array"),
        (b'{"nmae": ""}', "nmae", "Unknown field 'nmae'; did you mean 'name'?"),
        (b'{"zzz": ""}', "zzz", "Unknown field 'zzz'; known: name, count, tags"),
        (b'{"secret": ""}', "secret", "'secret' cannot be set: the gateway makes it"),
        (b'{"name": 1}', "name", "'name': expected a string, got an integer"),
        (b'{"tags": [1]}', "tags", "'tags': expected a string, got an integer"),
        (b'{"count": 0}', "count", "'count': expected an integer >= 1"),
        (b'{"count": "x"}', "count", "'count': expected an integer or null, got a string"),
    ],
)
def test_what_does_not_fit_is_said_in_words_of_json(
    body: bytes, param: str | None, said: str
) -> None:
    told = refused(body)
    assert told[0] == param
    assert said.replace(" or null", "") in told[1].replace(" or null", "")


def test_a_query_is_read_by_type() -> None:
    assert read_query_as("name=a%20b&count=3", Fields) == Fields("a b", 3)
    twice = read_query_as("name=a&name=b", Fields)
    assert isinstance(twice, Refusal)
    assert (twice.param, "given twice" in twice.message) == ("name", True)
    wrong = read_query_as("count=x", Fields)
    assert isinstance(wrong, Refusal)
    assert wrong.param == "count"


def test_the_nearest_name_is_suggested() -> None:
    assert nearest("mdoel", ["model", "key"]) == "; did you mean 'model'?"
    assert nearest("x" * 1000, ["model", "key"]) == "; known: model, key"


def key(number: int, **fields: Any) -> KeyRecord:
    made: dict[str, Any] = {"id": f"key_{number:03}", "name": f"k{number}"}
    made |= {"sha256": "", "hint": ""}
    return KeyRecord(**made, created_at=number // 2, **fields)


KEYS = [key(number) for number in range(20)]


def ids(page: PageOf[KeyRecord] | Refusal) -> list[str]:
    assert isinstance(page, PageOf)
    return [record.id for record in page.records]


@given(st.integers(1, 25), st.permutations(KEYS))
def test_pages_join_to_the_whole_list_in_both_directions(
    limit: int, records: list[KeyRecord]
) -> None:
    whole = [record.id for record in KEYS]
    found: list[str] = []
    page = page_of(records, ListFields(limit=limit))
    while True:
        found += ids(page)
        assert isinstance(page, PageOf)
        if not page.has_more:
            break
        page = page_of(records, ListFields(limit=limit, after_id=found[-1]))
    assert found == whole
    back = page_of(records, ListFields(limit=limit, before_id=whole[-1]))
    assert ids(back) == whole[:-1][-limit:]


def test_keys_are_chosen_by_what_they_say() -> None:
    records = [key(1, owner="ann", tags=("a",)), key(2, status="deleted"), key(3, tags=("a", "b"))]
    assert ids(page_of(records, ListFields())) == ["key_001", "key_003"]
    assert ids(page_of(records, ListFields(status="all"))) == ["key_001", "key_002", "key_003"]
    assert ids(page_of(records, ListFields(status="deleted"))) == ["key_002"]
    assert ids(page_of(records, ListFields(owner="ann"))) == ["key_001"]
    assert ids(page_of(records, ListFields(tag="b"))) == ["key_003"]
    assert ids(page_of(records, ListFields(name="k1"))) == ["key_001"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (ListFields(after_id="a", before_id="b"), "before_id"),
        (ListFields(after_id="key_x"), "after_id"),
        (ListFields(before_id="key_x"), "before_id"),
    ],
)
def test_a_border_that_is_not_there_is_refused(fields: ListFields, param: str) -> None:
    refusal = page_of(KEYS, fields)
    assert isinstance(refusal, Refusal)
    assert refusal.param == param
    assert json.loads(refusal.body("req_1"))["error"]["param"] == param
