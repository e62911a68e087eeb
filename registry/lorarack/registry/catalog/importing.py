"""Versions of another registry into this one, all of them in one transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from lorarack.registry.catalog.database import Database
from lorarack.registry.catalog.recording import move_alias, record
from lorarack.registry.catalog.tables import AdapterRow, AliasRow, ParentRow, VersionRow
from lorarack.registry.catalog.writing import BlobGone, NewVersion, adapter_for, add_metrics, insert_version, set_tags
from lorarack.registry.reference import DEFAULT_ALIAS
from lorarack.registry.values import State

#: An adapter's name and a digest, which name an artifact everywhere.
Known = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A version that comes in: ``number`` is what it was called there, ``parents`` are (artifact, relation)."""

    new: NewVersion
    number: int
    state: State
    state_reason: str | None
    created_at: datetime
    created_by: str
    parents: tuple[tuple[Known, str], ...]


@dataclass(frozen=True, slots=True)
class Landed:
    """Where one arrived: its number here, and whether it is new here; parents that are not here are counted."""

    number: int
    created: bool
    lost_parents: int = 0


class CatalogImporter:
    """Adds versions as they were; ``actor`` is who does it."""

    def __init__(self, database: Database, actor: str) -> None:
        self._database = database
        self._actor = actor

    def add(
        self,
        arrivals: Sequence[Arrival],
        aliases: Mapping[str, Mapping[str, Known]],
        is_stored: Callable[[str], bool],
    ) -> tuple[list[Landed], list[str]]:
        """Add them all, or none.

        A version keeps its number where that has never been used here, else it gets the next. An artifact that the adapter
        has already is that version, left as it is. Aliases are set where they are new here.

        Returns:
            What became of each, and the aliases (``support@prod``) that name something else here and were left.

        Raises:
            Conflict: an adapter stands on another base, or its name belongs to a base.
            BlobGone: a file of a version is not stored.
        """

        def work(session: Session) -> tuple[list[Landed], list[str]]:
            landed = [self._land(session, arrival, is_stored) for arrival in arrivals]
            left = [
                f"{adapter}@{alias}"
                for adapter, names in aliases.items()
                for alias, known in names.items()
                if not self._point(session, adapter, alias, known)
            ]
            for adapter in dict.fromkeys(arrival.new.adapter for arrival in arrivals):
                self._point_default(session, adapter)
            return landed, left

        return self._database.write(work)

    def _land(self, session: Session, arrival: Arrival, is_stored: Callable[[str], bool]) -> Landed:
        new = arrival.new
        row = _artifact(session, (new.adapter, new.digest))
        if row is not None:
            return Landed(row.number, created=False)
        if not all(is_stored(file.digest) for file in new.files):
            raise BlobGone
        adapter = adapter_for(session, new.adapter, new.base)
        if adapter.id is None:
            session.add(adapter)
        adapter.next_number = max(adapter.next_number, arrival.number)
        row = insert_version(session, self._actor, adapter, new)
        row.state, row.state_reason = arrival.state.value, arrival.state_reason
        row.created_at, row.created_by = arrival.created_at, arrival.created_by
        add_metrics(session, row.id, new.metrics)
        set_tags(session, row.id, new.tags)
        lost = 0
        for known, relation in arrival.parents:
            parent = _artifact(session, known)
            if parent is None:
                lost += 1
            else:
                session.merge(ParentRow(child_id=row.id, parent_id=parent.id, relation=relation))
        was = f"{new.adapter}@{arrival.number}"
        record(session, self._actor, "imported", new.adapter, row.number, digest=new.digest, rank=new.rank, was=was)
        return Landed(row.number, created=True, lost_parents=lost)

    def _point(self, session: Session, adapter: str, alias: str, known: Known) -> bool:
        """Point a new alias at an artifact; whether it names that afterwards."""
        owner, row = _owner(session, adapter), _artifact(session, known)
        if owner is None or row is None:
            return False
        now_at = session.get(AliasRow, (owner.id, alias))
        if now_at is None and row.state == State.READY:
            move_alias(session, self._actor, owner, alias, row, None, "imported")
            return True
        return now_at is not None and now_at.version_id == row.id

    def _point_default(self, session: Session, adapter: str) -> None:
        """As with publishing, an adapter's first version is its default until somebody says otherwise."""
        owner = _owner(session, adapter)
        if owner is None or session.get(AliasRow, (owner.id, DEFAULT_ALIAS)) is not None:
            return
        ready = (VersionRow.adapter_id == owner.id, VersionRow.state == State.READY.value)
        first = session.scalar(select(VersionRow).where(*ready).order_by(VersionRow.number).limit(1))
        if first is not None:
            move_alias(session, self._actor, owner, DEFAULT_ALIAS, first, None, "first imported version")


def _owner(session: Session, name: str) -> AdapterRow | None:
    return session.scalar(select(AdapterRow).where(AdapterRow.name == name))


def _artifact(session: Session, known: Known) -> VersionRow | None:
    name, digest = known
    query = select(VersionRow).join(AdapterRow, AdapterRow.id == VersionRow.adapter_id)
    return session.scalar(query.where(AdapterRow.name == name, VersionRow.digest == digest))
