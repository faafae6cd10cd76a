"""Usage by quarter hour in the place of days in UTC."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

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
_NAMES = ("key_id", "person_id", "group_id", "model", "kind", "request_class", "upstream")


def upgrade() -> None:
    """Make their tables. What was used before is added up later, from its newest quarter back."""
    op.create_table(
        "usage_quarters",
        sa.Column("quarter", sa.Integer(), autoincrement=False, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _NAMES),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in (*_SUMS, *_TIMES)),
        sa.PrimaryKeyConstraint("quarter", *_NAMES),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "usage_rollup",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("complete_since_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name="usage_rollup_is_one_row"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.execute(
        """
        INSERT INTO usage_rollup (id, complete_since_ms)
        SELECT 1, coalesce((max(at_ms) / 900000 + 1) * 900000, 0) FROM usage
        """
    )
    op.drop_table("usage_daily")
