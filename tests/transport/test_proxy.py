"""Proxies: tunnels by CONNECT, credentials, refusals, and a real forward proxy."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from apertis import Apertis, AsyncApertis, Timeout
from apertis.errors import (
    APIConnectionError,
    APITimeoutError,
    ConfigurationError,
    PermissionDeniedError,
)
from apertis.testing import AwaitDisconnect, Close, Exchange, ScriptedServer, StartTLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Connect = Callable[..., Any]

TUNNEL = b"HTTP/1.1 200 Connection established\r\n\r\n"
CREDENTIALS = "Basic " + b64encode(b"user:p@ss").decode()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_side(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def client_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_a_tunnel_is_opened_once_and_used_again(connect: Connect, ok: bytes) -> None:
    with ScriptedServer([TUNNEL, ok, ok]) as proxy:
        client = connect(
            "http://api.example:8080", proxy=f"http://user:p%40ss@127.0.0.1:{proxy.port}"
        )
        assert client.create().text == "hello"
        assert client.create().text == "hello"
        first, second, _ = proxy.requests
        assert (first.method, first.target) == ("CONNECT", "api.example:8080")
        assert first.headers["proxy-authorization"] == CREDENTIALS
        assert (second.target, second.headers["host"]) == ("/v1/messages", "api.example:8080")
        # What opens the tunnel is the proxy's affair, and the key is not.
        assert "proxy-authorization" not in second.headers
        assert "authorization" not in first.headers
        assert proxy.connection_count == 1


def test_tls_goes_through_the_tunnel_to_the_origin(
    connect: Connect, ok: bytes, authority: trustme.CA
) -> None:
    opened = Exchange(TUNNEL, StartTLS(server_side(authority, "api.example")))
    with ScriptedServer([opened, ok, ok]) as proxy:
        client = connect(
            "https://api.example",
            proxy=f"http://127.0.0.1:{proxy.port}",
            ssl_context=client_side(authority),
        )
        assert client.create().text == "hello"
        assert client.create().text == "hello"
        assert proxy.requests[0].target == "api.example:443"
        assert proxy.requests[1].headers["authorization"] == "Bearer sk-test"


def test_the_certificate_behind_the_tunnel_is_checked(
    connect: Connect, authority: trustme.CA
) -> None:
    opened = Exchange(TUNNEL, StartTLS(server_side(authority, "other.example")))
    with ScriptedServer([opened]) as proxy:
        client = connect(
            "https://api.example",
            proxy=f"http://127.0.0.1:{proxy.port}",
            ssl_context=client_side(authority),
        )
        with pytest.raises(APIConnectionError, match=r"certificate of api\.example:443") as caught:
            client.create()
        assert "Hostname mismatch" in str(caught.value)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_the_environment_names_the_proxy(
    connect: Connect, ok: bytes, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with ScriptedServer([TUNNEL, ok]) as proxy:
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert connect("http://api.example").create().text == "hello"
        assert proxy.requests[0].target == "api.example:80"


def test_https_has_a_variable_of_its_own(
    connect: Connect, ok: bytes, monkeypatch: pytest.MonkeyPatch, authority: trustme.CA
) -> None:
    opened = Exchange(TUNNEL, StartTLS(server_side(authority, "api.example")))
    with ScriptedServer([opened, ok]) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        client = connect("https://api.example", ssl_context=client_side(authority))
        assert client.create().text == "hello"


def test_no_proxy_and_an_empty_argument_go_straight(
    connect: Connect, ok: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with ScriptedServer([ok, ok]) as server:
        assert connect(server.base_url, proxy="").create().text == "hello"
        monkeypatch.setenv("NO_PROXY", "example.org, 127.0.0.0/8")
        assert connect(server.base_url).create().text == "hello"


def refusal(status: str) -> Exchange:
    return Exchange(f"HTTP/1.1 {status}\r\ncontent-length: 6\r\n\r\nsorry\n".encode(), Close)


@pytest.mark.parametrize("status", ["403 Forbidden", "407 Proxy Authentication Required"])
def test_a_refused_tunnel_is_one_clear_error(connect: Connect, status: str) -> None:
    with ScriptedServer([refusal(status)]) as proxy:
        client = connect("https://api.example", proxy=f"http://u:secret@127.0.0.1:{proxy.port}")
        with pytest.raises(APIConnectionError) as caught:
            client.create()
        said = f"the proxy 127.0.0.1:{proxy.port} opened no tunnel to api.example:443: it answered"
        assert str(caught.value).startswith(f"{said} {status[:3]}")
        assert ("credentials" in str(caught.value)) is ("407" in status)
        assert "secret" not in str(caught.value)
        # Another try would be refused as well.
        assert len(proxy.requests) == 1


def test_a_proxy_in_trouble_is_tried_again(connect: Connect, ok: bytes) -> None:
    with ScriptedServer([refusal("503 Service Unavailable"), TUNNEL, ok]) as proxy:
        client = connect("http://api.example", proxy=f"http://127.0.0.1:{proxy.port}")
        assert client.create().response.retries == 1


@pytest.mark.parametrize("status", ["403 Forbidden", "405 Method Not Allowed"])
def test_where_a_proxy_gives_no_tunnel_a_plain_request_is_forwarded(
    connect: Connect, ok: bytes, streamed: bytes, status: str
) -> None:
    with ScriptedServer([refusal(status), ok, streamed]) as proxy:
        client = connect(
            "http://api.example:81/x", proxy=f"http://user:p%40ss@127.0.0.1:{proxy.port}"
        )
        assert client.create().text == "hello"
        assert client.text() == "hello"
        for request in proxy.requests[1:]:
            assert request.target == "http://api.example:81/x/v1/messages"
            assert request.headers["host"] == "api.example:81"
            assert request.headers["proxy-authorization"] == CREDENTIALS
        # The forwarding connection is kept, without asking for a tunnel again.
        assert proxy.connection_count == 2


def test_a_proxy_that_refuses_both_is_heard(connect: Connect) -> None:
    with ScriptedServer([refusal("403 Forbidden"), refusal("403 Forbidden")]) as proxy:
        client = connect("http://api.example", proxy=f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(PermissionDeniedError, match="sorry"):
            client.create()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (Exchange(Close), "closed the connection without a response"),
        (Exchange(b"HTTP/1.1 200 OK\r\n", Close), "inside the head"),
        (Exchange(b"SSH-2.0-OpenSSH\r\n", Close), "does not speak HTTP"),
    ],
)
def test_what_is_no_proxy_is_named(connect: Connect, script: Exchange, said: str) -> None:
    with ScriptedServer([script]) as proxy:
        client = connect(
            "https://api.example", proxy=f"http://127.0.0.1:{proxy.port}", max_retries=0
        )
        with pytest.raises(APIConnectionError, match=said) as caught:
            client.create()
        assert f"the proxy 127.0.0.1:{proxy.port}" in str(caught.value)


@pytest.mark.parametrize(
    ("timeout", "name"),
    [
        (Timeout(connect=0.1), "connect"),
        (Timeout(connect=9.0, total=0.1), "total"),
        (Timeout(connect=0.1, response=0.01), "connect"),
    ],
)
def test_a_silent_proxy_meets_the_deadline_of_the_connection(
    connect: Connect, timeout: Timeout, name: str
) -> None:
    with ScriptedServer([Exchange(AwaitDisconnect())]) as proxy:
        client = connect(
            "http://api.example",
            proxy=f"http://127.0.0.1:{proxy.port}",
            max_retries=0,
            timeout=timeout,
        )
        with pytest.raises(APITimeoutError) as caught:
            client.create()
        assert caught.value.deadline == name
        server_gone = f"the proxy 127.0.0.1:{proxy.port}"
        assert server_gone in str(caught.value)
        proxy.wait_until_disconnected()


def test_a_proxy_that_is_not_there_is_named_as_such(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = connect("https://api.example", proxy=f"http://127.0.0.1:{port}", max_retries=0)
    with pytest.raises(APIConnectionError) as caught:
        client.create()
    assert str(caught.value) == f"cannot connect to the proxy 127.0.0.1:{port}: connection refused"


@pytest.mark.parametrize("proxy", ["socks5://p:1", "http://", "http://p:x", 8080])
def test_a_proxy_that_cannot_be_is_refused_at_once(proxy: Any) -> None:
    for kind in (Apertis, AsyncApertis):
        with pytest.raises(ConfigurationError, match="proxy"):
            kind(api_key="k", proxy=proxy)


@contextlib.contextmanager
def tinyproxy(program: str, folder: Path, *lines: str) -> Iterator[str]:
    """A real proxy on a free port; it forwards, and tunnels as its lines say."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    config = folder / "tinyproxy.conf"
    own = [f"Port {port}", "Listen 127.0.0.1", "Timeout 60", "Allow 127.0.0.1", "LogLevel Info"]
    config.write_text("\n".join([*own, *lines, ""]))
    with subprocess.Popen([program, "-d", "-c", str(config)], stdout=subprocess.DEVNULL) as process:
        try:
            reach(port, process)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


def reach(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when somebody listens on the port."""
    while process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
    pytest.fail(f"{process.args!r} ended with {process.returncode}")


def test_a_real_proxy_tunnels(
    connect: Connect,
    ok: bytes,
    streamed: bytes,
    executable: Callable[[str], str],
    tmp_path: Path,
    authority: trustme.CA,
) -> None:
    with (
        ScriptedServer(
            [ok, streamed, ok], ssl_context=server_side(authority, "127.0.0.1")
        ) as server,
        tinyproxy(
            executable("tinyproxy"), tmp_path, f"ConnectPort {server.port}", "BasicAuth user p4ss"
        ) as place,
    ):
        client = connect(
            server.base_url, proxy=f"http://user:p4ss@{place}", ssl_context=client_side(authority)
        )
        assert client.create().text == "hello"
        assert client.text() == "hello"
        assert client.create().text == "hello"
        assert server.connection_count == 1
        refused = connect(server.base_url, proxy=f"http://user:wrong@{place}")
        with pytest.raises(APIConnectionError, match="opened no tunnel") as caught:
            refused.create()
        assert "credentials" in str(caught.value)


def test_a_real_proxy_that_tunnels_to_443_only_forwards(
    connect: Connect, ok: bytes, executable: Callable[[str], str], tmp_path: Path
) -> None:
    with (
        ScriptedServer([ok, ok]) as server,
        tinyproxy(executable("tinyproxy"), tmp_path, "ConnectPort 443") as place,
    ):
        client = connect(server.base_url, proxy=f"http://{place}")
        assert client.create().text == "hello"
        assert client.create(max_tokens=5).text == "hello"
        assert server.requests[0].path == "/v1/messages"
        assert "via" in server.requests[0].headers
