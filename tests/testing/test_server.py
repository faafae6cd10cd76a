from __future__ import annotations

import http.client
import subprocess
import sys
import threading

from apertis.installation import install_command
from apertis.testing import sandbox_server


def status_of(base_url: str, api_key: str) -> int:
    connection = http.client.HTTPConnection(base_url.removeprefix("http://"), timeout=60)
    try:
        connection.request("GET", "/v1/models", headers={"x-api-key": api_key})
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_service_runs_for_the_length_of_the_block() -> None:
    with sandbox_server() as server:
        assert status_of(server.base_url, server.api_key) == 200
    try:
        status_of(server.base_url, server.api_key)
    except ConnectionRefusedError:
        return
    raise AssertionError("the server is still there")


def test_two_servers_have_ports_and_keys_of_their_own() -> None:
    with sandbox_server() as one, sandbox_server() as two:
        assert one.base_url != two.base_url
        assert status_of(one.base_url, two.api_key) == 401


def test_no_thread_is_left_behind() -> None:
    before = set(threading.enumerate())
    with sandbox_server():
        assert set(threading.enumerate()) > before
    assert set(threading.enumerate()) <= before


def test_the_key_is_not_in_the_repr() -> None:
    with sandbox_server() as server:
        assert server.api_key not in repr(server)


def test_without_the_server_it_says_what_to_install() -> None:
    program = (
        "import sys\n"
        "sys.modules['platformdirs'] = None\n"
        "from apertis.errors import ApertisError\n"
        "from apertis.testing import ScriptedServer, sandbox_server\n"
        "try:\n"
        "    with sandbox_server(): pass\n"
        "except ApertisError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    assert install_command("gateway") in done.stdout
