"""Versions whose stored bytes have changed are in a state of their own.

Up to 0.1.0 they were quarantined for a reason that began with ``damaged: ``, as anybody's reason may. The registry's own is told
by the whole sentence, with the digest of one of the version's files.

An import of 0.1.0 could make a version its own parent, which then could never be deleted: such links go.
"""

import json
import re

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"

_OURS = re.compile(
    r"damaged: (The stored file (sha256:[0-9a-f]{64}) "
    r"(?:has other bytes than were stored|is missing); publish the version again from its source\.)"
)


def upgrade() -> None:
    """Apply."""
    connection = op.get_bind()
    connection.execute(sa.text("DELETE FROM parents WHERE parent_id >= child_id"))
    query = (
        "SELECT id, state_reason, files FROM versions WHERE state = 'quarantined' AND state_reason LIKE 'damaged: %'"
    )
    for row in connection.execute(sa.text(query)).all():
        found = _OURS.fullmatch(row.state_reason)
        if found and found[2] in {file["digest"] for file in json.loads(row.files)}:
            connection.execute(
                sa.text("UPDATE versions SET state = 'damaged', state_reason = :reason WHERE id = :id"),
                {"id": row.id, "reason": found[1]},
            )
