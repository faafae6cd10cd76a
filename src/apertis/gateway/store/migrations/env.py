"""Alembic's entry point: the migrations on the connection that it is given."""

from __future__ import annotations

from alembic import context

from apertis.gateway.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
# The transaction is the caller's: all steps are kept, or none.
context.run_migrations()
