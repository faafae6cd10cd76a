"""Settings as the TOML that gives them, with where each came from; no secret is in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from apertis.gateway.config.kinds import quoted
from apertis.gateway.config.settings import (
    UPSTREAM_KINDS,
    AlertSettings,
    AlertTargetSettings,
    ModelSettings,
    PriceSettings,
    Secret,
    UpstreamSettings,
    kinds_of,
)
from apertis.gateway.config.sources import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from apertis.gateway.config.read import Reading

_COLUMN = 44
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def render(reading: Reading) -> str:
    """Return the whole document.

    Read again, from a file in the same directory and with the same variables for the keys, it
    gives the same settings. Of a database's URL the password is blanked, and of the URL of a target
    of alerts that stands in the file itself all behind the host.
    """
    return "\n".join(_lines(reading)) + "\n"


def _lines(reading: Reading) -> Iterator[str]:
    settings, origins = reading.settings, reading.origins
    for name, section in SECTIONS.items():
        yield f"[{name}]"
        values = getattr(settings, name)
        for key, kind in kinds_of(section).items():
            origin = origins.get(f"{name}.{key}", "default")
            value = getattr(values, key)
            in_file = key == "url" and getattr(values, "url_file", None) is not None
            if in_file or (isinstance(value, Secret) and value.setting != key):
                # The next lines name where it is.
                value = None
            yield _commented(_pair(key, value, kind), origin)
        yield ""
        if isinstance(values, AlertSettings):
            yield from _targets(values, origins)
    for index, upstream in enumerate(settings.upstreams):
        yield _commented("[[upstreams]]", origins.get(f"upstreams[{index}]", "default"))
        yield from _upstream(upstream)
        yield ""
    kinds = kinds_of(PriceSettings)
    for model, price in settings.prices.items():
        key = model if _BARE_KEY.fullmatch(model) else quoted(model)
        yield _commented(f"[prices.{key}]", origins.get(f"prices.{model}", "default"))
        yield from (_pair(name, getattr(price, name), kind) for name, kind in kinds.items())
        yield ""


def _targets(alerts: AlertSettings, origins: Mapping[str, str]) -> Iterator[str]:
    for index, target in enumerate(alerts.targets):
        yield _commented("[[alerts.targets]]", origins.get(f"alerts.targets[{index}]", "default"))
        for name, kind in kinds_of(AlertTargetSettings).items():
            yield _pair(name, getattr(target, name), kind)
        for secret in (target.url, target.secret):
            if secret is not None:
                yield f"{secret.setting} = {quoted(secret.source)}"
        yield ""


def _upstream(upstream: UpstreamSettings) -> Iterator[str]:
    # What is built in has neither a credential nor a way to send it.
    hidden = set[str]() if UPSTREAM_KINDS[upstream.kind].url else {"auth"}
    for name, kind in kinds_of(UpstreamSettings).items():
        value = getattr(upstream, name)
        if value is not None and name not in hidden:
            yield _pair(name, value, kind)
    if upstream.api_key is not None:
        yield f"{upstream.api_key.setting} = {quoted(upstream.api_key.source)}"
    for model in upstream.models:
        yield "[[upstreams.models]]"
        for name, kind in kinds_of(ModelSettings).items():
            value = getattr(model, name)
            if value is not None:
                yield _pair(name, value, kind)


def _pair(name: str, value: Any, kind: Any) -> str:
    # TOML has no word for what is absent; where a kind has one of its own, it writes it.
    written = kind.write(value) if value is not None or kind.has_none else None
    return f"# {name} = (none)" if written is None else f"{name} = {written}"


def _commented(text: str, comment: str) -> str:
    return f"{text:{_COLUMN}}  # {comment}"
