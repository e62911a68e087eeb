"""What the catalog's own code reads of an adapter's and a version's row, by name and with types."""

from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, bindparam, select

from lorarack.registry.catalog.schema import ADAPTERS, VERSIONS
from lorarack.registry.errors import NotFound
from lorarack.registry.records import ArtifactKey

#: Numbers beyond this are no row's: SQLite would refuse to compare them.
LARGEST = 2**63 - 1


class AdapterRow(NamedTuple):
    """An adapter; ``id`` is 0 while it is not in the table yet."""

    id: int
    name: str
    base_id: int
    next_number: int
    keep_last: int | None = None
    keep_days: int | None = None


class VersionRow(NamedTuple):
    """A version."""

    id: int
    adapter_id: int
    number: int
    digest: str
    state: str
    state_reason: str | None
    description: str | None
    created_at: datetime


#: The columns that make up each, in their order.
ADAPTER: tuple[ColumnElement[Any], ...] = tuple(ADAPTERS.c[name] for name in AdapterRow._fields)
VERSION: tuple[ColumnElement[Any], ...] = tuple(VERSIONS.c[name] for name in VersionRow._fields)

#: Versions with their adapters.
OWNED = VERSIONS.join(ADAPTERS, ADAPTERS.c.id == VERSIONS.c.adapter_id)


def find_version(connection: Connection, adapter: str, number: int) -> tuple[AdapterRow, VersionRow]:
    """The rows of one version.

    Raises:
        NotFound: no such version.
    """
    found = None
    if 0 < number <= LARGEST:
        found = connection.execute(_version_of(), {"adapter_name": adapter, "number": number}).first()
    if found is None:
        raise NotFound(f"There is no version {adapter}@{number}.", code="unknown_reference")
    return AdapterRow(*found[: len(ADAPTER)]), VersionRow(*found[len(ADAPTER) :])


@cache
def _version_of() -> Select[Any]:
    its = (ADAPTERS.c.name == bindparam("adapter_name"), VERSIONS.c.number == bindparam("number"))
    return select(*ADAPTER, *VERSION).select_from(OWNED).where(*its)


def find_adapter(connection: Connection, name: str) -> AdapterRow | None:
    """The adapter of that name."""
    found = connection.execute(select(*ADAPTER).where(ADAPTERS.c.name == name)).first()
    return AdapterRow(*found) if found else None


def find_artifact(connection: Connection, known: ArtifactKey) -> VersionRow | None:
    """The version of that adapter and digest."""
    name, digest = known
    query = select(*VERSION).select_from(OWNED).where(ADAPTERS.c.name == name, VERSIONS.c.digest == digest)
    found = connection.execute(query).first()
    return VersionRow(*found) if found else None
