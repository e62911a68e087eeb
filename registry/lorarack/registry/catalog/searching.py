"""Finding versions, a page at a time. Order is by id or by a metric and then by id, so pages neither overlap nor leave out.

A part of the query that few versions fulfil is where to begin: an index lists them, each is asked the other parts, and a sort
orders them. Where no part is like that, a walk in the order that was asked for soon fills the page, as a rule; when it has gone
far enough in vain, it takes the indexes after all.
"""

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from lorarack.registry.catalog import finding
from lorarack.registry.catalog.database import Database
from lorarack.registry.catalog.filtering import Part, parameters, parts_of, smallest
from lorarack.registry.catalog.finished import higher_is_better, is_of, labelled
from lorarack.registry.catalog.loading import load_by_ids
from lorarack.registry.catalog.prepared import prepared
from lorarack.registry.catalog.tables import ADAPTERS, FINISHED, VERSIONS
from lorarack.registry.errors import UsageError
from lorarack.registry.queries import Best, Page, Query, parse_label
from lorarack.registry.values import State

#: How many versions a walk passes: by id, where each is a whole row, and by a metric.
_NEAR, _FAR = 1000, 2500
#: So many versions are few: they are looked at one by one.
_SMALL = 1500
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
            found = prepared(finding.base_named).scalars(connection, name=name)
            return found[0] if found else None

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
        measured = [*ready, FINISHED.c.version_id == VERSIONS.c.id, *labelled(*parse_label(label))]
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
    ((first, last),) = prepared(finding.ends).rows(connection)
    if first is None or last is None:
        return []
    # Row ids between which the page lies; the walk takes the end of them where the page begins.
    low, high = (behind.id + 1 if behind and not newest else first), (behind.id - 1 if behind and newest else last)
    # A first page from the newest begins at the newest that is old enough, and the other way round.
    if newest and query.until is not None and not behind:
        high = prepared(finding.late).scalars(connection, until=query.until)[0] or 0
    elif not newest and query.since is not None and not behind:
        low = prepared(finding.early).scalars(connection, since=query.since)[0] or last + 1
    parts = parts_of(query, base)
    start, end = low, high
    if parts:
        start, end = (max(low, high - _NEAR), high) if newest else (low, min(high, low + _NEAR))
    shapes, values = tuple(part.shape for part in parts), parameters(parts) | {"limit": query.limit + 1}

    def ids(low: int, high: int, lead: int | None = None, few: bool = False) -> list[_Place]:
        chosen = prepared(finding.between, newest, shapes, lead, few)
        return [_Place(number) for number in chosen.scalars(connection, low=low, high=high, **values)]

    found = ids(start, end)
    if len(found) > query.limit or (start, end) == (low, high):
        return found
    return ids(low, high, *_lead(connection, parts, smallest(connection, parts, _SMALL) if len(parts) > 1 else None))


def _by_metric(connection: Connection, query: Query, base: int | None, behind: _Place | None) -> list[_Place]:
    descending = behind.descending if behind else higher_is_better(connection, query.order)
    name, split = parse_label(query.order)
    # What is asked of this metric itself is a stretch of the way.
    stretch = [each for each in query.metrics if is_of(each, query.order)]
    way = finding.Way(descending, tuple(each.operator for each in stretch), behind is not None)
    parts = parts_of(query, base, without=query.order)
    shapes, values = tuple(part.shape for part in parts), parameters(parts)
    values |= {"name": name, "split": split, "limit": query.limit + 1}
    values |= {f"stretch{place}": each.value for place, each in enumerate(stretch)}
    values |= {"behind_value": behind.value, "behind_id": behind.id} if behind else {}

    def page(build: Any, *shape: Any) -> list[_Place]:
        rows = prepared(build, way, shapes, *shape).rows(connection, **values)
        return [_Place(version, value, descending) for version, value in rows]

    few = smallest(connection, parts, _SMALL)
    if few is None:
        end = prepared(finding.far_end, way).rows(connection, **values, far=_FAR) if parts else []
        if end:
            values["end_id"], values["end_value"] = end[0]
        found = page(finding.along, bool(end))
        if len(found) > query.limit or not end:
            return found
    return page(finding.listed, *_lead(connection, parts, few))


def _lead(connection: Connection, parts: list[Part], few: int | None) -> tuple[int, bool]:
    """The place of the part whose index leads, and whether few versions fulfil it."""
    if few is not None:
        return few, True
    return (smallest(connection, parts, 10 * _SMALL) or 0) if len(parts) > 1 else 0, False


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
