"""Live experiments: their arms, answers, feedback, and intervals over time."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def _text(length: int | None = None) -> sa.String:
    return sa.String(length, collation="C")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "experiments",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("adapter_id", sa.BigInteger(), nullable=False),
        sa.Column("alias", _text(63), nullable=False),
        sa.Column("metric", _text(64), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_by", _text(255), nullable=False),
        sa.Column("weights_changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", _text(), nullable=True),
        sa.ForeignKeyConstraint(["adapter_id"], ["adapters.id"], name="fk_experiments_adapter_id"),
        sa.PrimaryKeyConstraint("id", name="pk_experiments"),
    )
    op.create_index("ix_experiments_alias", "experiments", ["adapter_id", "alias", "id"])
    op.create_table(
        "arms",
        sa.Column("experiment_id", sa.BigInteger(), nullable=False),
        sa.Column("name", _text(16), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.Column("state", _text(16), nullable=False),
        sa.Column("stopped", _text(), nullable=True),
        sa.Column("tally", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name="fk_arms_experiment_id"),
        sa.PrimaryKeyConstraint("experiment_id", "name", name="pk_arms"),
    )
    op.create_table(
        "exposures",
        sa.Column("completion", _text(255), nullable=False),
        sa.Column("experiment_id", sa.BigInteger(), nullable=False),
        sa.Column("arm", _text(16), nullable=False),
        sa.Column("caller", _text(32), nullable=False),
        sa.Column("key", _text(255), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name="fk_exposures_experiment_id"),
        sa.PrimaryKeyConstraint("completion", name="pk_exposures"),
    )
    op.create_index("ix_exposures_caller", "exposures", ["experiment_id", "arm", "caller", "at"])
    op.create_table(
        "looks",
        sa.Column("experiment_id", sa.BigInteger(), nullable=False),
        sa.Column("arm", _text(16), nullable=False),
        sa.Column("other", _text(16), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("difference", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=False),
        sa.Column("high", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name="fk_looks_experiment_id"),
        sa.PrimaryKeyConstraint("experiment_id", "arm", "other", "count", name="pk_looks"),
    )
