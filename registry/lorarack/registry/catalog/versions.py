"""Bases, versions and what is said about them. Each call is one transaction: whole, or as if it had never been."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, select, update

from lorarack.registry.catalog import base_models
from lorarack.registry.catalog.aliases import move_alias
from lorarack.registry.catalog.connection import Database
from lorarack.registry.catalog.events import find_version, record
from lorarack.registry.catalog.new_version import (
    adapter_for,
    add_metrics,
    base_id,
    insert_version,
    set_tags,
    set_version,
    with_digest,
)
from lorarack.registry.catalog.rows import VersionRow, put
from lorarack.registry.catalog.schema import BASES, PARENTS, TAGS
from lorarack.registry.catalog.text_index import update_text
from lorarack.registry.errors import BlobGone, Conflict, UsageError
from lorarack.registry.records import AddedBase, NewVersion
from lorarack.registry.reference import DEFAULT_ALIAS
from lorarack.registry.values import BaseId, Metric, Parent, State

if TYPE_CHECKING:
    from lorarack.registry.base_model.fingerprint import Reading


class CatalogWriter:
    """Changes rows; ``actor`` is who does it."""

    def __init__(self, database: Database, actor: str) -> None:
        self._database = database
        self._actor = actor

    def add_base(
        self, reading: "Reading", name: str | None, default_name: str, known_as: BaseId, *, use: bool
    ) -> AddedBase:
        """Add a base model, or one more place of a base model that is known.

        Raises:
            Conflict: the name belongs to another base or to an adapter, or the model is known by another name.
        """

        def work(connection: Connection) -> AddedBase:
            added = base_models.add_base(connection, reading, name, default_name, known_as, use=use)
            about: dict[str, Any] = {"base": added.name, "fingerprint": reading.fingerprint, "id": known_as.value}
            record(connection, self._actor, "base_added", **about)
            return added

        return self._database.write(work)

    def renew_base(self, name: str, reading: "Reading", places: Sequence[BaseId]) -> None:
        """Give a base that an older lorarack added its present fingerprints. Raises ``Conflict`` where another base has them."""

        def work(connection: Connection) -> None:
            base_models.renew_base(connection, name, reading, places)
            record(connection, self._actor, "base_renewed", base=name, fingerprint=reading.fingerprint)

        self._database.write(work)

    def link_base(self, name: str, original: str, relation: str) -> None:
        """Say that base ``name`` was made from base ``original``.

        Raises:
            NotFound: no such base. UsageError: a base would descend from itself.
        """

        def work(connection: Connection) -> None:
            child, parent = base_id(connection, name), base_id(connection, original)
            ancestor: int | None = parent
            while ancestor is not None:
                if ancestor == child:
                    raise UsageError(f"Base {name!r} cannot descend from itself.", code="cycle")
                ancestor = connection.scalar(select(BASES.c.original_id).where(BASES.c.id == ancestor))
            connection.execute(update(BASES).where(BASES.c.id == child).values(original_id=parent, relation=relation))
            record(connection, self._actor, "base_linked", base=name, original=original, relation=relation)

        self._database.write(work)

    def check_adapter(self, name: str, base: str) -> None:
        """Find out early whether ``add_version`` would refuse: before anything is stored.

        Raises:
            Conflict: the adapter stands on another base, or its name belongs to a base.
        """
        with self._database.reading() as connection:
            adapter_for(connection, name, base)

    def add_version(self, new: NewVersion, is_stored: Callable[[str], bool]) -> tuple[int, bool]:
        """Allocate a number and write the version; the first one also becomes ``default``.

        Args:
            new: the version.
            is_stored: whether the file of a digest is there; asked under the lock that ``gc`` takes to remove files.

        Returns:
            The number, and whether it is new: an equal digest gives the old number and adds metrics, tags and parents.

        Raises:
            Conflict: the adapter stands on another base, its name belongs to a base, or the version is there and was archived or
                quarantined.
            NotFound: no such parent.
            BlobGone: a file of the version is not stored.
        """

        def work(connection: Connection) -> tuple[int, bool]:
            if not all(is_stored(file.digest) for file in new.files):
                raise BlobGone
            adapter = adapter_for(connection, new.adapter, new.base)
            found = with_digest(connection, adapter.id, new.digest)
            if found is None:
                adapter, row = insert_version(connection, self._actor, adapter, new)
            else:
                row = found
                if row.state in (State.ARCHIVED, State.QUARANTINED):
                    raise _put_aside(new.adapter, row)
                if new.description:
                    set_version(connection, row.id, description=new.description)
            created = found is None
            measured = (new.measured,) if created and new.measured else ()
            add_metrics(connection, row.id, (*measured, *new.metrics), has_none=created)
            set_tags(connection, row.id, new.tags)
            if not created:
                update_text(connection, row.id)
            _add_parents(connection, row, new.parents)
            kind = "published" if created else "published_again"
            record(connection, self._actor, kind, new.adapter, row.number, digest=new.digest, rank=new.rank)
            if created and row.number == 1:
                move_alias(connection, self._actor, adapter, DEFAULT_ALIAS, row, None, "first published version")
            return row.number, created

        return self._database.write(work)

    def add_metrics(self, adapter: str, number: int, metrics: Sequence[Metric]) -> None:
        """Add metrics to a version; ones that are there already are left alone. Raises ``NotFound``."""

        def work(connection: Connection) -> None:
            _, row = find_version(connection, adapter, number)
            add_metrics(connection, row.id, metrics)
            names = sorted({metric.label for metric in metrics})
            record(connection, self._actor, "metrics_added", adapter, number, metrics=names)

        self._database.write(work)

    def describe(
        self, adapter: str, number: int, tags: Mapping[str, str], without: Sequence[str], description: str | None
    ) -> None:
        """Set ``tags``, remove the keys ``without``, and set the description unless it is None. Raises ``NotFound``."""

        def work(connection: Connection) -> None:
            _, row = find_version(connection, adapter, number)
            connection.execute(delete(TAGS).where(TAGS.c.version_id == row.id, TAGS.c.key.in_(without)))
            set_tags(connection, row.id, tags)
            if description is not None:
                set_version(connection, row.id, description=description or None)
            update_text(connection, row.id)
            detail = {"tags": dict(tags), "without": list(without), "description": description}
            record(connection, self._actor, "described", adapter, number, **detail)

        self._database.write(work)


def _put_aside(adapter: str, row: VersionRow) -> Conflict:
    """Publishing says nothing about why somebody put a version aside, so it does not bring it back."""
    because = f" ({row.state_reason.rstrip('.')})" if row.state_reason else ""
    reference = f"{adapter}@{row.number}"
    return Conflict(
        f"These files are {reference}, which is {row.state}{because}; bring it back with 'lorarack restore {reference}', "
        "then publish again what is to be added.",
        code="not_ready",
    )


def _add_parents(connection: Connection, row: VersionRow, parents: Sequence[Parent]) -> None:
    for parent in parents:
        adapter, _, number = parent.version.partition("@")
        _, found = find_version(connection, adapter, int(number))
        if found.id >= row.id:
            raise UsageError(
                f"{parent.version} is not older than its child; a version descends from older ones.", code="cycle"
            )
        put(connection, PARENTS, {"child_id": row.id, "parent_id": found.id, "relation": parent.relation})
