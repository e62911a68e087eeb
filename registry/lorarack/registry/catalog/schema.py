"""The tables. Change one and add a migration: a test compares the two.

SQLAlchemy's Core and not its object mapper, which takes longer to import than ``lorarack list`` takes for everything else.
"""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    MetaData,
    Table,
    UniqueConstraint,
)

from lorarack.registry.catalog.connection import INTEGER as _INTEGER
from lorarack.registry.catalog.connection import Moment
from lorarack.registry.catalog.connection import text_column as _text

_NAME = _text(127)
_DIGEST = _text(71)

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> "Column[int]":
    return Column("id", _INTEGER, primary_key=True, autoincrement=True)


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
    _must("architecture", _text(255)),
    Column("vocabulary", _DIGEST),
    _must("vocab_size", _INTEGER),
    _must("parameters", BigInteger),
    _must("modules", JSON),
    _must("created_at", Moment),
    _must("fingerprints", JSON, default=list),  # all strong ones
    Column("sampled", _DIGEST),
    Column("config", JSON),
    Column("template", _DIGEST),
    Column("original_id", _INTEGER),  # of another row here; SQLite cannot add a named foreign key to a table
    Column("relation", _text(32)),
    sqlite_autoincrement=True,
)

#: Names by which the world knows a base model; a ``home`` is a folder relative to the catalog's own.
BASE_IDS = Table(
    "base_ids",
    METADATA,
    _id(),
    _must("base_id", _INTEGER, ForeignKey("bases.id"), index=True),
    _must("kind", _text(8)),
    _must("value", _text(4096)),
    Column("revision", _text(255)),
    Column("template", _DIGEST),
)

#: Named lines of work; ``next_number`` only grows, so numbers are never used again. ``keep_…`` is the retention rule.
ADAPTERS = Table(
    "adapters",
    METADATA,
    _id(),
    _must("name", _NAME, unique=True),
    _must("base_id", _INTEGER, ForeignKey("bases.id"), index=True),
    _must("next_number", _INTEGER, default=1),
    _must("created_at", Moment),
    Column("keep_last", _INTEGER),
    Column("keep_days", _INTEGER),
    sqlite_autoincrement=True,
)

#: Immutable artifacts. ``id`` is the engine id: AUTOINCREMENT, so a deleted version's id never comes again.
VERSIONS = Table(
    "versions",
    METADATA,
    _id(),
    _must("adapter_id", _INTEGER, ForeignKey("adapters.id")),
    _must("number", _INTEGER),
    _must("digest", _DIGEST),
    _must("rank", _INTEGER),
    _must("alpha", Double),
    _must("rslora", Boolean),
    _must("target_modules", JSON),
    _must("dtype", _text(32)),
    _must("parameters", BigInteger),
    _must("bytes", BigInteger),
    _must("state", _text(16)),
    Column("state_reason", _text()),
    Column("description", _text()),
    Column("provenance", JSON(none_as_null=True)),
    _must("files", JSON),
    _must("created_at", Moment),
    _must("created_by", _text(255)),
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
    _must("version_id", _INTEGER, ForeignKey("versions.id"), primary_key=True),
    _must("key", _text(255), primary_key=True),
    _must("value", _text()),
    Index("ix_tags_key", "key", "value", "version_id"),
)

#: What versions were derived from.
PARENTS = Table(
    "parents",
    METADATA,
    _must("child_id", _INTEGER, ForeignKey("versions.id"), primary_key=True),
    _must("parent_id", _INTEGER, ForeignKey("versions.id"), primary_key=True, index=True),
    _must("relation", _text(32)),
)

#: A running server holds a version until a moment, and says so again before it comes.
LEASES = Table(
    "leases",
    METADATA,
    _must("version_id", _INTEGER, ForeignKey("versions.id"), primary_key=True),
    _must("holder", _text(255), primary_key=True),
    _must("until", Moment),
)

#: Measured numbers of versions.
METRICS = Table(
    "metrics",
    METADATA,
    _id(),
    _must("version_id", _INTEGER, ForeignKey("versions.id")),
    _must("name", _text(64)),
    _must("split", _text(32)),
    Column("step", _INTEGER),
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
    _must("version_id", _INTEGER, ForeignKey("versions.id"), primary_key=True),
    _must("name", _text(64), primary_key=True),
    _must("split", _text(32), primary_key=True),
    _must("dataset", _DIGEST, primary_key=True),  # empty where none is named: no key can be NULL
    _must("value", Double),
    _must("higher_is_better", Boolean),
    Index("ix_finished_value", "name", "split", "value", "version_id"),
    Index("ix_finished_dataset", "name", "split", "dataset"),
    sqlite_with_rowid=False,  # one look by the key has the number
)

#: What a search for text looks into, of each version (see ``new_version``). Kept for searching.
TEXTS = Table(
    "texts",
    METADATA,
    _must("version_id", _INTEGER, ForeignKey("versions.id"), primary_key=True, autoincrement=False),
    _must("words", _text()),
)

#: What happened. Rows are only ever added; ``id`` is the cursor for those who follow. Names and numbers, not row ids, so that
#: what is gone stays readable here.
EVENTS = Table(
    "events",
    METADATA,
    _id(),
    _must("at", Moment),
    _must("actor", _text(255)),
    _must("kind", _text(32)),
    Column("adapter", _NAME),
    Column("version", _INTEGER),
    _must("detail", JSON),
    Index("ix_events_adapter", "adapter", "kind", "id"),
    sqlite_autoincrement=True,
)

#: Where each alias points now, and the event that moved it there.
ALIASES = Table(
    "aliases",
    METADATA,
    _must("adapter_id", _INTEGER, ForeignKey("adapters.id"), primary_key=True),
    _must("name", _text(63), primary_key=True),
    _must("version_id", _INTEGER, ForeignKey("versions.id"), index=True),
    _must("event_id", _INTEGER, ForeignKey("events.id")),
)

#: Keys of a server's clients: of the secret only its digest.
API_KEYS = Table(
    "api_keys",
    METADATA,
    _id(),
    _must("name", _text(63), unique=True),
    _must("prefix", _text(32), unique=True),
    _must("digest", _DIGEST),
    _must("scopes", JSON),
    _must("adapters", JSON),
    _must("created_at", Moment),
    _must("created_by", _text(255)),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
)

#: Live experiments on aliases. Versions by number, not by row: an experiment that has ended holds none of them.
EXPERIMENTS = Table(
    "experiments",
    METADATA,
    _id(),
    _must("adapter_id", _INTEGER, ForeignKey("adapters.id")),
    _must("alias", _text(63)),
    _must("metric", _text(64)),
    _must("plan", JSON),  # what is frozen at the start: margin, guards, salt, limit …
    _must("started_at", Moment),
    _must("started_by", _text(255)),
    _must("weights_changed_at", Moment),  # when its weights were last changed
    Column("ended_at", Moment),
    Column("reason", _text()),
    Index("ix_experiments_alias", "adapter_id", "alias", "id"),
    sqlite_autoincrement=True,
)

#: Arms of experiments, and the sums over what they have answered that verdicts and guards are made of.
ARMS = Table(
    "arms",
    METADATA,
    _must("experiment_id", _INTEGER, ForeignKey("experiments.id"), primary_key=True),
    _must("name", _text(16), primary_key=True),
    _must("place", _INTEGER),  # 0: the reference arm
    _must("number", _INTEGER),
    _must("weight", Double),
    _must("state", _text(16)),
    Column("stopped", _text()),
    _must("tally", JSON),
)

#: Answers of experiments, what was said of each, and what became of its shadow: NULL in ``same`` where it has none. Texts are kept
#: where they differ. ``caller`` is a hash, ``key`` the name of an API key.
EXPOSURES = Table(
    "exposures",
    METADATA,
    _must("completion", _text(255), primary_key=True),
    _must("experiment_id", _INTEGER, ForeignKey("experiments.id")),
    _must("arm", _text(16)),
    _must("caller", _text(32)),
    _must("key", _text(255)),
    _must("at", Moment),
    Column("value", Double),
    Column("shadow_arm", _text(16)),
    Column("shadow_share", Double),
    Column("same", Boolean),
    Column("text", _text()),
    Column("shadow_text", _text()),
    Index("ix_exposures_caller", "experiment_id", "arm", "caller", "at"),
)

#: The interval of the difference between two arms, each time that it was looked at after enough more feedback.
LOOKS = Table(
    "looks",
    METADATA,
    _must("experiment_id", _INTEGER, ForeignKey("experiments.id"), primary_key=True),
    _must("arm", _text(16), primary_key=True),
    _must("other", _text(16), primary_key=True),
    _must("count", _INTEGER, primary_key=True),
    _must("at", Moment),
    _must("difference", Double),
    _must("low", Double),
    _must("high", Double),
    _must("pairs", _INTEGER, server_default="0"),
)
