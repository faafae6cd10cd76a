"""People, groups, their limits, and the accounts that money is counted in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make their tables; what keys with a quota have left is what they had."""
    for name in ("person_id", "group_id"):
        op.add_column("keys", sa.Column(name, sa.Text()))
        op.add_column("usage", sa.Column(name, sa.Text()))
        op.add_column("batches", sa.Column(name, sa.Text()))
    op.create_table(
        "groups",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text()),
        *_rates(),
        *_changes(),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "people",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text()),
        sa.Column("external_id", sa.Text()),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("group_id", sa.Text()),
        *_rates(),
        *_changes(),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "limits",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("amount_units", sa.BigInteger(), nullable=False),
        sa.Column("overdraft_units", sa.BigInteger(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("models", sa.Text()),
        sa.Column("per_session", sa.Boolean(), nullable=False),
        sa.Column("thresholds", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text()),
        sa.Column("cheaper_model", sa.Text()),
        sa.Column("store_loss_units", sa.BigInteger()),
        *_changes(),
        sa.PrimaryKeyConstraint("id"),
    )
    for table in ("groups", "people", "limits"):
        op.create_index(f"{table}_by_version", table, ["version"], unique=False)
    op.create_table(
        "accounts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("limit_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("period_start", sa.BigInteger(), nullable=False),
        sa.Column("period_end", sa.BigInteger()),
        sa.Column("limit_units", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("leased", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "spent >= 0 AND leased >= 0 AND held >= 0", name="accounts_are_not_negative"
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("accounts_by_limit", "accounts", ["limit_id", "period_start"], unique=False)
    op.create_table(
        "leases",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("replica", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("granted", "returned", "spent", "open", "lost", "expires_ms")
        ),
        sa.Column("closed_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("account_id", "replica", "epoch"),
    )
    op.create_index("leases_by_replica", "leases", ["replica", "epoch"], unique=False)
    op.create_table(
        "replicas",
        sa.Column("name", sa.Text(), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("epoch", "sequence", "started_ms", "seen_ms")
        ),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "shares",
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("replica", sa.Text(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("demand", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("party", "replica"),
    )
    op.create_table(
        "batch_holds",
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "account_id"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("before", sa.Text()),
        sa.Column("after", sa.Text()),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("audit_by_time", "audit", ["at_ms"], unique=False)
    _open_accounts()


def _rates() -> list[sa.Column[object]]:
    return [
        sa.Column("requests_limit", sa.Text()),
        sa.Column("tokens_per_minute", sa.BigInteger()),
        sa.Column("in_flight", sa.BigInteger()),
    ]


def _changes() -> list[sa.Column[object]]:
    return [
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
    ]


def _open_accounts() -> None:
    """Make the account of each quota, with what was spent of it and what batches hold."""
    op.execute(
        """
        INSERT INTO batch_holds (batch_id, account_id, units)
        SELECT batches.id, 'quota-' || keys.id || '@0', batches.held_units
        FROM batches JOIN keys ON keys.id = batches.key_id
        WHERE keys.quota_units IS NOT NULL AND batches.held_units > 0
        """
    )
    op.execute(
        """
        INSERT INTO accounts
            (id, limit_id, scope, period_start, limit_units, spent, leased, held)
        SELECT 'quota-' || keys.id || '@0', 'quota-' || keys.id, '', 0, keys.quota_units,
            coalesce((SELECT used_units FROM key_usage WHERE key_id = keys.id), 0), 0,
            coalesce((SELECT sum(units) FROM batch_holds
                WHERE account_id = 'quota-' || keys.id || '@0'), 0)
        FROM keys WHERE keys.quota_units IS NOT NULL
        """
    )
