"""All tables, as SQLite's migrations up to the same number leave them (``migrations/sqlite``)."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = None


def _text(length: int | None = None) -> sa.String:
    return sa.String(length, collation="C")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "bases",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("name", _text(127), nullable=False),
        sa.Column("fingerprint", _text(71), nullable=False),
        sa.Column("architecture", _text(255), nullable=False),
        sa.Column("vocabulary", _text(71), nullable=True),
        sa.Column("vocab_size", sa.BigInteger(), nullable=False),
        sa.Column("parameters", sa.BigInteger(), nullable=False),
        sa.Column("modules", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fingerprints", sa.JSON(), nullable=False),
        sa.Column("sampled", _text(71), nullable=True),
        sa.Column("config", sa.JSON(), nullable=True),
        sa.Column("template", _text(71), nullable=True),
        sa.Column("original_id", sa.BigInteger(), nullable=True),
        sa.Column("relation", _text(32), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_bases"),
        sa.UniqueConstraint("fingerprint", name="uq_bases_fingerprint"),
        sa.UniqueConstraint("name", name="uq_bases_name"),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", _text(255), nullable=False),
        sa.Column("kind", _text(32), nullable=False),
        sa.Column("adapter", _text(127), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
    )
    op.create_index("ix_events_adapter", "events", ["adapter", "kind", "id"])
    op.create_table(
        "adapters",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("name", _text(127), nullable=False),
        sa.Column("base_id", sa.BigInteger(), nullable=False),
        sa.Column("next_number", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("keep_last", sa.BigInteger(), nullable=True),
        sa.Column("keep_days", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["base_id"], ["bases.id"], name="fk_adapters_base_id"),
        sa.PrimaryKeyConstraint("id", name="pk_adapters"),
        sa.UniqueConstraint("name", name="uq_adapters_name"),
    )
    op.create_index("ix_adapters_base_id", "adapters", ["base_id"])
    op.create_table(
        "base_ids",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("base_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", _text(8), nullable=False),
        sa.Column("value", _text(4096), nullable=False),
        sa.Column("revision", _text(255), nullable=True),
        sa.Column("template", _text(71), nullable=True),
        sa.ForeignKeyConstraint(["base_id"], ["bases.id"], name="fk_base_ids_base_id"),
        sa.PrimaryKeyConstraint("id", name="pk_base_ids"),
    )
    op.create_index("ix_base_ids_base_id", "base_ids", ["base_id"])
    op.create_table(
        "versions",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("adapter_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("digest", _text(71), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("alpha", sa.Double(), nullable=False),
        sa.Column("rslora", sa.Boolean(), nullable=False),
        sa.Column("target_modules", sa.JSON(), nullable=False),
        sa.Column("dtype", _text(32), nullable=False),
        sa.Column("parameters", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("state", _text(16), nullable=False),
        sa.Column("state_reason", _text(), nullable=True),
        sa.Column("description", _text(), nullable=True),
        sa.Column("provenance", sa.JSON(), nullable=True),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", _text(255), nullable=False),
        sa.ForeignKeyConstraint(["adapter_id"], ["adapters.id"], name="fk_versions_adapter_id"),
        sa.PrimaryKeyConstraint("id", name="pk_versions"),
        sa.UniqueConstraint("adapter_id", "digest", name="uq_versions_adapter_id_digest"),
        sa.UniqueConstraint("adapter_id", "number", name="uq_versions_adapter_id_number"),
    )
    op.create_index("ix_versions_created_at", "versions", ["created_at", "id"])
    op.create_index("ix_versions_rank", "versions", ["rank", "id"])
    op.create_index("ix_versions_state", "versions", ["state", "id"])
    op.create_table(
        "aliases",
        sa.Column("adapter_id", sa.BigInteger(), nullable=False),
        sa.Column("name", _text(63), nullable=False),
        sa.Column("version_id", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["adapter_id"], ["adapters.id"], name="fk_aliases_adapter_id"),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name="fk_aliases_event_id"),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name="fk_aliases_version_id"),
        sa.PrimaryKeyConstraint("adapter_id", "name", name="pk_aliases"),
    )
    op.create_index("ix_aliases_version_id", "aliases", ["version_id"])
    op.create_table(
        "finished",
        sa.Column("version_id", sa.BigInteger(), nullable=False),
        sa.Column("name", _text(64), nullable=False),
        sa.Column("split", _text(32), nullable=False),
        sa.Column("dataset", _text(71), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("higher_is_better", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name="fk_finished_version_id"),
        sa.PrimaryKeyConstraint("version_id", "name", "split", "dataset", name="pk_finished"),
    )
    op.create_index("ix_finished_dataset", "finished", ["name", "split", "dataset"])
    op.create_index("ix_finished_value", "finished", ["name", "split", "value", "version_id"])
    op.create_table(
        "leases",
        sa.Column("version_id", sa.BigInteger(), nullable=False),
        sa.Column("holder", _text(255), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name="fk_leases_version_id"),
        sa.PrimaryKeyConstraint("version_id", "holder", name="pk_leases"),
    )
    op.create_table(
        "metrics",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("version_id", sa.BigInteger(), nullable=False),
        sa.Column("name", _text(64), nullable=False),
        sa.Column("split", _text(32), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=True),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("dataset", _text(71), nullable=True),
        sa.Column("higher_is_better", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name="fk_metrics_version_id"),
        sa.PrimaryKeyConstraint("id", name="pk_metrics"),
    )
    op.create_index("ix_metrics_version", "metrics", ["version_id"])
    op.create_table(
        "parents",
        sa.Column("child_id", sa.BigInteger(), nullable=False),
        sa.Column("parent_id", sa.BigInteger(), nullable=False),
        sa.Column("relation", _text(32), nullable=False),
        sa.ForeignKeyConstraint(["child_id"], ["versions.id"], name="fk_parents_child_id"),
        sa.ForeignKeyConstraint(["parent_id"], ["versions.id"], name="fk_parents_parent_id"),
        sa.PrimaryKeyConstraint("child_id", "parent_id", name="pk_parents"),
    )
    op.create_index("ix_parents_parent_id", "parents", ["parent_id"])
    op.create_table(
        "tags",
        sa.Column("version_id", sa.BigInteger(), nullable=False),
        sa.Column("key", _text(255), nullable=False),
        sa.Column("value", _text(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name="fk_tags_version_id"),
        sa.PrimaryKeyConstraint("version_id", "key", name="pk_tags"),
    )
    op.create_index("ix_tags_key", "tags", ["key", "value", "version_id"])
    op.create_table(
        "texts",
        sa.Column("version_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("words", _text(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name="fk_texts_version_id"),
        sa.PrimaryKeyConstraint("version_id", name="pk_texts"),
    )
