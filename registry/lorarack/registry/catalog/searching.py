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
from lorarack.registry.catalog.finished import higher_is_better, is_of, labelled
from lorarack.registry.catalog.loading import load_by_ids
from lorarack.registry.catalog.parts import Part, parameters, parts_of, shapes, smallest
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
    left = _left(connection, query, behind)
    if left is None:
        return []
    parts = parts_of(query, base)

    def ids(build: Any, between: tuple[int, int], *more: Any) -> list[_Place]:
        low, high = between
        chosen = prepared(build, newest, shapes(parts), *more)
        given = parameters(parts) | {"low": low, "high": high, "limit": query.limit + 1}
        return [_Place(number) for number in chosen.scalars(connection, **given)]

    def walk(left: tuple[int, int]) -> list[_Place] | None:
        """The page, if it is full or all that is left was seen."""
        low, high = left
        near = left if not parts else (max(low, high - _NEAR), high) if newest else (low, min(high, low + _NEAR))
        found = ids(finding.walk, near)
        return found if len(found) > query.limit or near == left else None

    found = walk(left)
    if found is not None:
        return found
    lead, few = _lead(connection, parts, smallest(connection, parts, _SMALL) if len(parts) > 1 else None)
    if parts[lead].own and not few:  # then the lead's first version may be far from here, and many more beside it
        given = parameters([parts[lead]]) | {"low": left[0], "high": left[1]}
        (first,) = prepared(finding.outermost, newest, parts[lead].shape).scalars(connection, **given)
        if first is None:
            return []
        is_far = first < left[1] - _NEAR if newest else first > left[0] + _NEAR
        left = (left[0], first) if newest else (first, left[1])
        found = walk(left) if is_far else None
    return found if found is not None else ids(finding.led, left, lead, few)


def _left(connection: Connection, query: Query, behind: _Place | None) -> tuple[int, int] | None:
    """The ids between which the page and all behind it lie; None: there are none.

    A first page from the newest begins at the newest that is old enough, and the other way round.
    """
    newest = query.order == "newest"
    ((low, high),) = prepared(finding.ends).rows(connection)
    if low is None:
        return None
    if behind is not None:
        return (low, behind.id - 1) if newest else (behind.id + 1, high)
    moment = query.until if newest else query.since
    if moment is not None:
        near = prepared(finding.nearest, newest).scalars(connection, moment=moment)
        if not near:
            return None
        (beyond,) = prepared(finding.beyond, newest).scalars(connection, moment=moment, near=near[0])
        edge = near[0] if beyond is None else beyond
        return (low, edge) if newest else (edge, high)
    return low, high


def _by_metric(connection: Connection, query: Query, base: int | None, behind: _Place | None) -> list[_Place]:
    descending = behind.descending if behind else higher_is_better(connection, query.order)
    name, split = parse_label(query.order)
    # What is asked of this metric itself is a stretch of the way.
    stretch = [each for each in query.metrics if is_of(each, query.order)]
    way = finding.Way(descending, tuple(each.operator for each in stretch), behind is not None)
    given: dict[str, Any] = {"name": name, "split": split, "limit": query.limit + 1}
    given |= {f"stretch{place}": each.value for place, each in enumerate(stretch)}
    given |= {"behind_value": behind.value, "behind_id": behind.id} if behind else {}
    parts = parts_of(query, base, without=query.order)

    def page(build: Any, *more: Any) -> list[_Place]:
        rows = prepared(build, way, shapes(parts), *more).rows(connection, **parameters(parts), **given)
        return [_Place(version, value, descending) for version, value in rows]

    few = smallest(connection, parts, _SMALL)
    if few is None:
        end = prepared(finding.far_end, way).rows(connection, **given, far=_FAR) if parts else []
        if end:
            given["end_id"], given["end_value"] = end[0]
        found = page(finding.along, bool(end))
        if len(found) > query.limit or not end:
            return found
    return page(finding.listed, *_lead(connection, parts, few))


def _lead(connection: Connection, parts: list[Part], few: tuple[int, Part] | None) -> tuple[int, bool]:
    """The place of the part whose index leads, which is put there as it is known by now, and whether few versions fulfil it."""
    found = few or (smallest(connection, parts, 10 * _SMALL) if len(parts) > 1 else None)
    if found is None:
        return 0, False
    place, parts[place] = found
    return place, few is not None


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
