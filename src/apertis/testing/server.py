"""The whole service on a free loopback port, in a thread of the test's own process."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from apertis.errors import ApertisError

if TYPE_CHECKING:
    from collections.abc import Generator

_START_SECONDS = 30.0
_STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class RunningServer:
    """The addresses and keys that a client needs to reach the server."""

    base_url: str
    api_key: str = field(repr=False)


@contextlib.contextmanager
def sandbox_server(
    *, first_token_seconds: float = 0.0, tokens_per_second: float | None = None
) -> Generator[RunningServer]:
    """Run the sandbox behind a real HTTP server for the length of the block.

    ::

        @pytest.fixture(scope="session")
        def service():
            with apertis.testing.sandbox_server() as server:
                yield server

        def test_my_program(service):
            client = Apertis(base_url=service.base_url, api_key=service.api_key)

    Nothing is kept on disk and nothing leaves the machine. The two speeds make it answer as
    slowly as a model would. Needs the extra `gateway`; `ApertisError` says so when it is missing.
    """
    try:
        from apertis.gateway.config import MAX_BODY_BYTES
        from apertis.gateway.keys.secrets import new_secret
        from apertis.gateway.serving.server import Server, bind, url_of
        from apertis.gateway.upstreams.sandbox import SandboxUpstream
        from apertis.testing.stand_in import StandIn
    except ModuleNotFoundError as error:
        from apertis.installation import install_command

        raise ApertisError(
            f"sandbox_server() needs the server ({error.name} is missing): "
            f"{install_command('gateway')}"
        ) from error
    secret = new_secret()
    upstream = SandboxUpstream(first_token_seconds, tokens_per_second)
    listener = bind("127.0.0.1", 0)
    base_url = url_of(listener)
    server = Server(StandIn(upstream, secret, MAX_BODY_BYTES), listener)
    ready = threading.Event()
    thread = threading.Thread(
        target=server.serve_until_stopped, args=(ready.set,), name="apertis-sandbox", daemon=True
    )
    thread.start()
    try:
        if not ready.wait(_START_SECONDS):
            raise ApertisError(f"the server did not start within {_START_SECONDS:g} s")
        yield RunningServer(base_url, secret)
    finally:
        server.stop(drop_connections=True)
        thread.join(_STOP_SECONDS)
