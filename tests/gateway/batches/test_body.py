"""The body of a batch: read request by request, and edited where it must be and nowhere else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.batches.body import BatchBody, read_batch
from apertis.gateway.errors import Refusal
from apertis.sansio.slices import MAX_BATCH_REQUESTS

PARAMS = {"model": "m", "max_tokens": 1, "messages": []}


def read(data: bytes) -> BatchBody:
    body = read_batch(data)
    assert isinstance(body, BatchBody), body
    return body


def refusal(data: bytes) -> Refusal:
    body = read_batch(data)
    assert isinstance(body, Refusal)
    return body


def encode(*requests: Any) -> bytes:
    return json.dumps({"requests": requests}).encode()


def test_requests_are_read_in_their_order() -> None:
    body = read(
        encode(
            {"custom_id": "a", "params": PARAMS},
            {"params": {**PARAMS, "model": "n", "max_tokens": 7}, "custom_id": "b"},
            {"custom_id": "c", "params": PARAMS},
        )
    )
    found = [(r.custom_id, r.model, r.max_tokens) for r in body.requests]
    assert found == [("a", "m", 1), ("b", "n", 7), ("c", "m", 1)]
    assert body.models == {"m": 0, "n": 1}
    assert json.loads(body.params(body.requests[1])) == {**PARAMS, "model": "n", "max_tokens": 7}


def test_a_batch_without_edits_is_the_very_body() -> None:
    data = encode({"custom_id": "a", "params": PARAMS})
    assert read(data).to({"m": "m"}) is data


GAPS = st.text(" \t\r\n", max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=4,
)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A body with any white space and fields, and what is to become of it."""

    def text(value: Any) -> str:
        return json.dumps(value, ensure_ascii=draw(st.booleans()))

    def object_of(members: list[tuple[str, str]]) -> str:
        ordered = draw(st.permutations(members))
        told = [
            f"{draw(GAPS)}{text(name)}{draw(GAPS)}:{draw(GAPS)}{value}{draw(GAPS)}"
            for name, value in ordered
        ]
        return "{" + ",".join(told) + "}"

    requests: list[str] = []
    for place in range(draw(st.integers(1, 4))):
        model = draw(st.sampled_from(['"<plain>"', '"<alias>"']))
        others = draw(st.dictionaries(st.sampled_from(["system", "tools", "x"]), VALUES))
        params = object_of(
            [
                ("model", model),
                ("max_tokens", "5"),
                ("messages", text(draw(VALUES))),
                *((name, text(value)) for name, value in others.items()),
            ]
        )
        members = [
            ("custom_id", text(f"id-{place}")),
            ("params", params),
            ("y", text(draw(VALUES))),
        ]
        requests.append(f"{draw(GAPS)}{object_of(members)}{draw(GAPS)}")
    whole = object_of([("requests", f"[{','.join(requests)}]"), ("z", text(draw(VALUES)))])
    return whole.encode(), whole.replace('"<alias>"', '"real-name"').encode()


@settings(max_examples=150, deadline=None)
@given(bodies())
def test_only_the_names_of_models_change(example: tuple[bytes, bytes]) -> None:
    data, expected = example
    assert read(data).to({"<alias>": "real-name"}) == expected


def test_the_gateways_own_fields_are_taken_out_of_each_request() -> None:
    data = (
        b'{"requests":[{"custom_id":"a","params":{"fallback_models":["x"],"model":"m",'
        b'"max_tokens":1,"user":"u","messages":[]}}]}'
    )
    assert read(data).to({}) == (
        b'{"requests":[{"custom_id":"a","params":{"model":"m",'
        b'"max_tokens":1,"messages":[],"metadata":{"user_id":"u"}}}]}'
    )


GOOD = {"custom_id": "a", "params": PARAMS}


@pytest.mark.parametrize(
    ("data", "code", "param"),
    [
        (b"[]", "invalid_request", None),
        (b"{}", "missing_parameter", "requests"),
        (b'{"requests":{}}', "invalid_parameter", "requests"),
        (b'{"requests":[]}', "invalid_parameter", "requests"),
        (b'{"requests":[1]}', "invalid_request", "requests.0"),
        (encode(GOOD, {"params": PARAMS}), "missing_parameter", "requests.1.custom_id"),
        (encode({"custom_id": "a"}), "missing_parameter", "requests.0.params"),
        (encode({**GOOD, "custom_id": ""}), "invalid_parameter", "requests.0.custom_id"),
        (encode({**GOOD, "custom_id": 7}), "invalid_parameter", "requests.0.custom_id"),
        (encode({**GOOD, "custom_id": "a\0"}), "invalid_parameter", "requests.0.custom_id"),
        (encode({**GOOD, "custom_id": "a" * 300}), "invalid_parameter", "requests.0.custom_id"),
        (encode(GOOD, GOOD), "invalid_parameter", "requests.1.custom_id"),
        (encode({**GOOD, "params": []}), "invalid_request", "requests.0.params"),
        (encode({**GOOD, "params": {}}), "missing_parameter", "requests.0.params.model"),
    ],
)
def test_what_cannot_be_a_batch_is_named(data: bytes, code: str, param: str | None) -> None:
    found = refusal(data)
    assert (found.status, found.code, found.param) == (400, code, param)
    if param is not None:
        assert param in found.message


@pytest.mark.parametrize(
    "entry",
    [
        b'{"custom_id":"a","params":{"model":"m","max_tokens":1,"messages":[]},"custom_id":"b"}',
        b'{"custom_id":"a","params":{"model":"m","model":"n","max_tokens":1,"messages":[]}}',
        b'{"custom_id":"a","params":{"model":"m","max_tokens":1,"max_tokens":9,"messages":[]}}',
    ],
)
def test_what_two_readers_could_read_in_two_ways_is_refused(entry: bytes) -> None:
    found = refusal(b'{"requests":[%b]}' % entry)
    assert "twice" in found.message
    assert (found.param or "").startswith("requests.0")


def test_there_is_a_most_of_requests() -> None:
    entries = b",".join([b"0"] * (MAX_BATCH_REQUESTS + 1))
    found = refusal(b'{"requests":[%b]}' % entries)
    assert found.param == "requests"
    assert str(MAX_BATCH_REQUESTS) in found.message
