"""The TLS context of both clients: the system's trust, unless told otherwise."""

from __future__ import annotations

import os
import re
import socket
import ssl
import sys

import truststore

from apertis.errors import ConfigurationError
from apertis.sansio.outcome import Failure

# What OpenSSL calls a response that is no TLS at all.
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"})
# What helps a user whose server is not there; the server itself says it to nobody.
SERVER_HINT = " (`apertis serve` runs a server)"


def checked_context(context: ssl.SSLContext | None) -> ssl.SSLContext | None:
    """Return the context, if connections can be made with it."""
    if context is not None and not hasattr(context, "wrap_bio"):
        raise ConfigurationError(
            f"ssl_context must be an ssl.SSLContext; it is {type(context).__name__}"
        )
    return context


class Trust:
    """The TLS context of a client: the caller's, or the default one, made at its first use."""

    __slots__ = ("_context",)

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = checked_context(context)

    def context(self) -> ssl.SSLContext:
        """Return the context."""
        if self._context is None:
            self._context = default_context()
        return self._context


def default_context() -> ssl.SSLContext:
    """Create a context with the system's trusted certificates, or `SSL_CERT_FILE` if set.

    On Linux OpenSSL itself heeds the variable; elsewhere the system's verifier would pass it by.
    """
    bundle = os.environ.get("SSL_CERT_FILE")
    if bundle:
        try:
            context = ssl.create_default_context(cafile=bundle)
        except OSError as error:
            reason = error.strerror or error
            raise ConfigurationError(
                f"SSL_CERT_FILE names {bundle!r}, which has no certificates: {reason}"
            ) from error
    else:
        context = _system_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _system_context() -> ssl.SSLContext:
    context: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if sys.platform in {"darwin", "win32"}:
        return context
    # Elsewhere truststore finds the system's certificates and leaves the check to OpenSSL. It reads
    # them again for each connection, and holds one lock during every handshake: a server that does
    # not answer would stop the other threads. The context behind its first connection has them.
    found = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost").context
    found.sslsocket_class = ssl.SSLSocket
    found.sslobject_class = ssl.SSLObject
    return found


def failure_of(error: OSError, where: str, deadline: str = "connect") -> Failure:
    """Return the reason that no connection to `where` was made, for a person to read.

    `deadline` is the one that ends the attempt when its time is up.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = f"the certificate of {where} is not trusted: {error.verify_message}"
        return Failure(reason, where, permanent=True, unsent=True, cause=error)
    if isinstance(error, ssl.SSLError):
        plain = error.reason in _NO_TLS
        said = "it does not speak it; is its URL http://?" if plain else error.reason or error
        reason = f"cannot speak TLS with {where}: {said}"
        return Failure(reason, where, permanent=plain, unsent=True, cause=error)
    if isinstance(error, TimeoutError):
        reason = f"cannot connect to {where}: it did not answer (timeout: {deadline})"
        return Failure(reason, where, deadline, unsent=True, cause=error)
    # Who cannot reach a proxy needs another one, not a server.
    hint = "" if where.startswith("the proxy ") else SERVER_HINT
    reason = f"cannot connect to {where}: {_said(error)}{hint}"
    return Failure(reason, where, unsent=True, cause=error)


def _said(error: OSError) -> str:
    """Return the system's own message: asyncio adds addresses and an error for each."""
    numbers = re.findall(r"\[Errno (\d+)\]", str(error))
    if numbers and not isinstance(error, socket.gaierror):
        return os.strerror(int(numbers[-1])).lower()
    return (error.strerror or str(error) or type(error).__name__).lower()
