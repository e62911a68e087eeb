"""The parts of a query as filters, each in two shapes: an index that finds the versions, and a question that is put to one.

A question is asked in the course of a walk past versions, so it is written such that SQLite does not leave the walk for an
index.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, func, select

from lorarack.registry.catalog import wording
from lorarack.registry.catalog.finished import compared, is_of, labelled
from lorarack.registry.catalog.hints import unindexed
from lorarack.registry.catalog.tables import ADAPTERS, FINISHED, TAGS, TEXTS, VERSIONS
from lorarack.registry.queries import Condition, Query

Wanted = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Filter:
    """One part of a query.

    ``ids`` where ``found`` are the versions that fulfil it; ``counted`` are no fewer, where those take less time to count.
    ``asked`` asks one version, given the column with its id; it is about the columns of ``VERSIONS`` where the part is ``own``.
    """

    ids: Any
    found: Sequence[Wanted]
    asked: Callable[[Any], Wanted]
    own: bool = False
    counted: Any = None

    def among(self, column: Any) -> Wanted:
        """That ``column`` is one of the ids, of which there may be many."""
        if self.counted is not None:  # each is asked: a list of all that have a short text takes long
            return self.asked(column)
        return self.listed(column)

    def listed(self, column: Any) -> Wanted:
        """That ``column`` is one of the ids, which lead."""
        wanted: Wanted = column.in_(select(self.ids).where(*self.found).correlate(None))
        return wanted

    def is_small(self, connection: Connection, most: int) -> int | None:
        """How many versions fulfil it, if no more than ``most`` do."""
        them = self.counted if self.counted is not None else select(self.ids).where(*self.found)
        some = them.limit(most + 1).subquery()
        count = connection.scalar(select(func.count()).select_from(some)) or 0
        return count if count <= most else None


def filters(query: Query, base: int | None, without: str | None = None) -> list[Filter]:
    """The query's parts, those first that few versions fulfil as a rule.

    ``base`` is the id of the query's base; conditions on the metric ``without`` are left out.
    """
    found = [_tag(tag) for tag in query.tags]
    found += _adapters(query, base)
    found += [_metric(each) for each in query.metrics if without is None or not is_of(each, without)]
    found += _columns(query)
    if query.text:
        found.insert(0 if wording.is_long(query.text) else len(found), _text(query.text))
    return found


def ask(parts: Sequence[Filter], version_id: Any) -> list[Wanted]:
    """Conditions that a version fulfils all ``parts``, given the column of the query around them that has its id."""
    if version_id is VERSIONS.c.id:
        return [part.asked(version_id) for part in parts]
    own = [part.asked(version_id) for part in parts if part.own]
    its_row = [exists().where(VERSIONS.c.id == unindexed(version_id), *own)] if own else []
    return its_row + [part.asked(version_id) for part in parts if not part.own]


def smallest(connection: Connection, parts: Sequence[Filter], most: int) -> Filter | None:
    """The part that the fewest versions fulfil, if those are no more than ``most``."""
    counted = [
        (count, place) for place, part in enumerate(parts) if (count := part.is_small(connection, most)) is not None
    ]
    return parts[min(counted)[1]] if counted else None


def _own(column: Any, *compare: Callable[[Any], Wanted]) -> Filter:
    held = and_(*(so(unindexed(column)) for so in compare))
    return Filter(VERSIONS.c.id, [so(column) for so in compare], lambda _: held, own=True)


def _columns(query: Query) -> Iterator[Filter]:
    low, high, since, until, state = query.rank_min, query.rank_max, query.since, query.until, query.state
    if state is not None:
        yield _own(VERSIONS.c.state, lambda column: column == state.value)
    if low is not None and low == high:
        yield _own(VERSIONS.c.rank, lambda column: column == low)
    elif low is not None or high is not None:
        ends = [
            *([lambda c: c >= low] if low is not None else []),
            *([lambda c: c <= high] if high is not None else []),
        ]
        yield _own(VERSIONS.c.rank, *ends)
    if since is not None or until is not None:
        ends = [*([lambda c: c >= since] if since else []), *([lambda c: c < until] if until else [])]
        yield _own(VERSIONS.c.created_at, *ends)


def _adapters(query: Query, base: int | None) -> Iterator[Filter]:
    wanted: list[Wanted] = [] if base is None else [ADAPTERS.c.base_id == base]
    if query.adapter is not None and query.adapter.endswith("*"):
        start = query.adapter.removesuffix("*")
        # A range, not LIKE: it uses the index. Names are ASCII, so nothing that begins so lies behind the last character.
        wanted += [ADAPTERS.c.name >= start, ADAPTERS.c.name < start + "\x7f"] if start else []
    elif query.adapter is not None:
        wanted.append(ADAPTERS.c.name == query.adapter)
    if wanted:
        chosen = select(ADAPTERS.c.id).where(*wanted)
        yield _own(VERSIONS.c.adapter_id, lambda column: column.in_(chosen))


def _tag(tag: str) -> Filter:
    key, equals, value = tag.partition("=")
    wanted = [TAGS.c.key == key, *([TAGS.c.value == value] if equals else [])]
    return _elsewhere(TAGS, wanted)


def _metric(condition: Condition) -> Filter:
    rows = FINISHED.alias()  # the query around it may look at the same table for its order
    return _elsewhere(rows, [*labelled(condition.label, rows), compared(condition, rows)])


def _elsewhere(rows: Any, wanted: Sequence[Wanted]) -> Filter:
    def asked(version_id: Any) -> Wanted:
        return exists().where(rows.c.version_id == unindexed(version_id), *wanted)

    return Filter(rows.c.version_id, wanted, asked)


def _text(text: str) -> Filter:
    found = wording.indexed(text)
    return Filter(
        ids=TEXTS.c.version_id,
        found=[TEXTS.c.version_id.in_(found)],
        asked=lambda version_id: exists().where(TEXTS.c.version_id == unindexed(version_id), wording.contains(text)),
        counted=found,
    )
