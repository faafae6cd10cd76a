"""The record of one request: what the journal keeps and the ledger books."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from apertis.accounting.tokens import NO_TOKENS, Tokens

Kind = Literal["messages", "count_tokens", "batch"]

# Two billion dollars: an upstream that counts more is broken. One such record must not keep a
# database, whose integers have 64 bits, from booking all others.
MAX_COST_UNITS = 10**15


class UsageRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request as it is booked: ids, outcome, tokens, cost and times; nothing of its content.

    `request_id` identifies the record: booking the same id again changes nothing.
    `at_ms` is when the request arrived (Unix milliseconds). `cost_units` are integers of
    1/500,000 US dollar. `model` is the one that answered, `requested_model` the one asked for.
    `estimated` says that the tokens are not the upstream's own final count, `interrupted` that
    the response did not reach its end. `session`, `agent` and `request_class` come from the
    headers with which Claude Code identifies its requests. `bill_to` says who pays where it is not
    the gateway's own account, as the request put it. `person_id` and `group_id` are whose key it
    was. `prefix_change` is the first `cache_control` breakpoint of the session's last request whose
    prefix is another one now (from 1), 0 where none is, and None where nobody compared. `attempts`
    counts how often it was sent on, `fallback_reason` says why to another model, `reserved_units`
    what was reserved for it. `accounts`
    are the budgets that it is booked in, with commas between their ids; one that pays another
    amount than `cost_units` has it behind an `=`. `lease` is the replica that reserved it, and its
    epoch, as `name#7`; empty where a gateway has the store to itself.
    """

    request_id: str
    at_ms: int
    key_id: str
    kind: Kind = "messages"
    model: str
    requested_model: str
    upstream: str | None = None
    status: int
    code: str | None = None
    tokens: Tokens = NO_TOKENS
    cost_units: int = 0
    estimated: bool = False
    cached: bool = False
    streamed: bool = False
    session: str | None = None
    agent: str | None = None
    request_class: str | None = None
    upstream_request_id: str | None = None
    first_byte_ms: int | None = None
    total_ms: int = 0
    interrupted: bool = False
    bill_to: str | None = None
    person_id: str | None = None
    group_id: str | None = None
    prefix_change: int | None = None
    attempts: int | None = None
    fallback_reason: str | None = None
    reserved_units: int | None = None
    accounts: str = ""
    lease: str = ""
