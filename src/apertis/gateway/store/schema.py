"""The tables, as the newest migration leaves them; a test holds the two beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

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
from apertis.gateway.store.histogram import COLUMNS as TIMES

if TYPE_CHECKING:
    from collections.abc import Iterable

# The newest revision in `migrations/versions`. It stands here so that opening a database that is
# up to date need not load Alembic. Revisions are numbers of four digits, and so in order.
HEAD = "0009"

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
    # Whose it is: a person's, or a group's own where no person stands behind it.
    Column("person_id", Text),
    Column("group_id", Text),
    Column("kind", Text, nullable=False, server_default="key"),
    Index("keys_by_version", "version"),
)


def _rates() -> list[Column[Any]]:
    return [
        Column("requests_limit", Text),
        Column("tokens_per_minute", BigInteger),
        Column("in_flight", BigInteger),
    ]


def _changes(table: str) -> list[Column[Any] | Index]:
    return [
        Column("status", Text, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("sequence", BigInteger, nullable=False),
        Column("version", BigInteger, nullable=False),
        Index(f"{table}_by_version", "version"),
    ]


groups = Table(
    "groups",
    metadata,
    Column("id", Text, primary_key=True),
    # A group or person that is gone gives its name back: its own becomes its id.
    Column("name", Text, nullable=False, unique=True),
    Column("parent_id", Text),
    *_rates(),
    *_changes("groups"),
)

people = Table(
    "people",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("email", Text),
    # What an identity provider calls the person.
    Column("external_id", Text),
    Column("role", Text, nullable=False),
    Column("group_id", Text),
    *_rates(),
    *_changes("people"),
)

# A key's quota has no row here: it is a limit all the same, in `total`, with an id of its own.
limits = Table(
    "limits",
    metadata,
    Column("id", Text, primary_key=True),
    # "key", "person", "group" or "gateway"; the gateway's own have an empty subject.
    Column("level", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("amount_units", BigInteger, nullable=False),
    Column("overdraft_units", BigInteger, nullable=False),
    Column("period", Text, nullable=False),
    Column("zone", Text, nullable=False),
    # Lists are JSON.
    Column("models", Text),
    Column("per_session", Boolean, nullable=False),
    Column("thresholds", Text, nullable=False),
    Column("contact", Text),
    Column("cheaper_model", Text),
    Column("store_loss_units", BigInteger),
    *_changes("limits"),
)

# Made at their first use, and never shown.
secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

# Who is signed in to the console. The cookie has the id, of which only the hash is kept.
console_sessions = Table(
    "console_sessions",
    metadata,
    Column("id_sha256", Text, primary_key=True),
    # "key:" or "person:" and an id; all of one end together when its epoch grows.
    Column("subject", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("person_id", Text),
    Column("key_id", Text),
    # The hash of the secret that it was begun with.
    Column("key_sha256", Text),
    # The most that it may do; what the person or key may do today can be less.
    Column("role", Text, nullable=False),
    # "key" or "oidc".
    Column("way", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("console_sessions_by_expiry", "expires_at"),
)

console_session_epochs = Table(
    "console_session_epochs",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
)

# Claude Code waits for somebody to approve it. Of both codes only hashes are kept.
device_codes = Table(
    "device_codes",
    metadata,
    Column("device_sha256", Text, primary_key=True),
    Column("user_sha256", Text, nullable=False, unique=True),
    # What the sign-in's will be.
    Column("id", Text, nullable=False),
    # "pending", "approved", "denied" or "used".
    Column("status", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("address", Text, nullable=False),
    # Its network, where one client has many addresses.
    Column("party", Text, nullable=False),
    # Who approved it.
    Column("person_id", Text),
    Column("key_id", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("asked_ms", BigInteger, nullable=False),
    Column("interval_seconds", Integer, nullable=False),
    Index("device_codes_by_expiry", "expires_at"),
)

# One sign-in of Claude Code: its key, and what refreshes the key's secret.
sign_ins = Table(
    "sign_ins",
    metadata,
    Column("id", Text, primary_key=True),
    Column("key_id", Text, nullable=False, unique=True),
    Column("person_id", Text),
    Column("approved_by_key_id", Text),
    Column("client", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("refresh_sha256", Text, nullable=False, unique=True),
    Column("previous_refresh_sha256", Text),
    Column("previous_until", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("refreshed_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Index("sign_ins_by_previous", "previous_refresh_sha256"),
)

# Settings of Claude Code for the people of a group; those of everybody have an empty id.
managed_settings = Table(
    "managed_settings",
    metadata,
    Column("group_id", Text, primary_key=True),
    Column("uuid", Text, nullable=False),
    # JSON.
    Column("settings", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)

# What was spent of a limit in one of its periods. `leased` is what replicas may still spend, `held`
# what batches may. The limit is kept where money is handed out, and only there: a cost above it is
# booked all the same, so nothing here says that the sum stays below it.
accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("limit_id", Text, nullable=False),
    # The session of a limit per session; else empty.
    Column("scope", Text, nullable=False),
    # Unix seconds; a total begins at 0 and has no end.
    Column("period_start", BigInteger, nullable=False),
    Column("period_end", BigInteger),
    # What may be handed out in all: the limit's amount and its overdraft, as they are now.
    Column("limit_units", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
    Column("leased", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    CheckConstraint("spent >= 0 AND leased >= 0 AND held >= 0", name="accounts_are_not_negative"),
    Index("accounts_by_limit", "limit_id", "period_start"),
)

# What a replica may spend of an account. The three sums only grow.
leases = Table(
    "leases",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("replica", Text, primary_key=True),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("granted", BigInteger, nullable=False),
    Column("returned", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
    # Reserved by requests under way, as the replica last said.
    Column("open", BigInteger, nullable=False),
    # Booked as lost when it was closed: its requests were under way when the replica ended.
    Column("lost", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("closed_ms", BigInteger),
    Index("leases_by_replica", "replica", "epoch"),
)

replicas = Table(
    "replicas",
    metadata,
    Column("name", Text, primary_key=True),
    # Counts the starts of a name; no two processes share a lease.
    Column("epoch", BigInteger, nullable=False),
    # Counts the replica's settlements: a store that went back in time shows an older number.
    Column("sequence", BigInteger, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    # What it tells the others: its version, its open breakers.
    Column("state", Text, nullable=False),
)

# What each replica has let in of a party's requests and tokens, and what was asked of it lately.
shares = Table(
    "shares",
    metadata,
    Column("party", Text, primary_key=True),
    Column("replica", Text, primary_key=True),
    Column("used", BigInteger, nullable=False),
    Column("demand", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
)

# What of an account's `held` each batch holds.
batch_holds = Table(
    "batch_holds",
    metadata,
    Column("batch_id", Text, primary_key=True),
    Column("account_id", Text, primary_key=True),
    Column("units", BigInteger, nullable=False),
)

# Who changed what; never a secret. Rows are added in the transaction of the change.
audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("before", Text),
    Column("after", Text),
    Index("audit_by_time", "at_ms"),
)

# What was told, once each: the id says of what and of which period, and whoever adds the row tells.
alerts = Table(
    "alerts",
    metadata,
    Column("id", Text, primary_key=True),
    # By which a target knows a message that came twice.
    Column("message_id", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("level", Text, nullable=False),
    # The key, person or group that it is about; else empty.
    Column("subject_id", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    # When nothing tells it again, even without this row.
    Column("forget_ms", BigInteger),
    Column("text", Text, nullable=False),
    # JSON.
    Column("data", Text, nullable=False),
    Index("alerts_by_time", "at_ms"),
)

# Each alert on its way to each target. `next_ms` is when to try (again); whoever tries moves it on
# first, so that nobody else does. It has none once it is over; `error` is the last one.
alert_deliveries = Table(
    "alert_deliveries",
    metadata,
    Column("alert_id", Text, primary_key=True),
    Column("target", Text, primary_key=True),
    Column("attempts", BigInteger, nullable=False),
    Column("next_ms", BigInteger),
    Column("ended_ms", BigInteger),
    Column("error", Text),
    Index("alert_deliveries_by_time", "next_ms"),
)

# One row, which every change of a key, person, group or limit counts up. Whoever holds it has the
# turn, so that versions become visible in their order and a reader never skips one.
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
    # When the last of its requests arrived; of what came before this column, its quarter hour.
    Column("last_used_ms", BigInteger),
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
    # Whose key it was then; a key that moves on keeps its past.
    Column("person_id", Text),
    Column("group_id", Text),
    # Which `cache_control` breakpoint of the session's last request has another prefix now; 0 for
    # none of them, null where nobody compared.
    Column("prefix_change", Integer),
    # How often it was sent on, why to another model, and what was reserved for it.
    Column("attempts", Integer),
    Column("fallback_reason", Text),
    Column("reserved_units", BigInteger),
    Index("usage_by_time", "at_ms"),
    sqlite_with_rowid=False,
)


# `usage` added up by quarter hour (since 1970), which days of every time zone are made of, so that
# reports need not read every request. Empty text stands for none: a part of a primary key cannot be
# null. See `histogram` for the columns of times.
usage_quarters = Table(
    "usage_quarters",
    metadata,
    Column("quarter", Integer, primary_key=True, autoincrement=False),
    *(
        Column(name, Text, primary_key=True)
        for name in (
            "key_id",
            "person_id",
            "group_id",
            "model",
            "kind",
            "request_class",
            "upstream",
        )
    ),
    *_sums(SUMS),
    *_sums(TIMES),
    sqlite_with_rowid=False,
)


def _rollup(name: str, unit: str, by: Iterable[str], sums: Iterable[str]) -> Table:
    return Table(
        name,
        metadata,
        Column(unit, Integer, primary_key=True, autoincrement=False),
        *(Column(dimension, Text, primary_key=True) for dimension in by),
        *_sums(sums),
        sqlite_with_rowid=False,
    )


# `usage_quarters` added up by less than it tells apart, and by hour (since 1970): a year is read at
# a glance, however many keys and people there are. The quarters are for the hours that two days
# share in zones of half hours. People are many, so what is kept of theirs is little. Of tables with
# one unit, that with the fewest rows comes first.
ROLLUPS: Final = (
    _rollup("usage_model_quarters", "quarter", ("model",), (*SUMS, *TIMES)),
    _rollup("usage_hours", "hour", ("model",), (*SUMS, *TIMES)),
    _rollup("usage_group_hours", "hour", ("group_id", "model"), (*SUMS, *TIMES)),
    _rollup("usage_person_hours", "hour", ("person_id", "group_id"), SUMS),
)

# One row: from when on quarter hours and hours are complete. What is older is added up in the
# background.
usage_rollup = Table(
    "usage_rollup",
    metadata,
    Column(
        "id", Integer, CheckConstraint("id = 1", name="usage_rollup_is_one_row"), primary_key=True
    ),
    Column("complete_since_ms", BigInteger, nullable=False),
)

# `usage` added up by day (days since 1970 in UTC), session and agent: sessions are many, and few
# last for more than a day. Read only by reports that ask for these.
usage_sessions = Table(
    "usage_sessions",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    *(
        Column(name, Text, primary_key=True)
        for name in ("key_id", "model", "kind", "request_class", "upstream", "session", "agent")
    ),
    *_sums(SUMS),
    # The arrival of the first and the last one; null for what an earlier version added up.
    Column("first_ms", BigInteger),
    Column("last_ms", BigInteger),
    sqlite_with_rowid=False,
)

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
    Column("person_id", Text),
    Column("group_id", Text),
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
