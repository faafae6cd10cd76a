"""Conversations that upstreams hold, and requests that somebody else pays for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make their table and columns."""
    op.create_table(
        "thread_messages",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("upstream", sa.Text(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("searches", sa.BigInteger(), nullable=False),
        sa.Column("allowance", sa.BigInteger(), nullable=False),
        sa.Column("hour", sa.Boolean(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", "message_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("thread_messages_by_time", "thread_messages", ["at"], unique=False)
    op.add_column(
        "keys",
        sa.Column("billing_policy", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column("usage", sa.Column("bill_to", sa.Text(), nullable=True))
