"""Findings about the console: how people reach it, and how they sign in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.config import read_settings
from apertis.gateway.doctor.diagnosis import console_finding, provider_findings
from apertis.gateway.finding import State
from tests.kit.providers import issuer, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from apertis.gateway.config import Settings

OIDC = '[oidc]\nissuer = "https://login.example.com"\nclient_id = "a"\n'
OPEN = '[server]\nhost = "0.0.0.0"\n'
PUBLIC = f'{OPEN}public_url = "https://claude.example.com"\n'
CLEAR = f'{OPEN}public_url = "http://claude.example.com"\n'
KEYS = "[console]\nkeys = true\n"


def settings_of(tmp_path: Path, text: str, **environment: str) -> Settings:
    file = tmp_path / "apertis.toml"
    file.write_text(text)
    return read_settings(environment, config=file, data=tmp_path)


@pytest.mark.parametrize(
    ("text", "state", "words"),
    [
        ("", State.OK, "http://127.0.0.1:8000, signing in with API keys"),
        (OPEN, State.OK, "not served"),
        (f"{PUBLIC}{OIDC}", State.OK, "signing in with https://login.example.com"),
        (f"{CLEAR}{OIDC}", State.WARN, "without TLS"),
        (f"{CLEAR}{KEYS}", State.WARN, "without TLS"),
        (f"{PUBLIC}{KEYS}", State.WARN, "administers from anywhere"),
        (f'{PUBLIC}{KEYS}allowed_addresses = ["10.0.0.0/8"]\n', State.OK, "API keys"),
        (f'{PUBLIC}{OIDC}unknown_people = "create"\n', State.WARN, "becomes a person here"),
        (
            f'{PUBLIC}{OIDC}unknown_people = "create"\nallowed_domains = ["example.com"]\n',
            State.OK,
            "https://claude.example.com",
        ),
        ("[console]\nkeys = false\n", State.WARN, "nobody can sign in"),
    ],
)
def test_the_console_is_told_of_with_what_may_not_be_intended(
    tmp_path: Path, text: str, state: State, words: str
) -> None:
    finding = console_finding(settings_of(tmp_path, text))
    assert (finding.subject, finding.state) == ("console", state), finding.message
    assert words in finding.message
    assert (finding.advice is None) == (state is State.OK)


def test_the_identity_provider_is_asked_whether_it_is_what_it_is_called(tmp_path: Path) -> None:
    with issuer() as provider:
        settings = settings_of(tmp_path, settings_for(provider.url), OIDC_SECRET="x")
        (found,) = asyncio.run(provider_findings(settings))
        assert found.state is State.OK
        provider.metadata = {"issuer": "https://evil.example"}
        (found,) = asyncio.run(provider_findings(settings))
        assert (found.subject, found.state) == ("identity provider", State.FAIL)
        assert "calls itself 'https://evil.example'" in found.message
        provider.metadata = {"token_endpoint": None}
        (found,) = asyncio.run(provider_findings(settings))
        assert "it names no token_endpoint" in found.message
    (found,) = asyncio.run(provider_findings(settings))
    assert found.state is State.FAIL
    assert asyncio.run(provider_findings(settings_of(tmp_path, ""))) == ()
