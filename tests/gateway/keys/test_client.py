from __future__ import annotations

import pytest

from apertis.gateway.keys.client import client_address, trusted_networks

TRUSTED = trusted_networks(("10.0.0.0/8", "2001:db8:ff::/48"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "192.0.2.66, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "192.0.2.66, 198.51.100.1, 10.2.2.2", "198.51.100.1"),
        ("10.0.0.1", "10.3.3.3, 10.2.2.2", "10.3.3.3"),
        ("10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("2001:db8:ff::1", "2001:DB8:0::1", "2001:db8::1"),
        ("10.0.0.1", "198.51.100.1, unknown, 10.2.2.2", "10.2.2.2"),
        ("10.0.0.1", "198.51.100.1, ", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1" + "0" * 5000, "10.0.0.1"),
        ("", "198.51.100.1", ""),
    ],
)
def test_the_client_is_the_rightmost_hop_that_is_no_trusted_proxy(
    peer: str, forwarded: str | None, client: str
) -> None:
    assert client_address(peer, forwarded, TRUSTED) == client


def test_nobody_is_believed_unless_configured() -> None:
    assert trusted_networks(()) is None
    assert client_address("127.0.0.1", "198.51.100.1", None) == "127.0.0.1"
    assert client_address("::ffff:127.0.0.1", "198.51.100.1", None) == "127.0.0.1"


def test_an_endless_chain_is_not_walked_to_its_end() -> None:
    chain = ", ".join(["198.51.100.1"] + ["10.0.0.2"] * 5_000)
    assert client_address("10.0.0.1", chain, TRUSTED) == "10.0.0.2"
