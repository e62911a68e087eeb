"""Bases, versions and what is said about them. Each call is one transaction: whole, or as if it had never been."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from lorarack.registry.base_model.difference import difference
from lorarack.registry.base_model.fingerprint import Reading
from lorarack.registry.catalog.database import Database
from lorarack.registry.catalog.finished import keep_finished
from lorarack.registry.catalog.mapping import metric_row, metric_value
from lorarack.registry.catalog.recording import find_version, move_alias, now, record
from lorarack.registry.catalog.tables import AdapterRow, BaseIdRow, BaseRow, MetricRow, ParentRow, TagRow, VersionRow
from lorarack.registry.catalog.wording import add_words, keep_words
from lorarack.registry.errors import Conflict, NotFound, UsageError
from lorarack.registry.reference import DEFAULT_ALIAS
from lorarack.registry.values import BaseId, Metric, Parent, Provenance, State, StoredFile

#: How the reason begins when a version is quarantined because its stored bytes have changed.
DAMAGE = "damaged: "


@dataclass(frozen=True, slots=True)
class NewVersion:
    """Everything that publishing knows about a version before it has a number."""

    adapter: str
    base: str
    digest: str
    rank: int
    alpha: float
    rslora: bool
    target_modules: tuple[str, ...]
    dtype: str
    parameters: int
    bytes: int
    files: tuple[StoredFile, ...]
    metrics: tuple[Metric, ...]
    tags: Mapping[str, str]
    description: str | None
    provenance: Provenance | None
    parents: tuple[Parent, ...] = ()


class BlobGone(Exception):
    """A stored file went away before its version was written."""


class CatalogWriter:
    """Changes rows; ``actor`` is who does it."""

    def __init__(self, database: Database, actor: str) -> None:
        self._database = database
        self._actor = actor

    def add_base(self, reading: Reading, name: str, known_as: BaseId) -> str:
        """Add a base model, or one more id for a base model of that fingerprint; returns its name.

        Raises:
            Conflict: the name belongs to another base or to an adapter.
        """

        def work(session: Session) -> str:
            row = session.scalar(select(BaseRow).where(BaseRow.fingerprint == reading.fingerprint))
            if row is None:
                refuse_taken_name(session, name)
                row = _new_base(reading, name)
                session.add(row)
                session.flush()
            session.execute(
                delete(BaseIdRow).where(
                    BaseIdRow.base_id == row.id, BaseIdRow.kind == known_as.kind, BaseIdRow.value == known_as.value
                )
            )
            session.add(BaseIdRow(base_id=row.id, **known_as.model_dump()))
            record(session, self._actor, "base_added", base=row.name, fingerprint=row.fingerprint, id=known_as.value)
            return row.name

        return self._database.write(work)

    def link_base(self, name: str, original: str, relation: str) -> None:
        """Say that base ``name`` was made from base ``original``.

        Raises:
            NotFound: no such base. UsageError: a base would descend from itself.
        """

        def work(session: Session) -> None:
            child, parent = _base(session, name), _base(session, original)
            ancestor: BaseRow | None = parent
            while ancestor is not None:
                if ancestor.id == child.id:
                    raise UsageError(f"Base {name!r} cannot descend from itself.", code="cycle")
                ancestor = session.get(BaseRow, ancestor.original_id) if ancestor.original_id else None
            child.original_id, child.relation = parent.id, relation
            record(session, self._actor, "base_linked", base=name, original=original, relation=relation)

        self._database.write(work)

    def check_adapter(self, name: str, base: str) -> None:
        """Find out early whether ``add_version`` would refuse: before anything is stored.

        Raises:
            Conflict: the adapter stands on another base, or its name belongs to a base.
        """
        with self._database.reading() as session:
            adapter_for(session, name, base)

    def add_version(self, new: NewVersion, is_stored: Callable[[str], bool]) -> tuple[int, bool]:
        """Allocate a number and write the version; the first one also becomes ``default``.

        Args:
            new: the version.
            is_stored: whether the file of a digest is there; asked under the lock that ``gc`` takes to remove files.

        Returns:
            The number, and whether it is new: an equal digest gives the old number and adds metrics, tags and parents.

        Raises:
            Conflict: the adapter stands on another base, or its name belongs to a base. NotFound: no such parent.
            BlobGone: a file of the version is not stored.
        """

        def work(session: Session) -> tuple[int, bool]:
            if not all(is_stored(file.digest) for file in new.files):
                raise BlobGone
            adapter = adapter_for(session, new.adapter, new.base)
            if adapter.id is None:
                session.add(adapter)
                session.flush()
            query = select(VersionRow).where(VersionRow.adapter_id == adapter.id, VersionRow.digest == new.digest)
            row = session.scalar(query)
            created = row is None
            if row is None:
                row = insert_version(session, self._actor, adapter, new)
            else:
                row.description = new.description or row.description
                self._mend(session, new, row)
            add_metrics(session, row.id, new.metrics)
            set_tags(session, row.id, new.tags)
            if not created:
                keep_words(session, row.id)
            _add_parents(session, row, new.parents)
            kind = "published" if created else "published_again"
            record(session, self._actor, kind, new.adapter, row.number, digest=new.digest, rank=new.rank)
            if created and row.number == 1:
                move_alias(session, self._actor, adapter, DEFAULT_ALIAS, row, None, "first published version")
            return row.number, created

        return self._database.write(work)

    def add_metrics(self, adapter: str, number: int, metrics: Sequence[Metric]) -> None:
        """Add metrics to a version; ones that are there already are left alone. Raises ``NotFound``."""

        def work(session: Session) -> None:
            _, row = find_version(session, adapter, number)
            add_metrics(session, row.id, metrics)
            names = sorted({metric.label for metric in metrics})
            record(session, self._actor, "metrics_added", adapter, number, metrics=names)

        self._database.write(work)

    def describe(
        self, adapter: str, number: int, tags: Mapping[str, str], without: Sequence[str], description: str | None
    ) -> None:
        """Set ``tags``, remove the keys ``without``, and set the description unless it is None. Raises ``NotFound``."""

        def work(session: Session) -> None:
            _, row = find_version(session, adapter, number)
            session.execute(delete(TagRow).where(TagRow.version_id == row.id, TagRow.key.in_(without)))
            set_tags(session, row.id, tags)
            if description is not None:
                row.description = description or None
            keep_words(session, row.id)
            detail = {"tags": dict(tags), "without": list(without), "description": description}
            record(session, self._actor, "described", adapter, number, **detail)

        self._database.write(work)

    def _mend(self, session: Session, new: NewVersion, row: VersionRow) -> None:
        """Its bytes are whole again: what was quarantined for their damage is ready."""
        if row.state == State.QUARANTINED and (row.state_reason or "").startswith(DAMAGE):
            row.state, row.state_reason = State.READY.value, None
            record(session, self._actor, str(State.READY), new.adapter, row.number, reason="published again, whole")


def refuse_taken_name(session: Session, name: str) -> None:
    """Bases and adapters share one name space.

    Raises:
        Conflict: one of them has the name.
    """
    for rows, kind in ((BaseRow, "a base model"), (AdapterRow, "an adapter")):
        if session.scalar(select(rows.id).where(rows.name == name)):
            raise Conflict(f"The name {name!r} already belongs to {kind}; choose another.", code="name_taken")


def insert_version(session: Session, actor: str, adapter: AdapterRow, new: NewVersion) -> VersionRow:
    """Add the row of a new version under the adapter's next number."""
    if adapter.id is None:
        session.flush()
    row = VersionRow(
        adapter_id=adapter.id,
        number=adapter.next_number,
        digest=new.digest,
        rank=new.rank,
        alpha=new.alpha,
        rslora=new.rslora,
        target_modules=list(new.target_modules),
        dtype=new.dtype,
        parameters=new.parameters,
        bytes=new.bytes,
        state=State.READY.value,
        description=new.description,
        provenance=new.provenance.to_json() if new.provenance else None,
        files=[file.to_json() for file in new.files],
        created_at=now(),
        created_by=actor,
    )
    adapter.next_number += 1
    session.add(row)
    session.flush()
    add_words(session, row.id, [adapter.name, new.description or "", *(new.tags[key] for key in sorted(new.tags))])
    return row


def _new_base(reading: Reading, name: str) -> BaseRow:
    return BaseRow(
        name=name,
        fingerprint=reading.fingerprint,
        architecture=reading.architecture,
        vocabulary=reading.vocabulary,
        vocab_size=reading.vocab_size,
        parameters=reading.parameters,
        modules={module: list(shape) for module, shape in reading.modules.items()},
        created_at=now(),
    )


def _base(session: Session, name: str) -> BaseRow:
    row = session.scalar(select(BaseRow).where(BaseRow.name == name))
    if row is None:
        raise NotFound(f"There is no base model {name!r}.", code="unknown_base")
    return row


def adapter_for(session: Session, name: str, base_name: str) -> AdapterRow:
    """The adapter's row, or a new one that is not in the session yet."""
    base = _base(session, base_name)
    adapter = session.scalar(select(AdapterRow).where(AdapterRow.name == name))
    if adapter is None:
        refuse_taken_name(session, name)
        return AdapterRow(name=name, base_id=base.id, next_number=1, created_at=now())
    if adapter.base_id != base.id:
        other = session.get_one(BaseRow, adapter.base_id)
        raise Conflict(
            f"Adapter {name!r} stands on base {other.name!r}, not on {base_name!r}: {difference(other, base)}; "
            "publish under another name.",
            code="other_base",
        )
    return adapter


def add_metrics(session: Session, version_id: int, metrics: Sequence[Metric]) -> None:
    """Add the metrics that the version lacks."""
    there = {metric_value(row) for row in session.scalars(select(MetricRow).where(MetricRow.version_id == version_id))}
    lacking = [metric for metric in dict.fromkeys(metrics) if metric not in there]
    session.add_all(metric_row(metric, version_id) for metric in lacking)
    keep_finished(session, version_id, lacking, first=not there)


def set_tags(session: Session, version_id: int, tags: Mapping[str, str]) -> None:
    """Set tags of a version."""
    for key, value in tags.items():
        session.merge(TagRow(version_id=version_id, key=key, value=value))


def _add_parents(session: Session, row: VersionRow, parents: Sequence[Parent]) -> None:
    for parent in parents:
        adapter, _, number = parent.version.partition("@")
        _, found = find_version(session, adapter, int(number))
        if found.id >= row.id:
            raise UsageError(
                f"{parent.version} is not older than its child; a version descends from older ones.", code="cycle"
            )
        session.merge(ParentRow(child_id=row.id, parent_id=found.id, relation=parent.relation))
