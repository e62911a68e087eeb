"""What searching needs: of each label the number that counts, and the texts of a version."""

from collections import defaultdict

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_CODES = [f"\x1e{one}{two}" for one in "\x1a\x1b\x1c" for two in "\x1a\x1b\x1c"]
_WRITTEN = str.maketrans(dict(zip("\0\x1a\x1b\x1c\x1e\x1f\ufffe\uffff", _CODES, strict=False)))


def upgrade() -> None:
    """Apply."""
    _finished()
    _texts()


def _finished() -> None:
    op.create_table(
        "finished",
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("split", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("dataset", sa.String(length=71), nullable=True),
        sa.Column("higher_is_better", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name="fk_finished_version_id"),
        sa.PrimaryKeyConstraint("version_id", "name", "split", name="pk_finished"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO finished (version_id, name, split, value, dataset, higher_is_better) "
        "SELECT version_id, name, split, value, dataset, higher_is_better FROM metrics WHERE id IN "
        "(SELECT max(id) FROM metrics WHERE step IS NULL GROUP BY version_id, name, split)"
    )
    op.create_index("ix_finished_value", "finished", ["name", "split", "value", "version_id"], unique=False)
    op.drop_index("ix_metrics_final", "metrics")
    op.drop_index("ix_metrics_newest", "metrics")


def _texts() -> None:
    op.create_table(
        "texts",
        sa.Column("version_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("words", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name="fk_texts_version_id"),
        sa.PrimaryKeyConstraint("version_id", name="pk_texts"),
    )
    connection = op.get_bind()
    values: dict[int, list[str]] = defaultdict(list)
    for row in connection.execute(sa.text("SELECT version_id, value FROM tags ORDER BY version_id, key")):
        values[row.version_id].append(row.value)
    versions = "SELECT v.id, a.name, v.description FROM versions v JOIN adapters a ON a.id = v.adapter_id ORDER BY v.id"
    for row in connection.execute(sa.text(versions)).all():
        texts = [row.name, row.description or "", *values[row.id]]
        connection.execute(
            sa.text("INSERT INTO texts (version_id, words) VALUES (:id, :words)"),
            {"id": row.id, "words": "".join(text.casefold().translate(_WRITTEN) + "\x1f" for text in texts) + "\x1f"},
        )
