"""The record of a key: its settings, each defined here once, and what the gateway adds.

The admin API's JSON fields, its OpenAPI shapes, the command's options and what it prints, and the
store's values come from `KeySettings`. A new setting needs a line there, a column in the store's
schema, a migration and a row of the documentation.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta

from apertis.gateway.keys import validation as rules
from apertis.gateway.keys.validation import MAX_LABEL_LENGTH, MAX_UNITS

if TYPE_CHECKING:
    from collections.abc import Mapping

Status = Literal["enabled", "disabled", "deleted"]
# `sign_in`: of somebody who signed in with Claude Code, its secret changes by itself; `chat`: of
# the console, and nobody has its secret. Neither ever administers.
KeyKind = Literal["key", "sign_in", "chat"]


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a key: its rule, its name in JSON, its option, and its form for people."""

    rule: rules.Rule | None = None
    meta: Meta = field(default_factory=Meta)
    """Of the JSON field that sets it."""
    view: str = ""
    """Description of the JSON field that shows it."""
    json: type | None = None
    """Its type in JSON, where that is another one."""
    option: str = ""
    metavar: str = ""
    help: str = ""
    words: Mapping[str, object] = field(default_factory=dict[str, object])
    """Words that the option takes besides, with their values."""
    title: str = ""
    """Of its line on the sheet of a key; without one it has none of its own."""
    shown: Mapping[object, str] = field(default_factory=dict[object, str])
    """Words on the sheet in place of values."""
    unit: str = ""
    # Both are read from the annotation.
    type: Any = None
    nullable: bool = False


_CONFIGURED: dict[object, str] = {None: "as configured", 0: "no limit"}
_ENTRIES = Meta(max_length=1000)
_COUNT = Meta(ge=0, le=MAX_UNITS)


# Without `gc`, 100,000 records cost the collector nothing; no field can hold a cycle.
class KeySettings(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The settings of a key that an administrator controls.

    Times are Unix seconds, and so in UTC. Money is in units: 500,000 to the US dollar. What is
    None here is not limited by the key: `quota_units` (no quota), `models` and `addresses` (all),
    `expires_at` (never); or, for `fallback_*`, `requests_limit`, `tokens_per_minute` and
    `in_flight`, it is as configured for all keys, where 0 ("0") switches a limit off.
    """

    name: Annotated[
        str,
        Setting(
            rules.key_name,
            Meta(min_length=1, max_length=MAX_LABEL_LENGTH, description="Names the key to people."),
            option="--name",
            title="Name",
        ),
    ]
    owner: Annotated[
        str | None,
        Setting(
            rules.label,
            Meta(max_length=MAX_LABEL_LENGTH),
            option="--owner",
            metavar="TEXT",
            help="Owner of the key; '' for nobody.",
            words={"": None},
            title="Owner",
            shown={None: "-"},
        ),
    ] = None
    tags: Annotated[
        tuple[str, ...],
        Setting(
            rules.tags,
            _ENTRIES,
            option="--tag",
            metavar="TAG",
            help="Tag; 'none' for none.",
            words={"none": ()},
            title="Tags",
            shown={(): "-"},
        ),
    ] = ()
    admin: Annotated[
        bool,
        Setting(
            option="--admin/--no-admin",
            help="Allow it to administer the gateway.",
            title="Administrator",
            shown={True: "yes", False: "no"},
        ),
    ] = False
    quota_units: Annotated[
        int | None,
        Setting(
            rules.at_most(MAX_UNITS, "units (500,000 to the dollar)"),
            Meta(ge=0, le=MAX_UNITS, description="Granted in all; 500,000 units are 1 US dollar."),
            option="--quota",
            metavar="UNITS",
            help="Total budget in units: 500,000 are 1 US dollar; or 'unlimited'.",
            words={"unlimited": None},
        ),
    ] = None
    models: Annotated[
        tuple[str, ...] | None,
        Setting(
            rules.models,
            _ENTRIES,
            view="null: all.",
            option="--model",
            metavar="MODEL",
            help="Model that it may use; or 'all'.",
            words={"all": None},
            title="Models",
            shown={None: "all"},
        ),
    ] = None
    addresses: Annotated[
        tuple[str, ...] | None,
        Setting(
            rules.addresses,
            Meta(max_length=1000, description="Addresses and networks: 10.0.0.0/8, 2001:db8::/32."),
            view="null: all.",
            option="--address",
            metavar="ADDRESS",
            help="Address or network that it may be used from, such as 10.0.0.0/8; or 'all'.",
            words={"all": None},
            title="Addresses",
            shown={None: "all"},
        ),
    ] = None
    expires_at: Annotated[
        int | None,
        Setting(
            rules.moment,
            Meta(description="ISO 8601; without a zone it is UTC."),
            json=str,
            option="--expires",
            metavar="WHEN",
            help="Expiry: 30d (also h, m, w) from now, 2026-12-31 (UTC), or 'never'.",
            words={"never": None},
            title="Expires",
            shown={None: "never"},
        ),
    ] = None
    fallback_models: Annotated[
        tuple[str, ...],
        Setting(
            rules.fallback_models,
            _ENTRIES,
            option="--fallback-model",
            metavar="MODEL",
            help="Fallback model, in this order; or 'none'.",
            words={"none": ()},
            title="Fallback",
        ),
    ] = ()
    fallback_timeout_ms: Annotated[
        int | None,
        Setting(
            rules.fallback_timeout,
            option="--fallback-timeout",
            metavar="MS",
            help="Wait for a model before the next one is tried; or 'default'.",
            words={"default": None},
            title="Fallback after",
            shown=_CONFIGURED,
            unit=" ms",
        ),
    ] = None
    fallback_enabled: Annotated[
        bool | None,
        Setting(
            option="--fallback",
            help="Fall back on failures.",
            shown={None: "as configured", True: "on", False: "off"},
        ),
    ] = None
    requests_limit: Annotated[
        str | None,
        Setting(
            rules.requests_limit,
            Meta(description='As "3000/1m"; "0" for none.'),
            option="--rate",
            metavar="RATE",
            help="Rate limit, such as 3000/1m; 0 for no limit, or 'default'.",
            words={"default": None, "none": "0"},
            title="Requests",
            shown={None: "as configured", "0": "no limit"},
        ),
    ] = None
    tokens_per_minute: Annotated[
        int | None,
        Setting(
            rules.at_most(MAX_UNITS, "tokens, 0 for any"),
            _COUNT,
            option="--tokens-per-minute",
            metavar="N",
            help="Tokens per minute; 0 for no limit, or 'default'.",
            words={"default": None},
            title="Tokens a minute",
            shown=_CONFIGURED,
        ),
    ] = None
    in_flight: Annotated[
        int | None,
        Setting(
            rules.at_most(MAX_UNITS, "requests at once, 0 for any"),
            _COUNT,
            option="--in-flight",
            metavar="N",
            help="Concurrent requests; 0 for no limit, or 'default'.",
            words={"default": None},
            title="In flight",
            shown=_CONFIGURED,
        ),
    ] = None
    response_cache: Annotated[
        bool,
        Setting(
            option="--cache/--no-cache",
            help="Answer repeated requests from the response cache.",
            title="Response cache",
            shown={True: "on", False: "off"},
        ),
    ] = False
    billing_policy: Annotated[
        bool,
        Setting(
            meta=Meta(description="Allow requests that bill somebody else."),
            option="--billing-policy/--no-billing-policy",
            help="Allow requests that bill somebody else.",
            title="Bill others",
            shown={True: "allowed", False: "no"},
        ),
    ] = False


class KeyRecord(KeySettings, frozen=True, kw_only=True, gc=False):
    """A key's settings and state, and the hash of its secret; never the secret itself."""

    id: str
    sha256: str
    hint: str
    # The secret before the last rotation is accepted until, but not at, this time.
    previous_sha256: str | None = None
    previous_until: int | None = None
    status: Status = "enabled"
    kind: KeyKind = "key"
    # The person whose key it is, or else the group.
    person_id: str | None = None
    group_id: str | None = None
    used_units: int = 0
    created_at: int
    # Set by the store: the order of creation, and what grows with every change of any key.
    sequence: int = 0
    version: int = 0


def settings_of(type: type[KeySettings]) -> dict[str, Setting]:
    """Read the settings that a class defines, by name, in their order."""
    found: dict[str, Setting] = {}
    for name, hint in get_type_hints(type, include_extras=True).items():
        for setting in getattr(hint, "__metadata__", ()):
            if isinstance(setting, Setting):
                kind = hint.__origin__
                members = get_args(kind)
                nullable = NoneType in members
                found[name] = replace(
                    setting, type=members[0] if nullable else kind, nullable=nullable
                )
    return found


SETTINGS = settings_of(KeySettings)


def problems_of(record: KeySettings) -> list[rules.Problem]:
    """Say everything that is wrong with a record that is about to be kept; empty: nothing is.

    The values have the record's types already. An expiry in the past is allowed: it ends the key.
    """
    return [
        problem
        for name, setting in SETTINGS.items()
        if setting.rule is not None and (value := getattr(record, name)) is not None
        for problem in setting.rule(name, value)
    ]
