"""The steps of bringing a version in, which publishing and importing share; statements that each needs are built once."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, Select, Update, bindparam, insert, select, update

from lorarack.registry.catalog.dialect import inserted_id
from lorarack.registry.catalog.events import now
from lorarack.registry.catalog.metrics import update_latest
from lorarack.registry.catalog.row_values import metric_row, metric_value
from lorarack.registry.catalog.rows import ADAPTER, VERSION, AdapterRow, VersionRow, put
from lorarack.registry.catalog.schema import ADAPTERS, BASES, METRICS, TAGS, VERSIONS
from lorarack.registry.catalog.text_index import add_text
from lorarack.registry.errors import Conflict, NotFound
from lorarack.registry.records import NewVersion
from lorarack.registry.values import Metric, State


def refuse_taken_name(connection: Connection, name: str) -> None:
    """Bases and adapters share one name space.

    Raises:
        Conflict: one of them has the name.
    """
    for table, kind in ((BASES, "a base model"), (ADAPTERS, "an adapter")):
        if connection.scalar(select(table.c.id).where(table.c.name == name)):
            raise Conflict(f"The name {name!r} already belongs to {kind}; choose another.", code="name_taken")


def adapter_for(connection: Connection, name: str, base_name: str) -> AdapterRow:
    """The adapter's row, or a new one that is not in the table yet.

    Raises:
        NotFound: no such base. Conflict: it stands on another base, or a base has its name.
    """
    found = connection.execute(_base_and_adapter(), {"base": base_name, "name": name}).first()
    if found is None:
        raise NotFound(f"There is no base model {base_name!r}.", code="unknown_base")
    base, *columns = found
    if columns[0] is None:
        refuse_taken_name(connection, name)
        return AdapterRow(0, name, base, next_number=1)
    adapter = AdapterRow(*columns)
    if adapter.base_id != base:
        from lorarack.registry.base_model.difference import difference

        one, other = (_whole_base(connection, row) for row in (adapter.base_id, base))
        raise Conflict(
            f"Adapter {name!r} stands on base {one.name!r}, not on {base_name!r}: {difference(one, other)}; "
            "publish under another name.",
            code="other_base",
        )
    return adapter


def with_digest(connection: Connection, adapter_id: int, digest: str) -> VersionRow | None:
    """The adapter's version of that digest."""
    found = connection.execute(_with_digest(), {"adapter_id": adapter_id, "digest": digest}).first()
    return VersionRow(*found) if found else None


def insert_version(
    connection: Connection, actor: str, adapter: AdapterRow, new: NewVersion, *, number: int = 0, **said: Any
) -> tuple[AdapterRow, VersionRow]:
    """Add a version under the adapter's next number, or ``number``, which must be free; and the adapter, where it is new.

    ``said`` is what the version's columns hold in place of what publishing would write.
    """
    number = number or adapter.next_number
    adapter = _with_next_number(connection, adapter, max(adapter.next_number, number + 1))
    row: dict[str, Any] = {
        "adapter_id": adapter.id,
        "number": number,
        "digest": new.digest,
        "rank": new.rank,
        "alpha": new.alpha,
        "rslora": new.rslora,
        "target_modules": list(new.target_modules),
        "dtype": new.dtype,
        "parameters": new.parameters,
        "bytes": new.bytes,
        "state": State.READY.value,
        "state_reason": None,
        "description": new.description,
        "provenance": new.provenance.to_json() if new.provenance else None,
        "files": [{"name": file.name, "digest": file.digest, "bytes": file.bytes} for file in new.files],
        "created_at": now(connection),
        "created_by": actor,
    } | said
    row["id"] = inserted_id(connection.execute(_new_version(), row))
    texts = [adapter.name, new.description or "", *(new.tags[key] for key in sorted(new.tags))]
    add_text(connection, row["id"], texts)
    return adapter, VersionRow(**{name: row[name] for name in VersionRow._fields})


def set_version(connection: Connection, version_id: int, **said: Any) -> None:
    """Change what is said of a version."""
    connection.execute(update(VERSIONS).where(VERSIONS.c.id == version_id).values(said))


def add_metrics(connection: Connection, version_id: int, metrics: Sequence[Metric], *, has_none: bool = False) -> None:
    """Add the metrics that the version lacks; ``has_none``: it is known to have none yet."""
    query = select(METRICS).where(METRICS.c.version_id == version_id)
    there = set() if has_none else {metric_value(row) for row in connection.execute(query)}
    lacking = [metric for metric in dict.fromkeys(metrics) if metric not in there]
    if lacking:
        connection.execute(_new_metrics(), [metric_row(metric, version_id) for metric in lacking])
        update_latest(connection, version_id, lacking, first=not there)


def set_tags(connection: Connection, version_id: int, tags: Mapping[str, str]) -> None:
    """Set tags of a version."""
    put(connection, TAGS, *({"version_id": version_id, "key": key, "value": value} for key, value in tags.items()))


def base_id(connection: Connection, name: str) -> int:
    """The id of the base of that name. Raises ``NotFound``."""
    found = connection.scalar(_base_named(), {"name": name})
    if found is None:
        raise NotFound(f"There is no base model {name!r}.", code="unknown_base")
    return int(found)


def _whole_base(connection: Connection, row_id: int) -> Any:
    return connection.execute(select(BASES).where(BASES.c.id == row_id)).one()


def _with_next_number(connection: Connection, adapter: AdapterRow, number: int) -> AdapterRow:
    """The adapter as it is in the table then, with that next number."""
    if adapter.id:
        connection.execute(_next_number(), {"its_id": adapter.id, "next": number})
        return adapter._replace(next_number=number)
    row = {"name": adapter.name, "base_id": adapter.base_id, "next_number": number, "created_at": now(connection)}
    return adapter._replace(id=inserted_id(connection.execute(insert(ADAPTERS), row)), next_number=number)


@cache
def _base_named() -> Select[Any]:
    return select(BASES.c.id).where(BASES.c.name == bindparam("name"))


@cache
def _base_and_adapter() -> Select[Any]:
    joined = BASES.outerjoin(ADAPTERS, ADAPTERS.c.name == bindparam("name"))
    return select(BASES.c.id, *ADAPTER).select_from(joined).where(BASES.c.name == bindparam("base"))


@cache
def _with_digest() -> Select[Any]:
    its = (VERSIONS.c.adapter_id == bindparam("adapter_id"), VERSIONS.c.digest == bindparam("digest"))
    return select(*VERSION).where(*its)


@cache
def _next_number() -> Update:
    return update(ADAPTERS).where(ADAPTERS.c.id == bindparam("its_id")).values(next_number=bindparam("next"))


@cache
def _new_version() -> Insert:
    return insert(VERSIONS)


@cache
def _new_metrics() -> Insert:
    return insert(METRICS)
