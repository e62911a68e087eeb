"""The tables. Change one and add a migration: a test compares the two."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_NAME = String(127)
_DIGEST = String(71)


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


class Row(DeclarativeBase):
    """Base of all rows."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON, datetime: Moment}  # noqa: RUF012  (SQLAlchemy's own way)


class BaseRow(Row):
    """A base model."""

    __tablename__ = "bases"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(_NAME, unique=True)
    fingerprint: Mapped[str] = mapped_column(_DIGEST, unique=True)
    architecture: Mapped[str] = mapped_column(String(255))
    vocabulary: Mapped[str | None] = mapped_column(_DIGEST)
    vocab_size: Mapped[int]
    parameters: Mapped[int] = mapped_column(BigInteger)
    modules: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    original_id: Mapped[int | None]  # of another row here; SQLite cannot add a named foreign key to a table
    relation: Mapped[str | None] = mapped_column(String(32))
    __table_args__ = ({"sqlite_autoincrement": True},)


class BaseIdRow(Row):
    """A name by which the world knows a base model."""

    __tablename__ = "base_ids"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    base_id: Mapped[int] = mapped_column(ForeignKey("bases.id"), index=True)
    kind: Mapped[str] = mapped_column(String(8))
    value: Mapped[str] = mapped_column(String(4096))
    revision: Mapped[str | None] = mapped_column(String(255))


class AdapterRow(Row):
    """A named line of work; ``next_number`` only grows, so numbers are never used again. ``keep_…`` is its retention rule."""

    __tablename__ = "adapters"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(_NAME, unique=True)
    base_id: Mapped[int] = mapped_column(ForeignKey("bases.id"), index=True)
    next_number: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    keep_last: Mapped[int | None]
    keep_days: Mapped[int | None]
    __table_args__ = ({"sqlite_autoincrement": True},)


class VersionRow(Row):
    """One immutable artifact. ``id`` is the engine id: AUTOINCREMENT, so a deleted version's id never comes again."""

    __tablename__ = "versions"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    adapter_id: Mapped[int] = mapped_column(ForeignKey("adapters.id"))
    number: Mapped[int]
    digest: Mapped[str] = mapped_column(_DIGEST)
    rank: Mapped[int]
    alpha: Mapped[float]
    rslora: Mapped[bool]
    target_modules: Mapped[list[Any]]
    dtype: Mapped[str] = mapped_column(String(32))
    parameters: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(16))
    state_reason: Mapped[str | None]
    description: Mapped[str | None]
    provenance: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    files: Mapped[list[Any]]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(255))
    __table_args__ = (
        UniqueConstraint("adapter_id", "number"),
        UniqueConstraint("adapter_id", "digest"),
        Index("ix_versions_rank", "rank", "id"),
        Index("ix_versions_state", "state", "id"),
        Index("ix_versions_created_at", "created_at", "id"),
        {"sqlite_autoincrement": True},
    )


class TagRow(Row):
    """One tag of a version."""

    __tablename__ = "tags"
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    value: Mapped[str]
    __table_args__ = (Index("ix_tags_key", "key", "value", "version_id"),)


class ParentRow(Row):
    """What a version was derived from."""

    __tablename__ = "parents"
    child_id: Mapped[int] = mapped_column(ForeignKey("versions.id"), primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("versions.id"), primary_key=True, index=True)
    relation: Mapped[str] = mapped_column(String(32))


class LeaseRow(Row):
    """A running server holds a version until a moment, and says so again before it comes."""

    __tablename__ = "leases"
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id"), primary_key=True)
    holder: Mapped[str] = mapped_column(String(255), primary_key=True)
    until: Mapped[datetime]


class MetricRow(Row):
    """One measured number of a version."""

    __tablename__ = "metrics"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id"))
    name: Mapped[str] = mapped_column(String(64))
    split: Mapped[str] = mapped_column(String(32))
    step: Mapped[int | None]
    value: Mapped[float]
    dataset: Mapped[str | None] = mapped_column(_DIGEST)
    higher_is_better: Mapped[bool]
    __table_args__ = (Index("ix_metrics_version", "version_id"),)


class FinishedRow(Row):
    """Of each label the number of a version that counts: of its metrics of no training step the newest. Kept for searching.

    Beside ``metrics``, most of which are points of curves, by which nobody looks for a version.
    """

    __tablename__ = "finished"
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    split: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[float]
    dataset: Mapped[str | None] = mapped_column(_DIGEST)
    higher_is_better: Mapped[bool]
    __table_args__ = (
        Index("ix_finished_value", "name", "split", "value", "version_id"),
        {"sqlite_with_rowid": False},  # one look by the key has the number
    )


class TextRow(Row):
    """What a search for text looks into, of one version (see ``wording``). Kept for searching."""

    __tablename__ = "texts"
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id"), primary_key=True, autoincrement=False)
    words: Mapped[str]


class EventRow(Row):
    """Something that happened. Rows are only ever added; ``id`` is the cursor for those who follow.

    Names and numbers, not row ids, so that what is gone stays readable here.
    """

    __tablename__ = "events"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(255))
    kind: Mapped[str] = mapped_column(String(32))
    adapter: Mapped[str | None] = mapped_column(_NAME)
    version: Mapped[int | None]
    detail: Mapped[dict[str, Any]]
    __table_args__ = (Index("ix_events_adapter", "adapter", "kind", "id"), {"sqlite_autoincrement": True})


class AliasRow(Row):
    """Where an alias points now, and the event that moved it there."""

    __tablename__ = "aliases"
    adapter_id: Mapped[int] = mapped_column(ForeignKey("adapters.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id"), index=True)
    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"))
