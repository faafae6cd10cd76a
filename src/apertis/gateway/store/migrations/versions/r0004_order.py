"""The order in which keys and batches were created, where seconds do not tell it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add its column; rows of before keep no order within a second."""
    for table in ("keys", "batches"):
        column = sa.Column("sequence", sa.BigInteger(), nullable=False, server_default="0")
        op.add_column(table, column)
