"""Finding versions, a page at a time. Order is by id or by a metric and then by id, so pages neither overlap nor leave out.

Each search first walks a little way in the order that was asked for, which is all that it takes when many versions fulfil
the query; when the walk did not fill the page, few do, and an index finds and a sort orders them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, tuple_

from lorarack.registry.catalog.database import Database
from lorarack.registry.catalog.filtering import conditions
from lorarack.registry.catalog.finished import higher_is_better, labelled, newest, not_superseded, unindexed
from lorarack.registry.catalog.loading import load_by_ids
from lorarack.registry.catalog.tables import ADAPTERS, BASES, METRICS, VERSIONS
from lorarack.registry.errors import UsageError
from lorarack.registry.queries import Best, Page, Query, parse_label
from lorarack.registry.values import State

#: How many versions a walk passes; first few, for most pages need no more.
_FEW, _WALK = 200, 1000
_BY_ID = re.compile(r"(newest|oldest):([0-9]{1,18})")
_BY_METRIC = re.compile(r"([^:]+):(up|down):(-?0x[0-9a-f.]+p[+-][0-9]{1,4}):([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page ended: the last version's id and, in the order of a metric, its value and the direction."""

    id: int
    value: float = 0.0
    descending: bool = False


class CatalogSearcher:
    """Finds versions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def base_named(self, name: str) -> int | None:
        """The id of the base of that name, or None."""
        with self._database.reading() as connection:
            return connection.scalar(select(BASES.c.id).where(BASES.c.name == name))

    def search(self, query: Query, base: int | None) -> Page:
        """One page; ``base`` is the id of the query's base. Raises ``UsageError``: a cursor of another order."""
        behind = _read_cursor(query) if query.cursor else None
        look = _by_id if query.order in ("newest", "oldest") else _by_metric
        with self._database.reading() as connection:
            places = look(connection, query, base, behind)
            page = places[: query.limit]
            versions = load_by_ids(connection, [place.id for place in page], curves=False)
        return Page(versions=tuple(versions), next=_cursor(query, page[-1]) if len(places) > len(page) else None)

    def best(self, adapter: str, label: str) -> Best | None:
        """The best ready version of ``adapter``; of equals the one of the smaller rank, then of the smaller number."""
        ready = [
            VERSIONS.c.adapter_id == ADAPTERS.c.id, ADAPTERS.c.name == adapter, VERSIONS.c.state == State.READY.value,
        ]  # fmt: skip
        measured = [*ready, METRICS.c.version_id == VERSIONS.c.id, *newest(label)]
        with self._database.reading() as connection:
            value = METRICS.c.value.desc() if higher_is_better(connection, label) else METRICS.c.value
            query = select(VERSIONS.c.id).where(*measured).order_by(value, VERSIONS.c.rank, VERSIONS.c.number)
            chosen = connection.scalar(query.limit(1))
            if chosen is None:
                return None
            counts = select(func.count(), func.count(METRICS.c.dataset.distinct())).where(*measured)
            having, datasets = connection.execute(counts).one()
            lacking = (connection.scalar(select(func.count(VERSIONS.c.id)).where(*ready)) or 0) - having
            (version,) = load_by_ids(connection, [chosen], curves=False)
        metric = version.metric(*parse_label(label))
        return Best(version=version, metric=metric, lacking=lacking, datasets=datasets) if metric else None


def _by_id(connection: Connection, query: Query, base: int | None, behind: _Place | None) -> list[_Place]:
    newest = query.order == "newest"
    # One by one: SQLite looks each up, but would read all rows for both at once.
    first = connection.scalar(select(func.min(VERSIONS.c.id)))
    last = connection.scalar(select(func.max(VERSIONS.c.id)))
    if first is None or last is None:
        return []
    # Row ids between which the page lies; the walk takes the end of them where the page begins.
    low, high = (behind.id + 1 if behind and not newest else first), (behind.id - 1 if behind and newest else last)
    # A walk from the newest begins at the newest that is old enough, and the other way round.
    if newest and query.until is not None:
        late = func.max(unindexed(VERSIONS.c.id))
        high = min(high, connection.scalar(select(late).where(VERSIONS.c.created_at < query.until)) or 0)
    elif not newest and query.since is not None:
        early = func.min(unindexed(VERSIONS.c.id))
        low = max(low, connection.scalar(select(early).where(VERSIONS.c.created_at >= query.since)) or last + 1)
    start, end = (max(low, high - _WALK), high) if newest else (low, min(high, low + _WALK))

    def ids(walking: bool, low: int, high: int) -> list[int]:
        wanted = conditions(query, base, walking=walking)
        # Off the walk the range of ids must not look like an index to use: it is nearly all of them.
        place = VERSIONS.c.id if walking else unindexed(VERSIONS.c.id)
        chosen = select(VERSIONS.c.id).where(place >= low, place <= high, *wanted)
        return list(connection.scalars(chosen.order_by(place.desc() if newest else place).limit(query.limit + 1)))

    found = ids(True, start, end)
    if len(found) <= query.limit and (start, end) != (low, high):
        found = ids(False, low, high)
    return [_Place(number) for number in found]


def _by_metric(connection: Connection, query: Query, base: int | None, behind: _Place | None) -> list[_Place]:
    descending = behind.descending if behind else higher_is_better(connection, query.order)
    here = tuple_(METRICS.c.value, METRICS.c.version_id)
    beyond: list[Any] = []
    if behind is not None:
        there = tuple_(behind.value, behind.id)
        beyond = [here < there if descending else here > there]
    order = [column.desc() if descending else column for column in (METRICS.c.value, METRICS.c.version_id)]
    along: Any = select(METRICS.c.id, METRICS.c.version_id, METRICS.c.value).where(*labelled(query.order), *beyond)
    wanted = conditions(query, base, walking=True)
    for length in (_FEW, _WALK):
        walk = along.order_by(*order).limit(length).subquery()
        ordered = [column.desc() if descending else column for column in (walk.c.value, walk.c.version_id)]
        walked: Any = select(walk.c.version_id, walk.c.value).join(VERSIONS, VERSIONS.c.id == walk.c.version_id)
        walked = walked.where(*wanted, not_superseded(query.order, walk.c.version_id, walk.c.id)).order_by(*ordered)
        found = connection.execute(walked.limit(query.limit + 1)).all()
        if len(found) > query.limit or (connection.scalar(select(func.count()).select_from(walk)) or 0) < length:
            return _places(found, descending)
    few: Any = select(METRICS.c.version_id, METRICS.c.value).join(VERSIONS, VERSIONS.c.id == METRICS.c.version_id)
    few = few.where(*newest(query.order), *beyond, *conditions(query, base, walking=False))
    return _places(connection.execute(few.order_by(*order).limit(query.limit + 1)), descending)


def _places(found: Iterable[Any], descending: bool) -> list[_Place]:
    return [_Place(version, value, descending) for version, value in found]


def _cursor(query: Query, place: _Place) -> str:
    if query.order in ("newest", "oldest"):
        return f"{query.order}:{place.id}"
    return f"{query.order}:{'down' if place.descending else 'up'}:{place.value.hex()}:{place.id}"


def _read_cursor(query: Query) -> _Place:
    text = query.cursor or ""
    if (found := _BY_ID.fullmatch(text)) and found[1] == query.order:
        return _Place(int(found[2]))
    if (found := _BY_METRIC.fullmatch(text)) and found[1] == query.order:
        try:
            return _Place(int(found[4]), float.fromhex(found[3]), found[2] == "down")
        except (ValueError, OverflowError):
            pass
    raise UsageError(
        f"{text[:100]!r} is not a cursor of this search; give 'next' of the page before, with the same query.",
        code="bad_cursor",
    )
