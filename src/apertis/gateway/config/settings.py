"""The gateway's settings as frozen values: what there is, its default, how it is written.

The text below each field is its documentation; the configuration reference is made of it.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping  # noqa: TC003 - as for the paths.
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path  # noqa: TC003 - the types are read at run time, by `kinds_of`.
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, get_type_hints
from urllib.parse import urlsplit

from apertis.gateway.config.kinds import (
    BASE_URL,
    DATABASE_URL,
    FLAG,
    HOST_NAME,
    ISSUER,
    MONEY,
    NETWORK,
    NUMBER,
    RATE_LIMIT,
    WEB_ORIGIN,
    Kind,
    UnfitError,
    choice,
    duration,
    location,
    mapping,
    names,
    of_text,
    quoted,
    shown,
    size,
    text,
    whole,
    wholes,
    without_password,
)
from apertis.limiting.rates import Rate
from apertis.sansio.request import is_loopback


class Secret:
    """A credential. `reveal()` gives its text; `repr`, `str` and formats show nothing of it.

    `setting` and `source` say where it was read, for messages: `api_key_env` and the name of the
    variable, or `api_key_file` and the path.
    """

    __slots__ = ("_text", "setting", "source")

    def __init__(self, text: str, *, setting: str = "", source: str = "") -> None:
        self._text = text
        self.setting = setting
        self.source = source

    def reveal(self) -> str:
        """Return the credential itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled: what is pickled can be read")


_VALKEY_SCHEMES = frozenset({"valkey", "valkeys", "redis", "rediss"})


def valkey_url(given: str, *, setting: str = "url", source: str = "") -> Secret:
    """Return the URL of a Valkey server; `UnfitError` if it is none."""
    try:
        parts = urlsplit(given)
        _ = parts.port
    except ValueError:
        raise UnfitError from None
    if parts.scheme not in _VALKEY_SCHEMES or not parts.hostname or re.search(r"[^!-~]", given):
        raise UnfitError
    if not re.fullmatch(r"/?[0-9]*", parts.path) or parts.query or parts.fragment:
        raise UnfitError("must have nothing behind its host but the number of a database")
    if "***" in given:
        raise UnfitError("is one that 'config show' blanked: write it out again")
    return Secret(given, setting=setting, source=source or without_password(given))


def _shown_source(url: Secret) -> str:
    return quoted(url.source)


def _shown_without_password(given: object) -> str:
    # What is no URL may have a password anywhere before an @.
    return shown(re.sub(r"://.*@", "://***@", given) if isinstance(given, str) else given)


VALKEY_URL = of_text(
    "a URL such as valkey://host:6379/0",
    valkey_url,
    write=_shown_source,
    show=_shown_without_password,
)

# The API's own limit for a request of the Messages endpoints.
MAX_BODY_BYTES = 32 * 2**20

REPLICA_NAME = r"[A-Za-z0-9._-]{1,64}"
_SQLITE_SUFFIXES = (".db", ".sqlite", ".sqlite3")
FILE_NAME = "apertis.sqlite3"
# What the hosted service promises.
_PER_ADDRESS = Rate(1500, 180)
_PER_KEY = Rate(3000, 60)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Listening addresses, TLS, connections and limits of requests."""

    host: Annotated[str, text("an address or a host name")] = "127.0.0.1"
    """Address to listen on. The default is reached from this machine only; `0.0.0.0` and `::`
    are all addresses of the machine."""
    port: Annotated[int, whole(0, 65535, "a port")] = 8000
    """Port to listen on; 0 picks a free one."""
    tls_certificate: Annotated[Path | None, location("the path of a PEM file")] = None
    """Certificate chain (PEM) to serve HTTPS with. Needs `tls_key`."""
    tls_key: Annotated[Path | None, location("the path of a PEM file")] = None
    """Private key (PEM) of the certificate."""
    trusted_proxies: Annotated[tuple[str, ...], names(NETWORK, "addresses and networks")] = ()
    """Addresses and networks of the proxies in front of the gateway. Only what they say in
    `X-Forwarded-For` is believed, and in `X-Forwarded-Proto`, `-Host` and `-Prefix` when a link to
    the results of a batch is made; for everybody else the client is the peer of the connection."""
    trusted_gateways: Annotated[tuple[str, ...], names(NETWORK, "addresses and networks")] = ()
    """Addresses and networks of gateways that send requests of many people with one key. Their
    headers `x-claude-gateway-user-id` and `x-claude-gateway-user-email` name the person whose
    budgets pay, by id, external id or email. From everybody else these headers mean nothing."""
    unknown_people: Annotated[Literal["ignore", "refuse"], choice("ignore", "refuse")] = "ignore"
    """Requests of a trusted gateway for somebody who is not known here: `ignore` lets the key alone
    pay, `refuse` rejects them."""
    allowed_origins: Annotated[tuple[str, ...], names(WEB_ORIGIN, "origins")] = ()
    """Origins of the web pages that may call `/v1/*` from a browser, such as
    `https://chat.example.com`; `*` lets every page. A page needs a key as everybody does, and what
    is in a page, its visitors can read."""
    max_body_bytes: Annotated[int, size()] = MAX_BODY_BYTES
    """Largest request body, also of one that comes compressed. The default is the API's own
    limit."""
    body_timeout_seconds: Annotated[float, duration()] = 60.0
    """Longest wait between two pieces of a request's body."""
    body_total_timeout_seconds: Annotated[float, duration()] = 600.0
    """Longest time that a request's body may take as a whole."""
    public_url: Annotated[str | None, BASE_URL] = None
    """URL at which people reach the gateway, such as `https://claude.example.com`. It makes the
    links of alerts, the set-up lines and addresses of the console, and what sign-ins redirect to;
    none of these ever comes from a request's `Host`."""
    stop_seconds: Annotated[float, duration(positive=False)] = 30.0
    """Time that a stop allows for running requests to finish."""
    workers: Annotated[int, whole(1)] = 1
    """Processes that serve, on one port and one store. More than one needs a POSIX system."""
    replica: Annotated[str | None, text("letters, digits, '.', '_' and '-'", REPLICA_NAME)] = None
    """Name of this gateway among those of a PostgreSQL database; each has its own. Default: the
    host's name with a few letters, chosen at the first start and kept below `store.data`."""
    ping_seconds: Annotated[float, duration()] = 15.0
    """Silence of an upstream after which a streaming caller is sent a `ping` event."""
    anthropic_version: Annotated[
        str, text("a version such as 2023-06-01", r"\d{4}-\d{2}-\d{2}")
    ] = "2023-06-01"
    """`anthropic-version` that is sent upstream when a caller sends none. A caller's own passes
    unchanged."""

    @property
    def is_loopback(self) -> bool:
        """True if only this machine can reach the address."""
        return is_loopback(self.host)

    @property
    def tls_files(self) -> tuple[Path, Path] | None:
        """The certificate and its key; None where plain HTTP is served."""
        if self.tls_certificate is None or self.tls_key is None:
            return None
        return self.tls_certificate, self.tls_key

    @property
    def has_tls(self) -> bool:
        """True if HTTPS is served."""
        return self.tls_certificate is not None


def sqlite_file(data: Path) -> Path:
    """Return the SQLite file for this path: the path if it ends like one, else one inside it."""
    return data if data.suffix in _SQLITE_SUFFIXES else data / FILE_NAME


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """The location of the gateway's data."""

    data: Annotated[Path, location()]
    """Directory of the database, the usage journal and the lock. A path that ends in `.db`,
    `.sqlite` or `.sqlite3` is the database file itself; the rest is kept beside it. Default: the
    platform's directory for the data of programs, such as `~/.local/share/apertis`."""
    url: Annotated[str | None, DATABASE_URL] = field(default=None, repr=False)
    """PostgreSQL database to use instead of SQLite. The usage journal stays below `data`. A
    password belongs into the variable `APERTIS_STORE_URL`, behind the next one, or into
    PostgreSQL's own `PGPASSWORD` and `~/.pgpass`, rather than into the file."""
    url_file: Annotated[Path | None, location("the path of a file")] = None
    """File that has the URL and nothing else."""
    audit_days: Annotated[int, whole(note=" (0: for ever)")] = 400
    """Days for which the audit trail, of who changed what, is kept."""
    lease_seconds: Annotated[float, duration()] = 60.0
    """Time for which a gateway that shares its store with others may spend its part of a budget
    without hearing from the store. What a gateway had that ended without a word is kept from the
    others until its journal is booked, at its next start or by `apertis journal replay`."""
    journal_keep_seconds: Annotated[float, duration(positive=False)] = 3600.0
    """Time for which a gateway that shares its store with others keeps usage on its own disk after
    it was booked, at most 256 MB: a database that was restored from a backup is given it again."""

    @property
    def directory(self) -> Path:
        """The directory of everything that is kept on this machine."""
        return self.data.parent if self.data.suffix in _SQLITE_SUFFIXES else self.data

    @property
    def sqlite_file(self) -> Path:
        """The SQLite database, whether or not `url` takes its place."""
        return sqlite_file(self.data)


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Rate limits. A key may have limits of its own."""

    per_address: Annotated[Rate | None, RATE_LIMIT] = _PER_ADDRESS
    """Requests of one client address."""
    per_key: Annotated[Rate | None, RATE_LIMIT] = _PER_KEY
    """Requests of one key."""
    tokens_per_minute: Annotated[int, whole(note=" (0: no limit)")] = 0
    """Tokens of one key in a minute, input and output together."""
    in_flight: Annotated[int, whole(note=" (0: no limit)")] = 0
    """Requests of one key at the same time."""


@dataclass(frozen=True, slots=True)
class MoneySettings:
    """Billing of requests with an unknown price, and of those that somebody else pays for."""

    unpriced: Annotated[Literal["refuse", "free"], choice("refuse", "free")] = "refuse"
    """Response to a key with a quota for a model that has no price: `refuse` returns an error,
    `free` allows the request at no cost."""
    billing_policy: Annotated[Literal["booked", "free"], choice("booked", "free")] = "booked"
    """Cost of a request to a key whose `billing_policy` bills somebody else: `booked` is the
    usual cost, `free` is nothing. The record is marked in either case."""
    refusal: Annotated[Literal["auto", "402", "429"], choice("auto", "402", "429")] = "auto"
    """Response when a budget is used up: `402` with `quota_exceeded`, or `429` with the headers
    that Claude Code shows to its user. `auto` is 429 for Claude Code and 402 for everybody else."""


@dataclass(frozen=True, slots=True)
class RoutingSettings:
    """Selection of upstreams, timeouts and failover."""

    connect_timeout_seconds: Annotated[float, duration()] = 10.0
    """Longest wait for a connection to an upstream, TLS included."""
    first_byte_timeout_seconds: Annotated[float, duration()] = 600.0
    """Longest wait for the first byte of an upstream's response."""
    idle_timeout_seconds: Annotated[float, duration()] = 300.0
    """Longest silence within an upstream's response."""
    fallback_timeout_ms: Annotated[int, whole(5000, 300_000, "milliseconds")] = 30_000
    """Wait for the first content of a model's response before the next fallback model is tried,
    where neither the request nor the key says it."""
    fallback_enabled: Annotated[bool, FLAG] = False
    """Use `fallback_models` where neither the request nor the key decides it."""
    affinity: Annotated[bool, FLAG] = True
    """Keep a conversation on its upstream, so that prompt caches are hit."""
    affinity_seconds: Annotated[int, whole(1, noun="seconds")] = 3600
    """Time that a conversation's upstream is remembered after its last request."""
    breaker_failures: Annotated[int, whole(1)] = 5
    """Failures in a row after which an upstream is left alone."""
    breaker_open_seconds: Annotated[float, duration()] = 30.0
    """Time that an open breaker waits before one request probes the upstream."""


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """The response cache, for keys that have it switched on and requests that ask for it."""

    max_bytes: Annotated[int, size(0)] = 64 * 2**20
    """Memory for cached responses; 0 switches the cache off."""
    ttl_seconds: Annotated[float, duration()] = 300.0
    """Age at which a response is forgotten."""
    max_entry_bytes: Annotated[int, size()] = 2**20
    """Largest answer that is kept."""
    shared: Annotated[bool, FLAG] = False
    """Keep responses, encrypted with a key of the store, in Valkey too, for all gateways of the
    store. Needs `valkey.url`."""


@dataclass(frozen=True, slots=True)
class ValkeySettings:
    """A Valkey server, or one that speaks its protocol, for gateways that share a store.

    With it, what keys, people and groups have used of their rates is told several times a second,
    in place of each second, and `cache.shared` shares cached responses. Nothing depends on it:
    without it the store is asked. It needs the extra `valkey`.
    """

    url: Annotated[Secret | None, VALKEY_URL] = None
    """Its URL, `valkey://host:6379/0`, or `valkeys://` for TLS. One with a password belongs into
    the variable `APERTIS_VALKEY_URL`, or behind one of the next two; `config show` blanks it."""
    url_env: Annotated[
        str | None, text("the name of a variable of the environment", r"[A-Za-z_][A-Za-z0-9_]*")
    ] = None
    """Variable of the environment that has the URL."""
    url_file: Annotated[Path | None, location("the path of a file")] = None
    """File that has the URL and nothing else."""


@dataclass(frozen=True, slots=True)
class CacheReportSettings:
    """Reports of prompt caching: `apertis usage --cache`."""

    enabled: Annotated[bool, FLAG] = False
    """Find the `cache_control` breakpoint whose prefix changed, where a prompt cache is missed.
    Keyed hashes of each session's last prompt are compared in memory; the number of the breakpoint
    is all that is kept."""


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """The console: pages in the browser for administrators, viewers and everybody's own usage."""

    enabled: Annotated[bool | None, FLAG] = None
    """Serve the console. Default: on where only this machine can reach the gateway; elsewhere once
    `server.public_url` and a way to sign in are set."""
    keys: Annotated[bool | None, FLAG] = None
    """Let people sign in with an API key of the gateway. Default: on where only this machine can
    reach the gateway, else off."""
    session_seconds: Annotated[int, whole(60, 30 * 86_400, "seconds")] = 12 * 3600
    """Time after which somebody who signed in has to do so again."""
    allowed_hosts: Annotated[tuple[str, ...], names(HOST_NAME, "host names")] = ()
    """Names by which browsers may reach the console, besides that of `server.public_url`,
    `server.host` and, where only this machine can reach the gateway, `localhost`. A page of
    somebody else whose name leads here (DNS rebinding) is rejected. Where others can reach the
    gateway and none is set, its addresses are allowed as they are."""
    allowed_addresses: Annotated[tuple[str, ...], names(NETWORK, "addresses and networks")] = ()
    """Addresses and networks whose browsers may use the console; none: all of them."""


_NOTICE = r"\S(.{0,498}\S)?"


@dataclass(frozen=True, slots=True)
class SignInSettings:
    """Signing in with Claude Code's `/login`, which somebody approves in the console."""

    enabled: Annotated[bool, FLAG] = True
    """Answer `/login` of Claude Code. Needs the console, and HTTPS where others than this machine
    can reach the gateway."""
    token_seconds: Annotated[int, whole(60, 86_400, "seconds")] = 3600
    """Time that an access token works. Claude Code renews it by itself in the last five minutes: at
    300 or less it does so before each request."""
    refresh_days: Annotated[int, whole(1, 365, "days")] = 30
    """Days after which somebody has to sign in again."""
    login_notice: Annotated[
        str | None, text("a line of up to 500 characters", r"\S(.{0,498}\S)?")
    ] = None
    """A line that Claude Code shows beside the code while it waits."""


RoleName = Literal["administrator", "group_administrator", "viewer", "member"]
ROLES: Final[tuple[RoleName, ...]] = ("administrator", "group_administrator", "viewer", "member")
"""From the one that may do most to the one that may do least."""


def _no_table() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """Signing in to the console with an identity provider that speaks OpenID Connect.

    Any issuer will do that can be discovered. It needs the extra `oidc`; the redirect URI to
    register there is `<server.public_url>/console/sign-in/oidc/callback`.
    """

    issuer: Annotated[str | None, ISSUER] = None
    """URL of the provider, as its tokens name it; its `/.well-known/openid-configuration` says all
    else."""
    client_id: Annotated[str | None, text("the id of a client")] = None
    """Id of this gateway at the provider."""
    client_secret: Secret | None = None
    """Secret of this gateway at the provider."""
    client_secret_env: Annotated[
        str | None, text("the name of a variable of the environment", r"[A-Za-z_][A-Za-z0-9_]*")
    ] = None
    """Variable of the environment that has the client's secret. Without one, and without a file of
    it, the gateway is a public client: PKCE alone protects its codes."""
    client_secret_file: Annotated[Path | None, location("the path of a file")] = None
    """File that has the client's secret and nothing else."""
    name: Annotated[str, text()] = "single sign-on"
    """Words of the button: Sign in with ..."""
    scopes: Annotated[tuple[str, ...], names(text("a scope", r"[!-~]+"), "scopes")] = (
        "openid",
        "profile",
        "email",
    )
    """Scopes to ask for. Some providers tell groups only to those who ask for a scope `groups`."""
    groups_claim: Annotated[str, text("the name of a claim")] = "groups"
    """Claim that lists somebody's groups at the provider."""
    allowed_domains: Annotated[
        tuple[str, ...], names(text("a domain", r"[A-Za-z0-9.-]+"), "domains")
    ] = ()
    """Domains of the verified email addresses that may sign in; none: all of them, and addresses
    that are not verified, too."""
    allowed_groups: Annotated[tuple[str, ...], names(text("a group"), "groups")] = ()
    """Groups of the provider that may sign in; none: everybody whom the provider signs in."""
    unknown_people: Annotated[Literal["refuse", "create"], choice("refuse", "create")] = "refuse"
    """Somebody who signs in and is nobody here, by the provider's id or a verified email address:
    `refuse` sends them away, `create` makes a person of them."""
    default_role: Annotated[RoleName, choice(*ROLES)] = "member"
    """Role of people who are made, and of those that none of `roles` is for."""
    roles: Annotated[Mapping[str, RoleName], mapping(choice(*ROLES), "roles")] = field(
        default_factory=_no_table
    )
    """Roles by the provider's groups, as `[oidc.roles]`; of several the one that may do most.
    With any, everybody's role follows the provider at each sign-in; else it is changed here."""
    groups: Annotated[Mapping[str, str], mapping(text("the name of a group"), "groups")] = field(
        default_factory=_no_table
    )
    """Groups of this gateway, by name or id, by the provider's groups, as `[oidc.groups]`; of
    several the first that is listed here. With any, everybody's group follows the
    provider at each sign-in, and who is in none of them is in no group; else it is changed here."""


_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """Telemetry of Claude Code (OpenTelemetry), which comes to the gateway with each `/login`.

    Metrics, logs and traces are accepted from whoever has a key, and dropped, unless there is a
    collector to send them on to. Nothing of them is kept or logged.
    """

    endpoint: Annotated[str | None, BASE_URL] = None
    """URL of a collector that speaks OTLP over HTTP, such as `http://127.0.0.1:4318`; `/v1/metrics`
    and so on are added."""
    identity: Annotated[
        Literal["none", "headers", "attributes"], choice("none", "headers", "attributes")
    ] = "attributes"
    """Way in which the collector learns whose it is: key, person, email and group as `attributes`
    of each resource (`apertis.person.email`), as `headers` (`x-apertis-person-email`,
    percent-encoded), or not at all (`none`)."""
    authorization_env: Annotated[
        str | None, text("the name of a variable of the environment", _VARIABLE)
    ] = None
    """Variable of the environment that has what the collector wants as `authorization`, such as
    `Bearer ...`."""
    authorization_file: Annotated[Path | None, location("the path of a file")] = None
    """File that has it and nothing else."""
    timeout_seconds: Annotated[float, duration()] = 10.0
    """Longest time that sending one request on may take."""
    max_body_bytes: Annotated[int, size()] = 4 * 2**20
    """Largest request that is sent on; larger ones are dropped."""
    max_queue_bytes: Annotated[int, size()] = 16 * 2**20
    """Size of what may wait for the collector; what comes beyond is dropped."""
    authorization: Secret | None = None
    """The collector's `authorization`, from one of those two; never written here."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    """The log on stderr. It never has prompts, responses or secrets."""

    requests: Annotated[bool, FLAG] = True
    """Log one line for each request."""
    format: Annotated[Literal["auto", "json", "text"], choice("auto", "json", "text")] = "auto"
    """Format of a line: `json` has every field, `text` is short and for people; `auto` is `text`
    on a terminal and `json` elsewhere."""


ALERT_KINDS = ("budget", "breaker", "key", "spike", "journal")
# Those beyond the first two are apprise's.
ALERT_SCHEMES = ("https", "http", "slack", "workflows", "mailtos", "mailto")


@dataclass(frozen=True, slots=True)
class AlertTargetSettings:
    """A place that alerts are sent to; there can be several.

    An `https://` URL is a webhook: it gets a JSON object by POST, signed as Standard Webhooks say.
    Slack (`slack://`), Teams (`workflows://`) and mail (`mailtos://`) are URLs of apprise, in the
    extra `alerts`.
    """

    name: Annotated[str, text("letters, digits, '.', '_' and '-'", r"[A-Za-z0-9._-]{1,64}")]
    """Its name in lists, logs and metrics."""
    url: Secret
    """Its URL: `url_env` names the variable of the environment that has it, `url_file` a file that
    has nothing else. One without a token in it may stand here itself, as `url`; of that `config
    show` shows the host alone."""
    secret: Secret | None = None
    """Secret that a webhook's messages are signed with, `whsec_` and 24 to 64 bytes in base64:
    `secret_env` names the variable that has it, `secret_file` the file. Webhooks need one."""
    kinds: Annotated[tuple[str, ...], names(choice(*ALERT_KINDS), "kinds of alerts")] = ALERT_KINDS
    """Alerts that it gets: `budget` (a threshold was passed), `breaker` (an upstream is left
    alone), `key` (a key ends soon), `spike` (an hour costs far more than usual), `journal` (usage
    is not booked in time)."""
    level: Annotated[Literal["info", "warning", "error"], choice("info", "warning", "error")] = (
        "info"
    )
    """Least level of what it gets. Budgets are `info` below 75 percent, `error` from 100 on and
    else `warning`; the last notice of a key and spikes are `warning`, the earlier notices `info`;
    breakers and the journal are `error`."""

    @property
    def scheme(self) -> str:
        """The scheme of its URL, in lower case."""
        return self.url.reveal().partition(":")[0].lower()


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Alerts, and where they are sent. Each is told once in its period, by all gateways of a store.

    Budgets are told of at the thresholds of each limit, 50, 75, 95 and 100 percent by default.
    """

    key_days: Annotated[tuple[int, ...], wholes(1, 365, "whole numbers from 1 to 365")] = (7, 1)
    """Days before the end of a key at which to tell of it; `[]` never does."""
    spike_factor: Annotated[float | None, NUMBER] = 5.0
    """Factor by which an hour has to cost more than usual to be told of: more than so many times
    the median of the same hour of the last seven days, once a day in UTC. Nothing is told with
    fewer than three days to compare with; 0 never tells."""
    spike_floor: Annotated[Decimal, MONEY] = Decimal(20)
    """Cost of an hour, in dollars, up to which it is never told of."""
    journal_records: Annotated[int, whole(note=" (0: never)")] = 10_000
    """Usage records that wait for the store, above which to tell of it."""
    journal_seconds: Annotated[float, duration(positive=False)] = 300.0
    """Age of the oldest of them above which to tell of it; 0 never does."""
    timeout_seconds: Annotated[float, duration()] = 10.0
    """Longest time that one attempt to send may take."""
    schemes: Annotated[tuple[str, ...], names(choice(*ALERT_SCHEMES), "schemes")] = (
        "https",
        "slack",
        "workflows",
        "mailtos",
    )
    """Schemes that the URLs of targets may have. `http` and `mailto` travel in the clear."""
    allow_private_addresses: Annotated[bool, FLAG] = False
    """Send to private, loopback and link-local addresses too. Names are looked up for each
    connection, and the address that is connected to is the one that was checked; where an HTTP
    proxy connects, the proxy decides."""
    targets: tuple[AlertTargetSettings, ...] = ()
    """Tables `[[alerts.targets]]`, as below. Variable: `APERTIS_ALERTS_TARGETS`, a JSON array."""


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """Speed of the sandbox, the deterministic stand-in for Claude."""

    first_token_seconds: Annotated[float, duration(positive=False)] = 0.0
    """Delay before the first token."""
    tokens_per_second: Annotated[float | None, NUMBER] = None
    """Speed of the output in tokens per second; 0 is as fast as possible."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """A model of an upstream. Written as a table, or as its name alone in `models = ["..."]`."""

    id: Annotated[str, text("the name of a model")]
    """Name by which callers ask for it."""
    aliases: Annotated[tuple[str, ...], names(text("the name of a model"), "names")] = ()
    """Other names for the same."""
    upstream_model: Annotated[str | None, text("the name of a model")] = None
    """Name by which the upstream knows it. Default: `id`."""
    priority: Annotated[int | None, whole(-1000, 1000)] = None
    """Override of the upstream's value."""
    weight: Annotated[int | None, whole(1, 1_000_000)] = None
    """Override of the upstream's value."""


@dataclass(frozen=True, slots=True)
class UpstreamKind:
    """A kind of upstream: the settings that it takes, and its description."""

    url: str | None = None
    """Default URL; a built-in kind has no URL, and takes neither a URL nor a key."""
    told: str = ""
    """Description of a built-in kind."""


ANTHROPIC_URL = "https://api.anthropic.com"

# `upstreams/registry` has the class of each.
UPSTREAM_KINDS: Mapping[str, UpstreamKind] = MappingProxyType(
    {
        "anthropic": UpstreamKind(url=ANTHROPIC_URL),
        "sandbox": UpstreamKind(
            told="the sandbox, a deterministic stand-in for Claude. It is not a model."
        ),
    }
)


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """One place that answers requests; there can be several.

    Without any, `ANTHROPIC_API_KEY` or `ANTHROPIC_AUTH_TOKEN` in the environment make Anthropic the
    upstream, at `ANTHROPIC_BASE_URL` if that is set; without those it is the sandbox.
    """

    name: Annotated[str, text("letters, digits, '.', '_' and '-'", r"[A-Za-z0-9._-]{1,64}")]
    """Its name in logs, metrics and reports."""
    kind: Annotated[str, choice(*UPSTREAM_KINDS)] = "anthropic"
    """`anthropic` speaks the Messages API over HTTP; `sandbox` is the built-in stand-in."""
    base_url: Annotated[str | None, BASE_URL] = None
    """URL of its API, with or without `/v1` at the end. Default for `anthropic`:
    `https://api.anthropic.com`."""
    api_key: Secret | None = None
    """Its credential: `api_key_env` names the variable of the environment that has it,
    `api_key_file` a file that has nothing else, relative to the configuration's. The credential
    itself is rejected here. `https://api.anthropic.com` needs one."""
    auth: Annotated[Literal["x-api-key", "bearer"], choice("x-api-key", "bearer")] = "x-api-key"
    """Header that carries the key: `x-api-key`, or `Authorization: Bearer`."""
    models: tuple[ModelSettings, ...] = ()
    """The models it serves: names, or tables `[[upstreams.models]]` as below. Default: every
    model name is passed on unchanged."""
    priority: Annotated[int, whole(-1000, 1000)] = 0
    """Upstreams of a lower number are tried first."""
    weight: Annotated[int, whole(1, 1_000_000)] = 1
    """Share of the requests among upstreams of one priority."""
    max_connections: Annotated[int, whole(1, 100_000)] = 1000
    """Connections open at the same time; further requests wait for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSettings:
    """The price of a model, in dollars per million tokens unless it says otherwise.

    Amounts are exact: write them as text, `"0.30"`, or as numbers.
    """

    input: Annotated[Decimal, MONEY]
    """Input that was neither read from nor written to the prompt cache."""
    output: Annotated[Decimal, MONEY]
    """Output, thinking included."""
    cache_read: Annotated[Decimal, MONEY]
    """Input read from the prompt cache. Default: a tenth of `input`."""
    cache_write_5m: Annotated[Decimal, MONEY]
    """Input written to the prompt cache for five minutes. Default: 1.25 times `input`."""
    cache_write_1h: Annotated[Decimal, MONEY]
    """Input written to the prompt cache for an hour. Default: twice `input`."""
    web_search: Annotated[Decimal, MONEY] = Decimal(10)
    """A thousand web searches by the server's tool."""
    batch_percent: Annotated[int, whole(0, 100)] = 50
    """Price of a request in a batch, in percent."""


_SANDBOX = UpstreamSettings("sandbox", "sandbox")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. `read_settings` makes it; it never changes afterwards.

    `file` is the one that was read, if any. `origins` has `server.port` -> `apertis.toml:3`,
    `APERTIS_PORT` or `--port`; what stands at its default is not in it. `upstreams[0]` and
    `prices.<model>` stand for their tables.
    """

    store: StoreSettings
    server: ServerSettings = ServerSettings()
    limits: LimitSettings = LimitSettings()
    money: MoneySettings = MoneySettings()
    routing: RoutingSettings = RoutingSettings()
    cache: CacheSettings = CacheSettings()
    cache_report: CacheReportSettings = CacheReportSettings()
    valkey: ValkeySettings = ValkeySettings()
    console: ConsoleSettings = ConsoleSettings()
    sign_in: SignInSettings = SignInSettings()
    oidc: OidcSettings = OidcSettings()
    otlp: OtlpSettings = OtlpSettings()
    log: LogSettings = LogSettings()
    alerts: AlertSettings = AlertSettings()
    sandbox: SandboxSettings = SandboxSettings()
    upstreams: tuple[UpstreamSettings, ...] = (_SANDBOX,)
    prices: Mapping[str, PriceSettings] = field(default_factory=lambda: MappingProxyType({}))
    file: Path | None = field(default=None, compare=False)
    origins: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({}), compare=False, repr=False
    )

    @property
    def has_key_sign_in(self) -> bool:
        """True if an API key is enough to sign in to the console."""
        keys = self.console.keys
        return self.server.is_loopback if keys is None else keys

    @property
    def has_oidc(self) -> bool:
        """True if people can sign in to the console with an identity provider."""
        return self.oidc.issuer is not None and self.oidc.client_id is not None

    @property
    def has_console(self) -> bool:
        """True if the console is served."""
        if self.console.enabled is not None:
            return self.console.enabled
        if self.server.is_loopback:
            return True
        return self.server.public_url is not None and (self.has_key_sign_in or self.has_oidc)

    @property
    def has_device_sign_in(self) -> bool:
        """True if Claude Code can sign in: over HTTPS, or from this machine alone."""
        if not (self.sign_in.enabled and self.has_console):
            return False
        url = self.server.public_url
        if url is None:
            return self.server.has_tls or self.server.is_loopback
        return url.startswith("https:") or is_loopback(urlsplit(url).hostname or "")


NEED_RESTART: Mapping[str, tuple[str, ...]] = {
    "server": (
        *("host", "port", "tls_certificate", "tls_key", "stop_seconds"),
        *("workers", "replica"),
    ),
    "store": ("data", "url", "lease_seconds"),
    "valkey": ("url",),
}
"""Settings whose change acts at the next start only; that of all others does at a reload."""


def kinds_of(section: type[Any]) -> Mapping[str, Kind]:
    """Return the kinds of a section's settings by name; without those of a form of their own."""
    hints = get_type_hints(section, include_extras=True)
    found = {item.name: getattr(hints[item.name], "__metadata__", ()) for item in fields(section)}
    return {name: kinds[0] for name, kinds in found.items() if kinds}
