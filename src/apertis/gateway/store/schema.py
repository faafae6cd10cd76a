"""The tables, as the newest migration leaves them; a test holds the two beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    false,
)

from apertis.accounting.tokens import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable

# The newest revision in `migrations/versions`. It stands here so that opening a database that is
# up to date need not load Alembic. Revisions are numbers of four digits, and so in order.
HEAD = "0004"

# What is added up for each group of requests. The counts of tokens and the cost are columns of
# `usage`, in this order.
SUMS = ("requests", "failed", "cached", "estimated", "interrupted", *COLUMNS.values(), "cost_units")

metadata = MetaData()


def _sums(names: Iterable[str]) -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False) for name in names]


keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("owner", Text),
    # Lists of texts are JSON.
    Column("tags", Text, nullable=False),
    Column("sha256", Text, nullable=False, unique=True),
    Column("hint", Text, nullable=False),
    Column("previous_sha256", Text),
    Column("previous_until", BigInteger),
    Column("admin", Boolean, nullable=False),
    Column("status", Text, nullable=False),
    Column("expires_at", BigInteger),
    Column("quota_units", BigInteger),
    Column("models", Text),
    Column("addresses", Text),
    Column("fallback_models", Text, nullable=False),
    Column("fallback_timeout_ms", BigInteger),
    Column("fallback_enabled", Boolean),
    Column("requests_limit", Text),
    Column("tokens_per_minute", BigInteger),
    Column("in_flight", BigInteger),
    Column("response_cache", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("billing_policy", Boolean, nullable=False, server_default=false()),
    # Counts up from key to key, as in `batches`: many are made in one second.
    Column("sequence", BigInteger, nullable=False, server_default="0"),
    Index("keys_by_version", "version"),
)

# One row, which every change of a key counts up. Whoever holds it has the turn, so that versions
# become visible in their order and a reader never skips one.
key_version = Table(
    "key_version",
    metadata,
    Column(
        "id", Integer, CheckConstraint("id = 1", name="key_version_is_one_row"), primary_key=True
    ),
    Column("version", BigInteger, nullable=False),
)

# Apart from the keys: what is counted all the time never waits for a change of a key. No foreign
# key here and in `usage`: a record that was paid for is kept, whatever it belongs to.
key_usage = Table(
    "key_usage",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("used_units", BigInteger, nullable=False),
)

usage = Table(
    "usage",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("requested_model", Text, nullable=False),
    Column("upstream", Text),
    Column("status", Integer, nullable=False),
    Column("code", Text),
    *_sums(COLUMNS.values()),
    Column("cost_units", BigInteger, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("cached", Boolean, nullable=False),
    Column("streamed", Boolean, nullable=False),
    Column("interrupted", Boolean, nullable=False),
    Column("session", Text),
    Column("agent", Text),
    Column("request_class", Text),
    Column("upstream_request_id", Text),
    Column("first_byte_ms", BigInteger),
    Column("total_ms", BigInteger, nullable=False),
    # Who pays, where it is not the gateway's own account.
    Column("bill_to", Text),
    Index("usage_by_time", "at_ms"),
    sqlite_with_rowid=False,
)


def _by_day(table: str, *more: str) -> Table:
    dimensions = ("key_id", "model", "kind", "request_class", "upstream", *more)
    return Table(
        table,
        metadata,
        Column("day", Integer, primary_key=True, autoincrement=False),
        # Empty text stands for none: a part of a primary key cannot be null.
        *(Column(name, Text, primary_key=True) for name in dimensions),
        *_sums(SUMS),
        sqlite_with_rowid=False,
    )


# `usage` added up by day (days since 1970 in UTC), so that reports need not read every request.
usage_daily = _by_day("usage_daily")
# The same by session and agent as well: far more rows, read only by reports that ask for these.
usage_sessions = _by_day("usage_sessions", "session", "agent")

batches = Table(
    "batches",
    metadata,
    Column("id", Text, primary_key=True),
    Column("upstream", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("held_units", BigInteger, nullable=False),
    Column("lines", BigInteger, nullable=False),
    Column("settled_lines", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False, server_default="0"),
    Index("batches_by_key", "key_id", "created_at"),
)

batch_lines = Table(
    "batch_lines",
    metadata,
    Column("batch_id", Text, ForeignKey("batches.id"), primary_key=True),
    Column("custom_id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("held_units", BigInteger, nullable=False),
    Column("settled", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

# Answers that a conversation can go on from, and how much its upstream holds of it by then.
thread_messages = Table(
    "thread_messages",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("message_id", Text, primary_key=True),
    Column("upstream", Text, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("searches", BigInteger, nullable=False),
    Column("allowance", BigInteger, nullable=False),
    Column("hour", Boolean, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("thread_messages_by_time", "at"),
    sqlite_with_rowid=False,
)
