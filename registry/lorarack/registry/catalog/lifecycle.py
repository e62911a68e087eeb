"""Changes of an existing version: metadata, state, deletion."""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection, delete

from lorarack.registry.catalog.events import record
from lorarack.registry.catalog.new_version import add_metrics, set_tags, set_version, update_text
from lorarack.registry.catalog.retention import holds
from lorarack.registry.catalog.rows import VersionRow, find_version
from lorarack.registry.catalog.schema import FINISHED, LEASES, METRICS, PARENTS, TAGS, TEXTS, VERSIONS
from lorarack.registry.errors import BlobGone, Conflict, NotFound
from lorarack.registry.values import Metric, State, StoredFile


def measure(connection: Connection, actor: str, adapter: str, number: int, metrics: Sequence[Metric]) -> None:
    """Add metrics to a version; ones that are there already are left alone. Raises ``NotFound``."""
    _, row = find_version(connection, adapter, number)
    add_metrics(connection, row.id, metrics)
    record(connection, actor, "metrics_added", adapter, number, metrics=sorted({metric.label for metric in metrics}))


def describe(
    connection: Connection,
    actor: str,
    adapter: str,
    number: int,
    tags: Mapping[str, str],
    without: Sequence[str],
    description: str | None,
) -> None:
    """Set ``tags``, remove the keys ``without``, and set the description unless it is None. Raises ``NotFound``."""
    _, row = find_version(connection, adapter, number)
    connection.execute(delete(TAGS).where(TAGS.c.version_id == row.id, TAGS.c.key.in_(without)))
    set_tags(connection, row.id, tags)
    if description is not None:
        set_version(connection, row.id, description=description or None)
    update_text(connection, row.id)
    detail = {"tags": dict(tags), "without": list(without), "description": description}
    record(connection, actor, "described", adapter, number, **detail)


def set_state(connection: Connection, actor: str, adapter: str, number: int, state: State, reason: str | None) -> None:
    """Archive, quarantine or restore a version.

    Raises:
        NotFound: no such version.
        Conflict: an alias or an experiment has what would be archived.
    """
    owner, row = find_version(connection, adapter, number)
    if row.state == state:
        return
    # Quarantine is for what must not be used any more, so nothing prevents it. A lease prevents neither: a
    # server sees the new state, drops the version and ends its lease.
    held = holds(connection, owner, row) if state is State.ARCHIVED else ()
    held = tuple(hold for hold in held if hold.kind in ("alias", "experiment"))
    if held:
        raise Conflict(f"{adapter}@{number} is {held[0].sentence}.", code="in_use")
    _set_state(connection, actor, adapter, row, state, reason)


def mark_damaged(connection: Connection, actor: str, adapter: str, number: int, digest: str, reason: str) -> bool:
    """Take a ready version out of use whose stored bytes were read and are others; whether it is marked so now.

    What somebody has archived or quarantined stays so: it is out of use, and only a person brings it back. ``digest`` is
    that of the version that was read: one that was deleted meanwhile is left alone.
    """
    _, row = find_version(connection, adapter, number)
    if row.state == State.READY and row.digest == digest:
        _set_state(connection, actor, adapter, row, State.DAMAGED, reason)
        return True
    return row.state == State.DAMAGED


def repair(
    connection: Connection,
    actor: str,
    adapter: str,
    number: int,
    files: Sequence[StoredFile],
    is_stored: Callable[[str], bool],
) -> None:
    """Make a damaged version ready with ``files``, which were verified.

    Raises:
        NotFound: no such version.
        BlobGone: a file is not stored any more.
    """
    _, row = find_version(connection, adapter, number)
    if not all(is_stored(file.digest) for file in files):
        raise BlobGone
    if row.state == State.DAMAGED:
        set_version(connection, row.id, files=[file.to_json() for file in files])
        _set_state(connection, actor, adapter, row, State.READY, None, "published again, whole")


def delete_version(connection: Connection, actor: str, adapter: str, number: int) -> None:
    """Forget a version. Its number and engine id are never used again.

    Raises:
        NotFound: no such version.
        Conflict: something holds it; the sentence says what.
    """
    owner, row = find_version(connection, adapter, number)
    held = holds(connection, owner, row)
    if held:
        reasons = "; it is also ".join(hold.sentence for hold in held)
        raise Conflict(f"{adapter}@{number} is {reasons}.", code="in_use")
    for column in (
        METRICS.c.version_id, TAGS.c.version_id, LEASES.c.version_id, PARENTS.c.child_id, FINISHED.c.version_id,
        TEXTS.c.version_id, VERSIONS.c.id,
    ):  # fmt: skip
        connection.execute(delete(column.table).where(column == row.id))
    record(connection, actor, "deleted", adapter, number, digest=row.digest)


def prune(connection: Connection, actor: str, candidates: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Forget those of ``candidates`` that are archived and that nothing holds; which they were."""
    gone = []
    for adapter, number in candidates:
        try:
            _, row = find_version(connection, adapter, number)
            if row.state == State.ARCHIVED:
                delete_version(connection, actor, adapter, number)
                gone.append((adapter, number))
        except (Conflict, NotFound):  # held or gone since the plan was made
            continue
    return gone


def _set_state(
    connection: Connection,
    actor: str,
    adapter: str,
    row: VersionRow,
    state: State,
    reason: str | None,
    recorded: str | None = None,
) -> None:
    set_version(connection, row.id, state=state.value, state_reason=reason)
    record(connection, actor, str(state.value), adapter, row.number, reason=recorded or reason)
