"""From one snapshot to the next by what the events between them name, so that the work grows with the changes alone."""

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from lorarack.registry.access import Key
from lorarack.registry.catalog.base_models import read_bases
from lorarack.registry.catalog.connection import is_listed
from lorarack.registry.catalog.events import last_event_id
from lorarack.registry.catalog.keys import read_keys
from lorarack.registry.catalog.schema import ADAPTERS, ALIASES, BASES, EVENTS, VERSIONS
from lorarack.registry.catalog.versions import load_versions, read_views
from lorarack.registry.snapshot import Snapshot
from lorarack.registry.view import AdapterView

if TYPE_CHECKING:
    from lorarack.registry.experiment.values import Experiment

#: With more events than this behind us, reading everything is faster.
_MANY = 2000


def take_snapshot(connection: Connection, since: Snapshot | None = None) -> Snapshot:
    """Everything, of one moment; made from ``since`` where that is given."""
    changes = last_event_id(connection)
    if since is not None and _read_history(connection, since.changes) != since.history:
        since = None
    if since is not None and since.changes == changes:
        return since
    history = _read_history(connection, changes)
    if since is None or not 0 < changes - since.changes <= _MANY:
        return _whole(connection, changes, history)
    return replace(_after(connection, since, changes), history=history)


def _read_history(connection: Connection, number: int) -> str:
    row = connection.execute(select(EVENTS).where(EVENTS.c.id == number)).first()
    return repr(tuple(row)) if row is not None else ""


def _whole(connection: Connection, changes: int, history: str) -> Snapshot:
    bases = {base.name: base for base in read_bases(connection, {})}
    return Snapshot(
        changes, bases, read_views(connection, brief=True), history, _keys(connection), _experiments(connection)
    )


def _keys(connection: Connection) -> dict[str, Key]:
    return {key.prefix: key for key in read_keys(connection)}


def _experiments(connection: Connection) -> dict[tuple[str, str], "Experiment"]:
    from lorarack.registry.catalog.experiment_rows import read_experiments

    return {(each.adapter, each.alias): each for each in read_experiments(connection, running=True)}


def _after(connection: Connection, since: Snapshot, changes: int) -> Snapshot:
    query = select(EVENTS.c.adapter, EVENTS.c.version, EVENTS.c.kind).where(
        EVENTS.c.id > since.changes, EVENTS.c.id <= changes
    )
    touched: dict[str, set[int]] = defaultdict(set)
    of_bases = of_keys = of_experiments = False
    for adapter, version, kind in connection.execute(query):
        if kind == "base_renewed":  # every version of the base carries its fingerprint
            return _whole(connection, changes, "")
        of_experiments = of_experiments or kind.startswith("experiment_")
        if kind in ("key_added", "key_revoked"):
            of_keys = True
        elif adapter is None:
            of_bases = True
        else:
            touched[adapter].update([] if version is None else [version])
    shapes = {base.fingerprint: base.modules for base in since.bases.values()}
    bases = {base.name: base for base in read_bases(connection, shapes)} if of_bases else since.bases
    adapters = dict(since.adapters)
    for name, numbers in touched.items():
        adapters[name] = _view_after(connection, name, numbers, adapters.get(name))
    ordered = dict(sorted(adapters.items())) if len(adapters) > len(since.adapters) else adapters
    keys = _keys(connection) if of_keys else since.keys
    experiments = _experiments(connection) if of_experiments else since.experiments
    return Snapshot(changes, bases, ordered, keys=keys, experiments=experiments)


def _view_after(connection: Connection, name: str, numbers: set[int], before: AdapterView | None) -> AdapterView:
    its = select(ADAPTERS.c.id, ADAPTERS.c.created_at, BASES.c.name)
    its = its.join_from(ADAPTERS, BASES, BASES.c.id == ADAPTERS.c.base_id).where(ADAPTERS.c.name == name)
    adapter_id, created_at, base = connection.execute(its).one()
    view = before or AdapterView.of(name, base, (), {}, created_at)
    pointing = select(ALIASES.c.name, VERSIONS.c.number)
    pointing = pointing.join_from(ALIASES, VERSIONS, VERSIONS.c.id == ALIASES.c.version_id)
    aliases = {
        row.name: int(row.number) for row in connection.execute(pointing.where(ALIASES.c.adapter_id == adapter_id))
    }
    # The versions that an alias has left or reached carry its name.
    moved = {alias for alias in {*aliases, *view.aliases} if aliases.get(alias) != view.aliases.get(alias)}
    numbers = numbers | {n for alias in moved for n in (aliases.get(alias), view.aliases.get(alias)) if n is not None}
    conditions = [ADAPTERS.c.name == name, is_listed(VERSIONS.c.number, numbers)]
    found = {version.number: version for version in load_versions(connection, conditions, brief=True)}
    return view.changed({number: found.get(number) for number in numbers}, aliases)
