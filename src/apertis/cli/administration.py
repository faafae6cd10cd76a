"""Keys, people and usage of a gateway: of its store beside it, or of the gateway itself over HTTP.

Which one a command is about: `--data` and `--config` name a store, `--url` names a gateway; without
any of them it is the gateway of `APERTIS_BASE_URL`, if `APERTIS_API_KEY` is an administrator's key
there, else the store that `apertis serve` uses by default. The first line on stderr says it.
"""

from __future__ import annotations

import getpass
import os
import socket
import sys
import time
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import quote, urlencode

import click
import msgspec

from apertis.cli.store import CommandStore, Refused, StoreFiles, failure, store_of
from apertis.cli.terminal import echo, printable
from apertis.errors import (
    ApertisError,
    APIStatusError,
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    ParameterError,
    PermissionDeniedError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from apertis import Apertis
    from apertis.gateway.admin.cache_report import CacheReport, CacheReportFields
    from apertis.gateway.admin.key_fields import KeyFields
    from apertis.gateway.admin.keys import KeyAdministration, Made
    from apertis.gateway.admin.usage_report import UsageFields, UsageReport
    from apertis.gateway.admin.views import KeyView
    from apertis.gateway.errors import Refusal
    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.people.organization import Changes
    from apertis.gateway.store.database import Store
    from apertis.sansio.request import Origin

_F = TypeVar("_F", bound="Callable[..., object]")
_T = TypeVar("_T")
_KEYS = "/admin/v1/keys"
_PAGE = "1000"
INSECURE_HELP = "Send the key over http to another machine, readable on the way."
_HINT = "name the gateway with --url, or its data with --data"


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """Options that say where the keys are."""

    data: Path | None
    config: Path | None
    url: str | None
    insecure: bool


def settings_options(command: _F) -> _F:
    """Add the options that say where a gateway's settings and its data are."""
    config = click.option(
        "--config",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="The gateway's configuration file.  "
        "[default: the one that APERTIS_CONFIG names, if any]",
    )
    data = click.option(
        "--data",
        type=click.Path(path_type=Path),
        help="The gateway's data: a directory, or its SQLite file.  [default: as for 'serve']",
    )
    return config(data(command))


def place_options(command: Callable[..., object]) -> Callable[..., object]:
    """Add the options that say where the keys are; the command gets them as its `place`."""

    @wraps(command)
    def placed(
        *, data: Path | None, config: Path | None, url: str | None, insecure: bool, **others: Any
    ) -> object:
        return command(place=GatewayOptions(data, config, url, insecure), **others)

    options = (
        click.option(
            "--data",
            type=click.Path(path_type=Path),
            help="A gateway's data on this machine: a directory, or its SQLite file.",
        ),
        click.option(
            "--config",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="A gateway's configuration file, for the location of its data.",
        ),
        click.option(
            "--url",
            metavar="URL",
            help="A running gateway; APERTIS_API_KEY is an administrator's key of it.  "
            "[default: APERTIS_BASE_URL, if the key is one]",
        ),
        click.option("--insecure", is_flag=True, help=INSECURE_HELP),
    )
    for option in reversed(options):
        placed = option(placed)
    return placed


def administration_of(
    place: GatewayOptions, options: Mapping[str, str], *, may_make: bool = False
) -> Administration:
    """Find what the command is about, and say it on stderr.

    `options` names the option for each field that an error can be about; `may_make` lets a store
    be made where there is none.
    """
    if place.data is not None or place.config is not None:
        if place.url is not None:
            raise ParameterError("--url names another place than --data and --config: give one")
        return _local(StoreFiles(place.data, place.config), options, may_make=may_make)
    if place.url is not None:
        return _remote(place.url, options, insecure=place.insecure, named=True)
    url = os.environ.get("APERTIS_BASE_URL")
    if url and os.environ.get("APERTIS_API_KEY"):
        remote = _remote(url, options, insecure=place.insecure, named=False)
        if remote.is_administrators():
            remote.announce()
            return remote
        why = f"the key in APERTIS_API_KEY is not an administrator's key at {remote.url}"
        return _local(StoreFiles(None, None), options, may_make=may_make, why=why)
    return _local(StoreFiles(None, None), options, may_make=may_make)


def usage_source(
    place: GatewayOptions, options: Mapping[str, str], zone: str, *, of_all: bool
) -> Administration | OwnUsage:
    """Find what `usage` is about: the caller's own usage where the key is no administrator's.

    What only administrators are told (`of_all`) is asked of the store, where this machine has it.
    """
    url = place.url or os.environ.get("APERTIS_BASE_URL")
    if place.data is None and place.config is None and url and os.environ.get("APERTIS_API_KEY"):
        remote = _remote(url, options, insecure=place.insecure, named=False)
        is_local = of_all and place.url is None and _is_here()
        if not (is_local or remote.is_administrators()):
            own = remote.own_usage(zone)
            if own is not None:
                return own
    return administration_of(place, options)


def _is_here() -> bool:
    try:
        store_of(StoreFiles(None, None), may_make=False)
    except ConfigurationError:
        return False
    return True


def confirm(administration: Administration, question: str, *, yes: bool, always: bool) -> None:
    """Ask a person before a change that cuts callers off; `always` where it is final.

    Scripts are not asked, and so need `--yes` where only the environment names the gateway.
    """
    if yes or not (administration.asks or always):
        return
    if sys.stdin is not None and sys.stdin.isatty():
        click.confirm(printable(question), abort=True, err=True)
    elif administration.asks:
        raise ParameterError(f"only APERTIS_BASE_URL names the gateway: add --yes, or {_HINT}")


def _local(
    files: StoreFiles, options: Mapping[str, str], *, may_make: bool, why: str | None = None
) -> _Local:
    where = store_of(files, may_make=may_make)
    echo(f"apertis: the store {where}{f'; {why}' if why else ''}", err=True)
    return _Local(files, options, may_make=may_make)


def _remote(url: str, options: Mapping[str, str], *, insecure: bool, named: bool) -> _Remote:
    from apertis.sansio.request import parse_base_url

    variable = "--url" if named else "APERTIS_BASE_URL"
    origin = parse_base_url(url, name=variable)
    if not (insecure or is_private(origin)):
        raise ConfigurationError(
            f"{variable} is {origin.url}: an administrator's key would travel in the clear; "
            "use https, or add --insecure"
        )
    remote = _Remote(url, origin.url + origin.prefix, options, asks=not named)
    if named:
        remote.announce()
    return remote


def is_private(origin: Origin) -> bool:
    """Return whether a key that goes there can be read by nobody on the way."""
    from apertis.sansio.request import is_loopback

    return origin.tls or is_loopback(origin.host)


class OwnLimit(msgspec.Struct):
    """A budget that the caller's requests are paid from."""

    level: str
    of: str
    period: str
    resets_at: str | None
    starts_at: str | None
    zone: str
    models: list[str] | None
    amount_units: int
    spent_units: int
    left_units: int


class OwnUsage(msgspec.Struct):
    """All that callers see of their own usage: of the running month, by day and by model."""

    key: dict[str, Any]
    limits: list[OwnLimit]
    from_: str = msgspec.field(name="from")
    zone: str
    totals: dict[str, Any] | None
    days: list[dict[str, Any]]
    models: list[dict[str, Any]]
    answer: dict[str, Any] = {}
    """The whole of it, as it came."""


class _Local:
    """Administration of the store itself; a running gateway sees changes within a second."""

    asks = False

    def __init__(self, files: StoreFiles, options: Mapping[str, str], *, may_make: bool) -> None:
        self._files = files
        self._store = CommandStore(files, may_make=may_make)
        self._options = options

    def create(self, fields: KeyFields) -> KeyView:
        return self._made(lambda keys: keys.create(fields, actor()))

    def all_keys(self) -> list[KeyView]:
        from apertis.gateway.admin.views import key_view

        async def work(store: Store) -> tuple[tuple[KeyRecord, ...], Changes]:
            return await store.keys.list(), await store.organization.all()

        records, known = self._store.do(work)
        names = known.names()
        return [key_view(record, names) for record in records]

    def find(self, key: str) -> KeyView:
        return _found(self.all_keys(), key, self._options)

    def change(self, key_id: str, fields: KeyFields) -> KeyView:
        return self._changed(lambda keys: keys.change(key_id, fields, actor()))

    def rotate(self, key_id: str, grace_seconds: int) -> KeyView:
        return self._made(lambda keys: keys.rotate(key_id, grace_seconds, actor()))

    def set_status(self, key_id: str, status: Literal["enabled", "disabled"]) -> KeyView:
        """Enable or disable a key."""
        return self._changed(lambda keys: keys.set_status(key_id, status, actor()))

    def delete(self, key_id: str) -> KeyView:
        return self._changed(lambda keys: keys.delete(key_id, actor()))

    def usage(self, fields: UsageFields) -> UsageReport:
        from apertis.gateway.admin.usage_report import Report, report

        async def work(store: Store) -> Report | Refusal:
            return await report(fields, store, time.time())

        return self._value(self._store.do(work)).view()

    def caching(self, fields: CacheReportFields) -> CacheReport:
        from apertis.accounting.prices import PriceTable
        from apertis.gateway.admin.cache_report import cache_report
        from apertis.gateway.config import read_model_prices

        prices = PriceTable(read_model_prices(os.environ, config=self._files.config))

        async def work(store: Store) -> CacheReport | Refusal:
            return await cache_report(fields, store, prices.find, time.time())

        return self._value(self._store.do(work))

    def ask(
        self,
        method: str,
        path: str,
        type: type[_T],
        *,
        id: str = "",
        query: Mapping[str, object] | None = None,
        body: msgspec.Struct | None = None,
    ) -> _T:
        """Call one of the resources of the admin API; `id` is the one in the path."""
        from apertis.gateway.admin.resources import Call, Resources

        call = Call(
            actor=actor(),
            id=id,
            query=urlencode(query or {}),
            body=b"" if body is None else msgspec.json.encode(body),
        )

        async def work(store: Store) -> msgspec.Struct | Refusal:
            return await Resources(store, time.time).answer(method, path, call)

        return msgspec.convert(self._value(self._store.do(work)), type)

    def _made(self, change: Callable[[KeyAdministration], Awaitable[Made | Refusal]]) -> KeyView:
        made, names = self._do(change)
        from apertis.gateway.admin.views import key_view

        return key_view(made.record, names, made.secret)

    def _changed(
        self, change: Callable[[KeyAdministration], Awaitable[KeyRecord | Refusal]]
    ) -> KeyView:
        record, names = self._do(change)
        from apertis.gateway.admin.views import key_view

        return key_view(record, names)

    def _do(
        self, change: Callable[[KeyAdministration], Awaitable[_T | Refusal]]
    ) -> tuple[_T, dict[str, str]]:
        from apertis.gateway.admin.keys import KeyAdministration

        async def work(store: Store) -> tuple[_T | Refusal, dict[str, str]]:
            keys = KeyAdministration(store.keys, store.organization, time.time)
            result = await change(keys)
            return result, (await store.organization.all()).names()

        result, names = self._store.do(work)
        return self._value(result), names

    def _value(self, result: _T | Refusal) -> _T:
        from apertis.gateway.errors import Refusal

        if isinstance(result, Refusal):
            raise failure(result, self._options)
        return result


class _Remote:
    """Administration through the admin API of a running gateway."""

    def __init__(self, base_url: str, url: str, options: Mapping[str, str], *, asks: bool) -> None:
        from apertis import Apertis

        self.asks = asks
        self.url = url
        self._options = options
        self._client: Apertis = Apertis(base_url=base_url)

    def announce(self) -> None:
        echo(f"apertis: the gateway {self.url}", err=True)

    def is_administrators(self) -> bool:
        """Return whether the key may administer the gateway; raise if there is no response."""
        try:
            self._client.request("GET", _KEYS, extra_query={"limit": "1"})
        except (AuthenticationError, PermissionDeniedError, NotFoundError):
            return False
        except ApertisError as error:
            raise type(error)(f"{error}. APERTIS_BASE_URL names {self.url}; {_HINT}") from error
        return True

    def own_usage(self, zone: str) -> OwnUsage | None:
        """Read what the caller itself may see; None where the gateway does not say."""
        try:
            answer = self._client.request("GET", "/v1/me/usage", extra_query={"zone": zone})
        except (AuthenticationError, PermissionDeniedError, NotFoundError):
            return None
        except APIStatusError as error:
            raise failure(_refused(error), self._options) from error
        own = self._read(answer, OwnUsage)
        own.answer = self._read(answer, dict)
        echo(f"apertis: your own usage at the gateway {self.url}", err=True)
        return own

    def create(self, fields: KeyFields) -> KeyView:
        return self._key("POST", _KEYS, fields)

    def all_keys(self) -> list[KeyView]:
        from apertis.gateway.admin.views import KeyPage

        found: list[KeyView] = []
        query = {"status": "all", "limit": _PAGE}
        while True:
            page = self._ask("GET", _KEYS, KeyPage, extra_query=query)
            found += page.data
            if not (page.has_more and page.last_id):
                return found
            query["after_id"] = page.last_id

    def find(self, key: str) -> KeyView:
        return _found(self.all_keys(), key, self._options)

    def change(self, key_id: str, fields: KeyFields) -> KeyView:
        return self._key("PATCH", _path(key_id), fields)

    def rotate(self, key_id: str, grace_seconds: int) -> KeyView:
        from apertis.gateway.admin.key_fields import RotateFields

        return self._key(
            "POST", _path(key_id, "/rotate"), RotateFields(grace_seconds=grace_seconds)
        )

    def set_status(self, key_id: str, status: Literal["enabled", "disabled"]) -> KeyView:
        """Enable or disable a key."""
        return self._key("POST", _path(key_id, "/enable" if status == "enabled" else "/disable"))

    def delete(self, key_id: str) -> KeyView:
        return self._key("DELETE", _path(key_id))

    def usage(self, fields: UsageFields) -> UsageReport:
        from apertis.gateway.admin.usage_report import UsageReport

        query = {name: str(value) for name, value in msgspec.to_builtins(fields).items()}
        return self._ask("GET", "/admin/v1/usage", UsageReport, extra_query=query)

    def caching(self, fields: CacheReportFields) -> CacheReport:
        from apertis.gateway.admin.cache_report import CacheReport

        query = {name: str(value) for name, value in msgspec.to_builtins(fields).items()}
        return self._ask("GET", "/admin/v1/usage/cache", CacheReport, extra_query=query)

    def ask(
        self,
        method: str,
        path: str,
        type: type[_T],
        *,
        id: str = "",
        query: Mapping[str, object] | None = None,
        body: msgspec.Struct | None = None,
    ) -> _T:
        """Call one of the resources of the admin API; `id` is the one in the path."""
        options: dict[str, Any] = {}
        if method != "GET":
            # A change whose answer was lost is not made twice.
            options["max_retries"] = 0
        if query:
            options["extra_query"] = {name: str(value) for name, value in query.items()}
        if body is not None:
            options["json"] = msgspec.to_builtins(body)
        return self._ask(method, path.replace("{id}", quote(id, safe="")), type, **options)

    def _key(self, method: str, path: str, fields: msgspec.Struct | None = None) -> KeyView:
        from apertis.gateway.admin.views import KeyView

        json = None if fields is None else msgspec.to_builtins(fields)
        # A change whose answer was lost is not made twice.
        return self._ask(method, path, KeyView, json=json, max_retries=0)

    def _ask(self, method: str, path: str, type: type[_T], **options: Any) -> _T:
        try:
            answer = self._client.request(method, path, **options)
        except APIStatusError as error:
            raise failure(_refused(error), self._options) from error
        return self._read(answer, type)

    def _read(self, answer: object, type: type[_T]) -> _T:
        try:
            return msgspec.convert(answer, type)
        except msgspec.ValidationError as error:
            raise ApertisError(f"{self.url} does not answer as a gateway: {error}") from error


def _refused(error: APIStatusError) -> Refused:
    """Take the gateway's own words, without what the SDK says around them."""
    try:
        message = msgspec.convert(error.body, _Envelope).error.message
    except msgspec.ValidationError:
        message = error.message
    return Refused(error.status, message, error.param)


class _Error(msgspec.Struct):
    message: str


class _Envelope(msgspec.Struct):
    error: _Error


def _path(key_id: str, action: str = "") -> str:
    return f"{_KEYS}/{quote(key_id, safe='')}{action}"


def _found(keys: list[KeyView], key: str, options: Mapping[str, str]) -> KeyView:
    from apertis.gateway.admin.keys import find_key
    from apertis.gateway.errors import Refusal

    found = find_key(keys, key)
    if isinstance(found, Refusal):
        raise failure(found, options)
    return found


def actor() -> str:
    """Name who runs the command, for the audit trail."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        # A user without a name, as in containers.
        user = str(os.getuid())
    return f"cli:{user}@{socket.gethostname()}"


Administration = _Local | _Remote
