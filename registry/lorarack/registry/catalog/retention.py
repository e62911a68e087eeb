"""What holds a version: nothing that an alias, a running experiment, a lease, a child or a retention rule holds can be deleted."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select, update

from lorarack.registry.catalog.connection import now, put
from lorarack.registry.catalog.events import record
from lorarack.registry.catalog.rows import OWNED, AdapterRow, VersionRow
from lorarack.registry.catalog.running_experiments import running_arms
from lorarack.registry.catalog.schema import ADAPTERS, ALIASES, LEASES, PARENTS, VERSIONS
from lorarack.registry.errors import NotFound
from lorarack.registry.queries import Retention


@dataclass(frozen=True, slots=True)
class Hold:
    """One reason why a version stays; ``sentence`` completes "it is …"."""

    kind: str
    sentence: str


def holds(
    connection: Connection, adapter: AdapterRow, row: VersionRow, without: Collection[int] = ()
) -> tuple[Hold, ...]:
    """Everything that holds the version now; children whose ids are in ``without`` do not count."""
    moment = now(connection)
    return (
        *_aliases(connection, adapter, row),
        *_experiments(connection, adapter, row),
        *_leases(connection, row, moment),
        *_children(connection, row, without),
        *_retention(connection, adapter, row, moment),
    )


def lease(connection: Connection, versions: Sequence[tuple[str, int]], holder: str, seconds: float) -> None:
    """Hold those of ``versions`` that are there for ``holder`` until that many seconds from now.

    Raises:
        NotFound: none of them is there.
    """
    moment = now(connection)
    connection.execute(delete(LEASES).where(LEASES.c.until < moment))
    ids = [row for name, number in versions if (row := _id(connection, name, number)) is not None]
    if not ids:
        raise NotFound("None of the versions to lease exists any more.", code="unknown_reference")
    until = moment + timedelta(seconds=seconds)
    put(connection, LEASES, *({"version_id": version_id, "holder": holder, "until": until} for version_id in ids))


def release(connection: Connection, holder: str, version: tuple[str, int] | None) -> None:
    """End all leases of ``holder``, or that on one version."""
    query = delete(LEASES).where(LEASES.c.holder == holder)
    connection.execute(query if version is None else query.where(LEASES.c.version_id == _id(connection, *version)))


def read_rule(connection: Connection, adapter: str) -> Retention | None:
    """The adapter's retention rule; None: no such adapter."""
    query = select(ADAPTERS.c.keep_last, ADAPTERS.c.keep_days).where(ADAPTERS.c.name == adapter)
    row = connection.execute(query).first()
    return Retention(keep_last=row.keep_last, keep_days=row.keep_days) if row else None


def set_rule(connection: Connection, actor: str, adapter: str, keep_last: int | None, keep_days: int | None) -> None:
    """Set the adapter's retention rule; None: no rule of that kind. Raises ``NotFound``."""
    rule = update(ADAPTERS).where(ADAPTERS.c.name == adapter).values(keep_last=keep_last, keep_days=keep_days)
    if connection.execute(rule).rowcount == 0:
        raise NotFound(f"There is no adapter {adapter!r}.", code="unknown_reference")
    record(connection, actor, "retention_set", adapter, keep_last=keep_last, keep_days=keep_days)


def _id(connection: Connection, adapter: str, number: int) -> int | None:
    query = select(VERSIONS.c.id).select_from(OWNED)
    return connection.scalar(query.where(ADAPTERS.c.name == adapter, VERSIONS.c.number == number))


def _aliases(connection: Connection, adapter: AdapterRow, row: VersionRow) -> list[Hold]:
    query = select(ALIASES.c.name).where(ALIASES.c.version_id == row.id).order_by(ALIASES.c.name)
    names = connection.scalars(query).all()
    if not names:
        return []
    way = f"move it first with 'lorarack alias set {adapter.name}@{names[0]} VERSION'"
    return [Hold("alias", f"named by alias {', '.join(names)}; {way}")]


def _experiments(connection: Connection, adapter: AdapterRow, row: VersionRow) -> list[Hold]:
    return [
        Hold("experiment", f"an arm of the experiment on {named}; end that with 'lorarack experiment stop {named}'")
        for named, numbers in running_arms(connection, adapter.id).items()
        if row.number in numbers
    ]


def _leases(connection: Connection, row: VersionRow, moment: datetime) -> list[Hold]:
    query = select(LEASES.c.holder, LEASES.c.until).where(LEASES.c.version_id == row.id, LEASES.c.until > moment)
    return [
        Hold(
            "lease",
            f"in use by {holder} until {until:%Y-%m-%d %H:%M:%S} UTC at least; stop that, or archive the version",
        )
        for holder, until in connection.execute(query.order_by(LEASES.c.holder))
    ]


def _children(connection: Connection, row: VersionRow, without: Collection[int]) -> list[Hold]:
    query = (
        select(VERSIONS.c.id, ADAPTERS.c.name, VERSIONS.c.number)
        .select_from(OWNED.join(PARENTS, PARENTS.c.child_id == VERSIONS.c.id))
        .where(PARENTS.c.parent_id == row.id)
        .order_by(VERSIONS.c.id)
    )
    found = [f"{name}@{number}" for child, name, number in connection.execute(query) if child not in without]
    return [Hold("child", f"the parent of {', '.join(found)}; delete that first")] if found else []


def _retention(connection: Connection, adapter: AdapterRow, row: VersionRow, moment: datetime) -> list[Hold]:
    found = []
    rule = f"change the rule with 'lorarack retention {adapter.name}'"
    if adapter.keep_days is not None and row.created_at > moment - timedelta(days=adapter.keep_days):
        found.append(Hold("retention", f"younger than {adapter.keep_days} days, which {adapter.name!r} keeps; {rule}"))
    if adapter.keep_last is not None:
        newer = select(func.count(VERSIONS.c.id)).where(
            VERSIONS.c.adapter_id == adapter.id, VERSIONS.c.number > row.number
        )
        if (connection.scalar(newer) or 0) < adapter.keep_last:
            found.append(
                Hold("retention", f"among the newest {adapter.keep_last}, which {adapter.name!r} keeps; {rule}")
            )
    return found
