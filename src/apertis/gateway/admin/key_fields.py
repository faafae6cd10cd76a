"""The JSON fields that create or change a key, read and validated."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from apertis.gateway.admin.reading import read_body_as
from apertis.gateway.errors import Refusal, invalid_parameter
from apertis.gateway.keys.record import SETTINGS, KeyRecord, Setting, problems_of
from apertis.gateway.keys.secrets import MAX_GRACE_SECONDS
from apertis.gateway.keys.validation import MAX_LABEL_LENGTH, MAX_UNITS
from apertis.gateway.units import UNITS_PER_DOLLAR, read_moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from apertis.gateway.keys.validation import Problem

DEFAULT_GRACE_SECONDS = 24 * 3600

_MAX_TOLD = 5
_FIELDS_DOC = """The fields of a key that an administrator sets; what is left out stays as it is.

`null` takes a limit away: no quota, all models, all addresses, no expiry, and for
`fallback_*`, `requests_limit`, `tokens_per_minute` and `in_flight` the gateway's own setting.
"""
_EXACT = Context(prec=40, traps=[Inexact, InvalidOperation])


# Two ways to say one thing: `quota_usd` is given in place of `quota_units`.
_QUOTA_USD = Setting(
    meta=Meta(description="The quota in US dollars, instead of `quota_units`."),
    option="--quota-usd",
    metavar="USD",
    help="Total budget in US dollars, such as 12.50.",
    words={"unlimited": None},
    type=Decimal,
    nullable=True,
)


# Given by name, and kept as an id.
_PERSON = Setting(
    meta=Meta(max_length=MAX_LABEL_LENGTH, description="Whose key it is: a person's name or id."),
    option="--person",
    metavar="NAME",
    help="Person whose key it is; '' for nobody.",
    words={"": None},
    type=str,
    nullable=True,
)
_GROUP = Setting(
    meta=Meta(
        max_length=MAX_LABEL_LENGTH,
        description="A group that it counts in besides its person's: a name or id.",
    ),
    option="--group",
    metavar="NAME",
    help="Group that it counts in; '' for none but its person's.",
    words={"": None},
    type=str,
    nullable=True,
)
REFERENCES = ("person", "group")


def _with_more(settings: Mapping[str, Setting]) -> Iterator[tuple[str, Setting]]:
    for name, setting in settings.items():
        yield name, setting
        if name == "owner":
            yield "person", _PERSON
            yield "group", _GROUP
        if name == "quota_units":
            yield "quota_usd", _QUOTA_USD


GIVEN = dict(_with_more(SETTINGS))


def _field(name: str, setting: Setting) -> tuple[str, object, UnsetType]:
    nothing = UnsetType | None if setting.nullable else UnsetType
    return name, Annotated[setting.json or setting.type, setting.meta] | nothing, UNSET


if TYPE_CHECKING:

    class KeyFields(Struct, kw_only=True, frozen=True):
        """The fields that somebody gave; those of `GIVEN`, of which two are read by name."""

        name: str | UnsetType = UNSET
        expires_at: str | UnsetType | None = UNSET

else:
    KeyFields = msgspec.defstruct(
        "KeyFields",
        [_field(name, setting) for name, setting in GIVEN.items()],
        module=__name__,
        namespace={"__doc__": _FIELDS_DOC},
        kw_only=True,
        frozen=True,
        forbid_unknown_fields=True,
    )


_KEPT = "the gateway keeps it itself"
_FORBIDDEN = {
    **dict.fromkeys((*KeyRecord.__struct_fields__, "remaining_units"), _KEPT),
    "status": "POST to the key's /enable or /disable, or DELETE it",
    "person_id": "give the person's name or id in 'person'",
    "group_id": "give the group's name or id in 'group'",
    "secret": "the gateway makes it; POST to the key's /rotate for another",
    "expires_in": "give the moment in 'expires_at'",
}


class RotateFields(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Grace period in which the secret before a rotation is still accepted."""

    grace_seconds: Annotated[int, Meta(ge=0, le=MAX_GRACE_SECONDS)] = DEFAULT_GRACE_SECONDS


def read_fields(body: bytes) -> KeyFields | Refusal:
    """Read the JSON body of a request that makes or changes a key."""
    return read_body_as(body, KeyFields, _FORBIDDEN)


def changes_of(fields: KeyFields) -> dict[str, Any] | Refusal:
    """Turn the fields that were given into values of a `KeyRecord`, by its names.

    `person` and `group` stay the names that were given.
    """
    given = {name: value for name in GIVEN if (value := getattr(fields, name)) is not UNSET}
    if "quota_usd" in given:
        if "quota_units" in given:
            return invalid_parameter("quota_usd", "Give 'quota_units' or 'quota_usd', not both")
        usd: Decimal | None = given.pop("quota_usd")
        units = None if usd is None else units_of(usd)
        if isinstance(units, Refusal):
            return units
        given["quota_units"] = units
    if isinstance(given.get("expires_at"), str):
        text: str = given["expires_at"]
        given["expires_at"] = read_moment(text)
        if given["expires_at"] is None:
            message = f"'expires_at' must be a date or time as 2026-12-31T18:00:00Z, not {text!r}"
            return invalid_parameter("expires_at", message)
    return given


def refuse_invalid(record: KeyRecord) -> Refusal | None:
    """Say what is wrong with a record that is about to be kept; None lets it pass."""
    return refusal_of(problems_of(record))


def refusal_of(problems: Sequence[Problem]) -> Refusal | None:
    """Say what is wrong, the first few of it; None when nothing is."""
    if not problems:
        return None
    told = "; ".join(str(problem) for problem in problems[:_MAX_TOLD])
    more = len(problems) - _MAX_TOLD
    return invalid_parameter(problems[0].field, f"{told}; {more} more" if more > 0 else told)


def units_of(usd: Decimal, param: str = "quota_usd") -> int | Refusal:
    """Convert dollars to units exactly; what is finer than a unit is rejected."""
    try:
        units = _EXACT.multiply(usd, Decimal(UNITS_PER_DOLLAR))
        if 0 <= units <= MAX_UNITS and units == int(units):
            return int(units)
    except ArithmeticError:
        # Too many digits to be an amount of whole units, or no number at all.
        pass
    shown = str(usd)[:40]
    message = f"'{param}' must be US dollars in steps of 0.000002 (one unit), not {shown}"
    return invalid_parameter(param, message)
