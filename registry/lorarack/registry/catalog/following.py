"""From one snapshot to the next by what the events between them name, so that the work grows with the changes alone."""

from collections import defaultdict

from sqlalchemy import select
from sqlalchemy.orm import Session

from lorarack.registry.catalog.database import Database
from lorarack.registry.catalog.loading import load_versions
from lorarack.registry.catalog.reading import read_bases, read_changes, read_views
from lorarack.registry.catalog.tables import AdapterRow, AliasRow, BaseRow, EventRow, VersionRow
from lorarack.registry.snapshot import Snapshot
from lorarack.registry.values import Version
from lorarack.registry.view import AdapterView

#: With more events than this behind us, reading everything is faster.
_MANY = 2000
#: How many version numbers go into one query.
_AT_ONCE = 500


def take_snapshot(database: Database, since: Snapshot | None = None) -> Snapshot:
    """Everything, of one moment; made from ``since`` where that is given."""
    with database.reading() as session:
        changes = read_changes(session)
        if since is not None and since.changes == changes:
            return since
        if since is None or not 0 < changes - since.changes <= _MANY:
            bases = {base.name: base for base in read_bases(session)}
            return Snapshot(changes, bases, read_views(session, brief=True))
        return _after(session, since, changes)


def _after(session: Session, since: Snapshot, changes: int) -> Snapshot:
    query = select(EventRow.adapter, EventRow.version).where(EventRow.id > since.changes, EventRow.id <= changes)
    touched: dict[str, set[int]] = defaultdict(set)
    of_bases = False
    for adapter, version in session.execute(query):
        if adapter is None:
            of_bases = True
        else:
            touched[adapter].update([] if version is None else [version])
    bases = {base.name: base for base in read_bases(session)} if of_bases else since.bases
    adapters = dict(since.adapters)
    for name, numbers in touched.items():
        adapters[name] = _view_after(session, name, numbers, adapters.get(name))
    return Snapshot(changes, bases, dict(sorted(adapters.items())) if len(adapters) > len(since.adapters) else adapters)


def _view_after(session: Session, name: str, numbers: set[int], before: AdapterView | None) -> AdapterView:
    row, base = session.execute(
        select(AdapterRow, BaseRow.name).join(BaseRow, BaseRow.id == AdapterRow.base_id).where(AdapterRow.name == name)
    ).one()
    view = before or AdapterView.of(name, base, (), {}, row.created_at)
    pointing = select(AliasRow.name, VersionRow.number).join(VersionRow, VersionRow.id == AliasRow.version_id)
    aliases: dict[str, int] = dict(session.execute(pointing.where(AliasRow.adapter_id == row.id)).all())
    # The versions that an alias has left or reached carry its name.
    moved = {alias for alias in {*aliases, *view.aliases} if aliases.get(alias) != view.aliases.get(alias)}
    numbers = numbers | {n for alias in moved for n in (aliases.get(alias), view.aliases.get(alias)) if n is not None}
    found: dict[int, Version] = {}
    listed = sorted(numbers)
    for start in range(0, len(listed), _AT_ONCE):
        conditions = [AdapterRow.name == name, VersionRow.number.in_(listed[start : start + _AT_ONCE])]
        found.update((version.number, version) for version in load_versions(session, conditions, brief=True))
    return view.changed({number: found.get(number) for number in numbers}, aliases)
