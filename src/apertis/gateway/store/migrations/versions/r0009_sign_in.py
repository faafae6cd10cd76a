"""Sign-ins: to the console, and of Claude Code; its settings; more of each request; hours."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_SUMS = (
    "requests",
    "failed",
    "cached",
    "estimated",
    "interrupted",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "web_search_requests",
    "cost_units",
)
_TIMES = tuple(f"times_{place:02}" for place in range(29))


def upgrade() -> None:
    """Make their tables, and add the columns."""
    op.add_column("keys", sa.Column("kind", sa.Text(), nullable=False, server_default="key"))
    op.add_column("usage", sa.Column("attempts", sa.Integer()))
    op.add_column("usage", sa.Column("fallback_reason", sa.Text()))
    op.add_column("usage", sa.Column("reserved_units", sa.BigInteger()))
    _add_up_quarters()
    op.add_column("usage_sessions", sa.Column("first_ms", sa.BigInteger()))
    op.add_column("usage_sessions", sa.Column("last_ms", sa.BigInteger()))
    op.add_column("key_usage", sa.Column("last_used_ms", sa.BigInteger()))
    op.execute("""
        UPDATE key_usage SET last_used_ms = found.last * 900000
        FROM (
            SELECT key_id, max(CAST(quarter AS BIGINT)) AS last FROM usage_quarters GROUP BY key_id
        ) AS found
        WHERE found.key_id = key_usage.key_id
    """)
    op.create_table(
        "console_sessions",
        sa.Column("id_sha256", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.Text()),
        sa.Column("key_id", sa.Text()),
        sa.Column("key_sha256", sa.Text()),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id_sha256"),
    )
    op.create_index("console_sessions_by_expiry", "console_sessions", ["expires_at"], unique=False)
    op.create_table(
        "console_session_epochs",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject"),
    )
    op.create_table(
        "device_codes",
        sa.Column("device_sha256", sa.Text(), nullable=False),
        sa.Column("user_sha256", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text()),
        sa.Column("key_id", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("asked_ms", sa.BigInteger(), nullable=False),
        sa.Column("interval_seconds", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("device_sha256"),
        sa.UniqueConstraint("user_sha256"),
    )
    op.create_index("device_codes_by_expiry", "device_codes", ["expires_at"], unique=False)
    op.create_table(
        "sign_ins",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text()),
        sa.Column("approved_by_key_id", sa.Text()),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("refresh_sha256", sa.Text(), nullable=False),
        sa.Column("previous_refresh_sha256", sa.Text()),
        sa.Column("previous_until", sa.BigInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("refreshed_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key_id"),
        sa.UniqueConstraint("refresh_sha256"),
    )
    op.create_index("sign_ins_by_previous", "sign_ins", ["previous_refresh_sha256"], unique=False)
    op.create_table(
        "managed_settings",
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("group_id"),
    )


def _add_up_quarters() -> None:
    for table, names, summed in (
        ("usage_model_quarters", ("quarter", "model"), (*_SUMS, *_TIMES)),
        ("usage_hours", ("hour", "model"), (*_SUMS, *_TIMES)),
        ("usage_group_hours", ("hour", "group_id", "model"), (*_SUMS, *_TIMES)),
        ("usage_person_hours", ("hour", "person_id", "group_id"), _SUMS),
    ):
        op.create_table(
            table,
            *(
                sa.Column(
                    name,
                    sa.Integer() if name in {"hour", "quarter"} else sa.Text(),
                    autoincrement=False,
                    nullable=False,
                )
                for name in names
            ),
            *(sa.Column(name, sa.BigInteger(), nullable=False) for name in summed),
            sa.PrimaryKeyConstraint(*names),
            sqlite_with_rowid=False,
        )
        # The names are ours. Division of integers gives one in both databases.
        read = ", ".join("quarter / 4" if name == "hour" else name for name in names)
        sums = ", ".join(f"CAST(sum({name}) AS BIGINT)" for name in summed)
        order = ", ".join(str(place) for place in range(1, len(names) + 1))
        op.execute(
            f"""
            INSERT INTO {table} ({", ".join((*names, *summed))})
            SELECT {read}, {sums} FROM usage_quarters GROUP BY {order}
            """  # noqa: S608
        )
