"""TLS: whom the clients trust, and a real nginx."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from apertis import Apertis, Timeout
from apertis.errors import (
    APIConnectionError,
    APITimeoutError,
    ConfigurationError,
    ContentTooLargeError,
    RedirectError,
)
from apertis.sansio.request import parse_base_url
from apertis.sync.connection import Connection
from apertis.sync.dial import dial
from apertis.testing import AwaitDisconnect, Close, Exchange, ScriptedServer
from apertis.tls import default_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Connect = Callable[..., Any]


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


@pytest.fixture(params=["127.0.0.1", "::1"])
def host(request: pytest.FixtureRequest) -> str:
    try:
        socket.create_server(
            (request.param, 0), family=socket.AF_INET6 if ":" in request.param else socket.AF_INET
        ).close()
    except OSError as error:
        pytest.skip(f"there is no {request.param} here: {error}")
    return str(request.param)


def test_a_context_of_ones_own_is_used(
    connect: Connect, ok: bytes, streamed: bytes, authority: trustme.CA, host: str
) -> None:
    context = server_side(authority, host)
    with ScriptedServer([ok, streamed, ok], host=host, ssl_context=context) as server:
        client = connect(server.base_url, ssl_context=client_side(authority))
        assert client.create().text == "hello"
        assert client.text() == "hello"
        assert client.create().text == "hello"
        assert server.connection_count == 1


def test_ssl_cert_file_names_whom_to_trust(
    connect: Connect,
    ok: bytes,
    authority: trustme.CA,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    with ScriptedServer([ok], ssl_context=server_side(authority, "localhost")) as server:
        assert connect(f"https://localhost:{server.port}").create().text == "hello"


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_bundle_that_cannot_be_read_is_named(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    bundle = tmp_path / "missing.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    client = connect("https://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match=r"SSL_CERT_FILE names '.*missing\.pem'"):
        client.create()


def test_who_is_not_trusted_is_refused_at_once(connect: Connect, authority: trustme.CA) -> None:
    script = [Exchange(Close, read="nothing")]
    context = server_side(authority, "127.0.0.1")
    with ScriptedServer(script, ssl_context=context, require_all=False) as server:
        client = connect(server.base_url)
        with pytest.raises(APIConnectionError) as caught:
            client.create()
        place = f"127.0.0.1:{server.port}"
        assert str(caught.value).startswith(f"the certificate of {place} is not trusted: ")
        # No other try can mend that.
        assert server.connection_count == 1
        assert caught.value.retries == 0


def test_the_name_must_fit(connect: Connect, authority: trustme.CA) -> None:
    context = server_side(authority, "other.example")
    with ScriptedServer([], ssl_context=context) as server:
        client = connect(f"https://localhost:{server.port}", ssl_context=client_side(authority))
        with pytest.raises(APIConnectionError, match="Hostname mismatch"):
            client.create()
        assert server.connection_count == 1


def test_the_name_is_sent(connect: Connect, ok: bytes, authority: trustme.CA) -> None:
    names: list[str | None] = []
    context = server_side(authority, "localhost")
    context.sni_callback = lambda _, name, __: names.append(name)
    with ScriptedServer([ok], ssl_context=context) as server:
        client = connect(f"https://localhost:{server.port}", ssl_context=client_side(authority))
        client.create()
    assert names == ["localhost"]


def test_https_to_a_server_without_tls_says_so(connect: Connect) -> None:
    script = [Exchange(b"HTTP/1.1 400 Bad Request\r\n\r\n", Close, read="nothing")]
    with ScriptedServer(script) as server:
        client = connect(f"https://127.0.0.1:{server.port}")
        with pytest.raises(APIConnectionError, match=r"it does not speak it; is its URL http://\?"):
            client.create()
        assert server.connection_count == 1


def test_a_server_that_closes_during_the_handshake_is_tried_again(
    connect: Connect, authority: trustme.CA
) -> None:
    script = [Exchange(Close, read="nothing")] * 2
    with ScriptedServer(script) as server:
        client = connect(f"https://127.0.0.1:{server.port}", max_retries=1)
        with pytest.raises(APIConnectionError, match=f"127.0.0.1:{server.port}"):
            client.create()
        assert server.connection_count == 2


@pytest.mark.parametrize(
    ("timeout", "name"),
    [(Timeout(connect=0.1), "connect"), (Timeout(connect=9.0, total=0.1), "total")],
)
def test_a_handshake_without_an_answer_meets_the_deadline(
    connect: Connect, timeout: Timeout, name: str
) -> None:
    with ScriptedServer([Exchange(AwaitDisconnect(), read="nothing")]) as server:
        client = connect(f"https://127.0.0.1:{server.port}", max_retries=0, timeout=timeout)
        with pytest.raises(APITimeoutError) as caught:
            client.create()
        assert caught.value.deadline == name
        server.wait_until_disconnected()


def test_one_silent_server_does_not_stop_the_other_threads(
    ok: bytes, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The same context serves both: the system's trust, as it is without any setting.
    context = default_context()
    authority.configure_trust(context)
    silent = ScriptedServer([Exchange(AwaitDisconnect(), read="nothing")])
    with silent, ScriptedServer([ok], ssl_context=server_side(authority, "127.0.0.1")) as server:
        client = Apertis(base_url=server.base_url, api_key="k", ssl_context=context, max_retries=0)
        stuck = client.with_options(
            base_url=f"https://127.0.0.1:{silent.port}", timeout=Timeout(connect=2.0)
        )

        def wait() -> None:
            with pytest.raises(APIConnectionError):
                stuck.models.list()

        thread = threading.Thread(target=wait)
        thread.start()
        while not silent.connection_count:
            pass
        message = client.messages.create(
            model="m",
            max_tokens=1,
            messages=[{"role": "user", "content": "x"}],
            timeout=Timeout(connect=1.0),
        )
        assert message.text == "hello"
        assert thread.is_alive()
        silent.stop()
        thread.join(60)
        client.close()


def test_an_answer_without_a_length_ends_with_tls(
    connect: Connect, ok: bytes, authority: trustme.CA
) -> None:
    bare = ok.replace(b"content-length", b"x-length")
    context = server_side(authority, "127.0.0.1")
    with ScriptedServer([Exchange(bare, Close)], ssl_context=context) as server:
        client = connect(server.base_url, ssl_context=client_side(authority))
        assert client.create().text == "hello"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_connection_closed_while_idle_is_replaced_under_tls(
    connect: Connect, ok: bytes, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    context = server_side(authority, "127.0.0.1")
    context.maximum_version = version
    with ScriptedServer([Exchange(ok, Close), ok, ok], ssl_context=context) as server:
        client = connect(server.base_url, ssl_context=client_side(authority), max_retries=0)
        client.create()
        server.wait_until_disconnected()
        client.create()
        client.create()
        assert server.connection_count == 2


def test_a_session_ticket_is_no_end_of_an_idle_connection(authority: trustme.CA) -> None:
    context = server_side(authority, "127.0.0.1")
    with ScriptedServer(
        [Exchange(AwaitDisconnect(), read="nothing")], ssl_context=context
    ) as server:
        limits = Timeout(connect=5.0).limits(0.0)
        connection = dial(parse_base_url(server.base_url), None, client_side(authority), limits)
        assert isinstance(connection, Connection)
        # The server sends its tickets when the handshake is done, before anybody asks anything.
        assert select.select([connection.sock], [], [], 5)[0]
        assert not connection.stale()
        connection.close()
        server.wait_until_disconnected()


def test_a_large_request_arrives_whole_under_tls(
    connect: Connect, ok: bytes, authority: trustme.CA
) -> None:
    large = [{"role": "user", "content": "x" * 5_000_000}]
    context = server_side(authority, "127.0.0.1")
    with ScriptedServer([ok, ok], ssl_context=context) as server:
        client = connect(server.base_url, ssl_context=client_side(authority))
        client.create(messages=large)
        client.create(messages=large)
        assert server.requests[1].json()["messages"] == large  # type: ignore[index]
        assert server.connection_count == 1


NGINX = """
daemon off; master_process off; worker_processes 1;
pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; default_type application/json;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  gzip on; gzip_types application/json; gzip_min_length 1;
  client_max_body_size 1m; keepalive_timeout {keep_alive}; large_client_header_buffers 4 8k;
  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on;
  server {{
    listen 127.0.0.1:{port} ssl; listen [::1]:{port} ssl; server_name localhost;
    ssl_certificate {folder}/one.pem; ssl_certificate_key {folder}/one.key;
    location /v1/messages {{ return 200 '{message}'; add_header x-connection $connection;
      add_header x-request $connection_requests; add_header x-tls $ssl_protocol; }}
    location /moved/ {{ return 302 https://elsewhere.example/; }}
  }}
  server {{
    listen 127.0.0.1:{port} ssl; server_name two.localhost;
    ssl_certificate {folder}/two.pem; ssl_certificate_key {folder}/two.key;
    location / {{ return 200 '{message}'; }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(
    program: str, folder: Path, authority: trustme.CA, message: str, keep_alive: str = "60s"
) -> Iterator[int]:
    for name, hosts in (("one", ["localhost", "127.0.0.1", "::1"]), ("two", ["two.localhost"])):
        certificate = authority.issue_cert(*hosts)
        certificate.private_key_pem.write_to_path(str(folder / f"{name}.key"))
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(str(folder / f"{name}.pem"), append=True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    config = folder / "nginx.conf"
    config.write_text(
        NGINX.format(folder=folder, port=port, message=message, keep_alive=keep_alive)
    )
    log = str(folder / "error.log")
    with subprocess.Popen([program, "-e", log, "-p", str(folder), "-c", str(config)]) as process:
        try:
            reach(port, process)
            yield port
        finally:
            process.terminate()


def reach(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when somebody listens on the port."""
    while process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
    pytest.fail(f"{process.args!r} ended with {process.returncode}")


@pytest.fixture
def body(ok: bytes) -> str:
    return ok.partition(b"\r\n\r\n")[2].decode()


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_nginx_sees_one_connection_for_many_calls(
    connect: Connect,
    executable: Callable[[str], str],
    tmp_path: Path,
    authority: trustme.CA,
    body: str,
    version: str,
) -> None:
    context = client_side(authority)
    context.maximum_version = getattr(ssl.TLSVersion, version.replace(".", "_"))
    with nginx(executable("nginx"), tmp_path, authority, body) as port:
        client = connect(f"https://localhost:{port}", ssl_context=context)
        seen = [client.create().response.headers for _ in range(6)]
        assert [headers["x-request"] for headers in seen] == ["1", "2", "3", "4", "5", "6"]
        assert len({headers["x-connection"] for headers in seen}) == 1
        assert {headers["x-tls"] for headers in seen} == {version}
        assert seen[0]["content-encoding"] == "gzip"


def test_nginx_gives_up_an_idle_connection_unnoticed(
    connect: Connect,
    executable: Callable[[str], str],
    tmp_path: Path,
    authority: trustme.CA,
    body: str,
) -> None:
    with nginx(executable("nginx"), tmp_path, authority, body, "1ms") as port:
        client = connect(
            f"https://localhost:{port}", ssl_context=client_side(authority), max_retries=0
        )
        for _ in range(20):
            assert client.create().text == "hello"


def test_nginx_knows_its_servers_by_name_and_refuses_what_it_should(
    connect: Connect,
    executable: Callable[[str], str],
    tmp_path: Path,
    authority: trustme.CA,
    body: str,
) -> None:
    context = client_side(authority)
    with nginx(executable("nginx"), tmp_path, authority, body) as port:
        # Each certificate has one name: without SNI the second server would show the first's.
        for place in ("localhost", "two.localhost", "127.0.0.1", "[::1]"):
            if place == "two.localhost" and not resolves(place):
                continue
            assert connect(f"https://{place}:{port}", ssl_context=context).create().text == "hello"
        client = connect(f"https://localhost:{port}", ssl_context=context, max_retries=0)
        for _ in range(3):
            with pytest.raises(ContentTooLargeError):
                client.create(messages=[{"role": "user", "content": "x" * 4_000_000}])
        moved = connect(f"https://localhost:{port}/moved", ssl_context=context)
        with pytest.raises(RedirectError) as caught:
            moved.create()
        assert caught.value.location == "https://elsewhere.example/"
        stranger = connect(f"https://localhost:{port}")
        with pytest.raises(APIConnectionError, match="is not trusted"):
            stranger.create()


def resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return False
    return True
