"""HTTPS by two files, and a configuration that says everything."""

from __future__ import annotations

import http.client
import signal
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from apertis import Apertis

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.kit.processes import Served

EVERYTHING = """
[server]
host = "127.0.0.1"
port = 0
tls_certificate = "server.pem"
tls_key = "server.key"
trusted_proxies = ["10.0.0.0/8", "::1"]
max_body_bytes = "1MB"
body_timeout_seconds = 10
stop_seconds = 5
workers = 1
ping_seconds = 5
anthropic_version = "2023-06-01"

[store]
data = "kept"

[limits]
per_address = "1000/1m"
per_key = "500/1m"
tokens_per_minute = 1_000_000
in_flight = 10

[money]
unpriced = "free"

[routing]
connect_timeout_seconds = 2
first_byte_timeout_seconds = 10
idle_timeout_seconds = 10
fallback_timeout_ms = 5000
fallback_enabled = true
affinity = false
affinity_seconds = 60
breaker_failures = 3
breaker_open_seconds = 1.5

[cache]
max_bytes = "8MB"
ttl_seconds = 60
max_entry_bytes = 10_000

[log]
requests = true

[sandbox]
first_token_seconds = 0
tokens_per_second = 0

[[upstreams]]
name = "stand-in"
kind = "sandbox"
priority = 1
weight = 2

[[upstreams.models]]
id = "house-model"
aliases = ["house"]
upstream_model = "claude-sonnet-4.5"

[[upstreams]]
name = "elsewhere"
base_url = "http://127.0.0.1:9/v1"
api_key_file = "elsewhere.key"
auth = "bearer"
models = ["another"]
max_connections = 5

[prices.house-model]
input = "1"
output = "2.5"
cache_read = "0.1"
cache_write_5m = "1.25"
cache_write_1h = "2"
web_search = "10"
batch_percent = 50
"""


def write_certificate(authority: trustme.CA, folder: Path) -> None:
    made = authority.issue_cert("127.0.0.1")
    made.private_key_pem.write_to_path(folder / "server.key")
    chain = b"".join(part.bytes() for part in made.cert_chain_pems)
    (folder / "server.pem").write_bytes(chain)


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def is_taken_by(context: ssl.SSLContext, url: str) -> bool:
    host = url.removeprefix("https://")
    connection = http.client.HTTPSConnection(host, timeout=10, context=context)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except ssl.SSLCertVerificationError:
        return False
    finally:
        connection.close()


def test_https_serves_and_its_certificate_can_be_renewed(
    launch: Callable[..., Served], configured: Callable[[str], str], tmp_path: Path
) -> None:
    first, second = trustme.CA(), trustme.CA()
    write_certificate(first, tmp_path)
    (tmp_path / "elsewhere.key").write_text("sk-elsewhere\n")
    served = launch("--config", configured(EVERYTHING))
    told = ""
    while not told.startswith("Ctrl-C"):
        told = served.out.next(lambda _: True)
        if told.startswith("  export APERTIS_BASE_URL="):
            _, served.base_url, served.api_key = told.replace(" APERTIS_API_KEY", "").split("=")
    served.api_key = (served.api_key or "").strip().strip("'")
    assert served.base_url.startswith("https://127.0.0.1:")

    question: dict[str, Any] = {
        "model": "house",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "Hello!"}],
    }
    with Apertis(
        base_url=served.base_url, api_key=served.api_key, ssl_context=trusting(first)
    ) as client:
        whole = client.messages.create(**question)
        with client.messages.stream(**question) as stream:
            text = "".join(stream.text_stream)
    assert text
    assert text == whole.text

    # A key that does not fit changes nothing.
    right = (tmp_path / "server.key").read_bytes()
    second.issue_cert("127.0.0.1").private_key_pem.write_to_path(tmp_path / "server.key")
    served.send(signal.SIGHUP)
    refused = served.event("the certificate stays as it was")
    served.event("the configuration was read again")
    assert "server.key is not the key of" in refused["event"]
    assert is_taken_by(trusting(first), served.base_url)
    (tmp_path / "server.key").write_bytes(right)

    write_certificate(second, tmp_path)
    served.send(signal.SIGHUP)
    served.event("the configuration was read again")
    assert is_taken_by(trusting(second), served.base_url)
    assert not is_taken_by(trusting(first), served.base_url)
    assert served.stop() == 0
    assert (tmp_path / "kept" / "apertis.sqlite3").exists()
    lines = [line for line in served.log() if line.get("path") == "/v1/messages"]
    assert [(line["model"], line["upstream"]) for line in lines] == [
        ("house-model", "stand-in")
    ] * 2
    assert all(line["cost_units"] > 0 for line in lines)


def test_plain_http_on_a_tls_port_is_no_trouble(
    serve_process: Callable[..., Served], tmp_path: Path
) -> None:
    authority = trustme.CA()
    write_certificate(authority, tmp_path)
    served = serve_process(
        APERTIS_SERVER_TLS_CERTIFICATE="server.pem", APERTIS_SERVER_TLS_KEY="server.key"
    )
    connection = http.client.HTTPConnection(served.base_url.removeprefix("https://"), timeout=60)
    connection.request("GET", "/healthz")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        connection.getresponse()
    connection.close()
    assert is_taken_by(trusting(authority), served.base_url)
    assert served.stop() == 0
    assert [line["path"] for line in served.log()] == ["/healthz"]
