"""Finding versions, a page at a time. Order is by id or by a metric and then by id, so pages neither overlap nor leave out.

A part of the query that few versions fulfil is where to begin: an index lists them, each is asked the other parts, and a sort
orders them. Where no part is like that, a walk in the order that was asked for soon fills the page, as a rule; when it has gone
far enough in vain, it takes the indexes after all.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, tuple_

from lorarack.registry.catalog.database import Database
from lorarack.registry.catalog.filtering import Filter, ask, filters, smallest
from lorarack.registry.catalog.finished import compared, higher_is_better, is_of, labelled
from lorarack.registry.catalog.hints import unindexed
from lorarack.registry.catalog.loading import load_by_ids
from lorarack.registry.catalog.tables import ADAPTERS, BASES, FINISHED, VERSIONS
from lorarack.registry.errors import UsageError
from lorarack.registry.queries import Best, Page, Query, parse_label
from lorarack.registry.values import State

#: How many versions a walk passes: by id, where each is a whole row, and by a metric.
_NEAR, _FAR = 1000, 2500
#: So many versions are few: they are looked at one by one.
_SMALL = 1500
_BY_ID = re.compile(r"(newest|oldest):([0-9]{1,18})")
_BY_METRIC = re.compile(r"([^:]+):(up|down):(-?0x[0-9a-f.]+p[+-][0-9]{1,4}):([0-9]{1,18})")

#: The least and the greatest id. As two questions: SQLite looks each up, but would read all rows for both at once.
_ENDS = select(
    select(func.min(VERSIONS.c.id)).scalar_subquery(),
    select(func.max(VERSIONS.c.id)).scalar_subquery(),
)


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
        measured = [*ready, FINISHED.c.version_id == VERSIONS.c.id, *labelled(label)]
        with self._database.reading() as connection:
            value = FINISHED.c.value.desc() if higher_is_better(connection, label) else FINISHED.c.value
            query = select(VERSIONS.c.id).where(*measured).order_by(value, VERSIONS.c.rank, VERSIONS.c.number)
            chosen = connection.scalar(query.limit(1))
            if chosen is None:
                return None
            counts = select(func.count(), func.count(FINISHED.c.dataset.distinct())).where(*measured)
            having, datasets = connection.execute(counts).one()
            lacking = (connection.scalar(select(func.count(VERSIONS.c.id)).where(*ready)) or 0) - having
            (version,) = load_by_ids(connection, [chosen], curves=False)
        metric = version.metric(*parse_label(label))
        return Best(version=version, metric=metric, lacking=lacking, datasets=datasets) if metric else None


def _by_id(connection: Connection, query: Query, base: int | None, behind: _Place | None) -> list[_Place]:
    newest = query.order == "newest"
    first, last = connection.execute(_ENDS).one()
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
    parts = filters(query, base)
    start, end = low, high
    if parts:
        start, end = (max(low, high - _NEAR), high) if newest else (low, min(high, low + _NEAR))

    def ids(place: Any, low: Any, high: Any, wanted: list[Any], order: Any) -> list[_Place]:
        chosen = select(place).where(order >= low, order <= high, *wanted)
        ordered = chosen.order_by(order.desc() if newest else order)
        return [_Place(number) for number in connection.scalars(ordered.limit(query.limit + 1))]

    found = ids(VERSIONS.c.id, start, end, ask(parts, VERSIONS.c.id), VERSIONS.c.id)
    if len(found) > query.limit or (start, end) == (low, high):
        return found
    lead, others = _lead(connection, parts, smallest(connection, parts, _SMALL) if len(parts) > 1 else None)
    # Here the range of ids must not look like an index to use: it is nearly all of them.
    return ids(lead.ids, low, high, [*lead.found, *others(lead.ids)], unindexed(lead.ids))


def _by_metric(connection: Connection, query: Query, base: int | None, behind: _Place | None) -> list[_Place]:
    descending = behind.descending if behind else higher_is_better(connection, query.order)
    order = [column.desc() if descending else column for column in (FINISHED.c.value, FINISHED.c.version_id)]
    # What is asked of this metric itself is a stretch of the way.
    stretch = [compared(each) for each in query.metrics if is_of(each, query.order)]
    if behind is not None:
        stretch.append(_beyond(behind, descending))
    measured = select(FINISHED.c.version_id, FINISHED.c.value).where(*stretch).order_by(*order)
    along = measured.where(*labelled(query.order))
    parts = filters(query, base, without=query.order)

    def page(found: Any) -> list[_Place]:
        rows = connection.execute(found.limit(query.limit + 1))
        return [_Place(version, value, descending) for version, value in rows]

    few = smallest(connection, parts, _SMALL)
    if few is None:
        end = connection.execute(along.offset(_FAR).limit(1)).first() if parts else None
        near = along if end is None else along.where(~_beyond(_Place(*end), descending))
        found = page(near.where(*ask(parts, FINISHED.c.version_id)))
        if len(found) > query.limit or end is None:
            return found
    lead, others = _lead(connection, parts, few)
    listed = measured.where(lead.listed(FINISHED.c.version_id), *labelled(query.order, of_few=True))
    return page(listed.where(*others(FINISHED.c.version_id)))


def _lead(connection: Connection, parts: list[Filter], few: Filter | None) -> tuple[Filter, Callable[[Any], list[Any]]]:
    """The part whose index leads, and the other parts as conditions: of few versions each is asked, of many it is looked up in
    lists."""
    lead = few or (smallest(connection, parts, 10 * _SMALL) if len(parts) > 1 else None) or parts[0]
    others = [part for part in parts if part is not lead]
    return lead, lambda version_id: ask(others, version_id) if few else [part.among(version_id) for part in others]


def _beyond(place: _Place, descending: bool) -> Any:
    here, there = tuple_(FINISHED.c.value, FINISHED.c.version_id), tuple_(place.value, place.id)
    return here < there if descending else here > there


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
