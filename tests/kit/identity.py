"""A certified OpenID Connect provider on a free loopback port, where a browser signs in."""

from __future__ import annotations

import contextlib
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.gateway.clients.installing import OIDC_PROVIDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from playwright.sync_api import Page

DRIVER = Path(__file__).parents[1] / "gateway" / "clients" / "drivers" / "oidc_provider.mjs"
needs_provider = pytest.mark.skipif(
    OIDC_PROVIDER.missing is not None, reason=str(OIDC_PROVIDER.missing)
)
_STOP_SECONDS = 10


@dataclass(frozen=True)
class IdentityProvider:
    """A provider that runs, with the one client that it knows."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)


@contextlib.contextmanager
def identity_provider(
    redirect_uris: Sequence[str], accounts: Mapping[str, Mapping[str, Any]], **client: Any
) -> Iterator[IdentityProvider]:
    """Run a provider. `accounts` are the claims of each name that one can sign in with."""
    known = IdentityProvider("", "apertis", "a secret of thirty-two characters")
    given = {
        "client": {
            "client_id": known.client_id,
            "client_secret": known.client_secret,
            "redirect_uris": list(redirect_uris),
            **client,
        },
        "accounts": accounts,
    }
    with subprocess.Popen(
        ["node", str(DRIVER), str(OIDC_PROVIDER.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # It warns that its own pages are for development.
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(given) + "\n")
            process.stdin.flush()
            told = next(line for line in process.stdout if line.startswith("{"))
            issuer = json.loads(told)["issuer"]
            yield IdentityProvider(issuer, known.client_id, known.client_secret)
        finally:
            process.stdin.close()
            process.wait(_STOP_SECONDS)


def sign_in_at_provider(page: Page, name: str) -> None:
    """Enter a name at the provider, and allow the client what it asks for."""
    page.locator("[name=login]").fill(name)
    page.locator("[name=password]").fill("any")
    page.locator("[type=submit]").click()
    page.get_by_role("button", name="Continue").click()
