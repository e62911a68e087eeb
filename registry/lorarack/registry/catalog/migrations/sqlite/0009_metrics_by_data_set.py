"""The value that counts is of a name, a split and a data set: one for each data set on which a version was measured."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply."""
    op.drop_index("ix_finished_value", "finished")
    op.drop_table("finished")
    op.create_table(
        "finished",
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("split", sa.String(length=32), nullable=False),
        sa.Column("dataset", sa.String(length=71), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("higher_is_better", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name="fk_finished_version_id"),
        sa.PrimaryKeyConstraint("version_id", "name", "split", "dataset", name="pk_finished"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO finished (version_id, name, split, dataset, value, higher_is_better) "
        "SELECT version_id, name, split, coalesce(dataset, ''), value, higher_is_better FROM metrics WHERE id IN "
        "(SELECT max(id) FROM metrics WHERE step IS NULL GROUP BY version_id, name, split, coalesce(dataset, ''))"
    )
    op.create_index("ix_finished_value", "finished", ["name", "split", "value", "version_id"], unique=False)
    op.create_index("ix_finished_dataset", "finished", ["name", "split", "dataset"], unique=False)
