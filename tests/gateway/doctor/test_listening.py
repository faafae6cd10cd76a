from __future__ import annotations

import datetime as dt
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from apertis.gateway.config import ServerSettings, Settings, StoreSettings
from apertis.gateway.config.settings import ConsoleSettings, SignInSettings
from apertis.gateway.doctor import State
from apertis.gateway.doctor.diagnosis import (
    address_finding,
    proxies_finding,
    sign_in_finding,
    tls_finding,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.doctor import Finding

    Issue = Callable[..., ServerSettings]

DAY_SECONDS = 86400


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def issue(authority: trustme.CA, tmp_path: Path) -> Issue:
    """A server with a certificate that is valid from one day to another, counted from now."""

    def issue_certificate(begins_days: int = -1, ends_days: int = 90) -> ServerSettings:
        now = dt.datetime.now(dt.UTC)
        issued = authority.issue_cert(
            "gateway.example.com",
            "10.0.0.7",
            not_before=now + dt.timedelta(begins_days),
            not_after=now + dt.timedelta(ends_days),
        )
        certificate, key = tmp_path / "gateway.pem", tmp_path / "gateway.key"
        chain = (*issued.cert_chain_pems, authority.cert_pem)
        certificate.write_bytes(b"".join(pem.bytes() for pem in chain))
        key.write_bytes(issued.private_key_pem.bytes())
        return ServerSettings(tls_certificate=certificate, tls_key=key)

    return issue_certificate


def finding_of(server: ServerSettings) -> Finding:
    return tls_finding(server, time.time())


def test_a_good_certificate_is_told_with_its_names_and_its_days(issue: Issue) -> None:
    finding = finding_of(issue(ends_days=90))
    assert finding.state is State.OK
    assert "gateway.example.com, 10.0.0.7" in finding.message
    assert "valid for 89 more days" in finding.message


def test_the_certificate_that_clients_pin_is_told_as_they_show_it(issue: Issue) -> None:
    server = replace(issue(ends_days=90), host="0.0.0.0", public_url="https://claude.example.com")
    assert server.tls_certificate is not None
    settings = Settings(
        StoreSettings(Path("data")), server, console=ConsoleSettings(enabled=True, keys=True)
    )
    told = sign_in_finding(settings)
    shown = x509.load_pem_x509_certificate(server.tls_certificate.read_bytes())
    pinned = shown.fingerprint(hashes.SHA256()).hex()
    assert told.state is State.OK
    assert "pins the certificate" in told.message
    assert pinned in told.message


@pytest.mark.parametrize(
    ("url", "enabled", "state", "words"),
    [
        (None, True, State.OK, "without a certificate"),
        (None, False, State.OK, "sign_in.enabled is false"),
        ("https://claude.example.com", True, State.OK, "is your proxy's"),
        ("http://claude.example.com", True, State.WARN, "plain HTTP"),
        ("http://localhost:8000", True, State.OK, "without a certificate"),
    ],
)
def test_it_is_told_whether_claude_code_can_sign_in(
    url: str | None, enabled: bool, state: State, words: str
) -> None:
    settings = Settings(
        StoreSettings(Path("data")),
        ServerSettings(public_url=url),
        sign_in=SignInSettings(enabled=enabled),
    )
    finding = sign_in_finding(settings)
    assert finding.state is state
    assert words in finding.message
    assert (finding.advice is not None) == (state is State.WARN)


def test_a_certificate_that_ends_soon_is_a_warning(issue: Issue) -> None:
    server = issue(ends_days=90)
    assert tls_finding(server, time.time() + 75 * DAY_SECONDS).state is State.OK
    finding = tls_finding(server, time.time() + 76 * DAY_SECONDS)
    assert (finding.state, finding.advice) == (State.WARN, "renew it")


@pytest.mark.parametrize(
    ("begins", "ends", "words"), [(-9, -1, "has expired"), (1, 9, "is not yet valid")]
)
def test_a_certificate_out_of_its_time_is_a_failure(
    issue: Issue, begins: int, ends: int, words: str
) -> None:
    finding = finding_of(issue(begins, ends))
    assert finding.state is State.FAIL
    assert words in finding.message


def test_a_key_of_another_certificate_is_a_failure(issue: Issue, tmp_path: Path) -> None:
    server = issue()
    assert server.tls_key is not None
    other = tmp_path / "other.key"
    other.write_bytes(trustme.CA().issue_cert("x").private_key_pem.bytes())
    finding = finding_of(replace(server, tls_key=other))
    assert finding.state is State.FAIL
    assert f"{other} is not the key of" in finding.message


def test_an_encrypted_key_is_a_failure_and_nobody_is_asked(issue: Issue) -> None:
    server = issue()
    assert server.tls_key is not None
    key = serialization.load_pem_private_key(server.tls_key.read_bytes(), None)
    server.tls_key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hush"),
        )
    )
    finding = finding_of(server)
    assert finding.state is State.FAIL
    assert "is encrypted" in finding.message


def test_files_that_are_none_are_a_failure(issue: Issue, tmp_path: Path) -> None:
    server = issue()
    assert server.tls_certificate is not None
    server.tls_certificate.write_text("no PEM at all")
    finding = finding_of(server)
    assert finding.state is State.FAIL
    assert "are not a PEM certificate with its key" in finding.message
    finding = finding_of(replace(server, tls_certificate=tmp_path))
    assert finding.state is State.FAIL
    assert f"{tmp_path} cannot be read: Is a directory" in finding.message


def test_without_tls_nothing_is_wrong() -> None:
    assert finding_of(ServerSettings()).state is State.OK


@pytest.mark.parametrize(
    ("host", "has_tls", "proxies", "state"),
    [
        ("127.0.0.1", False, (), State.OK),
        ("0.0.0.0", True, (), State.OK),
        ("0.0.0.0", False, ("10.0.0.0/8",), State.OK),
        ("0.0.0.0", False, (), State.WARN),
        ("gateway.example.com", False, (), State.WARN),
    ],
)
def test_a_public_address_without_tls_is_a_warning(
    host: str, has_tls: bool, proxies: tuple[str, ...], state: State, tmp_path: Path
) -> None:
    certificate = tmp_path if has_tls else None
    server = ServerSettings(host, tls_certificate=certificate, trusted_proxies=proxies)
    assert address_finding(server).state is state


@pytest.mark.parametrize(
    ("proxies", "state", "words"),
    [
        ((), State.OK, "that of its connection"),
        (("10.0.0.0/8", "::1"), State.OK, "believed from 10.0.0.0/8, ::1/128"),
        (("10.0.0.0/8", "0.0.0.0/0"), State.WARN, "0.0.0.0/0 is everybody"),
        (("::/0",), State.WARN, "::/0 is everybody"),
    ],
)
def test_everybody_as_a_proxy_is_a_warning(
    proxies: tuple[str, ...], state: State, words: str
) -> None:
    finding = proxies_finding(ServerSettings(trusted_proxies=proxies))
    assert finding.state is state
    assert words in finding.message
