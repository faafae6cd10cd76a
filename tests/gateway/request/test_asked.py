"""What a body asks for beyond its own model: read, refused, or taken for the dearest."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.errors import Refusal
from apertis.gateway.request.asked import NOTHING, Asked, Thread, read_asked
from apertis.gateway.request.body import Body, read_object

NAMES = st.text(min_size=1, max_size=9)


def read(data: bytes) -> Asked | Refusal:
    body = read_object(data)
    return read_asked(body) if isinstance(body, Body) else body


def asked(**fields: Any) -> Asked:
    found = read(json.dumps(fields).encode())
    assert isinstance(found, Asked), found
    return found


@pytest.mark.parametrize("fields", [{}, {"model": "m"}])
def test_a_body_without_these_fields_asks_for_nothing(fields: dict[str, Any]) -> None:
    assert asked(**fields) is NOTHING


def test_null_is_a_field_that_is_not_there() -> None:
    assert asked(thread=None, fallbacks=None, billing_policy=None) == NOTHING


def test_a_thread_begins_or_goes_on() -> None:
    assert asked(thread={"type": "create"}).thread == Thread(continues=False)
    on = {"type": "continue", "previous_message_id": "msg_1"}
    assert asked(thread=on).thread == Thread(continues=True, previous="msg_1")


@pytest.mark.parametrize(
    "thread",
    ["auto", 1, [], True, {}, {"type": "fork"}, {"type": "continue"}, {"previous_message_id": "m"}],
)
def test_a_thread_that_nobody_can_read_goes_on_behind_what_nobody_knows(thread: object) -> None:
    found = asked(thread=thread).thread
    assert found is not None
    assert found.continues


@pytest.mark.parametrize(
    "data",
    [
        b'{"Thread":{"type":"create"}}',
        b'{"FALLBACKS":[]}',
        b'{"Billing_Policy":{}}',
        b'{"Max_Tokens":5}',
        b'{"Speed":"fast"}',
        b'{"\\u017fpeed":"fast"}',
        b'{"Mcp_Servers":[]}',
        b'{"thread":{"type":"create","type":"continue"}}',
        b'{"thread":{"type":"create","Type":"continue"}}',
        b'{"thread":{"type":"create","Previous_Message_Id":"msg_1"}}',
        b'{"fallbacks":[{"model":"m","model":"n"}]}',
        b'{"fallbacks":[{"model":"m","Max_Tokens":9}]}',
        b'{"fallbacks":[{"Model":"m"}]}',
        b'{"billing_policy":{"bill_to":"user_profile","bill_to":"self"}}',
        b'{"billing_policy":{"Bill_To":"user_profile"}}',
    ],
)
def test_a_name_that_two_servers_could_read_differently_is_refused(data: bytes) -> None:
    found = read(data)
    assert isinstance(found, Refusal)
    assert (found.status, found.type) == (400, "invalid_request_error")


def test_a_chain_has_its_models_and_what_differs_for_each() -> None:
    entries = [
        {"model": "a"},
        {"model": "b", "max_tokens": 7, "speed": "fast"},
        {"model": "c", "max_tokens": None, "speed": "standard"},
        {"model": "d", "speed": "what comes next"},
    ]
    chain = asked(fallbacks=entries).fallbacks
    assert chain is not None
    assert [hop[:3] for hop in chain.hops] == [
        ("a", None, None),
        ("b", 7, True),
        ("c", None, False),
        ("d", None, True),
    ]


@pytest.mark.parametrize("value", ["default", "auto", {"type": "default"}, 3, True])
def test_what_is_no_list_of_models_may_be_any_model(value: object) -> None:
    chain = asked(fallbacks=value).fallbacks
    assert chain is not None
    assert chain.any_model


UNKNOWABLE: list[tuple[list[Any], str]] = [
    (["m"], "fallbacks.0"),
    ([{"model": "m"}, None], "fallbacks.1"),
    ([{}], "fallbacks.0.model"),
    ([{"model": ""}], "fallbacks.0.model"),
    ([{"model": ["m"]}], "fallbacks.0.model"),
    ([{"model": "m" * 257}], "fallbacks.0.model"),
    ([{"model": "m", "max_tokens": -1}], "fallbacks.0.max_tokens"),
    ([{"model": "m", "max_tokens": 1.5}], "fallbacks.0.max_tokens"),
    ([{"model": "m", "max_tokens": "9"}], "fallbacks.0.max_tokens"),
    ([{"model": "m"}] * 21, "fallbacks"),
]


@pytest.mark.parametrize(("entries", "param"), UNKNOWABLE)
def test_an_entry_whose_model_or_length_cannot_be_known_is_refused(
    entries: list[Any], param: str
) -> None:
    found = read(json.dumps({"fallbacks": entries}).encode())
    assert isinstance(found, Refusal)
    assert (found.status, found.code, found.param) == (400, "invalid_parameter", param)


@given(
    st.lists(st.tuples(NAMES, NAMES, st.integers(0, 9)), max_size=4),
    st.sampled_from([None, 1]),
    st.booleans(),
)
def test_names_are_changed_and_every_other_byte_is_kept(
    entries: list[tuple[str, str, int]], indent: int | None, ascii_only: bool
) -> None:
    listed = [{"max_tokens": n, "model": name, "z": [name]} for name, _, n in entries]
    names = {name: new for name, new, _ in reversed(entries)}
    raw = json.dumps(listed, indent=indent, ensure_ascii=ascii_only).encode()
    found = read(b'{"fallbacks": ' + raw + b"}")
    assert isinstance(found, Asked)
    assert found.fallbacks is not None
    changed = [{**entry, "model": names[str(entry["model"])]} for entry in listed]
    told = found.fallbacks.named(names)
    assert (told is None) == (changed == listed)
    assert msgspec.json.decode(told or raw) == changed
    if told is not None:
        back = read(b'{"fallbacks": ' + told + b"}")
        assert isinstance(back, Asked)
        assert back.fallbacks is not None
        assert [hop.model for hop in back.fallbacks.hops] == [entry["model"] for entry in changed]
        assert told.count(b"\n") == raw.count(b"\n")


@pytest.mark.parametrize(
    ("policy", "bill_to"),
    [
        ({"type": "billing_policy"}, None),
        ({"type": "billing_policy", "bill_to": "self"}, None),
        ({"type": "billing_policy", "bill_to": None}, None),
        ({"type": "billing_policy", "bill_to": "user_profile"}, "user_profile"),
        ({"bill_to": "SELF"}, "SELF"),
        ({"bill_to": {"type": "organization"}}, "unknown"),
        ("user_profile", "unknown"),
        ([], "unknown"),
    ],
)
def test_who_is_billed_is_the_caller_or_somebody_else(policy: object, bill_to: str | None) -> None:
    assert asked(billing_policy=policy).bill_to == bill_to
