"""The settings from all sources: command line before environment, file and defaults."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import platformdirs

from apertis.gateway.config.kinds import DATABASE_URL, UnfitError
from apertis.gateway.config.origin import Reader
from apertis.gateway.config.settings import (
    VALKEY_URL,
    Settings,
    StoreSettings,
    kinds_of,
    valkey_url,
)
from apertis.gateway.config.sources import (
    CONFIG_VARIABLE,
    SECTIONS,
    from_environment,
    from_file,
    from_options,
)
from apertis.gateway.config.tables import (
    credential,
    found_upstream,
    read_prices,
    read_upstreams,
)
from apertis.gateway.config.targets import read_targets
from apertis.sansio.request import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from apertis.gateway.config.origin import Origin, RawSetting
    from apertis.gateway.config.settings import (
        OidcSettings,
        OtlpSettings,
        PriceSettings,
        Secret,
        ServerSettings,
        UpstreamSettings,
        ValkeySettings,
    )
    from apertis.gateway.config.sources import Layer

_Url = TypeVar("_Url")

_URL_SETTINGS = ("url", "url_env", "url_file")
_PORTS = {"http": 80, "https": 443}
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on.


def check(
    settings: Settings,
    given: Layer,
    upstreams: tuple[tuple[UpstreamSettings, Origin], ...],
    reader: Reader,
) -> None:
    """Keep a problem for each setting that does not go with another."""
    _check_tls(settings.server, given, reader)
    if settings.server.workers > 1 and sys.platform == "win32":
        reader.problem(
            given[("server", "workers")].place,
            f"must be 1 on Windows, not {settings.server.workers}: its sockets cannot be handed on "
            "to other processes",
        )
    if settings.cache.shared and settings.valkey.url is None:
        reader.problem(given[("cache", "shared")].place, "needs valkey.url beside it")
    _check_console(settings, given, reader)
    for upstream in settings.upstreams:
        if not _is_ourselves(upstream, settings.server):
            continue
        sentence = (
            f"is {upstream.base_url}, where this gateway itself listens: it would ask itself "
            "without end"
        )
        place = next((place for known, place in upstreams if known is upstream), None)
        if place is None:
            reader.complain(f"ANTHROPIC_BASE_URL {sentence}; unset it for the gateway")
        else:
            reader.problem(place / "base_url", sentence)


_OF_A_CLIENT = ("issuer", "client_id", "client_secret_env", "client_secret_file")


def _check_console(settings: Settings, given: Layer, reader: Reader) -> None:
    oidc, is_loopback = settings.oidc, settings.server.is_loopback
    named = [given[("oidc", name)] for name in _OF_A_CLIENT if ("oidc", name) in given]
    for name in ("issuer", "client_id") if named else ():
        if ("oidc", name) not in given:
            reader.problem(named[0].place, f"needs oidc.{name} beside it")
    if "openid" not in oidc.scopes and ("oidc", "scopes") in given:
        reader.problem(given[("oidc", "scopes")].place, "must have openid among them")
    if settings.has_oidc and settings.server.public_url is None and not is_loopback:
        place = given[("oidc", "issuer")].place
        reader.problem(place, "needs server.public_url beside it: people are sent back to that")
    if not settings.console.enabled or is_loopback:
        return
    place = given[("console", "enabled")].place
    if settings.server.public_url is None:
        reader.problem(place, "needs server.public_url beside it: others can reach this gateway")
    if not settings.has_key_sign_in and not settings.has_oidc:
        reader.problem(
            place, "needs a way to sign in beside it: oidc.issuer, or console.keys = true"
        )


def _check_tls(server: ServerSettings, given: Layer, reader: Reader) -> None:
    pair = ("server", "tls_certificate"), ("server", "tls_key")
    for one, other in (pair, pair[::-1]):
        if one in given and other not in given:
            reader.problem(given[one].place, f"needs {'.'.join(other)} beside it")
    files: tuple[Path | None, ...] = (server.tls_certificate, server.tls_key)
    for name, file in zip(pair, files, strict=True):
        if file is not None and not file.is_file():
            reader.problem(given[name].place, f"names {file}, and there is no such file")


def _is_ourselves(upstream: UpstreamSettings, server: ServerSettings) -> bool:
    if upstream.base_url is None or server.port == 0:
        return False
    parts = urlsplit(upstream.base_url)
    host = parts.hostname or ""
    if (parts.port or _PORTS[parts.scheme]) != server.port:
        return False
    own = server.host in _EVERYWHERE or server.is_loopback
    return host == server.host or (own and is_loopback(host))


def read_settings(
    environment: Mapping[str, str],
    *,
    config: Path | None = None,
    data: Path | None = None,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
    first_token_seconds: float | None = None,
    tokens_per_second: float | None = None,
) -> Settings:
    """Return the settings: what is given here wins over the environment, that over the file.

    The file is `config`, else the one that `APERTIS_CONFIG` names, else none. Variables are
    `APERTIS_<SECTION>_<FIELD>`, lists and tables as JSON; `APERTIS_HOST`, `APERTIS_PORT` and
    `APERTIS_DATA` are short for those of the server and the store. What cannot be is a
    `ConfigurationError` with a line for every problem: the file's line or the variable, the value,
    and what is expected.
    """
    options = {
        "--data": (("store", "data"), data),
        "--host": (("server", "host"), host),
        "--port": (("server", "port"), port),
        "--workers": (("server", "workers"), workers),
        "--first-token-seconds": (("sandbox", "first_token_seconds"), first_token_seconds),
        "--tokens-per-second": (("sandbox", "tokens_per_second"), tokens_per_second),
    }
    return read(environment, config, from_options(options))


def read_store_settings(
    environment: Mapping[str, str], *, config: Path | None = None, data: Path | None = None
) -> StoreSettings:
    """Return the settings of the store alone, from the same sources.

    For commands beside the gateway: who runs them need not have the upstreams' credentials.
    """
    reader = Reader(environment)
    options = from_options({"--data": (("store", "data"), data)})
    given = _gathered(_file(environment, config), options, reader)
    store: StoreSettings = _section("store", given, reader)
    reader.finish()
    return store


def read_model_prices(
    environment: Mapping[str, str], *, config: Path | None = None
) -> Mapping[str, PriceSettings]:
    """Return the configured prices alone, as `read_store_settings` does the store's settings."""
    reader = Reader(environment)
    given = _gathered(_file(environment, config), {}, reader)
    prices: Mapping[str, PriceSettings] = {}
    if ("prices",) in given:
        prices = read_prices(given[("prices",)], reader)
    reader.finish()
    return prices


def read(
    environment: Mapping[str, str], config: Path | None = None, options: Layer | None = None
) -> Settings:
    """Return the settings; `options` are those of the command line."""
    reader = Reader(environment)
    file = _file(environment, config)
    given = _gathered(file, options or {}, reader)
    values: dict[str, Any] = {name: _section(name, given, reader) for name in SECTIONS}
    origins = {".".join(path): value.place.origin for path, value in given.items()}
    upstreams = read_upstreams(given[("upstreams",)], reader) if ("upstreams",) in given else ()
    if upstreams:
        origins |= {f"upstreams[{n}]": place.origin for n, (_, place) in enumerate(upstreams)}
        values["upstreams"] = tuple(upstream for upstream, _ in upstreams)
    elif ("upstreams",) not in given or given[("upstreams",)].value == []:
        upstream, origins["upstreams[0]"] = found_upstream(reader)
        values["upstreams"] = (upstream,)
    if ("prices",) in given:
        values["prices"] = read_prices(given[("prices",)], reader)
        place = given[("prices",)].place
        origins |= {f"prices.{model}": (place / model).origin for model in values["prices"]}
    if ("alerts", "targets") in given:
        targets = read_targets(given[("alerts", "targets")], values["alerts"].schemes, reader)
        origins |= {f"alerts.targets[{n}]": place.origin for n, (_, place) in enumerate(targets)}
        values["alerts"] = replace(values["alerts"], targets=tuple(each for each, _ in targets))
    values["oidc"] = _with_client_secret(values["oidc"], given, reader)
    values["valkey"] = _with_url(values["valkey"], given, reader)
    values["otlp"] = _with_authorization(values["otlp"], given, reader)
    settings = Settings(**values, file=file, origins=origins)
    check(settings, given, upstreams, reader)
    reader.finish()
    return settings


def _with_client_secret(oidc: OidcSettings, given: Layer, reader: Reader) -> OidcSettings:
    """Return the settings with the client's secret, which stands in a variable or a file."""
    named = {path[1]: value for path, value in given.items() if path[0] == "oidc"}
    secrets = [named[name] for name in ("client_secret_env", "client_secret_file") if name in named]
    if not secrets:
        return oidc
    found = credential(secrets[-1], named, reader, of="client_secret", noun="secret")
    return replace(oidc, client_secret=found)


def _with_url(valkey: ValkeySettings, given: Layer, reader: Reader) -> ValkeySettings:
    """Return the settings with the URL that stands in a variable or a file."""
    present = {path[1]: value for path, value in given.items() if path[0] == "valkey"}
    url = _named_url(
        present,
        reader,
        lambda found: valkey_url(found.reveal(), setting=found.setting, source=found.source),
        VALKEY_URL.expected,
    )
    return valkey if url is None else replace(valkey, url=url)


def _named_url(
    present: Mapping[str, RawSetting], reader: Reader, make: Callable[[Secret], _Url], expected: str
) -> _Url | None:
    """Return the URL that stands in a variable or a file which a section names; None if none."""
    named = {name: value for name, value in present.items() if name in _URL_SETTINGS}
    if not named or [*named] == ["url"]:
        return None
    *_, last = named.values()
    if len(named) > 1:
        reader.problem(last.place, f"is one of {', '.join(named)}: one of them is enough")
        return None
    found = credential(last, named, reader, of="url", noun="URL")
    if found is None:
        return None
    try:
        return make(found)
    except UnfitError as error:
        reason = str(error) or f"must be {expected}"
        reader.problem(last.place, f"names {found.source}, whose URL {reason}")
        return None


def _with_authorization(otlp: OtlpSettings, given: Layer, reader: Reader) -> OtlpSettings:
    """Return the settings with the header that stands in a variable or a file."""
    known = {path[1]: value for path, value in given.items() if path[0] == "otlp"}
    named = {name: value for name, value in known.items() if name.startswith("authorization_")}
    if not named:
        return otlp
    *_, last = named.values()
    found = credential(last, named, reader, of="authorization", noun="header")
    return replace(otlp, authorization=found)


def _file(environment: Mapping[str, str], config: Path | None) -> Path | None:
    named = environment.get(CONFIG_VARIABLE)
    return config or (Path(named) if named else None)


def _gathered(file: Path | None, options: Layer, reader: Reader) -> Layer:
    """Merge the sources: of each setting, the value from the source that wins."""
    return (from_file(file, reader) if file else {}) | from_environment(reader) | options


def _section(name: str, given: Layer, reader: Reader) -> Any:
    section = SECTIONS[name]
    present = {path[1]: value for path, value in given.items() if path[0] == name}
    values = reader.values(present, kinds_of(section))
    if section is StoreSettings:
        if "data" not in values:
            # Not otherwise: a user without a home has none.
            values["data"] = platformdirs.user_data_path("apertis", appauthor=False)
        url = _named_url(
            present,
            reader,
            lambda found: DATABASE_URL.read(found.reveal(), Path()),
            DATABASE_URL.expected,
        )
        if url is not None:
            values["url"] = url
    return section(**values)
