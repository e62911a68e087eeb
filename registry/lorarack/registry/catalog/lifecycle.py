"""Aliases, states, leases, retention and deletion. Each call is one transaction."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, delete, select, update

from lorarack.registry.catalog.aliases import set_alias
from lorarack.registry.catalog.connection import Database
from lorarack.registry.catalog.events import find_version, now, record
from lorarack.registry.catalog.new_version import set_version
from lorarack.registry.catalog.retention import holds
from lorarack.registry.catalog.rows import VersionRow, put
from lorarack.registry.catalog.schema import (
    ADAPTERS,
    FINISHED,
    LEASES,
    METRICS,
    PARENTS,
    TAGS,
    TEXTS,
    VERSIONS,
)
from lorarack.registry.errors import Conflict, NotFound
from lorarack.registry.queries import GcReport
from lorarack.registry.values import Alias, State, StoredFile


class CatalogChanger:
    """Changes what may be done with versions; ``actor`` is who does it."""

    def __init__(self, database: Database, actor: str) -> None:
        self._database = database
        self._actor = actor

    def set_alias(
        self,
        adapter: str,
        alias: str,
        number: int,
        expect: int | None,
        reason: str | None,
        *,
        forced: bool = False,
        rollback: bool = False,
    ) -> Alias:
        """Point an alias at a version and keep the move; where it points there already, a new reason is kept.

        Returns the alias as it is then. ``expect=0``: there must be no such alias yet.

        Raises:
            NotFound: no such version.
            Conflict: the version is not ready, or the alias does not name ``expect`` now.
        """

        return self._database.write(
            lambda connection: set_alias(
                connection, self._actor, adapter, alias, number, expect, reason, forced=forced, rollback=rollback
            )
        )

    def set_state(self, adapter: str, number: int, state: State, reason: str | None) -> None:
        """Archive, quarantine or restore a version.

        Raises:
            NotFound: no such version. Conflict: an alias names what would be archived.
        """

        def work(connection: Connection) -> None:
            owner, row = find_version(connection, adapter, number)
            if row.state == state:
                return
            held = [hold for hold in holds(connection, owner, row, now(connection)) if hold.kind == "alias"]
            # Quarantine is for what must not be used any more, whoever names it: it asks nobody. A lease forbids neither:
            # a server sees the new state, drops the version and ends its lease.
            if state is State.ARCHIVED and held:
                raise Conflict(f"{adapter}@{number} is {held[0].sentence}.", code="in_use")
            self._set_state(connection, adapter, row, state, reason)

        self._database.write(work)

    def mark_damaged(self, adapter: str, number: int, digest: str, reason: str) -> bool:
        """Take a ready version out of use whose stored bytes were read and are others; whether it is marked so now.

        What somebody has archived or quarantined stays so: it is out of use, and only a person brings it back. ``digest`` is
        that of the version that was read: one that was deleted meanwhile is left alone.
        """

        def work(connection: Connection) -> bool:
            _, row = find_version(connection, adapter, number)
            if row.state == State.READY and row.digest == digest:
                self._set_state(connection, adapter, row, State.DAMAGED, reason)
                return True
            return row.state == State.DAMAGED

        return self._database.write(work)

    def repair(self, adapter: str, number: int, files: Sequence[StoredFile]) -> None:
        """Make a damaged version ready with ``files``, which were verified. Raises ``NotFound``."""

        def work(connection: Connection) -> None:
            _, row = find_version(connection, adapter, number)
            if row.state == State.DAMAGED:
                set_version(connection, row.id, files=[file.to_json() for file in files])
                self._set_state(connection, adapter, row, State.READY, None, "published again, whole")

        self._database.write(work)

    def _set_state(
        self,
        connection: Connection,
        adapter: str,
        row: VersionRow,
        state: State,
        reason: str | None,
        recorded: str | None = None,
    ) -> None:
        set_version(connection, row.id, state=state.value, state_reason=reason)
        record(connection, self._actor, str(state.value), adapter, row.number, reason=recorded or reason)

    def delete_version(self, adapter: str, number: int) -> None:
        """Forget a version. Its number and engine id are never used again.

        Raises:
            NotFound: no such version. Conflict: something holds it; the sentence says what.
        """
        self._database.write(lambda connection: self._delete(connection, adapter, number))

    def prune(self, candidates: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """Forget those of ``candidates`` that are archived and that nothing holds, in one transaction; which they were."""

        def work(connection: Connection) -> list[tuple[str, int]]:
            gone = []
            for adapter, number in candidates:
                try:
                    _, row = find_version(connection, adapter, number)
                    if row.state == State.ARCHIVED:
                        self._delete(connection, adapter, number)
                        gone.append((adapter, number))
                except (Conflict, NotFound):  # held or gone since the plan was made
                    continue
            return gone

        return self._database.write(work)

    def lease(self, versions: Sequence[tuple[str, int]], holder: str, seconds: float) -> None:
        """Hold those of ``versions`` that are there for ``holder`` until that many seconds from now.

        Raises:
            NotFound: none of them is there.
        """

        def work(connection: Connection) -> None:
            moment = now(connection)
            connection.execute(delete(LEASES).where(LEASES.c.until < moment))
            ids = [row for name, number in versions if (row := _id(connection, name, number)) is not None]
            if not ids:
                raise NotFound("None of the versions to be held is there any more.", code="unknown_reference")
            for version_id in ids:
                until = moment + timedelta(seconds=seconds)
                put(connection, LEASES, {"version_id": version_id, "holder": holder, "until": until})

        self._database.write(work)

    def release(self, holder: str, version: tuple[str, int] | None) -> None:
        """End all leases of ``holder``, or that on one version."""

        def work(connection: Connection) -> None:
            query = delete(LEASES).where(LEASES.c.holder == holder)
            connection.execute(
                query if version is None else query.where(LEASES.c.version_id == _id(connection, *version))
            )

        self._database.write(work)

    def set_retention(self, adapter: str, keep_last: int | None, keep_days: int | None) -> None:
        """Set the adapter's retention rule; None: no rule of that kind. Raises ``NotFound``."""

        def work(connection: Connection) -> None:
            rule = update(ADAPTERS).where(ADAPTERS.c.name == adapter).values(keep_last=keep_last, keep_days=keep_days)
            if connection.execute(rule).rowcount == 0:
                raise NotFound(f"There is no adapter {adapter!r}.", code="unknown_reference")
            record(connection, self._actor, "retention_set", adapter, keep_last=keep_last, keep_days=keep_days)

        self._database.write(work)

    def record_gc(self, report: GcReport) -> None:
        """Keep in the log what ``gc`` has removed."""
        counts: dict[str, Any] = {f"{kind}s": report.removed(kind) for kind in ("version", "blob", "leftover")}
        self._database.write(
            lambda connection: record(connection, self._actor, "collected", **counts, freed=report.freed)
        )

    def _delete(self, connection: Connection, adapter: str, number: int) -> None:
        owner, row = find_version(connection, adapter, number)
        held = holds(connection, owner, row, now(connection))
        if held:
            reasons = "; it is also ".join(hold.sentence for hold in held)
            raise Conflict(f"{adapter}@{number} is {reasons}.", code="in_use")
        for table, column in (
            (METRICS, METRICS.c.version_id), (TAGS, TAGS.c.version_id), (LEASES, LEASES.c.version_id),
            (PARENTS, PARENTS.c.child_id), (FINISHED, FINISHED.c.version_id), (TEXTS, TEXTS.c.version_id),
        ):  # fmt: skip
            connection.execute(delete(table).where(column == row.id))
        connection.execute(delete(VERSIONS).where(VERSIONS.c.id == row.id))
        record(connection, self._actor, "deleted", adapter, number, digest=row.digest)


def _id(connection: Connection, adapter: str, number: int) -> int | None:
    query = select(VERSIONS.c.id).join_from(VERSIONS, ADAPTERS, ADAPTERS.c.id == VERSIONS.c.adapter_id)
    return connection.scalar(query.where(ADAPTERS.c.name == adapter, VERSIONS.c.number == number))
