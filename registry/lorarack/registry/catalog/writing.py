"""What can be done to the catalog. Each call is one transaction: whole, or as if it had never been."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from lorarack.registry.base_model.fingerprint import Reading
from lorarack.registry.catalog.database import Database
from lorarack.registry.catalog.mapping import metric_row, metric_value
from lorarack.registry.catalog.tables import (
    AdapterRow,
    AliasMoveRow,
    AliasRow,
    BaseIdRow,
    BaseRow,
    CounterRow,
    MetricRow,
    VersionRow,
)
from lorarack.registry.errors import Conflict, NotFound
from lorarack.registry.reference import DEFAULT_ALIAS
from lorarack.registry.values import BaseId, Metric, Provenance, State, StoredFile

_LARGEST = 2**31  # SQLite's driver fails on numbers that do not fit its columns


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
                _refuse_taken_name(session, name)
                row = BaseRow(
                    name=name,
                    fingerprint=reading.fingerprint,
                    architecture=reading.architecture,
                    vocabulary=reading.vocabulary,
                    vocab_size=reading.vocab_size,
                    parameters=reading.parameters,
                    modules={module: list(shape) for module, shape in reading.modules.items()},
                    created_at=_now(),
                )
                session.add(row)
                session.flush()
            session.execute(
                delete(BaseIdRow).where(
                    BaseIdRow.base_id == row.id, BaseIdRow.kind == known_as.kind, BaseIdRow.value == known_as.value
                )
            )
            session.add(BaseIdRow(base_id=row.id, **known_as.model_dump()))
            _count_change(session)
            return row.name

        return self._database.write(work)

    def check_adapter(self, name: str, base: str) -> None:
        """Find out early whether ``add_version`` would refuse: before anything is stored.

        Raises:
            Conflict: the adapter stands on another base, or its name belongs to a base.
        """
        with self._database.reading() as session:
            _adapter_for(session, name, base)

    def add_version(self, new: NewVersion) -> tuple[int, bool]:
        """Allocate a number and write the version; the first one also becomes ``default``.

        Returns:
            The number, and whether it is new: an equal digest gives the old number and adds metrics and tags.

        Raises:
            Conflict: the adapter stands on another base, or its name belongs to a base.
        """

        def work(session: Session) -> tuple[int, bool]:
            adapter = _adapter_for(session, new.adapter, new.base)
            if adapter.id is None:
                session.add(adapter)
                session.flush()
            query = select(VersionRow).where(VersionRow.adapter_id == adapter.id, VersionRow.digest == new.digest)
            row = session.scalar(query)
            created = row is None
            if row is None:
                row = self._insert(session, adapter, new)
            else:
                row.tags = {**row.tags, **new.tags}
                row.description = new.description or row.description
            _add_metrics(session, row.id, new.metrics)
            if created and row.number == 1:
                self._move(session, adapter, DEFAULT_ALIAS, row, None, "first published version")
            _count_change(session)
            return row.number, created

        return self._database.write(work)

    def add_metrics(self, adapter: str, number: int, metrics: Sequence[Metric]) -> None:
        """Add metrics to a version; ones that are there already are left alone."""

        def work(session: Session) -> None:
            _, row = _version(session, adapter, number)
            _add_metrics(session, row.id, metrics)
            _count_change(session)

        self._database.write(work)

    def set_alias(self, adapter: str, alias: str, number: int, expect: int | None, reason: str | None) -> None:
        """Point an alias at a version and keep the move; where it points there already, a new reason is kept.

        Raises:
            NotFound: no such version.
            Conflict: the version is not ready, or the alias does not name ``expect`` now.
        """

        def work(session: Session) -> None:
            owner, row = _version(session, adapter, number)
            if row.state != State.READY:
                raise Conflict(
                    f"{adapter}@{number} is {row.state}; an alias can only name a ready version.", code="not_ready"
                )
            now = session.get(AliasRow, (owner.id, alias))
            current = session.get(VersionRow, now.version_id) if now else None
            there = current.number if current else None
            if expect is not None and there != expect:
                stands = f"names version {there}" if there else "does not exist"
                raise Conflict(
                    f"{adapter}@{alias} {stands}, not version {expect}; look again and decide.", code="stale_expect"
                )
            why = session.get_one(AliasMoveRow, now.move_id).reason if now else None
            if there != number or reason not in (None, why):  # pointing there again for another reason confirms it
                self._move(session, owner, alias, row, there, reason)
                _count_change(session)

        self._database.write(work)

    def delete_version(self, adapter: str, number: int) -> None:
        """Forget a version. Its number and engine id are never used again.

        Raises:
            NotFound: no such version.
            Conflict: an alias names it.
        """

        def work(session: Session) -> None:
            _, row = _version(session, adapter, number)
            aliases = list(session.scalars(select(AliasRow.name).where(AliasRow.version_id == row.id)))
            if aliases:
                listed = ", ".join(sorted(aliases))
                raise Conflict(
                    f"{adapter}@{number} is named by alias {listed}; move it first with "
                    f"'lorarack alias set {adapter}@{aliases[0]} VERSION'.",
                    code="in_use",
                )
            session.execute(delete(MetricRow).where(MetricRow.version_id == row.id))
            session.delete(row)
            _count_change(session)

        self._database.write(work)

    def _insert(self, session: Session, adapter: AdapterRow, new: NewVersion) -> VersionRow:
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
            tags=dict(new.tags),
            provenance=new.provenance.to_json() if new.provenance else None,
            files=[file.to_json() for file in new.files],
            created_at=_now(),
            created_by=self._actor,
        )
        adapter.next_number += 1
        session.add(row)
        session.flush()
        return row

    def _move(
        self,
        session: Session,
        adapter: AdapterRow,
        alias: str,
        to: VersionRow,
        previous: int | None,
        reason: str | None,
    ) -> None:
        move = AliasMoveRow(
            adapter_id=adapter.id,
            name=alias,
            version=to.number,
            previous=previous,
            moved_at=_now(),
            actor=self._actor,
            reason=reason,
        )
        session.add(move)
        session.flush()
        session.merge(AliasRow(adapter_id=adapter.id, name=alias, version_id=to.id, move_id=move.id))


def _now() -> datetime:
    return datetime.now(UTC)


def _count_change(session: Session) -> None:
    counter = session.get(CounterRow, "changes")
    if counter is None:
        session.add(CounterRow(name="changes", value=1))
    else:
        counter.value += 1


def _adapter_for(session: Session, name: str, base_name: str) -> AdapterRow:
    """The adapter's row, or a new one that is not in the session yet."""
    base = session.scalars(select(BaseRow).where(BaseRow.name == base_name)).one()
    adapter = session.scalar(select(AdapterRow).where(AdapterRow.name == name))
    if adapter is None:
        _refuse_taken_name(session, name)
        return AdapterRow(name=name, base_id=base.id, next_number=1, created_at=_now())
    if adapter.base_id != base.id:
        other = session.get_one(BaseRow, adapter.base_id)
        raise Conflict(
            f"Adapter {name!r} stands on base {other.name!r}, not on {base_name!r}; publish under another name.",
            code="other_base",
        )
    return adapter


def _refuse_taken_name(session: Session, name: str) -> None:
    for rows, kind in ((BaseRow, "a base model"), (AdapterRow, "an adapter")):
        if session.scalar(select(rows.id).where(rows.name == name)):
            raise Conflict(f"The name {name!r} already belongs to {kind}; choose another.", code="name_taken")


def _version(session: Session, adapter: str, number: int) -> tuple[AdapterRow, VersionRow]:
    if not 0 < number < _LARGEST:
        raise NotFound(f"There is no version {adapter}@{number}.", code="unknown_reference")
    query: Any = (
        select(AdapterRow, VersionRow)
        .join(VersionRow, VersionRow.adapter_id == AdapterRow.id)
        .where(AdapterRow.name == adapter, VersionRow.number == number)
    )
    found = session.execute(query).first()
    if found is None:
        raise NotFound(f"There is no version {adapter}@{number}.", code="unknown_reference")
    owner, row = found
    return owner, row


def _add_metrics(session: Session, version_id: int, metrics: Sequence[Metric]) -> None:
    there = {metric_value(row) for row in session.scalars(select(MetricRow).where(MetricRow.version_id == version_id))}
    session.add_all(metric_row(metric, version_id) for metric in dict.fromkeys(metrics) if metric not in there)
