"""What became of the shadow of each answer of an experiment, and how many pairs a look had."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def _text(length: int | None = None) -> sa.String:
    return sa.String(length, collation="C")


def upgrade() -> None:
    """Apply."""
    op.add_column("exposures", sa.Column("shadow_arm", _text(16), nullable=True))
    op.add_column("exposures", sa.Column("shadow_share", sa.Double(), nullable=True))
    op.add_column("exposures", sa.Column("same", sa.Boolean(), nullable=True))
    op.add_column("exposures", sa.Column("text", _text(), nullable=True))
    op.add_column("exposures", sa.Column("shadow_text", _text(), nullable=True))
    op.add_column("looks", sa.Column("pairs", sa.BigInteger(), server_default="0", nullable=False))
