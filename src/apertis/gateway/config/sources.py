"""The settings from each source: the file, the environment, the command line."""

from __future__ import annotations

import json
import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apertis.gateway.config.origin import (
    FileSource,
    Named,
    Origin,
    RawSetting,
    SettingsError,
    TomlLines,
    nearest,
)
from apertis.gateway.config.settings import (
    AlertSettings,
    CacheReportSettings,
    CacheSettings,
    ConsoleSettings,
    LimitSettings,
    LogSettings,
    MoneySettings,
    OidcSettings,
    OtlpSettings,
    RoutingSettings,
    SandboxSettings,
    ServerSettings,
    SignInSettings,
    StoreSettings,
    ValkeySettings,
    kinds_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.gateway.config.origin import Reader

SECTIONS: dict[str, type[Any]] = {
    "server": ServerSettings,
    "store": StoreSettings,
    "limits": LimitSettings,
    "money": MoneySettings,
    "routing": RoutingSettings,
    "cache": CacheSettings,
    "cache_report": CacheReportSettings,
    "valkey": ValkeySettings,
    "console": ConsoleSettings,
    "sign_in": SignInSettings,
    "oidc": OidcSettings,
    "otlp": OtlpSettings,
    "log": LogSettings,
    "alerts": AlertSettings,
    "sandbox": SandboxSettings,
}
# Settings with a form of their own.
TABLES = ("upstreams", "prices")
# And those within a section.
INNER_TABLES = {"alerts": ("targets",)}

# By `("server", "port")`, and `("upstreams",)` or `("alerts", "targets")` for the tables.
Layer = dict[tuple[str, ...], RawSetting]

CONFIG_VARIABLE = "APERTIS_CONFIG"
_SHORT = {
    "APERTIS_HOST": ("server", "host"),
    "APERTIS_PORT": ("server", "port"),
    "APERTIS_DATA": ("store", "data"),
}
# Those of the SDK, which lives in the same environment.
_FOREIGN = frozenset({"APERTIS_API_KEY", "APERTIS_BASE_URL", "APERTIS_LOG", "APERTIS_MODEL"})
# What Kubernetes puts into every container for a service named apertis, or apertis-server.
_SERVICE_LINK = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://\S+")
# An unknown variable of no known section is a mistake only if it is as good as a known name.
_NEARLY_THE_SAME = 0.9


def from_file(path: Path, reader: Reader) -> Layer:
    """Read a TOML file; raise `SettingsError` if it cannot be read at all."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read: {error.strerror or error}"]) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SettingsError([f"{path}:{line}: is not UTF-8"]) from None
    try:
        # Amounts of money are exact: a number keeps the digits that it was written with.
        tree = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([_not_toml(path, text, str(error))]) from None
    whole = RawSetting(tree, Origin(FileSource(path, TomlLines(text)), ()))
    tables = reader.table(whole, (*SECTIONS, *TABLES)) or {}
    layer: Layer = {(name,): tables[name] for name in TABLES if name in tables}
    for name in SECTIONS.keys() & tables.keys():
        known = (*kinds_of(SECTIONS[name]), *INNER_TABLES.get(name, ()))
        fields = reader.table(tables[name], known) or {}
        layer.update({(name, field): given for field, given in fields.items()})
    return layer


def _not_toml(path: Path, text: str, said: str) -> str:
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", said)
    if match is None:
        return f"{path}: is not TOML: {said}"
    line = match[2] or text.rstrip().count("\n") + 1
    where = f" (column {match[3]})" if match[3] else " (the file ends there)"
    return f"{path}:{line}: is not TOML: {match[1]}{where}"


def from_environment(reader: Reader) -> Layer:
    """Read the environment; an empty variable sets nothing."""
    known = _variables()
    layer: Layer = {}
    for name, text in reader.environment.items():
        if not name.startswith("APERTIS_") or not text or _is_service_link(name, text):
            continue
        if name in known:
            path = known[name]
            given = _given(name, path, text, reader)
            if given is not None:
                _add(layer, path, given, reader)
        elif name not in _FOREIGN and name != CONFIG_VARIABLE:
            _check_unknown(name, known, reader)
    return layer


def _variables() -> dict[str, tuple[str, ...]]:
    found = dict[str, tuple[str, ...]](_SHORT)
    for section, kind in SECTIONS.items():
        for name in (*kinds_of(kind), *INNER_TABLES.get(section, ())):
            found[f"APERTIS_{section}_{name}".upper()] = (section, name)
    return found | {f"APERTIS_{table}".upper(): (table,) for table in TABLES}


def _is_service_link(name: str, text: str) -> bool:
    is_address = name.endswith("_PORT") and _SERVICE_ADDRESS.fullmatch(text)
    return bool(is_address or _SERVICE_LINK.fullmatch(name))


def _given(name: str, path: tuple[str, ...], text: str, reader: Reader) -> RawSetting | None:
    place = Origin(Named(name, path), path)
    if len(path) > 1 and path[1] not in INNER_TABLES.get(path[0], ()):
        kind = kinds_of(SECTIONS[path[0]])[path[1]]
        return RawSetting(kind.parse(text), place, text)
    try:
        return RawSetting(json.loads(text, parse_float=Decimal), place)
    except ValueError as error:
        reader.problem(place, f"must be JSON: {error}")
        return None


def _add(layer: Layer, path: tuple[str, ...], given: RawSetting, reader: Reader) -> None:
    other = layer.setdefault(path, given)
    if other.text != given.text:
        names = sorted([other.place.label, given.place.label])
        reader.complain(f"{names[0]} and {names[1]} are the same setting, and do not agree")


def _check_unknown(name: str, known: Mapping[str, object], reader: Reader) -> None:
    own = next((s for s in (*SECTIONS, *TABLES) if name.startswith(f"APERTIS_{s}_".upper())), None)
    short = {variable.removeprefix("APERTIS_"): variable for variable in known}
    meant = nearest(name.removeprefix("APERTIS_"), short, 0.6 if own else _NEARLY_THE_SAME)
    if own or meant:
        hint = f"; did you mean {short[meant]}?" if meant else ""
        reader.complain(f"{name} is an unknown setting{hint}")


def from_options(options: Mapping[str, tuple[tuple[str, str], object]]) -> Layer:
    """Read the command line: an option's name to its setting and value (None: not given)."""
    return {
        path: RawSetting(
            str(value) if isinstance(value, Path) else value, Origin(Named(name, path), path)
        )
        for name, (path, value) in options.items()
        if value is not None
    }
