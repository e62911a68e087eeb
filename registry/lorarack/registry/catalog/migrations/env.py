"""Alembic's entry: runs on the connection that ``migrate.upgrade`` hands over."""

from alembic import context

from lorarack.registry.catalog.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite cannot alter columns in place
)
with context.begin_transaction():
    context.run_migrations()
