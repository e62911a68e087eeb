"""What the catalog knows for ``gc``: which versions may go, and which stored files the others have."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, type_coerce
from sqlalchemy.orm import Session
from sqlalchemy.types import String

from lorarack.registry.catalog.database import Database
from lorarack.registry.catalog.holding import holds
from lorarack.registry.catalog.recording import now
from lorarack.registry.catalog.tables import AdapterRow, AliasRow, LeaseRow, ParentRow, VersionRow
from lorarack.registry.collection import Fate, Retention
from lorarack.registry.values import State

#: Versions by adapter and number.
Names = Collection[tuple[str, int]]

_STAYS = {
    State.READY: "it is ready; archive it to let it go",
    State.QUARANTINED: "it is quarantined, kept for those who look into it; archive it to let it go",
}


@dataclass(frozen=True, slots=True)
class References:
    """The digests of all files that versions have, and the newest id among the versions that were looked at."""

    digests: frozenset[str]
    newest: int


class CatalogCollector:
    """Reads for ``gc``; ``CatalogChanger`` removes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def plan(self) -> tuple[Fate, ...]:
        """What becomes of each version, newest first: where a child goes its parent may follow."""
        with self._database.reading() as session:
            held = _maybe_held(session)
            columns = select(VersionRow.id, AdapterRow.name, VersionRow.number, VersionRow.state)
            query = columns.join(AdapterRow, AdapterRow.id == VersionRow.adapter_id).order_by(VersionRow.id.desc())
            fates: list[Fate] = []
            gone: set[int] = set()
            for version_id, name, number, state in session.execute(query).all():
                why = _STAYS.get(State(state)) or (_held(session, version_id, gone) if version_id in held else None)
                if why is None:
                    gone.add(version_id)
                fates.append(
                    Fate(
                        kind="version",
                        name=f"{name}@{number}",
                        goes=why is None,
                        why=why or "it is archived and nothing holds it",
                    )
                )
            return tuple(fates)

    def retention(self, adapter: str) -> Retention | None:
        """The adapter's retention rule; None: no such adapter."""
        query = select(AdapterRow.keep_last, AdapterRow.keep_days).where(AdapterRow.name == adapter)
        with self._database.reading() as session:
            row = session.execute(query).first()
        return Retention(keep_last=row[0], keep_days=row[1]) if row else None

    def references(self, without: Names = ()) -> References:
        """What all versions ``without`` some refer to."""
        left_out = set(without)
        query: Any = select(VersionRow.id, AdapterRow.name, VersionRow.number, type_coerce(VersionRow.files, String))
        query = query.join(AdapterRow, AdapterRow.id == VersionRow.adapter_id)
        with self._database.reading() as session:
            newest = session.scalar(select(func.max(VersionRow.id))) or 0
            found: set[str] = set()
            for _, name, number, files in session.execute(query):
                if (name, number) not in left_out:
                    found.update(file["digest"] for file in json.loads(files))
        return References(frozenset(found), newest)

    def referenced_since(self, newest: int) -> set[str]:
        """What versions newer than id ``newest`` refer to. Versions do not change, so only new ones can refer to more."""
        with self._database.reading() as session:
            rows = session.scalars(select(VersionRow.files).where(VersionRow.id > newest))
            return {file["digest"] for files in rows for file in files}


def _maybe_held(session: Session) -> set[int]:
    """Ids of the versions for which the rules must be asked: few, as a rule."""
    ruled = select(VersionRow.id).join(AdapterRow, AdapterRow.id == VersionRow.adapter_id)
    ruled = ruled.where(AdapterRow.keep_last.is_not(None) | AdapterRow.keep_days.is_not(None))
    queries = (select(AliasRow.version_id), select(LeaseRow.version_id), select(ParentRow.parent_id), ruled)
    return {found for query in queries for found in session.scalars(query)}


def _held(session: Session, version_id: int, gone: set[int]) -> str | None:
    row = session.get_one(VersionRow, version_id)
    found = holds(session, session.get_one(AdapterRow, row.adapter_id), row, now(), without=gone)
    return f"it is {'; it is also '.join(hold.sentence for hold in found)}" if found else None
