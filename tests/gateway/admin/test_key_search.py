"""Search of keys: what is found, in which order, and how little is done for it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.admin.key_search import KeyFilter, KeySearch, key_status
from apertis.gateway.keys.directory import Directory
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.people.organization import Changes, Organization
from apertis.gateway.people.record import Group, Person

NOW = 1_800_000_000.0
MANY = 10_000


def key(number: int, **fields: Any) -> KeyRecord:
    given: dict[str, Any] = {"name": f"key {number}", **fields}
    return KeyRecord(
        id=f"key_{number}",
        sha256=f"{number}",
        hint=f"sk-...{number:04}",
        created_at=number,
        version=number,
        **given,
    )


class Sees:
    """Sees everything, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, _: KeyRecord) -> bool:
        self.asked += 1
        return True


def everybody(_: KeyRecord) -> bool:
    return True


def found(search: KeySearch, **asked: Any) -> list[str]:
    return [one.record.name for one in search.find(KeyFilter(**asked), everybody, NOW)]


def test_a_search_among_many_keys_makes_their_texts_once_and_looks_at_what_matches() -> None:
    directory, organization = Directory(map(key, range(MANY))), Organization()
    search, sees = KeySearch(directory, lambda: organization), Sees()
    for text in ("k", "ke", "key 77", "key 777"):
        search.find(KeyFilter(text=text), sees, NOW)
    assert search.texts_made == MANY
    sees.asked = 0
    assert len(search.find(KeyFilter(text="key 777"), sees, NOW)) == sees.asked == 19
    directory.apply([msgspec.structs.replace(key(3), name="another", version=MANY)])
    assert found(search, text="another") == ["another"]
    assert search.texts_made == MANY + 1
    # Without a text nothing is made at all.
    untouched = KeySearch(directory, lambda: organization)
    assert len(found(untouched)) == MANY
    assert untouched.texts_made == 0


def test_a_person_that_is_renamed_is_found_by_the_new_name() -> None:
    person = Person(id="person_1", name="Ann", group_id="group_1", version=1)
    organization = Organization(
        Changes((Group(id="group_1", name="Research", version=1),), (person,))
    )
    directory = Directory([key(1, person_id="person_1"), key(2, group_id="group_1"), key(3)])
    search = KeySearch(directory, lambda: organization)
    assert found(search, text="ann") == ["key 1"]
    assert found(search, text="RESEARCH") == ["key 2", "key 1"]
    organization.apply(Changes(people=(msgspec.structs.replace(person, name="Anselm", version=2),)))
    assert found(search, text="anselm key") == ["key 1"]
    assert found(search, text="ann") == []


@pytest.mark.parametrize(
    ("status", "names"),
    [
        ("living", ["key 3", "key 2", "key 1"]),
        ("enabled", ["key 1"]),
        ("disabled", ["key 2"]),
        ("expired", ["key 3"]),
        ("deleted", ["key 4"]),
        ("all", ["key 4", "key 3", "key 2", "key 1"]),
    ],
)
def test_keys_are_told_apart_by_their_status(status: str, names: list[str]) -> None:
    records = [
        key(1),
        key(2, status="disabled"),
        key(3, expires_at=int(NOW)),
        key(4, status="deleted"),
    ]
    search = KeySearch(Directory(records), Organization)
    assert found(search, status=status) == names
    assert key_status(records[2], NOW - 1) == "enabled"


def test_what_is_called_so_comes_before_what_only_has_it_somewhere() -> None:
    names = ["new ci", "ci runner", "ci", "CI old"]
    search = KeySearch(
        Directory(key(number, name=name) for number, name in enumerate(names)), Organization
    )
    assert found(search, text="ci") == ["ci", "CI old", "ci runner", "new ci"]
    assert found(search, order="name") == ["ci", "CI old", "ci runner", "new ci"]


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=8), st.data())
def test_every_part_of_a_name_finds_it_and_words_never_match_across_fields(
    names: list[str], data: st.DataObject
) -> None:
    search = KeySearch(
        Directory(key(number, name=name) for number, name in enumerate(names)), Organization
    )
    name = data.draw(st.sampled_from(names))
    start = data.draw(st.integers(0, len(name) - 1))
    part = name[start : data.draw(st.integers(start + 1, len(name)))]
    assert name in found(search, text=part)
