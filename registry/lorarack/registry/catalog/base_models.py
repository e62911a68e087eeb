"""Base models: rows of ``bases``, and their external names (Hub repositories and folders)."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from lorarack.registry.catalog.connection import home_of, inserted_id, is_listed, now
from lorarack.registry.catalog.events import record
from lorarack.registry.catalog.new_version import refuse_taken_name, unknown_base
from lorarack.registry.catalog.schema import BASE_IDS, BASES
from lorarack.registry.errors import Conflict, UsageError
from lorarack.registry.records import AddedBase
from lorarack.registry.values import Base, BaseId, ModuleTable

if TYPE_CHECKING:
    from lorarack.registry.base_model.fingerprint import Reading

#: The modules of base models by fingerprint, of which they are a part: they never change, and there may be a thousand.
Shapes = dict[str, ModuleTable]


def read_bases(connection: Connection, shapes: Shapes) -> tuple[Base, ...]:
    """All base models, by name; ``shapes`` has the modules of those read before, and gets those that it lacks."""
    home = home_of(connection)
    own = [column for column in BASES.c if column.name != "modules"]
    ids = [BASE_IDS.c.kind, BASE_IDS.c.value, BASE_IDS.c.revision, BASE_IDS.c.template.label("id_template")]
    query = select(*own, *ids).select_from(BASES.outerjoin(BASE_IDS, BASE_IDS.c.base_id == BASES.c.id))
    known_as: dict[int, list[BaseId]] = defaultdict(list)
    rows: dict[int, Row[Any]] = {}
    for row in connection.execute(query.order_by(BASES.c.name, BASE_IDS.c.id)):
        rows.setdefault(row.id, row)
        if row.kind is not None:
            known_as[row.id].append(_base_id_value(row, home))
    lacking = [row.fingerprint for row in rows.values() if row.fingerprint not in shapes]
    if lacking:
        tables = select(BASES.c.fingerprint, BASES.c.modules).where(is_listed(BASES.c.fingerprint, lacking))
        for fingerprint, modules in connection.execute(tables):
            shapes[fingerprint] = {name: (shape[0], shape[1]) for name, shape in modules.items()}
    names = {row.id: row.name for row in rows.values()}
    return tuple(
        # Not validated again: every reading of a base would pass all its modules.
        Base.model_construct(
            name=row.name,
            fingerprint=row.fingerprint,
            architecture=row.architecture,
            vocabulary=row.vocabulary,
            vocab_size=row.vocab_size,
            parameters=row.parameters,
            modules=shapes[row.fingerprint],
            fingerprints=tuple(row.fingerprints),
            sampled=row.sampled,
            config=row.config,
            template=row.template,
            ids=tuple(known_as[row.id]),
            original=names.get(row.original_id or 0),
            relation=row.relation,
            created_at=row.created_at,
        )
        for row in rows.values()
    )


def add_base(
    connection: Connection,
    actor: str,
    reading: "Reading",
    name: str | None,
    default_name: str,
    known_as: BaseId,
    *,
    use: bool,
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
    about: dict[str, Any] = {"base": called, "fingerprint": reading.fingerprint, "id": known_as.value}
    record(connection, actor, "base_added", **about)
    return AddedBase(called, row is None, used, taken_from)


def renew_base(connection: Connection, actor: str, name: str, reading: "Reading", places: Sequence[BaseId]) -> None:
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
    record(connection, actor, "base_renewed", base=name, fingerprint=reading.fingerprint)


def link_base(connection: Connection, actor: str, name: str, original: str, relation: str) -> None:
    """Record that base ``name`` was made from base ``original``.

    Raises:
        NotFound: no such base.
        UsageError: a base would descend from itself.
    """
    child, parent = _base_id(connection, name), _base_id(connection, original)
    ancestor: int | None = parent
    while ancestor is not None:
        if ancestor == child:
            raise UsageError(f"Base {name!r} cannot descend from itself.", code="cycle")
        ancestor = connection.scalar(select(BASES.c.original_id).where(BASES.c.id == ancestor))
    connection.execute(update(BASES).where(BASES.c.id == child).values(original_id=parent, relation=relation))
    record(connection, actor, "base_linked", base=name, original=original, relation=relation)


def _base_id(connection: Connection, name: str) -> int:
    found = connection.scalar(select(BASES.c.id).where(BASES.c.name == name))
    if found is None:
        raise unknown_base(name)
    return int(found)


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
    place = _base_id_row(known_as, home_of(connection))
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
    places = [_base_id_value(row, home) for row in rows]
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
        connection.execute(insert(BASE_IDS), {"base_id": own_id, **_base_id_row(place, home)})


def _base_id_value(row: Row[Any], home: Path | None) -> BaseId:
    """One name of a base; a folder inside ``home`` is stored relative to it, so that a home may be moved."""
    kind, value = ("path", str(home / row.value)) if row.kind == "home" and home else (row.kind, row.value)
    return BaseId(kind=kind, value=value, revision=row.revision, template=row.id_template)


def _base_id_row(known: BaseId, home: Path | None) -> dict[str, Any]:
    """The columns of a base's name."""
    row = known.model_dump()
    if home and known.kind == "path" and Path(known.value).is_relative_to(home) and Path(known.value) != home:
        row |= {"kind": "home", "value": Path(known.value).relative_to(home).as_posix()}
    return row
