"""Bringing a version in, with what is said about it and the text that a search looks into: publishing, and the steps that importing
shares with it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, insert, select, update

from lorarack.registry.catalog.connection import inserted_id, now, put
from lorarack.registry.catalog.events import move_alias, record
from lorarack.registry.catalog.metrics import metric_row, metric_value, update_latest
from lorarack.registry.catalog.rows import ADAPTER, OWNED, VERSION, AdapterRow, VersionRow, find_version
from lorarack.registry.catalog.schema import ADAPTERS, BASES, METRICS, PARENTS, TAGS, TEXTS, VERSIONS
from lorarack.registry.catalog.versions import load_by_ids
from lorarack.registry.errors import BlobGone, Conflict, NotFound, UsageError
from lorarack.registry.records import NewVersion
from lorarack.registry.reference import DEFAULT_ALIAS
from lorarack.registry.values import Metric, Parent, State, Version

#: Behind each text of a version, so that no match reaches from one text into the next.
_APART = "\x1f"
#: That separator, and characters that databases end or change a text at, are written otherwise. No code is a part of two others
#: side by side. Databases hold texts written like this: keep it.
_CODES = [f"\x1e{one}{two}" for one in "\x1a\x1b\x1c" for two in "\x1a\x1b\x1c"]
_WRITTEN = str.maketrans(dict(zip(f"\0\x1a\x1b\x1c\x1e{_APART}\ufffe\uffff", _CODES, strict=False)))


def add_version(
    connection: Connection, actor: str, new: NewVersion, is_stored: Callable[[str], bool]
) -> tuple[Version, bool]:
    """Allocate a number and write the version; the first one also becomes ``default``.

    Returns:
        The version, with its curves, and whether it is new: an equal digest gives the old one and adds metrics, tags and parents.

    Raises:
        Conflict: the adapter was trained on another base, its name belongs to a base, or the version is there and was archived or
            quarantined.
        NotFound: no such base or parent.
        BlobGone: a file of the version is not stored.
    """
    if not all(is_stored(file.digest) for file in new.files):
        raise BlobGone
    adapter = adapter_for(connection, new.adapter, new.base)
    found = connection.execute(_by_digest(), {"owner_id": adapter.id, "its_digest": new.digest}).first()
    if found is None:
        adapter, row = insert_version(connection, actor, adapter, new)
        add_metrics(connection, row.id, [*([new.measured] if new.measured else []), *new.metrics], has_none=True)
        set_tags(connection, row.id, new.tags)
    else:
        row = VersionRow(*found)
        if row.state in (State.ARCHIVED, State.QUARANTINED):
            raise _put_aside(new.adapter, row)
        if new.description:
            set_version(connection, row.id, description=new.description)
        add_metrics(connection, row.id, new.metrics)
        set_tags(connection, row.id, new.tags)
        update_text(connection, row.id)
    _add_parents(connection, row, new.parents)
    kind = "published_again" if found else "published"
    record(connection, actor, kind, new.adapter, row.number, digest=new.digest, rank=new.rank)
    if not found and row.number == 1:
        move_alias(connection, actor, adapter, DEFAULT_ALIAS, row, None, "first published version")
    return next(load_by_ids(connection, [row.id])), not found


def adapter_for(connection: Connection, name: str, base_name: str) -> AdapterRow:
    """The adapter's row, or a new one that is not in the table yet.

    Raises:
        NotFound: no such base.
        Conflict: the adapter was trained on another base, or a base has its name.
    """
    found = connection.execute(_base_and_adapter(), {"adapter_name": name, "base_name": base_name}).first()
    if found is None:
        raise unknown_base(base_name)
    base, *columns = found
    if columns[0] is None:
        refuse_taken_name(connection, name)
        return AdapterRow(0, name, base, next_number=1)
    adapter = AdapterRow(*columns)
    if adapter.base_id != base:
        from lorarack.registry.base_model.difference import difference

        own, other = (
            connection.execute(select(BASES).where(BASES.c.id == each)).one() for each in (adapter.base_id, base)
        )
        raise Conflict(
            f"Adapter {name!r} is for base {own.name!r}, not for {base_name!r}: {difference(own, other)}; "
            "publish under another name.",
            code="other_base",
        )
    return adapter


@cache
def _by_digest() -> Select[Any]:
    its = (VERSIONS.c.adapter_id == bindparam("owner_id"), VERSIONS.c.digest == bindparam("its_digest"))
    return select(*VERSION).where(*its)


@cache
def _base_and_adapter() -> Select[Any]:
    joined = BASES.outerjoin(ADAPTERS, ADAPTERS.c.name == bindparam("adapter_name"))
    return select(BASES.c.id, *ADAPTER).select_from(joined).where(BASES.c.name == bindparam("base_name"))


def refuse_taken_name(connection: Connection, name: str) -> None:
    """Bases and adapters share one name space.

    Raises:
        Conflict: one of them has the name.
    """
    for table, kind in ((BASES, "a base model"), (ADAPTERS, "an adapter")):
        if connection.scalar(select(table.c.id).where(table.c.name == name)):
            raise Conflict(f"The name {name!r} already belongs to {kind}; choose another.", code="name_taken")


def unknown_base(name: str) -> NotFound:
    """The error for a base that does not exist."""
    return NotFound(f"There is no base model {name!r}.", code="unknown_base")


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
        "files": [file.model_dump() for file in new.files],
        "created_at": now(connection),
        "created_by": actor,
    } | said
    row["id"] = inserted_id(connection.execute(insert(VERSIONS), row))
    texts = [adapter.name, new.description or "", *(new.tags[key] for key in sorted(new.tags))]
    _add_text(connection, row["id"], texts)
    return adapter, VersionRow(**{name: row[name] for name in VersionRow._fields})


def set_version(connection: Connection, version_id: int, **said: Any) -> None:
    """Change columns of a version."""
    connection.execute(update(VERSIONS).where(VERSIONS.c.id == version_id).values(said))


def add_metrics(connection: Connection, version_id: int, metrics: Sequence[Metric], *, has_none: bool = False) -> None:
    """Add the metrics that the version lacks; ``has_none``: it is known to have none yet."""
    query = select(METRICS).where(METRICS.c.version_id == version_id)
    there = set() if has_none else {metric_value(row) for row in connection.execute(query)}
    lacking = [metric for metric in dict.fromkeys(metrics) if metric not in there]
    if lacking:
        connection.execute(insert(METRICS), [metric_row(metric, version_id) for metric in lacking])
        update_latest(connection, version_id, lacking, first=not there)


def set_tags(connection: Connection, version_id: int, tags: Mapping[str, str]) -> None:
    """Set tags of a version."""
    put(connection, TAGS, *({"version_id": version_id, "key": key, "value": value} for key, value in tags.items()))


def update_text(connection: Connection, version_id: int) -> None:
    """Write the searchable text of a version again, if its rows say something else now."""
    query = select(ADAPTERS.c.name, VERSIONS.c.description).select_from(OWNED)
    name, description = connection.execute(query.where(VERSIONS.c.id == version_id)).one()
    values = connection.scalars(select(TAGS.c.value).where(TAGS.c.version_id == version_id).order_by(TAGS.c.key)).all()
    texts = [name, description or "", *values]
    if searchable_text(texts) != connection.scalar(select(TEXTS.c.words).where(TEXTS.c.version_id == version_id)):
        connection.execute(delete(TEXTS).where(TEXTS.c.version_id == version_id))
        _add_text(connection, version_id, texts)


def searchable_text(texts: Iterable[str]) -> str:
    """What a search for text looks into: one text that contains ``written(text)`` exactly if one of them contains ``text``."""
    return "".join(written(text) + _APART for text in texts) + _APART


def written(text: str) -> str:
    """A text as it is stored and looked for: case-folded by Python's rules, since each database has its own."""
    return text.casefold().translate(_WRITTEN)


def _add_text(connection: Connection, version_id: int, texts: Iterable[str]) -> None:
    """Write the searchable text of a new version."""
    connection.execute(insert(TEXTS), {"version_id": version_id, "words": searchable_text(texts)})


def _with_next_number(connection: Connection, adapter: AdapterRow, number: int) -> AdapterRow:
    """The adapter as it is in the table then, with that next number."""
    if adapter.id:
        connection.execute(update(ADAPTERS).where(ADAPTERS.c.id == adapter.id).values(next_number=number))
        return adapter._replace(next_number=number)
    row = {"name": adapter.name, "base_id": adapter.base_id, "next_number": number, "created_at": now(connection)}
    return adapter._replace(id=inserted_id(connection.execute(insert(ADAPTERS), row)), next_number=number)


def _put_aside(adapter: str, row: VersionRow) -> Conflict:
    """Publishing again does not restore an archived or quarantined version: the reason may still hold."""
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
