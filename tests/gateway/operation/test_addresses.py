"""Whose address counts, over real connections from several of this machine's own."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.gateways import RunningGateway
    from tests.kit.processes import Served

PROXY = "127.0.0.2"
TRUSTING = f'[server]\ntrusted_proxies = ["{PROXY}", "10.0.0.0/8", "::1"]\n'


def status_from(
    source: str, port: int, api_key: str, forwarded: tuple[str, ...] = (), target: str = "127.0.0.1"
) -> int:
    """What a request gets that comes from an address of this machine."""
    connection = http.client.HTTPConnection(
        target, port, timeout=10, source_address=(source, 0) if source else None
    )
    with contextlib.closing(connection):
        connection.putrequest("GET", "/v1/models")
        connection.putheader("x-api-key", api_key)
        for value in forwarded:
            connection.putheader("x-forwarded-for", value)
        connection.endheaders()
        return connection.getresponse().status


@pytest.fixture(scope="module")
def has_ipv6() -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError as error:
            pytest.skip(f"no IPv6 here: {error}")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")
def test_only_a_trusted_proxy_says_for_whom_it_asks(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    running = start_gateway(TRUSTING)
    port = running.client.port
    _, user = running.make_key(addresses=["203.0.113.0/24", "2001:db8::/32"])

    def status(source: str, *forwarded: str) -> int:
        return status_from(source, port, user.api_key, forwarded)

    assert status(PROXY, "203.0.113.7") == 200
    assert status(PROXY, "2001:db8::7") == 200
    # An IPv4 address in the clothes of IPv6, as proxies on dual sockets write it.
    assert status(PROXY, "::ffff:203.0.113.7") == 200
    # A peer that is not trusted speaks for itself alone.
    assert status("127.0.0.1", "203.0.113.7") == 403
    assert status("127.0.0.3", "203.0.113.7") == 403
    # The rightmost one that is no proxy counts: what is left of it, anybody can have written.
    assert status(PROXY, "203.0.113.7, 198.51.100.1") == 403
    assert status(PROXY, "198.51.100.1, 203.0.113.7") == 200
    assert status(PROXY, "198.51.100.1, 203.0.113.7, 10.1.2.3") == 200
    # Several lines are one list.
    assert status(PROXY, "198.51.100.1", "203.0.113.7") == 200
    assert status(PROXY, "203.0.113.7", "198.51.100.1") == 403
    assert status(PROXY) == 403
    assert status(PROXY, "unknown") == 403

    running.gateway.log.event("info", "flushed")
    lines = [line for line in running.log_lines() if line.get("path") == "/v1/models"]
    assert [line["address"] for line in lines][:4] == [
        "203.0.113.7",
        "2001:db8::7",
        "203.0.113.7",
        "127.0.0.1",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")
def test_each_address_behind_a_proxy_has_a_limit_of_its_own(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    running = start_gateway(f'{TRUSTING}[limits]\nper_address = "2/1h"\n')
    key, port = running.admin_key, running.client.port
    asked = [status_from(PROXY, port, key, (f"203.0.113.{n % 2}",)) for n in range(6)]
    assert asked == [200, 200, 200, 200, 429, 429]
    # To change what is forwarded helps nobody who is not trusted.
    asked = [status_from("127.0.0.3", port, key, (f"203.0.113.{n + 9}",)) for n in range(3)]
    assert asked == [200, 200, 429]


@pytest.mark.parametrize(
    ("host", "url", "reached"),
    [("::1", "http://[::1]:", ("::1",)), ("::", "http://[::1]:", ("::1", "127.0.0.1"))],
)
def test_ipv6_is_served(
    serve_process: Callable[..., Served],
    has_ipv6: None,
    host: str,
    url: str,
    reached: tuple[str, ...],
) -> None:
    served = serve_process("--host", host)
    assert served.base_url.startswith(url)
    port = int(served.base_url.rpartition(":")[2])
    assert served.api_key is not None
    for target in reached:
        network = "::1/128" if ":" in target else "127.0.0.0/8"
        fields = {"name": target, "addresses": [network]}
        made = served.call("POST", "/admin/v1/keys", json.dumps(fields).encode())
        secret = json.loads(made.body)["secret"]
        others = {"::1", "127.0.0.1"} & set(reached) - {target}
        assert status_from("", port, secret, target=target) == 200
        assert [status_from("", port, secret, target=other) for other in others] == [403] * len(
            others
        )
    assert served.stop() == 0
    lines = [line for line in served.log() if line.get("path") == "/v1/models"]
    assert {line["address"] for line in lines} == set(reached)
