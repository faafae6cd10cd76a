"""Whose telemetry it is, written into exports of each form; the rest of them stays as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.otlp.identity import attributes_of, with_attributes
from apertis.gateway.people.record import Group, Person

OURS = {"apertis.key.id": "key_1", "apertis.person.email": "ann@example.com"}

# A message as a list of its fields: number, kind and value. The model that the code is held to.
Field = tuple[int, int, Any]
NUMBERS = st.integers(1, 2**29 - 1)
PLAIN = st.one_of(
    st.tuples(NUMBERS, st.just(0), st.integers(0, 2**64 - 1)),
    st.tuples(NUMBERS, st.just(1), st.binary(min_size=8, max_size=8)),
    st.tuples(NUMBERS, st.just(5), st.binary(min_size=4, max_size=4)),
    st.tuples(st.integers(2, 2**29 - 1), st.just(2), st.binary(max_size=300)),
)
NAMES = st.one_of(
    st.text(max_size=20).filter(lambda name: not name.startswith("apertis.")),
    st.sampled_from(["apertis.key.id", "apertis.person.email", "apertis.of.later"]),
)


def varint(value: int) -> bytes:
    digits = b""
    while value > 127:
        digits += bytes([value & 127 | 128])
        value >>= 7
    return digits + bytes([value])


def write(fields: list[Field]) -> bytes:
    parts: list[bytes] = []
    for number, kind, value in fields:
        parts.append(varint(number << 3 | kind))
        if kind == 0:
            parts.append(varint(value))
        elif kind == 2:
            parts.append(varint(len(value)) + value)
        else:
            parts.append(value)
    return b"".join(parts)


def attribute(name: str, value: str) -> bytes:
    return write([(1, 2, name.encode()), (2, 2, write([(1, 2, value.encode())]))])


@st.composite
def exports(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """An export, and the same with our attributes on each of its resources."""
    before: list[Field] = []
    after: list[Field] = []
    ours: list[Field] = [(1, 2, attribute(name, value)) for name, value in OURS.items()]
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            other = draw(PLAIN)
            before.append(other)
            after.append(other)
            continue
        rest = draw(st.lists(PLAIN, max_size=3))
        if not draw(st.booleans()):
            before.append((1, 2, write(rest)))
            after.append((1, 2, write([(1, 2, write(ours)), *rest])))
            continue
        own: list[Field] = []
        kept: list[Field] = []
        for _ in range(draw(st.integers(0, 4))):
            if draw(st.booleans()):
                other = draw(PLAIN)
                own.append(other)
                kept.append(other)
            else:
                name = draw(NAMES)
                one: Field = (1, 2, attribute(name, draw(st.text(max_size=200))))
                own.append(one)
                kept += [] if name.startswith("apertis.") else [one]
        before.append((1, 2, write([(1, 2, write(own)), *rest])))
        after.append((1, 2, write([(1, 2, write([*kept, *ours])), *rest])))
    return write(before), write(after)


@given(exports())
def test_each_resource_gets_our_attributes_and_nothing_else_changes(
    export: tuple[bytes, bytes],
) -> None:
    before, after = export
    assert with_attributes(before, OURS, is_json=False) == after
    # Twice is once.
    assert with_attributes(after, OURS, is_json=False) == after


@given(st.binary(max_size=200))
def test_any_bytes_are_an_export_or_none(body: bytes) -> None:
    for is_json in (False, True):
        changed = with_attributes(body, OURS, is_json=is_json)
        assert changed is None or isinstance(changed, bytes)


@pytest.mark.parametrize("name", ["resourceMetrics", "resourceLogs", "resourceSpans"])
def test_json_gets_them_too(name: str) -> None:
    theirs = [
        {"key": "service.name", "value": {"stringValue": "claude-code"}},
        {"key": "apertis.person.email", "value": {"stringValue": "eve@example.com"}},
    ]
    export: dict[str, Any] = {
        name: [{"resource": {"attributes": theirs}, "schemaUrl": "x"}, {"scopeLogs": []}]
    }
    changed = with_attributes(json.dumps(export).encode(), OURS, is_json=True)
    assert changed is not None
    one, other = json.loads(changed)[name]
    ours = [{"key": key, "value": {"stringValue": value}} for key, value in OURS.items()]
    assert one == {"resource": {"attributes": [theirs[0], *ours]}, "schemaUrl": "x"}
    assert other == {"resource": {"attributes": ours}, "scopeLogs": []}


@pytest.mark.parametrize(
    ("body", "is_json"),
    [
        (b"{", True),
        (b"[]", True),
        (b'{"resourceLogs":[1]}', True),
        (b'{"resourceLogs":[{"resource":{"attributes":[{"value":1}]}}]}', True),
        (b"\x0a\x05ab", False),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", False),
        (b"\x03", False),
        (b"\x00\x00", False),
    ],
)
def test_what_is_no_export_is_told_as_none(body: bytes, is_json: bool) -> None:
    assert with_attributes(body, OURS, is_json=is_json) is None


def in_tag(number: int, body: bytes) -> bytes:
    """Write a field with a length whose number has more bits than a number of a field has."""
    return varint(number << 3 | 2) + varint(len(body)) + body


THEIRS: dict[str, Any] = {
    "key": "apertis.person.email",
    "value": {"stringValue": "eve@example.com"},
}


@pytest.mark.parametrize(
    "export",
    [
        {"resource_spans": [{"resource": {"attributes": [THEIRS]}}]},
        {"resourceLogs": [], "ResourceLogs": [{"resource": {"attributes": [THEIRS]}}]},
        {"resourceMetrics": [{"Resource": {"attributes": [THEIRS]}}]},
        {"resourceMetrics": [{"resource": {"Attributes": [THEIRS]}}]},
        {"resourceLogs": [{"resource": {"attributes": [{"key": "a", "Key": THEIRS["key"]}]}}]},
    ],
)
def test_nobody_is_somebody_else_by_a_name_that_some_collectors_read(export: object) -> None:
    assert with_attributes(json.dumps(export).encode(), OURS, is_json=True) is None


@pytest.mark.parametrize("number", [2**32 + 1, 2**61 + 1, 2**29 + 1])
def test_nobody_is_somebody_else_by_a_number_that_some_collectors_cut(number: int) -> None:
    resource = write([(1, 2, attribute("apertis.person.email", "eve@example.com"))])
    within = write([(1, 2, resource)])
    for body in (
        in_tag(number, within),
        write([(1, 2, in_tag(number, resource))]),
        write([(1, 2, write([(1, 2, in_tag(number, attribute("apertis.key.id", "x")))]))]),
    ):
        assert with_attributes(body, OURS, is_json=False) is None


def test_a_caller_is_a_key_a_person_and_a_group() -> None:
    key = KeyRecord(id="key_1", name="Ann's key", sha256="", hint="", created_at=0)
    person = Person(id="person_1", name="Ann", email="ann@example.com")
    assert attributes_of(key, None, None) == {
        "apertis.key.id": "key_1",
        "apertis.key.name": "Ann's key",
    }
    assert attributes_of(key, person, Group(id="group_1", name="Platform")) == {
        "apertis.key.id": "key_1",
        "apertis.key.name": "Ann's key",
        "apertis.person.id": "person_1",
        "apertis.person.name": "Ann",
        "apertis.person.email": "ann@example.com",
        "apertis.group.id": "group_1",
        "apertis.group.name": "Platform",
    }
