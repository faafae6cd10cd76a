"""`claude gateway`, which Anthropic ships inside of Claude Code, and what it needs to run."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from gateway.launching import Installed, Launch, free_port
from harness.environments import NodeEnvironment, tree_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gateway.postgresql import PostgreSQL

NAME = "claude gateway"
_PACKAGE = "@anthropic-ai/claude-code-linux-x64"
_ENVIRONMENT = NodeEnvironment("claude-gateway", {_PACKAGE: "2.1.332"}, scripts=False)
# It signs the tokens of people who have signed in with it.
_SECRET = "a secret of the benchmark, on loopback only"
_TOKEN_SECONDS = 3600


@dataclass(frozen=True)
class ClaudeGateway:
    """One process on PostgreSQL. People sign in, so a person has a token in place of a key."""

    issuer: str
    postgresql: PostgreSQL | None = None
    name: str = NAME
    environment: NodeEnvironment = _ENVIRONMENT
    conditions: str = (
        "one process on PostgreSQL; a person with a cap by the month, who has signed in; no relay "
        "of telemetry, no managed settings. It has no keys, and no limits of requests or tokens"
    )

    def prepare(self) -> None:
        self.environment.prepare()

    @cached_property
    def version(self) -> str:
        return self.environment.version(_PACKAGE)

    @property
    def installed(self) -> Installed:
        return Installed(tree_bytes(self.environment.modules), 1)

    def launch(self, folder: Path, upstream_port: int) -> Launch:
        assert self.postgresql is not None
        port = free_port()
        upstream = f"http://localhost:{upstream_port}"
        document = {
            "listen": {"host": "127.0.0.1", "port": port},
            "upstreams": [
                {"provider": "anthropic", "base_url": upstream, "auth": {"api_key": "sk-upstream"}}
            ],
            "session": {"jwt_secret": _SECRET},
            "store": {"postgres_url": self.postgresql.url},
            "oidc": {"issuer": self.issuer, "client_id": "gateway", "client_secret": "none"},
            "admin": {},
        }
        # YAML contains JSON.
        config = folder / "gateway.yaml"
        config.write_text(json.dumps(document), encoding="utf-8")
        program = str(self.environment.modules / _PACKAGE / "claude")
        environ = {
            "CLAUDE_GATEWAY_ALLOW_LOOPBACK": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "HOME": str(folder),
        }
        command = [program, "gateway", "--config", str(config)]
        return self.as_person(Launch(command, environ, folder, port, ()), "first")

    def capped(self, launch: Launch, person: str, usd: float) -> Launch:
        """The running gateway as a person who may spend so much in a month."""
        assert self.postgresql is not None
        values = f"'limit-{person}', 'user', '{person}', {round(usd * 100)}, 'monthly'"
        columns = "id, scope_type, scope_id, amount, period"
        self.postgresql.run(f"INSERT INTO spend_limits ({columns}) VALUES ({values})")
        return self.as_person(launch, person)

    def as_person(self, launch: Launch, person: str) -> Launch:
        token = _token(person)
        headers = (("authorization", f"Bearer {token}"),)
        return Launch(launch.command, launch.environ, launch.folder, launch.port, (token,), headers)


@contextmanager
def identity_provider() -> Iterator[str]:
    """The address of what is asked for at a start: nobody signs in there."""
    server = ThreadingHTTPServer(("localhost", 0), _Discovery)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Discovery(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        issuer = f"http://{self.headers['host']}"
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        document = {name: f"{issuer}/{name}" for name in names} | {
            "issuer": issuer,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _token(person: str) -> str:
    """What the gateway gives to a person at the end of a sign-in."""
    now = int(time.time())
    claims: dict[str, object] = {
        "sub": person,
        "email": f"{person}@example.com",
        "groups": ["team"],
    }
    claims |= {"groups": ["team"], "aud": "claude-gateway", "iat": now, "exp": now + _TOKEN_SECONDS}
    signed = f"{_encoded({'alg': 'HS256', 'typ': 'JWT'})}.{_encoded(claims)}"
    signature = hmac.digest(_SECRET.encode(), signed.encode(), "sha256")
    return f"{signed}.{_base64(signature)}"


def _encoded(document: dict[str, object]) -> str:
    return _base64(json.dumps(document).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
