"""A certified identity provider with a scripted browser, and one that says what it is told."""

from __future__ import annotations

import base64
import contextlib
import html
import http.client
import json
import re
import subprocess
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import pytest

from tests.gateway.clients.installing import OIDC_PROVIDER
from tests.kit.http import Response

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENT_ID = "apertis"
CLIENT_SECRET = "the-secret-of-the-gateway"
_DRIVER = Path(__file__).parents[1] / "gateway" / "clients" / "drivers" / "oidc_provider.mjs"
_FORM = re.compile(r'<form[^>]*action="([^"]*)"')
_HIDDEN = re.compile(r'<input[^>]*type="hidden"[^>]*name="([^"]*)"[^>]*value="([^"]*)"')
_MAX_STEPS = 20


@dataclass
class Browser:
    """A browser as signing in needs it: cookies by host, redirects, a provider's forms."""

    cookies: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)
    visited: list[str] = field(default_factory=list)

    def ask(self, url: str, form: dict[str, str] | None = None, **headers: str) -> Response:
        """Send one request, with the cookies of its host and port."""
        parts = urlsplit(url)
        own = self.cookies.setdefault(parts.netloc, {})
        sent = {"cookie": "; ".join(f"{name}={value}" for name, value in own.items()), **headers}
        body = None if form is None else urlencode(form)
        if body is not None:
            sent["content-type"] = "application/x-www-form-urlencoded"
        target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        with contextlib.closing(
            http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
        ) as connection:
            connection.request("GET" if form is None else "POST", target, body, sent)
            response = Response.read_from(connection)
        self.visited.append(url)
        for name, value in response.raw_headers:
            if name == "set-cookie":
                pair = value.partition(";")[0].partition("=")
                gone = "expires=thu, 01 jan 1970" in value.lower() or "max-age=0" in value.lower()
                own.pop(pair[0], None) if gone else own.update({pair[0]: pair[2]})
        return response

    def follow(
        self, url: str, account: str, *, until: str = "", form: dict[str, str] | None = None
    ) -> tuple[str, Response | None]:
        """Go where redirects and the provider's forms lead, signing in as `account`.

        It ends at the first page of the console, or before it asks for what begins with `until`.
        """
        for _ in range(_MAX_STEPS):
            if until and url.startswith(until):
                return url, None
            response = self.ask(url, form)
            form = None
            if response.status in (302, 303):
                url = urljoin(url, response.headers["location"])
                continue
            text = response.body.decode()
            found = _FORM.search(text)
            if "/interaction/" not in url or found is None:
                return url, response
            url = urljoin(url, html.unescape(found[1]))
            form = dict(_HIDDEN.findall(text)) | {"login": account, "password": "any"}
        raise AssertionError(f"it leads nowhere: {self.visited}")


@dataclass(frozen=True)
class CertifiedProvider:
    """The certified provider, which waits to be told who is its client."""

    issuer: str
    process: subprocess.Popen[str] = field(repr=False)

    def serve(self, redirect_uri: str, accounts: dict[str, dict[str, Any]]) -> None:
        client = {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "redirect_uris": [redirect_uri],
            "response_types": ["code"],
            "grant_types": ["authorization_code"],
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"client": client, "accounts": accounts}) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "ready\n"


@contextlib.contextmanager
def certified_provider() -> Iterator[CertifiedProvider]:
    """Run the certified provider; the test is skipped where it is not installed."""
    if OIDC_PROVIDER.missing is not None:
        pytest.skip(OIDC_PROVIDER.missing)
    with subprocess.Popen(
        ["node", str(_DRIVER), str(OIDC_PROVIDER.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    ) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            assert port, "it did not start"
            yield CertifiedProvider(f"http://127.0.0.1:{port}", process)
        finally:
            process.kill()


def _in_base64(text: bytes) -> bytes:
    return base64.urlsafe_b64encode(text).rstrip(b"=")


class Issuer:
    """A provider that says what a test wants: `claims`, `header`, `metadata` and `told` change it.

    Each code is what `code_for` made of the URL that the browser was led to.
    """

    def __init__(self) -> None:
        from joserfc.jwk import RSAKey

        self.key = RSAKey.generate_key(2048, {"kid": "one", "alg": "RS256", "use": "sig"})
        self.sub = "ann-1"
        # Over what an honest provider would say; None leaves a claim out.
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        # The user info.
        self.told: dict[str, Any] = {}
        # A key, or a function that signs by itself what no library would.
        self.signed_with: Any = self.key
        self.nonces: dict[str, str] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def code_for(self, url: str) -> tuple[str, str]:
        """Return code and state, as a provider gives them to a browser that it signed in."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        self.nonces["a-code"] = asked["nonce"]
        return "a-code", asked["state"]

    def answer(self, path: str, form: dict[str, str]) -> tuple[int, Any]:
        if path == "/.well-known/openid-configuration":
            return 200, {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/jwks",
                "userinfo_endpoint": f"{self.url}/me",
                "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
                **self.metadata,
            }
        if path == "/jwks":
            return 200, {"keys": [self.key.as_dict(private=False)]}
        if path == "/me":
            return 200, {"sub": self.sub, **self.told}
        nonce = self.nonces.pop(form.get("code", ""), None)
        if path != "/token" or nonce is None:
            return 400, {"error": "invalid_grant"}
        return 200, {
            "access_token": "an-access-token",
            "token_type": "Bearer",
            "id_token": self._token(nonce),
        }

    def _token(self, nonce: str) -> str:
        from joserfc import jws

        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": self.sub,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "name": "Ann",
            "email": "ann@example.com",
            "email_verified": True,
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": "RS256", "kid": "one", **self.header}
        payload = json.dumps(claims).encode()
        if not callable(self.signed_with):
            return jws.serialize_compact(header, payload, self.signed_with)
        body = b".".join(map(_in_base64, (json.dumps(header).encode(), payload)))
        return b".".join((body, _in_base64(self.signed_with(body)))).decode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer({})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                self._answer({name: values[0] for name, values in parse_qs(body).items()})

            def _answer(self, form: dict[str, str]) -> None:
                path = urlsplit(self.path).path
                issuer.asked.append((path, form))
                status, said = issuer.answer(path, form)
                body = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


@contextlib.contextmanager
def issuer() -> Iterator[Issuer]:
    """Run a provider that says what it is told."""
    pytest.importorskip("joserfc")
    made = Issuer()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        thread.join()
        made.server.server_close()


def settings_for(issuer_url: str, more: str = "") -> str:
    """The settings of a gateway that is the client of a provider; its secret is in OIDC_SECRET."""
    return (
        f'[oidc]\nissuer = "{issuer_url}"\nclient_id = "{CLIENT_ID}"\n'
        f'client_secret_env = "OIDC_SECRET"\n{more}\n'
    )
