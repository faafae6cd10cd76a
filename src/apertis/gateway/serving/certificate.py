"""A certificate and its key, read as a server will, by a handshake within this process."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED.
_NOT_YET_VALID = 9
_EXPIRED = 10


@dataclass(frozen=True, slots=True)
class Certificate:
    """Whom it is for, and until when (Unix time)."""

    names: tuple[str, ...]
    expires_at: float


class CertificateError(Exception):
    """A certificate that cannot be used; the message says why, and what to do."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice


def read_certificate(certificate: Path, key: Path) -> Certificate:
    """Return the certificate of two PEM files; `CertificateError` if no client would take it."""
    found = _shake_hands(server_context(certificate, key), certificate)
    # Pairs of a kind and a name: ("DNS", "gateway.example.com").
    names = found.get("subjectAltName", ())
    expires_at = ssl.cert_time_to_seconds(found["notAfter"])
    return Certificate(tuple(name for _, name in names), expires_at)


def fingerprint(certificate: Path) -> str:
    """Return the SHA-256 of the first certificate of a PEM file, as Claude Code shows it."""
    pem, end, _ = certificate.read_text("ascii", "replace").partition("-----END CERTIFICATE-----")
    begin = pem.rindex("-----BEGIN CERTIFICATE-----")
    der = ssl.PEM_cert_to_DER_cert(pem[begin:] + end)
    return hashlib.sha256(der).hexdigest()


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Create a server's context from two PEM files; `CertificateError` if they are unusable."""
    asked = False

    def no_password() -> str:
        nonlocal asked
        asked = True
        return ""

    for path in (certificate, key):
        try:
            path.read_bytes()
        except OSError as error:
            message = f"{path} cannot be read: {error.strerror}"
            raise CertificateError(message, "correct its path, or who may read it") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, no_password)
    except ssl.SSLError as error:
        if asked:
            message = f"{key} is encrypted, and nobody is there to type its password"
            advice = "keep it without one: openssl pkey -in FILE -out PLAIN_FILE"
        elif error.reason == "KEY_VALUES_MISMATCH":
            message = f"{key} is not the key of {certificate}"
            advice = "name the two files that were made together"
        else:
            message = f"{certificate} and {key} are not a PEM certificate with its key"
            advice = "give the chain, the gateway's own certificate first, and its private key"
        raise CertificateError(message, advice) from None
    return context


def _shake_hands(server_context: ssl.SSLContext, certificate: Path) -> Mapping[str, Any]:
    """Return the problem that a client sees which trusts exactly this certificate."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client_context.load_verify_locations(certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server)
    try:
        while not (_advance(client) & _advance(server)):
            pass
    except ssl.SSLCertVerificationError as error:
        advice = "renew it"
        if error.verify_code == _EXPIRED:
            raise CertificateError(f"{certificate} has expired", advice) from None
        if error.verify_code == _NOT_YET_VALID:
            advice = "check this machine's clock"
        raise CertificateError(f"{certificate}: {error.verify_message}", advice) from None
    return client.getpeercert() or {}


def _advance(side: ssl.SSLObject) -> bool:
    """Go on with a handshake; whether it is complete."""
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
