"""The parts of a query as conditions on rows, each in two shapes: for looking along an index, and for a walk past versions.

Along an index, ``id IN (SELECT …)`` hands SQLite the few versions that a tag or a metric names. On a walk each version is
asked in turn, and a unary plus keeps SQLite from leaving the walk for an index
(https://www.sqlite.org/optoverview.html).
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, exists, func, or_, select

from lorarack.registry.catalog.finished import compared, labelled, newest, unindexed
from lorarack.registry.catalog.tables import ADAPTERS, METRICS, TAGS, VERSIONS
from lorarack.registry.queries import Query

Wanted = ColumnElement[bool]


def conditions(query: Query, base: int | None, *, walking: bool) -> list[Wanted]:
    """What a version's row must fulfil; ``base`` is the id of the query's base."""
    found = [*_own(query, walking), *_of_adapters(query, base, walking)]
    for tag in query.tags:
        key, equals, value = tag.partition("=")
        wanted = [TAGS.c.key == key, *([TAGS.c.value == value] if equals else [])]
        found.append(_among(TAGS.c.version_id, wanted, walking))
    for condition in query.metrics:
        found.append(_among(METRICS.c.version_id, [compared(condition), *newest(condition.label)], walking=True))
        # The numbers that were superseded cost little here and much where all of that name are asked. Where a tag or an adapter
        # names few versions already, each of them is asked, which takes less than listing all whose number is so.
        if not walking and not query.tags and query.adapter is None:
            found.append(_among(METRICS.c.version_id, [compared(condition), *labelled(condition.label)], walking))
    if query.text:
        found.append(_with_text(query.text.casefold(), walking))
    return found


def _own(query: Query, walking: bool) -> Iterator[Wanted]:
    rank, state, created = (
        unindexed(column) if walking else column
        for column in (VERSIONS.c.rank, VERSIONS.c.state, VERSIONS.c.created_at)
    )
    if query.rank_min is not None:
        yield rank >= query.rank_min
    if query.rank_max is not None:
        yield rank <= query.rank_max
    if query.state is not None:
        yield state == query.state.value
    if query.since is not None:
        yield created >= query.since
    if query.until is not None:
        yield created < query.until


def _of_adapters(query: Query, base: int | None, walking: bool) -> Iterator[Wanted]:
    wanted: list[Wanted] = [] if base is None else [ADAPTERS.c.base_id == base]
    if query.adapter is not None and query.adapter.endswith("*"):
        start = query.adapter.removesuffix("*")
        # A range, not LIKE: it uses the index. Names are ASCII, so nothing that begins so lies behind the last character.
        wanted += [ADAPTERS.c.name >= start, ADAPTERS.c.name < start + "\x7f"] if start else []
    elif query.adapter is not None:
        wanted.append(ADAPTERS.c.name == query.adapter)
    if wanted:
        column = unindexed(VERSIONS.c.adapter_id) if walking else VERSIONS.c.adapter_id
        yield column.in_(select(ADAPTERS.c.id).where(*wanted))


def _with_text(text: str, walking: bool) -> Wanted:
    def contains(column: Any) -> Wanted:
        return func.instr(func.casefold(column), text) > 0

    return or_(
        contains(VERSIONS.c.description),
        VERSIONS.c.adapter_id.in_(select(ADAPTERS.c.id).where(contains(ADAPTERS.c.name))),
        _among(TAGS.c.version_id, [contains(TAGS.c.value)], walking),
    )


def _among(version_id: ColumnElement[int], wanted: list[Wanted], walking: bool) -> Wanted:
    # What it correlates with is said: the query around it may look at the same table for its order.
    if walking:
        return exists().where(version_id == VERSIONS.c.id, *wanted).correlate(VERSIONS)
    return VERSIONS.c.id.in_(select(version_id).where(*wanted).correlate(None))
