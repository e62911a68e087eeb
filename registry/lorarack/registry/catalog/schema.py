"""The tables. Change one and add a migration: a test compares the two.

SQLAlchemy's Core and not its object mapper, which takes longer to import than ``lorarack list`` takes for everything else.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
)

_NAME = String(127)
_DIGEST = String(71)

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Moment(TypeDecorator[datetime]):
    """A point in time, always UTC; SQLite would otherwise hand it back without a zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC."""
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """With its zone."""
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


def _id() -> "Column[int]":
    return Column("id", Integer, primary_key=True, autoincrement=True)


def _must(name: str, type_: Any, *more: Any, **options: Any) -> "Column[Any]":
    """A column that is never NULL."""
    return Column(name, type_, *more, nullable=False, **options)


#: Base models.
BASES = Table(
    "bases",
    METADATA,
    _id(),
    _must("name", _NAME, unique=True),
    _must("fingerprint", _DIGEST, unique=True),
    _must("architecture", String(255)),
    Column("vocabulary", _DIGEST),
    _must("vocab_size", Integer),
    _must("parameters", BigInteger),
    _must("modules", JSON),
    _must("created_at", Moment),
    _must("fingerprints", JSON, default=list),  # all strong ones
    Column("sampled", _DIGEST),
    Column("config", JSON),
    Column("template", _DIGEST),
    Column("original_id", Integer),  # of another row here; SQLite cannot add a named foreign key to a table
    Column("relation", String(32)),
    sqlite_autoincrement=True,
)

#: Names by which the world knows a base model; a ``home`` is a folder relative to the catalog's own.
BASE_IDS = Table(
    "base_ids",
    METADATA,
    _id(),
    _must("base_id", Integer, ForeignKey("bases.id"), index=True),
    _must("kind", String(8)),
    _must("value", String(4096)),
    Column("revision", String(255)),
    Column("template", _DIGEST),
)

#: Named lines of work; ``next_number`` only grows, so numbers are never used again. ``keep_…`` is the retention rule.
ADAPTERS = Table(
    "adapters",
    METADATA,
    _id(),
    _must("name", _NAME, unique=True),
    _must("base_id", Integer, ForeignKey("bases.id"), index=True),
    _must("next_number", Integer, default=1),
    _must("created_at", Moment),
    Column("keep_last", Integer),
    Column("keep_days", Integer),
    sqlite_autoincrement=True,
)

#: Immutable artifacts. ``id`` is the engine id: AUTOINCREMENT, so a deleted version's id never comes again.
VERSIONS = Table(
    "versions",
    METADATA,
    _id(),
    _must("adapter_id", Integer, ForeignKey("adapters.id")),
    _must("number", Integer),
    _must("digest", _DIGEST),
    _must("rank", Integer),
    _must("alpha", Double),
    _must("rslora", Boolean),
    _must("target_modules", JSON),
    _must("dtype", String(32)),
    _must("parameters", BigInteger),
    _must("bytes", BigInteger),
    _must("state", String(16)),
    Column("state_reason", String),
    Column("description", String),
    Column("provenance", JSON(none_as_null=True)),
    _must("files", JSON),
    _must("created_at", Moment),
    _must("created_by", String(255)),
    UniqueConstraint("adapter_id", "number"),
    UniqueConstraint("adapter_id", "digest"),
    Index("ix_versions_rank", "rank", "id"),
    Index("ix_versions_state", "state", "id"),
    Index("ix_versions_created_at", "created_at", "id"),
    sqlite_autoincrement=True,
)

#: Tags of versions.
TAGS = Table(
    "tags",
    METADATA,
    _must("version_id", Integer, ForeignKey("versions.id"), primary_key=True),
    _must("key", String(255), primary_key=True),
    _must("value", String),
    Index("ix_tags_key", "key", "value", "version_id"),
)

#: What versions were derived from.
PARENTS = Table(
    "parents",
    METADATA,
    _must("child_id", Integer, ForeignKey("versions.id"), primary_key=True),
    _must("parent_id", Integer, ForeignKey("versions.id"), primary_key=True, index=True),
    _must("relation", String(32)),
)

#: A running server holds a version until a moment, and says so again before it comes.
LEASES = Table(
    "leases",
    METADATA,
    _must("version_id", Integer, ForeignKey("versions.id"), primary_key=True),
    _must("holder", String(255), primary_key=True),
    _must("until", Moment),
)

#: Measured numbers of versions.
METRICS = Table(
    "metrics",
    METADATA,
    _id(),
    _must("version_id", Integer, ForeignKey("versions.id")),
    _must("name", String(64)),
    _must("split", String(32)),
    Column("step", Integer),
    _must("value", Double),
    Column("dataset", _DIGEST),
    _must("higher_is_better", Boolean),
    Index("ix_metrics_version", "version_id"),
)

#: Of each label the number of a version that counts: of its metrics of no training step the newest. Kept for searching, beside
#: ``METRICS``, most of which are points of curves, by which nobody looks for a version.
FINISHED = Table(
    "finished",
    METADATA,
    _must("version_id", Integer, ForeignKey("versions.id"), primary_key=True),
    _must("name", String(64), primary_key=True),
    _must("split", String(32), primary_key=True),
    _must("dataset", _DIGEST, primary_key=True),  # empty where none is named: no key can be NULL
    _must("value", Double),
    _must("higher_is_better", Boolean),
    Index("ix_finished_value", "name", "split", "value", "version_id"),
    Index("ix_finished_dataset", "name", "split", "dataset"),
    sqlite_with_rowid=False,  # one look by the key has the number
)

#: What a search for text looks into, of each version (see ``text_index``). Kept for searching.
TEXTS = Table(
    "texts",
    METADATA,
    _must("version_id", Integer, ForeignKey("versions.id"), primary_key=True, autoincrement=False),
    _must("words", String),
)

#: What happened. Rows are only ever added; ``id`` is the cursor for those who follow. Names and numbers, not row ids, so that
#: what is gone stays readable here.
EVENTS = Table(
    "events",
    METADATA,
    _id(),
    _must("at", Moment),
    _must("actor", String(255)),
    _must("kind", String(32)),
    Column("adapter", _NAME),
    Column("version", Integer),
    _must("detail", JSON),
    Index("ix_events_adapter", "adapter", "kind", "id"),
    sqlite_autoincrement=True,
)

#: Where each alias points now, and the event that moved it there.
ALIASES = Table(
    "aliases",
    METADATA,
    _must("adapter_id", Integer, ForeignKey("adapters.id"), primary_key=True),
    _must("name", String(63), primary_key=True),
    _must("version_id", Integer, ForeignKey("versions.id"), index=True),
    _must("event_id", Integer, ForeignKey("events.id")),
)
