"""The TLS context of both clients: the system's trust, unless told otherwise."""

from __future__ import annotations

import os
import ssl

import truststore

from apertis.sansio.outcome import Failure


def default_context() -> ssl.SSLContext:
    """A context that trusts what the operating system trusts, or `SSL_CERT_FILE` where it is set.

    On Linux OpenSSL itself heeds the variable; elsewhere the system's verifier would pass it by.
    """
    bundle = os.environ.get("SSL_CERT_FILE")
    context: ssl.SSLContext
    if bundle:
        context = ssl.create_default_context(cafile=bundle)
    else:
        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    return context


def failure_of(error: OSError, where: str) -> Failure:
    """Why no connection to `where` came about, for a person to read."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = f"the certificate of {where} is not trusted: {error.verify_message}"
        return Failure(reason, where, connecting=True, permanent=True, cause=error)
    if isinstance(error, ssl.SSLError):
        reason = f"cannot speak TLS with {where}: {error.reason or error}"
        return Failure(reason, where, connecting=True, cause=error)
    if isinstance(error, TimeoutError):
        return Failure(f"cannot connect to {where}: it did not answer", where, "connect",
                       connecting=True, cause=error)  # fmt: skip
    text = (error.strerror or str(error) or type(error).__name__).lower()
    reason = f"cannot connect to {where}: {text} (`apertis serve` runs a server)"
    return Failure(reason, where, connecting=True, cause=error)
