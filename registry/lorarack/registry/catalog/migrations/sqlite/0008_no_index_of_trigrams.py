"""Texts are found by reading them: the full-text index of their trigrams, which 0.1.0 made, goes."""

from alembic import op

revision = "0008"
down_revision = "0006"


def upgrade() -> None:
    """Apply."""
    for trigger in ("texts_added", "texts_removed"):
        op.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    for table in ("text_trigrams", "text_index"):
        op.execute(f"DROP TABLE IF EXISTS {table}")
