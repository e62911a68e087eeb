"""One log of events in place of alias moves and a counter; tags that can be searched; lineage, leases, retention, linked bases."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply."""
    _add_tables()
    _fill()
    _change_tables()


def _add_tables() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("adapter", sa.String(length=127), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_adapter", "events", ["adapter", "kind", "id"], unique=False)
    op.create_table(
        "tags",
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name="fk_tags_version_id"),
        sa.PrimaryKeyConstraint("version_id", "key", name="pk_tags"),
    )
    op.create_index("ix_tags_key", "tags", ["key", "value", "version_id"], unique=False)
    op.create_table(
        "parents",
        sa.Column("child_id", sa.Integer(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=False),
        sa.Column("relation", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["child_id"], ["versions.id"], name="fk_parents_child_id"),
        sa.ForeignKeyConstraint(["parent_id"], ["versions.id"], name="fk_parents_parent_id"),
        sa.PrimaryKeyConstraint("child_id", "parent_id", name="pk_parents"),
    )
    op.create_index("ix_parents_parent_id", "parents", ["parent_id"], unique=False)
    op.create_table(
        "leases",
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(length=255), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name="fk_leases_version_id"),
        sa.PrimaryKeyConstraint("version_id", "holder", name="pk_leases"),
    )


def _fill() -> None:
    """What the old tables know, as events in the order in which it happened; each alias then names the event of its last move."""
    connection = op.get_bind()
    happened: list[tuple[str, int, dict[str, object]]] = []
    for row in connection.execute(sa.text("SELECT name, fingerprint, created_at FROM bases ORDER BY id")).mappings():
        base: dict[str, object] = {"base": row["name"], "fingerprint": row["fingerprint"]}
        happened.append(_event(row["created_at"], 0, "unknown", "base_added", None, None, base))
    versions = "SELECT v.*, a.name AS adapter FROM versions v JOIN adapters a ON a.id = v.adapter_id ORDER BY v.id"
    for row in connection.execute(sa.text(versions)).mappings():
        detail: dict[str, object] = {"digest": row["digest"], "rank": row["rank"]}
        happened.append(
            _event(row["created_at"], 1, row["created_by"], "published", row["adapter"], row["number"], detail)
        )
        for key, value in json.loads(row["tags"]).items():
            connection.execute(
                sa.text("INSERT INTO tags (version_id, key, value) VALUES (:id, :key, :value)"),
                {"id": row["id"], "key": key, "value": value},
            )
    moves = "SELECT m.*, a.name AS adapter FROM alias_moves m JOIN adapters a ON a.id = m.adapter_id ORDER BY m.id"
    for row in connection.execute(sa.text(moves)).mappings():
        detail = {"alias": row["name"], "previous": row["previous"], "reason": row["reason"], "forced": False}
        happened.append(_event(row["moved_at"], 2, row["actor"], "alias_moved", row["adapter"], row["version"], detail))
    for event in _in_order(happened):
        connection.execute(
            sa.text(
                "INSERT INTO events (at, actor, kind, adapter, version, detail) "
                "VALUES (:at, :actor, :kind, :adapter, :version, :detail)"
            ),
            event,
        )


def _in_order(happened: list[tuple[str, int, dict[str, object]]]) -> list[dict[str, object]]:
    """By time; rows of one kind stay in their own order, also where a clock went back between them."""
    latest: dict[int, str] = {}
    timed: list[tuple[str, int, dict[str, object]]] = []
    for at, kind, event in happened:
        latest[kind] = max(at, latest.get(kind, at))
        timed.append((latest[kind], kind, event))
    return [event for _, _, event in sorted(timed, key=lambda found: found[:2])]


def _event(
    at: str, order: int, actor: str, kind: str, adapter: str | None, version: int | None, detail: dict[str, object]
) -> tuple[str, int, dict[str, object]]:
    values: dict[str, object] = {
        "at": at,
        "actor": actor,
        "kind": kind,
        "adapter": adapter,
        "version": version,
        "detail": json.dumps(detail),
    }
    return at, order, values


def _change_tables() -> None:
    # Columns are added and dropped in place: Alembic's batch mode would make the table anew and with it SQLite's memory of
    # the numbers it has given out, of which no engine id may come again.
    op.add_column("bases", sa.Column("original_id", sa.Integer(), nullable=True))
    op.add_column("bases", sa.Column("relation", sa.String(length=32), nullable=True))
    op.add_column("adapters", sa.Column("keep_last", sa.Integer(), nullable=True))
    op.add_column("adapters", sa.Column("keep_days", sa.Integer(), nullable=True))
    op.create_index("ix_adapters_base_id", "adapters", ["base_id"], unique=False)
    op.add_column("versions", sa.Column("state_reason", sa.String(), nullable=True))
    op.drop_column("versions", "tags")
    op.create_index("ix_versions_rank", "versions", ["rank", "id"], unique=False)
    op.create_index("ix_versions_state", "versions", ["state", "id"], unique=False)
    op.create_index("ix_versions_created_at", "versions", ["created_at", "id"], unique=False)
    op.drop_index("ix_metrics_value", "metrics")
    final = ["name", "split", "value", "version_id"]
    op.create_index("ix_metrics_final", "metrics", final, unique=False, sqlite_where=sa.text("step IS NULL"))
    newest = ["version_id", "name", "split", "id"]
    op.create_index("ix_metrics_newest", "metrics", newest, unique=False, sqlite_where=sa.text("step IS NULL"))
    _change_aliases()
    op.drop_table("alias_moves")
    op.drop_table("counters")


def _change_aliases() -> None:
    op.rename_table("aliases", "old_aliases")
    op.drop_index("ix_aliases_version_id", "old_aliases")
    op.create_table(
        "aliases",
        sa.Column("adapter_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["adapter_id"], ["adapters.id"], name="fk_aliases_adapter_id"),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name="fk_aliases_event_id"),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name="fk_aliases_version_id"),
        sa.PrimaryKeyConstraint("adapter_id", "name", name="pk_aliases"),
    )
    op.create_index("ix_aliases_version_id", "aliases", ["version_id"], unique=False)
    op.execute(
        "INSERT INTO aliases (adapter_id, name, version_id, event_id) "
        "SELECT o.adapter_id, o.name, o.version_id, (SELECT max(e.id) FROM events e JOIN adapters a ON a.name = e.adapter "
        "WHERE a.id = o.adapter_id AND e.kind = 'alias_moved' AND json_extract(e.detail, '$.alias') = o.name) "
        "FROM old_aliases o"
    )
    op.drop_table("old_aliases")
