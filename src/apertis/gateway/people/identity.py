"""People as an identity provider tells of them: who may sign in, with which role and group. Pure.

What the provider says of an email address counts only where it says that it verified the address:
in many of them people can enter any.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

import msgspec

from apertis.gateway.config.settings import ROLES
from apertis.gateway.errors import Refusal, access_denied
from apertis.gateway.people.record import folded_email

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.gateway.config.settings import OidcSettings, RoleName

_MAX_LENGTH = 200
_MAX_GROUPS = 10_000
_NOT_ALLOWED = access_denied(
    "Your account may not sign in here. Ask the administrator of this gateway."
)
_TOO_MANY_GROUPS = access_denied(
    "The identity provider has more groups of yours than it tells here. Ask the administrator of "
    "this gateway to let the provider tell those alone that are assigned to it."
)


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whom the provider signed in. `email` is a verified one."""

    external_id: str
    # The provider's own id, without its issuer.
    subject: str
    name: str
    email: str | None = None
    # None where the provider has more of them than it says here.
    groups: tuple[str, ...] | None = ()

    # Names and addresses of people are in no representation.
    __repr__ = object.__repr__


def identity_of(issuer: str, claims: Mapping[str, Any], groups_claim: str) -> Identity:
    """Read the claims of a token that was checked; `sub` is in it."""
    subject = str(claims["sub"])
    email = claims.get("email")
    # Some say it as a text.
    said = claims.get("email_verified")
    verified = said is True or said == "true"
    groups = None if _are_elsewhere(claims, groups_claim) else _groups(claims.get(groups_claim))
    names = (claims.get(name) for name in ("name", "preferred_username", "email"))
    name = next((text for one in names if (text := _line(one))), subject)
    return Identity(
        external_id=_external_id(issuer, subject),
        subject=subject,
        name=_line(name) or _external_id(issuer, subject),
        email=email.strip() if verified and isinstance(email, str) and email.strip() else None,
        groups=groups,
    )


def _groups(given: object) -> tuple[str, ...]:
    listed = cast("list[object]", given) if isinstance(given, list) else [given]
    return tuple(one for one in listed[:_MAX_GROUPS] if isinstance(one, str))


def _are_elsewhere(claims: Mapping[str, Any], groups_claim: str) -> bool:
    """Return whether the provider keeps a claim elsewhere, as for people in very many groups.

    https://openid.net/specs/openid-connect-core-1_0.html#AggregatedDistributedClaims
    """
    elsewhere = claims.get("_claim_names")
    if groups_claim in claims:
        return False
    named = isinstance(elsewhere, dict) and groups_claim in elsewhere
    return named or (groups_claim == "groups" and claims.get("hasgroups") in (True, "true"))


def _line(text: object) -> str:
    """Return a text as a name can be: one line, not too long."""
    if not isinstance(text, str):
        return ""
    plain = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(plain.split())[:_MAX_LENGTH].strip()


def _external_id(issuer: str, subject: str) -> str:
    """Return the id by which somebody is known here: that of no other issuer is the same."""
    whole = f"{issuer.rstrip('/')}#{subject}"
    if len(whole) <= _MAX_LENGTH and _line(whole) == whole:
        return whole
    return f"oidc#{hashlib.sha256(whole.encode()).hexdigest()}"


def refuse(identity: Identity, settings: OidcSettings) -> Refusal | None:
    """Return why somebody whom the provider signed in may not sign in here."""
    if settings.allowed_domains:
        if identity.email is None:
            return access_denied(
                "The identity provider has no verified email address for you, and this gateway "
                "asks for one."
            )
        domain = folded_email(identity.email.rpartition("@")[2])
        if domain not in {folded_email(one) for one in settings.allowed_domains}:
            return _NOT_ALLOWED
    if identity.groups is None:
        counts = settings.allowed_groups or settings.roles or settings.groups
        return _TOO_MANY_GROUPS if counts else None
    if settings.allowed_groups and not set(settings.allowed_groups) & set(identity.groups):
        return _NOT_ALLOWED
    return None


def role_by(identity: Identity, settings: OidcSettings) -> RoleName | None:
    """Return the role that the provider's groups give; None where roles are changed here."""
    if not settings.roles:
        return None
    given = {settings.roles[group] for group in identity.groups or () if group in settings.roles}
    for role in ROLES:
        if role in given:
            return role
    return settings.default_role


def group_by(identity: Identity, settings: OidcSettings) -> str | None:
    """Return name or id of the group that the provider's groups give; None for no group."""
    own = set(identity.groups or ())
    return next((group for theirs, group in settings.groups.items() if theirs in own), None)
