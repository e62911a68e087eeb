"""Bases by all their weights and their configuration; folders inside the home relative to it.

What 0.1.0 called a base's fingerprint saw a sample of its weights and nothing of ``config.json``. It stays the base's fingerprint
until its files are read again, and is known as ``sampled`` from then on.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this schema."""
    op.add_column("bases", sa.Column("fingerprints", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("bases", sa.Column("sampled", sa.String(length=71), nullable=True))
    op.add_column("bases", sa.Column("config", sa.JSON(), nullable=True))
    op.add_column("bases", sa.Column("template", sa.String(length=71), nullable=True))
    op.add_column("base_ids", sa.Column("template", sa.String(length=71), nullable=True))
    op.execute("UPDATE bases SET sampled = fingerprint")
    _relative_to_the_home()


def _relative_to_the_home() -> None:
    connection = op.get_bind()
    home = Path(connection.engine.url.database or ".").parent.resolve()
    for row in connection.execute(sa.text("SELECT id, value FROM base_ids WHERE kind = 'path'")).all():
        inside = _inside(Path(row.value), home)
        if inside is not None:
            values = {"id": row.id, "value": inside}
            connection.execute(sa.text("UPDATE base_ids SET kind = 'home', value = :value WHERE id = :id"), values)


def _inside(folder: Path, home: Path) -> str | None:
    """Where ``folder`` is in ``home``; a home that was moved before this has it at the same place under ``bases``."""
    if folder.is_relative_to(home) and folder != home:
        return folder.relative_to(home).as_posix()
    parts = folder.parts
    if "bases" in parts and not folder.is_dir():
        moved = Path(*parts[len(parts) - 1 - parts[::-1].index("bases") :])
        if moved != Path("bases") and (home / moved).is_dir():
            return moved.as_posix()
    return None
