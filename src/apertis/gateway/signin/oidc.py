"""Signing in with an identity provider: authorization code with PKCE, by Authlib.

Theory of operation. `begin` leads the browser to the provider, and gives it a short-lived, signed
cookie with the state, the nonce and the PKCE verifier of this one attempt. `finish` accepts the
provider's answer only together with that cookie, so that nobody can end an attempt that another
browser began. The library checks signature, issuer, audience, times and nonce of the token; which
algorithms may sign it is said here. Discovery and keys are fetched at the first use and each hour.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import importlib
import logging
import re
import secrets
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from apertis.errors import ConfigurationError
from apertis.gateway.errors import Refusal, access_denied
from apertis.gateway.people.identity import identity_of
from apertis.installation import install_command
from apertis.tls import default_context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from apertis.gateway.config import OidcSettings
    from apertis.gateway.people.identity import Identity
    from apertis.gateway.signin.signing import Signing

CALLBACK: Final = "/console/sign-in/oidc/callback"
ATTEMPT_SECONDS: Final = 600
_TIMEOUT_SECONDS: Final = 10.0
_FRESH_SECONDS: Final = 3600.0
_PAUSE_SECONDS: Final = 5.0
_LEEWAY_SECONDS: Final = 60
_PURPOSE: Final = "oidc"
# Signatures that a provider alone can make: with a shared secret others could, too.
_ALGORITHMS: Final = frozenset(
    f"{family}{bits}" for family in ("RS", "PS", "ES") for bits in (256, 384, 512)
) | {"EdDSA", "Ed25519"}
_AWAY = Refusal(
    502,
    "api_error",
    "identity_provider_unavailable",
    "The identity provider does not answer as it should. Try again later; the log says more.",
)
_AGAIN = access_denied(
    "This sign-in was begun in another browser, too long ago, or has ended already. Begin it again."
)
_NOT_SIGNED_IN = "The identity provider did not sign you in"
_logger = logging.getLogger("apertis.gateway.signin")


class Begun(NamedTuple):
    """An attempt: where the browser goes, and the cookie that it comes back with."""

    url: str
    cookie: str

    # The cookie has the verifier.
    def __repr__(self) -> str:
        """Say that there is one."""
        return "Begun()"


class Finished(NamedTuple):
    """Whom the provider signed in, and where they wanted to go."""

    identity: Identity
    to: str


class Attempt(msgspec.Struct, frozen=True):
    """An attempt that a browser began here and that is still good."""

    state: str
    nonce: str
    verifier: str
    to: str
    until: int

    __repr__ = object.__repr__


def require_libraries() -> None:
    """Raise `ConfigurationError` where what it is done with is not installed."""
    if missing := [name for name in ("authlib", "httpx2", "joserfc") if find_spec(name) is None]:
        raise ConfigurationError(
            f"oidc.issuer needs {' and '.join(missing)}: {install_command('oidc')}"
        )


class Provider:
    """The identity provider of the settings. `now` is Unix seconds."""

    def __init__(self, settings: OidcSettings, signing: Signing, now: Callable[[], float]) -> None:
        self.settings = settings
        self._signing = signing
        self._now = now
        self._client: tuple[float, Any] | None = None
        # One that does not answer keeps nobody waiting but the first who asks.
        self._failed_at = 0.0
        self._lock = asyncio.Lock()

    async def begin(self, redirect_uri: str, to: str) -> Begun | Refusal:
        """Begin an attempt that leads `to` a path of the console."""
        attempt = Attempt(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            to=to,
            until=int(self._now()) + ATTEMPT_SECONDS,
        )
        try:
            client = await self._known()
            made = await client.create_authorization_url(
                redirect_uri,
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        except _failures() as error:
            return _told(error)
        payload = base64.urlsafe_b64encode(msgspec.json.encode(attempt)).decode()
        return Begun(made["url"], f"{payload}.{await self._signing.mac(_PURPOSE, payload)}")

    async def begun(self, query: Mapping[str, str], cookie: str | None) -> Attempt | Refusal:
        """Return the attempt that this browser began and comes back from; it costs nothing."""
        attempt = await self._attempt(cookie)
        state = query.get("state", "")
        if attempt is None or not hmac.compare_digest(state.encode(), attempt.state.encode()):
            return _AGAIN
        return attempt

    async def finish(
        self, query: Mapping[str, str], attempt: Attempt, redirect_uri: str
    ) -> Finished | Refusal:
        """End an attempt with what the provider sent the browser back with."""
        if (code := query.get("error")) is not None:
            # What else the provider says could be anybody's words.
            known = code if re.fullmatch("[a-z_]{1,60}", code) else "unknown error"
            return access_denied(f"{_NOT_SIGNED_IN}: {known}.")
        try:
            claims = await self._claims(query, attempt, redirect_uri)
        except _failures() as error:
            return _told(error)
        issuer = self.settings.issuer or ""
        return Finished(identity_of(issuer, claims, self.settings.groups_claim), attempt.to)

    async def _attempt(self, cookie: str | None) -> Attempt | None:
        payload, _, mac = (cookie or "").partition(".")
        if not mac or not await self._signing.is_mac(_PURPOSE, payload, mac):
            return None
        try:
            attempt = msgspec.json.decode(base64.urlsafe_b64decode(payload), type=Attempt)
        except (binascii.Error, msgspec.MsgspecError):
            return None
        return attempt if attempt.until > self._now() else None

    async def _claims(
        self, query: Mapping[str, str], attempt: Attempt, redirect_uri: str
    ) -> dict[str, Any]:
        client = await self._known()
        issuer = client.server_metadata["issuer"]
        if query.get("iss", issuer) != issuer:
            raise ValueError("the answer is another issuer's")
        token = await client.fetch_access_token(
            redirect_uri=redirect_uri, code=query.get("code", ""), code_verifier=attempt.verifier
        )
        claims = await client.parse_id_token(
            token,
            attempt.nonce,
            claims_options={
                "iss": {"essential": True, "value": issuer},
                "aud": {"essential": True, "value": self.settings.client_id},
            },
            leeway=_LEEWAY_SECONDS,
        )
        if not claims:
            raise ValueError("the provider gave no id_token")
        if "userinfo_endpoint" not in client.server_metadata:
            return dict(claims)
        told = await client.userinfo(token=token)
        if told.get("sub") != claims["sub"]:
            raise ValueError("the provider's user info is somebody else's")
        if "email" in claims:
            # That another address is verified says nothing of this one.
            told.pop("email_verified", None)
        # What was signed wins.
        return {**told, **claims}

    async def _known(self) -> Any:
        """Return the client with what the provider says of itself, fetched lately."""
        async with self._lock:
            now = self._now()
            if self._client is None or not 0 <= now - self._client[0] < _FRESH_SECONDS:
                if 0 <= now - self._failed_at < _PAUSE_SECONDS:
                    raise OSError("it did not answer a moment ago")
                self._failed_at = now
                self._client = now, await self._discovered()
                self._failed_at = 0.0
            return self._client[1]

    async def _discovered(self) -> Any:
        return await _discovered(self.settings)


async def provider_trouble(settings: OidcSettings) -> str | None:
    """Ask a provider what it says of itself, and for its keys; the reason that it does not work."""
    try:
        client = await _discovered(settings)
        for name in ("authorization_endpoint", "token_endpoint"):
            if not client.server_metadata.get(name):
                return f"it names no {name}"
        await client.fetch_jwk_set()
    except _failures() as error:
        return str(error) or type(error).__name__
    return None


async def _discovered(settings: OidcSettings) -> Any:
    """Return the client for what a provider says of itself."""
    # To load them takes longer than others should wait.
    made: Any = await asyncio.to_thread(
        importlib.import_module, "authlib.integrations.starlette_client"
    )
    secret = settings.client_secret
    issuer = settings.issuer or ""
    options: dict[str, Any] = {
        "scope": " ".join(settings.scopes),
        "code_challenge_method": "S256",
        "timeout": _TIMEOUT_SECONDS,
        "verify": default_context(),
        "follow_redirects": False,
    }
    client = made.StarletteOAuth2App(
        None,
        name="provider",
        client_id=settings.client_id,
        client_secret=secret and secret.reveal(),
        client_kwargs=options,
        server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
    )
    found = await client.load_server_metadata()
    if str(found.get("issuer", "")).rstrip("/") != issuer.rstrip("/"):
        raise ValueError(f"the provider calls itself {str(found.get('issuer'))[:200]!r}")
    named = found.get("id_token_signing_alg_values_supported") or ["RS256"]
    found["id_token_signing_alg_values_supported"] = [
        one for one in named if one in _ALGORITHMS
    ] or ["RS256"]
    ways = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    if secret is not None and "client_secret_basic" not in ways:
        options["token_endpoint_auth_method"] = "client_secret_post"
    return client


def _failures() -> tuple[type[Exception], ...]:
    """Return what the libraries raise where a provider is away, or says what it must not."""
    named = (
        ("httpx2", "HTTPError"),
        ("authlib.common.errors", "AuthlibBaseError"),
        ("joserfc.errors", "JoseError"),
    )
    found = (getattr(importlib.import_module(module), name) for module, name in named)
    # What is missing in what it says of itself is a KeyError or a RuntimeError.
    return (*found, ValueError, KeyError, RuntimeError, OSError)


def _told(error: Exception) -> Refusal:
    """Log why an attempt failed, and say in plain words whose fault it is."""
    reason = (str(getattr(error, "error", None) or "") or str(error))[:300]
    if type(error).__module__.startswith(("authlib", "joserfc")):
        _logger.warning("the identity provider's answer was rejected: %s", reason)
        return access_denied(f"{_NOT_SIGNED_IN}: its answer was rejected. Begin it again.")
    _logger.warning("the identity provider cannot be used: %s: %s", type(error).__name__, reason)
    return _AWAY
