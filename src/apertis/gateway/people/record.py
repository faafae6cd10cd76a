"""People and groups as they are kept."""

from __future__ import annotations

from typing import Literal

import msgspec

Role = Literal["administrator", "group_administrator", "viewer", "member"]
# A group or person that is removed keeps its id, so that what it used stays its own.
GroupStatus = Literal["enabled", "removed"]
PersonStatus = Literal["enabled", "disabled", "removed"]


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of requests, tokens and concurrency; None for no limit at this level."""

    requests_limit: str | None = None
    tokens_per_minute: int | None = None
    in_flight: int | None = None


class Group(Rates, frozen=True, kw_only=True):
    """A group of people and keys, which may be in another group. Times are Unix seconds."""

    id: str
    name: str
    parent_id: str | None = None
    status: GroupStatus = "enabled"
    created_at: int = 0
    # Set by the store, as for keys.
    sequence: int = 0
    version: int = 0


class Person(Rates, frozen=True, kw_only=True):
    """A person, who has keys and is in one group. Times are Unix seconds."""

    id: str
    name: str
    email: str | None = None
    external_id: str | None = None
    role: Role = "member"
    group_id: str | None = None
    status: PersonStatus = "enabled"
    created_at: int = 0
    sequence: int = 0
    version: int = 0

    # Names and addresses of people are in no representation.
    __repr__ = object.__repr__


def folded_email(email: str) -> str:
    """Return an address as it is compared: without the case of ASCII, in which alone none differ.

    Other letters that are the same without their case can be two accounts of an identity provider.
    """
    return email.strip().encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")
