"""Targets of alerts: webhooks over the SDK's connections, and others through apprise.

Nothing of a URL or a secret is in what they say of a failure, nor what a target answered.
"""

from __future__ import annotations

import asyncio
import importlib
import ipaddress
import logging
import os
import socket
import threading
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec

from apertis.aio.wire import Wire
from apertis.errors import ConfigurationError
from apertis.gateway.alerts.decide import event_of
from apertis.gateway.alerts.signing import signed_headers
from apertis.gateway.config.targets import WEBHOOK_SCHEMES, webhook_key
from apertis.installation import install_command
from apertis.sansio.outcome import Failure
from apertis.sansio.proxy import choose_proxy
from apertis.sansio.request import Origin
from apertis.sansio.timeouts import Limits
from apertis.tls import SERVER_HINT
from apertis.version import __version__

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from apertis.gateway.config import AlertSettings, AlertTargetSettings
    from apertis.gateway.store.alerts import ToldAlert

_GONE = 410
_PORTS = {"https": 443, "http": 80}
# Addresses of IPv4 that stand in one of IPv6, by NAT64 (RFC 6052).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_MAX_CONNECTIONS: Final = 10


class Outcome(msgspec.Struct, frozen=True):
    """The end of an attempt: delivered without an `error`; `is_final` rules out another one."""

    error: str | None = None
    is_final: bool = False


DELIVERED: Final = Outcome()


class Target(Protocol):
    """A place that alerts are sent to."""

    name: str

    async def send(self, told: ToldAlert) -> Outcome:
        """Try once, within the time that there is."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the public internet."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def build_targets(settings: AlertSettings) -> tuple[Target, ...]:
    """Make the targets of the settings; `ConfigurationError` where a library for one is missing."""
    return tuple(_target(own, settings) for own in settings.targets)


def _target(own: AlertTargetSettings, settings: AlertSettings) -> Target:
    seconds, private = settings.timeout_seconds, settings.allow_private_addresses
    if own.scheme in WEBHOOK_SCHEMES:
        key = None if own.secret is None else webhook_key(own.secret.reveal())
        if key is None:
            raise ConfigurationError(
                f"the target {own.name!r} of alerts has no secret to sign with"
            )
        return Webhook(own.name, own.url.reveal(), key, seconds, allow_private=private)
    if find_spec("apprise") is None:
        raise ConfigurationError(
            f"the target {own.name!r} of alerts needs apprise: {install_command('alerts')}"
        )
    return AppriseTarget(own.name, own.url.reveal(), seconds, allow_private=private)


class Webhook:
    """A webhook that gets a JSON object by POST, signed as Standard Webhooks say.

    Any 2xx is a delivery, 410 the end of all attempts. Redirects are not followed, for they could
    lead where the settings do not, and what else a target answers is not read.
    """

    def __init__(
        self,
        name: str,
        url: str,
        key: bytes,
        seconds: float,
        *,
        allow_private: bool = False,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(url)
        self.name = name
        try:
            host = (parts.hostname or "").encode("idna").decode("ascii")
        except UnicodeError:
            raise ConfigurationError(f"the target {name!r} of alerts has no host name") from None
        self._origin = Origin(parts.scheme, host, parts.port or _PORTS[parts.scheme])
        path = parts.path or "/"
        self._path = f"{path}?{parts.query}" if parts.query else path
        self._key = key
        self._seconds = seconds
        self._clock = clock
        permits = None if allow_private else is_public
        self._permits = permits
        self._wire = Wire(proxy=None, tls=tls, max_connections=_MAX_CONNECTIONS, permits=permits)

    def __repr__(self) -> str:
        return f"Webhook({self.name!r})"

    async def send(self, told: ToldAlert) -> Outcome:
        """Try once."""
        if not self._may_be_asked_of_a_proxy():
            return Outcome(f"{self._origin.host} may not be connected to{_SETTING}")
        body = msgspec.json.encode(event_of(told.alert, told.at_ms))
        until = asyncio.get_running_loop().time() + self._seconds
        limits = Limits(self._seconds, self._seconds, self._seconds, until)
        head = self._head(told.message_id, body)
        answer = await self._wire.open(self._origin, "POST", head, body, limits)
        if isinstance(answer, Failure):
            reason = answer.reason.removesuffix(SERVER_HINT)
            hint = _SETTING if isinstance(answer.cause, PermissionError) else ""
            return Outcome(f"{reason}{hint}")
        answer.hang_up()
        return _judged(answer.status)

    def _head(self, message_id: str, body: bytes) -> bytes:
        headers = {
            "host": self._origin.authority,
            "user-agent": f"apertis/{__version__}",
            "content-type": "application/json",
            "accept-encoding": "identity",
            "content-length": str(len(body)),
            **signed_headers(self._key, message_id, int(self._clock()), body),
        }
        lines = [
            f"POST {self._path} HTTP/1.1",
            *(f"{name}: {text}" for name, text in headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode("ascii")

    def _may_be_asked_of_a_proxy(self) -> bool:
        """Check an address that is written out; a proxy that connects looks names up itself."""
        if self._permits is None or choose_proxy(self._origin, None, os.environ) is None:
            return True
        try:
            ipaddress.ip_address(self._origin.host)
        except ValueError:
            return self._origin.host != "localhost"
        return self._permits(self._origin.host)

    async def close(self) -> None:
        """Close its connections."""
        await self._wire.close(for_good=True)


_SETTING = " (see alerts.allow_private_addresses)"


def _judged(status: int) -> Outcome:
    if 200 <= status < 300:
        return DELIVERED
    if 300 <= status < 400:
        return Outcome(f"it answered {status}: redirects are not followed")
    if status == _GONE:
        return Outcome("it answered 410: nothing is wanted there any more", is_final=True)
    return Outcome(f"it answered {status}")


class AppriseTarget:
    """A target that apprise knows. Its library blocks, so each attempt has a thread of its own.

    One that does not end in time goes on in its thread, which nothing waits for; until it ends
    there is no other.
    """

    def __init__(self, name: str, url: str, seconds: float, *, allow_private: bool = False) -> None:
        self.name = name
        self._url = url
        self._seconds = seconds
        self._allow_private = allow_private
        self._busy = False

    def __repr__(self) -> str:
        return f"AppriseTarget({self.name!r})"

    async def send(self, told: ToldAlert) -> Outcome:
        """Try once."""
        if self._busy:
            return Outcome("the attempt before has not ended yet")
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Outcome] = loop.create_future()

        def tell(outcome: Outcome) -> None:
            self._busy = False
            if not ended.done():
                ended.set_result(outcome)

        def work() -> None:
            outcome = self._notify(told)
            try:
                loop.call_soon_threadsafe(tell, outcome)
            except RuntimeError:
                # The loop is closed: nobody wants to know.
                self._busy = False

        self._busy = True
        threading.Thread(target=work, name="alerts", daemon=True).start()
        try:
            async with asyncio.timeout(self._seconds):
                return await ended
        except TimeoutError:
            return Outcome(f"it took longer than {self._seconds:g} seconds")

    def _notify(self, told: ToldAlert) -> Outcome:
        try:
            return self._notified(told)
        except Exception as error:  # noqa: BLE001 - its plugins are many, and so are their errors.
            # Their messages may have the URL in them.
            return Outcome(f"apprise failed: {type(error).__name__}")

    def _notified(self, told: ToldAlert) -> Outcome:
        # Its types are unknown where it is not installed.
        apprise: Any = importlib.import_module("apprise")
        # At some levels they log URLs.
        for name in ("apprise", "urllib3", "requests"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        asset = apprise.AppriseAsset(
            app_id="Apertis",
            async_mode=False,
            secure_logging=True,
            storage_mode=apprise.PersistentStoreMode.MEMORY,
            http_redirects=False,
        )
        plugin = apprise.Apprise.instantiate(self._url, asset=asset)
        if plugin is None:
            return Outcome("apprise does not understand its URL", is_final=True)
        # Others go to the hosts of their services.
        host = getattr(plugin, "smtp_host", None)
        if host is None and self._url.startswith("workflows:"):
            host = plugin.host
        if host and not self._allow_private and (told_why := _not_public(host)) is not None:
            return Outcome(told_why)
        alert = told.alert
        kind = {"info": "info", "warning": "warning", "error": "failure"}[alert.level]
        service = apprise.Apprise(asset=asset)
        service.add(plugin)
        sent = service.notify(
            body=alert.text, title=f"Apertis: {_TITLES[alert.kind]}", notify_type=kind
        )
        return DELIVERED if sent else Outcome(f"{plugin.service_name} did not take it")

    async def close(self) -> None:
        """Do nothing: nothing is kept open."""


_TITLES = {
    "budget": "budget",
    "breaker": "upstream",
    "key": "key ends soon",
    "spike": "spending",
    "journal": "journal",
    "test": "test",
}


def _not_public(host: str) -> str | None:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        return f"cannot look up {host}: {error.strerror}"
    addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
    if all(map(is_public, addresses)):
        return None
    return f"{host} is {' and '.join(addresses)}, which may not be connected to{_SETTING}"
