"""Settings as the TOML that gives them, with where each came from; no secret is in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

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
    from collections.abc import Iterable, Iterator, Mapping

    from apertis.gateway.config.kinds import Kind
    from apertis.gateway.config.settings import Settings

DEFAULT: Final = "default"
"""Origin of a setting that nobody has given."""

_COLUMN = 44
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Shown(NamedTuple):
    """A setting as it is shown: its value as TOML (None: there is none), without a secret."""

    name: str
    value: str | None
    # Where it came from; None where its whole table came from one place.
    origin: str | None = None


class ShownTable(NamedTuple):
    """A table of settings, `[server]` or `[[upstreams]]`, and where it came from as a whole."""

    title: str
    settings: tuple[Shown, ...]
    origin: str | None = None
    # It belongs to the table before it.
    is_inner: bool = False


def render(settings: Settings) -> str:
    """Return the whole document.

    Read again, from a file in the same directory and with the same variables for the keys, it
    gives the same settings. Of a database's URL the password is blanked, and of the URL of a target
    of alerts that stands in the file itself all behind the host.
    """
    lines: list[str] = []
    for table in tables(settings):
        if lines and not table.is_inner:
            lines.append("")
        lines.append(_commented(table.title, table.origin))
        for each in table.settings:
            # TOML has no word for what is absent.
            text = (
                f"# {each.name} = (none)" if each.value is None else f"{each.name} = {each.value}"
            )
            lines.append(_commented(text, each.origin))
    return "\n".join([*lines, "", ""])


def tables(settings: Settings) -> Iterator[ShownTable]:
    """Give all settings, table by table."""
    origins = settings.origins
    for name, section in SECTIONS.items():
        values = getattr(settings, name)
        yield ShownTable(f"[{name}]", tuple(_section(name, section, values, origins)))
        if isinstance(values, AlertSettings):
            yield from _targets(values, origins)
    for index, upstream in enumerate(settings.upstreams):
        origin = origins.get(f"upstreams[{index}]", DEFAULT)
        yield ShownTable("[[upstreams]]", tuple(_upstream(upstream)), origin)
        for model in upstream.models:
            found = ((name, getattr(model, name), kind) for name, kind in _kinds(ModelSettings))
            shown = [_shown(name, value, kind) for name, value, kind in found if value is not None]
            yield ShownTable("[[upstreams.models]]", tuple(shown), is_inner=True)
    for model_name, price in settings.prices.items():
        key = model_name if _BARE_KEY.fullmatch(model_name) else quoted(model_name)
        shown = [_shown(name, getattr(price, name), kind) for name, kind in _kinds(PriceSettings)]
        origin = origins.get(f"prices.{model_name}", DEFAULT)
        yield ShownTable(f"[prices.{key}]", tuple(shown), origin)


def _kinds(section: type[Any]) -> Iterable[tuple[str, Kind]]:
    return kinds_of(section).items()


def _section(
    name: str, section: type[Any], values: Any, origins: Mapping[str, str]
) -> Iterator[Shown]:
    for key, kind in _kinds(section):
        value = getattr(values, key)
        in_file = key == "url" and getattr(values, "url_file", None) is not None
        if in_file or (isinstance(value, Secret) and value.setting != key):
            # The next settings name where it is.
            value = None
        yield _shown(key, value, kind, origins.get(f"{name}.{key}", DEFAULT))


def _targets(alerts: AlertSettings, origins: Mapping[str, str]) -> Iterator[ShownTable]:
    for index, target in enumerate(alerts.targets):
        kinds = _kinds(AlertTargetSettings)
        shown = [_shown(name, getattr(target, name), kind) for name, kind in kinds]
        shown += [
            Shown(secret.setting, quoted(secret.source))
            for secret in (target.url, target.secret)
            if secret is not None
        ]
        origin = origins.get(f"alerts.targets[{index}]", DEFAULT)
        yield ShownTable("[[alerts.targets]]", tuple(shown), origin)


def _upstream(upstream: UpstreamSettings) -> Iterator[Shown]:
    # What is built in has neither a credential nor a way to send it.
    hidden = set[str]() if UPSTREAM_KINDS[upstream.kind].url else {"auth"}
    for name, kind in _kinds(UpstreamSettings):
        value = getattr(upstream, name)
        if value is not None and name not in hidden:
            yield _shown(name, value, kind)
    if upstream.api_key is not None:
        yield Shown(upstream.api_key.setting, quoted(upstream.api_key.source))


def _shown(name: str, value: Any, kind: Kind, origin: str | None = None) -> Shown:
    # Where a kind has a word of its own for what is absent, it writes it.
    written = kind.write(value) if value is not None or kind.has_none else None
    return Shown(name, written, origin)


def _commented(text: str, comment: str | None) -> str:
    return text if comment is None else f"{text:{_COLUMN}}  # {comment}"
