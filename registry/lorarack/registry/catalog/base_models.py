"""Writing base models: rows of ``bases`` and the names by which the world knows them. Called inside one write transaction."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from lorarack.registry.catalog.connection import home_of
from lorarack.registry.catalog.dialect import inserted_id
from lorarack.registry.catalog.events import now
from lorarack.registry.catalog.new_version import refuse_taken_name
from lorarack.registry.catalog.row_values import base_id_row, base_id_value
from lorarack.registry.catalog.schema import BASE_IDS, BASES
from lorarack.registry.errors import Conflict, UsageError
from lorarack.registry.records import AddedBase
from lorarack.registry.values import BaseId

if TYPE_CHECKING:
    from lorarack.registry.base_model.fingerprint import Reading


def add_base(
    connection: Connection, reading: "Reading", name: str | None, default_name: str, known_as: BaseId, *, use: bool
) -> AddedBase:
    """Add a base model, or one more place of a base model that shares a fingerprint with ``reading``.

    Raises:
        Conflict: the name belongs to another base or to an adapter, or the model is known by another name.
    """
    row = _same(connection, reading)
    if row is None:
        called = name or default_name
        refuse_taken_name(connection, called)
        own_id = _insert(connection, reading, called)
    else:
        called, own_id = str(row.name), int(row.id)
        if name is not None and name != called:
            raise Conflict(
                f"The model in {known_as.value!r} is known as base {called!r}; leave --name out, or give --name {called}.",
                code="known_base",
            )
        _add_fingerprints(connection, row, reading)
    taken_from = _forget_elsewhere(connection, own_id, known_as) if known_as.kind == "path" else ()
    used, loaded = _place(connection, own_id, known_as, use=use)
    if loaded:
        connection.execute(update(BASES).where(BASES.c.id == own_id).values(template=reading.template))
    return AddedBase(called, row is None, used, taken_from)


def renew_base(connection: Connection, name: str, reading: "Reading", places: Sequence[BaseId]) -> None:
    """Put what is read today in the place of what an older lorarack saw of base ``name``; it is known to be at ``places``.

    Raises:
        Conflict: another base has the same fingerprint.
    """
    row = connection.execute(select(BASES).where(BASES.c.name == name)).one()
    other = _same(connection, reading)
    if other is not None and other.id != row.id:
        raise Conflict(
            f"The files of base {name!r} are those of base {other.name!r}; "
            f"add its own files with 'lorarack base add FOLDER --name {name}'.",
            code="known_base",
        )
    values = {**_columns(reading), "sampled": row.sampled}
    connection.execute(update(BASES).where(BASES.c.id == row.id).values(**values))
    _write_places(connection, row.id, list(places))


def _same(connection: Connection, reading: "Reading") -> Row[Any] | None:
    prints = {reading.fingerprint, reading.by_files}
    rows = connection.execute(select(BASES).order_by(BASES.c.id)).all()
    return next((row for row in rows if prints.intersection((row.fingerprint, *row.fingerprints))), None)


def _columns(reading: "Reading") -> dict[str, Any]:
    return {
        "fingerprint": reading.fingerprint,
        "fingerprints": list(dict.fromkeys((reading.fingerprint, reading.by_files))),
        "architecture": reading.architecture,
        "vocabulary": reading.vocabulary,
        "vocab_size": reading.vocab_size,
        "parameters": reading.parameters,
        "modules": {module: list(shape) for module, shape in reading.modules.items()},
        "sampled": reading.sampled,
        "config": reading.config,
        "template": reading.template,
    }


def _insert(connection: Connection, reading: "Reading", name: str) -> int:
    row = {**_columns(reading), "name": name, "created_at": now(connection)}
    return inserted_id(connection.execute(insert(BASES), row))


def _add_fingerprints(connection: Connection, row: Row[Any], reading: "Reading") -> None:
    others = connection.execute(select(BASES.c.fingerprints).where(BASES.c.id != row.id)).scalars()
    taken = {print_ for prints in others for print_ in prints}
    known = [*row.fingerprints, *(p for p in (reading.fingerprint, reading.by_files) if p not in taken)]
    connection.execute(update(BASES).where(BASES.c.id == row.id).values(fingerprints=list(dict.fromkeys(known))))


def _forget_elsewhere(connection: Connection, own_id: int, known_as: BaseId) -> tuple[str, ...]:
    """A folder holds one model: what it was known for before is gone from there."""
    place = base_id_row(known_as, home_of(connection))
    here = (BASE_IDS.c.kind == place["kind"], BASE_IDS.c.value == place["value"], BASE_IDS.c.base_id != own_id)
    query = select(BASES.c.name).join_from(BASE_IDS, BASES, BASES.c.id == BASE_IDS.c.base_id).where(*here)
    names = tuple(connection.scalars(query))
    connection.execute(delete(BASE_IDS).where(*here))
    return names


def _place(connection: Connection, own_id: int, known_as: BaseId, *, use: bool) -> tuple[bool, bool]:
    """Enter a place of the base: last, which means used, when asked to, or where no other of its kind is there to be used.

    Returns:
        Whether it is used among those of its kind, and whether the base is loaded from it: a folder comes before the Hub.
    """
    home = home_of(connection)
    columns = (*BASE_IDS.c, BASE_IDS.c.template.label("id_template"))
    rows = connection.execute(select(*columns).where(BASE_IDS.c.base_id == own_id).order_by(BASE_IDS.c.id))
    places = [base_id_value(row, home) for row in rows]
    same = [place for place in places if (place.kind, place.value) == (known_as.kind, known_as.value)]
    of_kind = [place for place in places if place.kind == known_as.kind and place not in same]
    in_use = next((place for place in reversed(places) if place.kind == known_as.kind), None)
    there = in_use is not None and (in_use.kind == "hub" or Path(in_use.value).is_dir())
    used = use or not there or in_use in same
    folders = [place for place in places if place.kind == "path"]
    if use and known_as.kind == "hub" and folders:
        raise UsageError(
            f"The base is loaded from the folder {folders[-1].value!r}, which comes before the Hub; --use is for another folder.",
            code="bad_use",
        )
    others = [place for place in places if place.kind != known_as.kind]
    _write_places(connection, own_id, [*others, *of_kind, known_as] if used else [*others, known_as, *of_kind])
    return used, used and (known_as.kind == "path" or not folders)


def _write_places(connection: Connection, own_id: int, places: list[BaseId]) -> None:
    connection.execute(delete(BASE_IDS).where(BASE_IDS.c.base_id == own_id))
    home = home_of(connection)
    for place in places:
        connection.execute(insert(BASE_IDS), {"base_id": own_id, **base_id_row(place, home)})
