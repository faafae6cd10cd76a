"""The tables of the targets of alerts, with their URLs and secrets."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from apertis.gateway.config.settings import AlertTargetSettings, Secret, kinds_of
from apertis.gateway.config.tables import credential

if TYPE_CHECKING:
    from collections.abc import Collection

    from apertis.gateway.config.origin import Origin, RawSetting, Reader

WEBHOOK_SCHEMES: Final = frozenset({"https", "http"})
SECRET_PREFIX: Final = "whsec_"
MIN_SECRET_BYTES: Final = 24
MAX_SECRET_BYTES: Final = 64
_URL_SETTINGS = ("url", "url_env", "url_file")
_SECRET_SETTINGS = ("secret_env", "secret_file")
_IN_THE_FILE = (
    "is rejected: a secret does not belong in the configuration. Put it into an environment "
    "variable named by secret_env, or into a file named by secret_file"
)
_NO_SECRET = (
    "needs secret_env or secret_file: a webhook's messages are signed, with a secret that is "
    "whsec_ and 24 to 64 random bytes in base64"
)


def read_targets(
    given: RawSetting, schemes: Collection[str], reader: Reader
) -> tuple[tuple[AlertTargetSettings, Origin], ...]:
    """Return the targets, each with the place of its table; those that cannot be are left out."""
    return reader.named(given, lambda element: _target(element, schemes, reader))


def _target(
    given: RawSetting, schemes: Collection[str], reader: Reader
) -> AlertTargetSettings | None:
    kinds = kinds_of(AlertTargetSettings)
    if "secret" in (given.table or {}):
        reader.problem(given / "secret", _IN_THE_FILE)
    fields = reader.table(given, (*kinds, *_URL_SETTINGS, *_SECRET_SETTINGS, "secret"))
    if fields is None:
        return None
    values: dict[str, Any] = {"name": ""} | reader.values(fields, kinds)
    if "name" not in fields:
        reader.problem(given.place, "needs a name")
    url = _url(given, fields, reader)
    secret = credential(given, fields, reader, of="secret", noun="secret")
    if url is None:
        return None
    target = AlertTargetSettings(**values, url=url, secret=secret)
    flaw = _url_flaw(url.reveal(), schemes)
    if flaw is not None:
        reader.problem(given / url.setting, flaw)
    elif target.scheme in WEBHOOK_SCHEMES:
        if secret is None and not any(name in fields for name in (*_SECRET_SETTINGS, "secret")):
            reader.problem(given.place, _NO_SECRET)
        elif secret is not None and webhook_key(secret.reveal()) is None:
            reader.problem(
                given / secret.setting,
                f"names {secret.source}, which has no such secret: it must be whsec_ and 24 to 64 "
                "bytes in base64",
            )
    elif secret is not None:
        reader.problem(
            given / secret.setting, f"has no meaning for {target.scheme}: only webhooks are signed"
        )
    return target


def _url(given: RawSetting, fields: dict[str, RawSetting], reader: Reader) -> Secret | None:
    named = [name for name in _URL_SETTINGS if name in fields]
    if len(named) != 1:
        which = " and ".join(named) if named else "no URL"
        reader.problem(given.place, f"has {which}: name it by one of {', '.join(_URL_SETTINGS)}")
        return None
    if named != ["url"]:
        return credential(given, fields, reader, of="url", noun="URL")
    written = fields["url"].value
    if not isinstance(written, str) or not written.strip():
        reader.problem(fields["url"].place, "must be a URL")
        return None
    return Secret(written.strip(), setting="url", source=host_alone(written.strip()))


def host_alone(url: str) -> str:
    """Return the URL as far as it can be shown: tokens are behind the host, or before it."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return "***"
    shown = f"{parts.scheme}://{host}" if parts.scheme in WEBHOOK_SCHEMES and host else ""
    return f"{shown}/***" if shown else f"{parts.scheme}://***"


def _url_flaw(url: str, schemes: Collection[str]) -> str | None:
    """Return the reason that a target cannot have this URL; nothing of it is shown."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "has no URL: its host or port is invalid"
    if not parts.scheme or "://" not in url or not url.isascii() or not url.isprintable():
        return "has no URL: it must look like https://host/path"
    if "***" in url:
        return "has a URL of which 'config show' blanked the rest: write it out again"
    if parts.scheme not in schemes:
        return (
            f"has a URL of the scheme {parts.scheme[:20]!r}, which alerts.schemes does not allow: "
            f"{', '.join(schemes)}"
        )
    if parts.scheme not in WEBHOOK_SCHEMES:
        return None
    if not parts.hostname or " " in url:
        return "has no URL: it must look like https://host/path"
    if parts.username is not None or parts.password is not None:
        return "has a URL with a user or a password in it: webhooks are known by their signature"
    return None


def webhook_key(secret: str) -> bytes | None:
    """Return the key that a `whsec_` secret stands for; None if it is no such secret."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    fits = MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES
    return key if fits and secret.startswith(SECRET_PREFIX) else None
