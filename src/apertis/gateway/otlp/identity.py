"""Resource attributes written into telemetry: whose it is, as the gateway knows it.

All three signals have the same shape so far: a list of resources with what came of each. Protobuf
is cut into fields and put together again, so that nothing else of it has to be understood; what a
client says itself under the same names is dropped. Collectors differ in what they take for a field:
some read JSON names in snake case or any case, some cut a field's number to 32 bits. So what only
some would read as a resource is no export.
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from apertis.models.json import json_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.people.record import Group, Person

_PREFIX = "apertis."
_LISTS = ("resourceMetrics", "resourceLogs", "resourceSpans")
_NAMES = {name.lower(): name for name in (*_LISTS, "resource", "attributes", "key")}
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}
_MAX_VARINT_BYTES = 10
_MAX_TAG = 2**32 - 1
# The first field that has a length: lists of resources, the resource, its attributes, their names.
_FIRST = b"\x0a"


def attributes_of(record: KeyRecord, person: Person | None, group: Group | None) -> dict[str, str]:
    """Return who a caller is: the key, the person behind it, their group."""
    found = {"key.id": record.id, "key.name": record.name}
    if person is not None:
        found |= {"person.id": person.id, "person.name": person.name}
        if person.email:
            found["person.email"] = person.email
    if group is not None:
        found |= {"group.id": group.id, "group.name": group.name}
    return {_PREFIX + name: value for name, value in found.items()}


def with_attributes(body: bytes, attributes: Mapping[str, str], *, is_json: bool) -> bytes | None:
    """Return an export with the attributes on each of its resources; None if it is none."""
    try:
        return _json(body, attributes) if is_json else _protobuf(body, attributes)
    except (ValueError, TypeError, AttributeError, LookupError):
        return None


def _json(body: bytes, attributes: Mapping[str, str]) -> bytes | None:
    export = json_or_none(body, dict[str, Any])
    if export is None:
        return None
    for name in _LISTS:
        for one in cast("list[dict[str, Any]]", _exact(export).get(name) or []):
            resource = _exact(one).setdefault("resource", {})
            listed = _exact(resource).get("attributes", [])
            known = [own for own in listed if not _is_ours(_exact(own)["key"])]
            own = [{"key": key, "value": {"stringValue": v}} for key, v in attributes.items()]
            resource["attributes"] = known + own
    return msgspec.json.encode(export)


def _exact(message: dict[str, Any]) -> dict[str, Any]:
    for name in message:
        if _NAMES.get(name.replace("_", "").lower(), name) != name:
            raise ValueError("a name that some read as another one")
    return message


def _protobuf(body: bytes, attributes: Mapping[str, str]) -> bytes:
    added = b"".join(
        _field(_field(name.encode()) + _second(_field(value.encode())))
        for name, value in attributes.items()
    )

    def resource(message: bytes) -> bytes:
        kept = b"".join(
            field for field, value in _fields(message) if value is None or not _is_theirs(value)
        )
        return kept + added

    def of_resource(message: bytes) -> bytes:
        return _edited(message, resource, once=True)

    return _edited(body, of_resource)


def _edited(message: bytes, edit: Callable[[bytes], bytes], *, once: bool = False) -> bytes:
    """Return a message whose first field is edited, wherever it stands; `once`: it is one."""
    parts: list[bytes] = []
    inner: list[bytes] = []
    for field, value in _fields(message):
        if value is None:
            parts.append(field)
        elif once:
            # Several of one that may stand once are read as one.
            inner.append(value)
        else:
            parts.append(_field(edit(value)))
    if once:
        parts.insert(0, _field(edit(b"".join(inner))))
    return b"".join(parts)


def _is_theirs(attribute: bytes) -> bool:
    names = [value for _, value in _fields(attribute) if value is not None]
    return bool(names) and _is_ours(names[-1].decode("utf-8", "replace"))


def _is_ours(name: str) -> bool:
    return name.startswith(_PREFIX)


def _fields(message: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """Cut a message: each field as it stands, and the value if it is the first with a length."""
    at = 0
    while at < len(message):
        begin = at
        tag, at = _varint(message, at)
        kind, value = tag & 7, None
        if kind == _VARINT:
            _, at = _varint(message, at)
        elif kind == _LENGTH:
            length, at = _varint(message, at)
            value = message[at : at + length] if tag == _FIRST[0] else None
            at += length
        elif kind in _WIDTHS:
            at += _WIDTHS[kind]
        else:
            raise ValueError("a field of an unknown kind")
        if at > len(message) or not tag >> 3 or tag > _MAX_TAG:
            raise ValueError("a field that ends beyond its message, or has no number")
        yield message[begin:at], value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for place in range(at, min(at + _MAX_VARINT_BYTES, len(message))):
        byte = message[place]
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, place + 1
    raise ValueError("a number that does not end")


def _field(value: bytes, tag: bytes = _FIRST) -> bytes:
    length, digits = len(value), bytearray()
    while length > 127:
        digits.append(length & 127 | 128)
        length >>= 7
    digits.append(length)
    return tag + bytes(digits) + value


def _second(value: bytes) -> bytes:
    return _field(value, b"\x12")
