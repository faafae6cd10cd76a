from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.keys.matching import (
    compile_models,
    compile_networks,
    is_loopback,
    normal_address,
    parse_network,
)


@pytest.mark.parametrize(
    ("entry", "address", "inside"),
    [
        ("192.168.1.0/24", "192.168.1.255", True),
        ("192.168.1.0/24", "192.168.2.0", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("0.0.0.0/0", "203.0.113.9", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("::/0", "2001:db8::1", True),
        ("::/0", "203.0.113.9", False),
        ("2001:db8::/32", "2001:db8:ffff::1", True),
        ("2001:db8::/32", "2001:db9::1", False),
        ("2001:DB8:0:0::1", "2001:db8::1", True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "::FFFF:0a01:0203", True),
        ("::ffff:10.0.0.0/104", "10.1.2.3", True),
        ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3", True),
        ("::ffff:10.0.0.7", "10.0.0.7", True),
        ("fe80::/10", "fe80::1%eth0", True),
        ("10.0.0.0/8", "not an address", False),
        ("10.0.0.0/8", "", False),
        ("10.0.0.0/8", "10.1.2.3.4", False),
        ("10.0.0.0/8", "010.1.2.3", False),
    ],
)
def test_an_address_is_held_against_a_network(entry: str, address: str, inside: bool) -> None:
    assert (address in compile_networks((entry,))) is inside


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("10.0.0.1/8", ["10.0.0.0/8", "10.0.0.1"]),
        ("2001:db8::1/32", ["2001:db8::/32", "2001:db8::1"]),
        ("::ffff:10.0.0.1/104", ["10.0.0.0/8"]),
        ("10.0.0.0/33", ["at most 32"]),
        ("2001:db8::/129", ["at most 128"]),
        ("10.0.0.0/255.0.0.0", ["prefix length", "0 to 32"]),
        ("10.0.0.0/", ["prefix length"]),
        ("10.0.0.0/-1", ["prefix length"]),
        ("10.0.0", ["neither"]),
        ("example.com", ["neither", "example.com"]),
        ("", ["neither"]),
        ("fe80::1%eth0", ["zone"]),
    ],
)
def test_what_is_no_network_is_refused_with_what_was_meant(entry: str, words: list[str]) -> None:
    with pytest.raises(ValueError) as raised:
        parse_network(entry)
    assert all(word in str(raised.value) for word in words)


def test_an_address_is_written_one_way() -> None:
    assert normal_address("::ffff:203.0.113.9") == "203.0.113.9"
    assert normal_address("2001:DB8:0::1") == "2001:db8::1"
    assert normal_address("fe80::1%eth0") == "fe80::1"
    assert normal_address("203.0.113.9") == "203.0.113.9"
    assert normal_address("/run/peer:socket") == "/run/peer:socket"


_V4 = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)
_V6 = st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address)


@given(
    networks=st.lists(
        st.one_of(
            st.tuples(_V4, st.integers(0, 32)).map(lambda p: ipaddress.IPv4Network(p, False)),
            st.tuples(_V6, st.integers(0, 95)).map(lambda p: ipaddress.IPv6Network(p, False)),
        ),
        max_size=6,
    ),
    address=st.one_of(_V4, _V6),
    index=st.integers(0, 5),
    offset=st.integers(0, 2**128),
)
@settings(max_examples=200)
def test_a_list_holds_exactly_what_its_networks_hold(
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network],
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
    index: int,
    offset: int,
) -> None:
    compiled = compile_networks(tuple(map(str, networks)))
    candidates = [address]
    if index < len(networks):
        chosen = networks[index]
        candidates.append(chosen.network_address + offset % chosen.num_addresses)
    for candidate in candidates:
        plain = (candidate.version == 6 and candidate.ipv4_mapped) or candidate
        expected = any(plain in network for network in networks)
        assert (str(candidate) in compiled) is expected


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::1%lo"]
)
def test_an_address_of_this_machine_is_one_in_every_family(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["", "10.0.0.1", "::", "::2", "::ffff:10.0.0.1", "localhost"])
def test_others_are_none(address: str) -> None:
    assert not is_loopback(address)


@pytest.mark.parametrize(
    ("entry", "model", "allowed"),
    [
        ("claude-sonnet-4-5", "claude-sonnet-4-5", True),
        ("claude-sonnet-4.5", "claude-sonnet-4-5", True),
        ("claude-sonnet-4-5", "claude-sonnet-4.5", True),
        ("claude-sonnet-4.5", "claude-sonnet-4-5-20250929", True),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4.5", True),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4.5-20250929", True),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5-20260101", False),
        ("claude-sonnet-4", "claude-sonnet-4-5", False),
        ("claude-sonnet-4", "claude-sonnet-4-5-20250929", False),
        ("claude-sonnet-4", "claude-sonnet-4-20250514", True),
        ("claude-sonnet-4-5", "Claude-Sonnet-4-5", False),
        ("claude-sonnet-4-5", "claude-sonnet-4-5:web", False),
        ("claude-haiku-*", "claude-haiku-4-5-20251001", True),
        ("claude-haiku-4.*", "claude-haiku-4-5", True),
        ("claude-haiku-*", "claude-haiku", False),
        ("claude-haiku-*", "claude-opus-4-6", False),
        ("*", "anything", True),
        ("claude-*-latest", "claude-x-latest", False),
        ("claude-sonnet-4-5", "claude-sonnet-4-5-12345678", False),
        ("claude-sonnet-4-5", "", False),
    ],
)
def test_spellings_of_one_model_are_one_model(entry: str, model: str, allowed: bool) -> None:
    assert compile_models((entry,)).allows(model) is allowed
    assert compile_models(("gpt-4.1", entry)).allows(model) is allowed


def test_an_undated_entry_beside_a_dated_one_admits_all_dates() -> None:
    models = compile_models(("claude-opus-4-5-20251101", "claude-opus-4-5"))
    assert models.allows("claude-opus-4-5-20260202")


def test_an_empty_list_admits_nothing() -> None:
    assert not compile_models(()).allows("claude-sonnet-4-5")
